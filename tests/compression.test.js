'use strict';

/** Values that are compressed, and values that the older package wrote. */

const assert = require('node:assert/strict');
const { before, test } = require('node:test');
const zlib = require('node:zlib');
const { startCluster } = require('./support/cluster');
const { decrypt, encrypt } = require('./support/credentials');
const { account, endpoint, manyNodes, probe, tab } = require('./support/flows');
const { fileScope } = require('./support/scope');
const { startStore } = require('./support/store');

const scope = fileScope();
/** @type {import('./support/store').Store} */
let store;
before(async () => {
  store = await startStore();
  scope.after(() => store.release());
});

/** @param {string} version */
function flowsOf(version) {
  return [
    tab('tab'),
    ...endpoint('tab', 'version', version),
    probe('tab', 'watched', version, { account: 'account' }),
    account('account'),
    ...manyNodes('tab', 20),
  ];
}

test('with enableCompression, values over 1 KB are gzip that any tool reads, and smaller ones plain', async (t) => {
  const cluster = await startCluster(t, { store, workers: 1, adminOptions: { valkey: { enableCompression: true } } });
  await cluster.deploy(flowsOf('compressed'));
  const stored = await store.commandBytes('GET', cluster.key('flows'));
  assert.deepEqual([...stored.subarray(0, 2)], [0x1f, 0x8b]);
  assert.deepEqual(JSON.parse(zlib.gunzipSync(stored).toString()), flowsOf('compressed'));
  await cluster.untilAnswers('version', 'compressed');

  const small = [tab('tab')];
  await cluster.deploy(small);
  assert.deepEqual(await store.json(cluster.key('flows')), small);

  await cluster.deploy(flowsOf('again'));
  await cluster.admin.restart();
  assert.deepEqual((await cluster.admin.api.flows()).flows, flowsOf('again'));
  await cluster.workers[0].restart();
  await cluster.untilAnswers('version', 'again');
});

test('compression is set per instance: what one wrote compressed another reads and writes plain', async (t) => {
  const cluster = await startCluster(t, { store, workers: 0, adminOptions: { valkey: { enableCompression: true } } });
  await cluster.deploy(flowsOf('compressed'));
  await cluster.admin.stop();
  const plain = await cluster.addAdmin({ name: 'admin without compression', valkey: { enableCompression: false } });
  await plain.waitUntilReady();
  assert.deepEqual((await plain.api.flows()).flows, flowsOf('compressed'));
  await plain.api.deploy(flowsOf('plain'));
  assert.deepEqual(await store.json(cluster.key('flows')), flowsOf('plain'));
});

/** How the older package wrote a value: as JSON, or compressed. */
const WRITTEN = {
  plain: (/** @type {object} */ value) => JSON.stringify(value),
  compressed: (/** @type {object} */ value) => `gzip:${zlib.gzipSync(JSON.stringify(value)).toString('base64')}`,
};

for (const [kind, write] of Object.entries(WRITTEN)) {
  test(`flows, credentials and settings that the older package wrote ${kind} are read`, async (t) => {
    const cluster = await startCluster(t, { store, workers: 0, admin: false });
    const secret = 'a'.repeat(64);
    const settings = { _credentialSecret: secret, users: { _: { view: { 'view-grid-size': 25 } } } };
    const credentials = encrypt(secret, { account: { username: 'alice', password: 'of long ago' } });
    await store.command('SET', cluster.key('flows'), write(flowsOf('of long ago')));
    await store.command('SET', cluster.key('credentials'), write(credentials));
    await store.command('SET', cluster.key('settings'), write(settings));

    // Workers may be upgraded before the admin.
    const worker = await cluster.addWorker();
    await worker.waitUntilReady();
    await cluster.untilProbes(({ live }) => live.watched?.password === 'of long ago', {
      message: 'a worker without an admin has the credentials',
      on: [worker],
    });
    const admin = await cluster.addAdmin();
    await admin.waitUntilReady();
    await cluster.untilAnswers('version', 'of long ago', { on: [admin, worker] });
    await cluster.untilProbes(({ live }) => live.watched?.password === 'of long ago', {
      message: 'the credentials are decrypted',
      on: [admin, worker],
    });
    assert.equal((await admin.api.userSettings()).view['view-grid-size'], 25);
    await admin.api.deploy(flowsOf('of today'), { type: 'nodes' });
    await cluster.untilAnswers('version', 'of today', { on: [admin, worker] });
    const stored = await store.json(cluster.key('credentials'));
    const { generated = secret } = await store.hash(cluster.key('secret'));
    assert.equal(decrypt(generated, stored).account.password, 'of long ago');
  });
}
