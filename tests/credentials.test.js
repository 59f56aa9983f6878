'use strict';

/** One credential secret for the cluster; credentials that work everywhere and are shown nowhere. */

const assert = require('node:assert/strict');
const { before, test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { decrypt } = require('./support/credentials');
const { account, probe, tab } = require('./support/flows');
const { fileScope } = require('./support/scope');
const { startStore } = require('./support/store');
const { until } = require('./support/wait');

/** Everything is logged, so that a secret that slips into any message is found. */
const LOG_ALL = { logging: { console: { level: 'trace', metrics: true, audit: true } } };
const PASSWORD = 'pässword-that-nobody-may-see-1';
const CHANGED = 'pässword-that-nobody-may-see-2';

const scope = fileScope();
/** @type {import('./support/store').Store} */
let store;
before(async () => {
  store = await startStore({ password: 'store-password-that-nobody-may-see' });
  scope.after(() => store.release());
});

/**
 * @param {import('node:test').TestContext} t
 * @param {import('./support/cluster').ClusterOptions} [options]
 */
function startCredentialsCluster(t, options = {}) {
  return startCluster(t, {
    store,
    workers: 1,
    ...options,
    valkey: { password: 'store-password-that-nobody-may-see' },
    settings: { ...LOG_ALL, ...options.settings },
  });
}

/** @param {string} [password] absent when the editor leaves it as it is */
function flowsOf(password) {
  const credentials = password === undefined ? undefined : { username: 'alice', password };
  return [tab('tab'), probe('tab', 'watched', 'x', { account: 'account' }), account('account', credentials)];
}

/**
 * @param {import('./support/cluster').Instance} instance
 * @param {string} password
 */
function untilLive(instance, password) {
  return until(async () => (await instance.probes()).live.watched?.password === password, {
    message: `${instance.name} runs with the password`,
  }).catch((error) => {
    throw new Error(`${error.message}; its log was:\n${instance.log()}`);
  });
}

/**
 * @param {import('./support/cluster').Cluster} cluster
 * @param {...string} secrets
 */
function assertNotLogged(cluster, ...secrets) {
  const all = [...secrets, PASSWORD, CHANGED, 'store-password-that-nobody-may-see'];
  for (const { name, log } of cluster.instances) {
    for (const secret of all) assert.ok(!log().includes(secret), `the log of ${name} shows ${secret}`);
  }
}

test('the secret is created once, and survives restarts in any order, workers first included', async (t) => {
  const cluster = await startCredentialsCluster(t, { workers: 0, admin: false });
  const worker = await cluster.addWorker();
  await worker.waitUntilReady();
  const admin = await cluster.addAdmin();
  await admin.waitUntilReady();
  await admin.api.deploy(flowsOf(PASSWORD));
  await untilLive(worker, PASSWORD);
  const secret = await store.hash(cluster.key('secret'));
  assert.ok(secret.fingerprint && secret.generated);
  const encrypted = await store.json(cluster.key('credentials'));
  assert.equal(decrypt(secret.generated, encrypted).account.password, PASSWORD);

  await worker.stop();
  await admin.stop();
  worker.start();
  await untilLive(worker, PASSWORD);
  admin.start();
  await admin.waitUntilReady();
  await until(async () => (await admin.api.credentials('probe-account', 'account')).has_password, {
    message: 'the admin has the password',
  });
  await admin.api.deploy(flowsOf(CHANGED), { type: 'nodes' });
  await untilLive(worker, CHANGED);
  assert.deepEqual(await store.hash(cluster.key('secret')), secret);
  assertNotLogged(cluster, secret.generated);
});

test('admin and worker that start at once on an empty store agree on one secret', async (t) => {
  const cluster = await startCredentialsCluster(t, { workers: 3 });
  await cluster.deploy(flowsOf(PASSWORD));
  for (const worker of cluster.workers) await untilLive(worker, PASSWORD);
});

for (const role of /** @type {const} */ (['worker', 'admin'])) {
  test(`a ${role} whose secret differs does not run, and loses nothing`, async (t) => {
    const cluster = await startCredentialsCluster(t);
    await cluster.deploy(flowsOf(PASSWORD));
    await untilLive(cluster.workers[0], PASSWORD);
    await cluster.admin.stop();
    const keys = ['flows', 'credentials', 'settings'];
    const stored = () => Promise.all(keys.map((key) => store.commandBytes('GET', cluster.key(key))));
    const secretBefore = await store.hash(cluster.key('secret'));
    const storedBefore = await stored();

    const add = role === 'admin' ? cluster.addAdmin : cluster.addWorker;
    const stranger = await add({ name: 'stranger', settings: { credentialSecret: 'some-other-secret' } });
    assert.equal((await stranger.waitForExit()).code, 1);
    assert.match(stranger.log(), /credentialSecret/);
    assert.match(stranger.log(), /NRC_[A-Z_]+/);
    assert.deepEqual(await stored(), storedBefore);
    assert.deepEqual(await store.hash(cluster.key('secret')), secretBefore);

    cluster.admin.start();
    await cluster.admin.waitUntilReady();
    await cluster.deploy(flowsOf(CHANGED), { type: 'nodes' });
    await untilLive(cluster.workers[0], CHANGED);
    assertNotLogged(cluster, 'some-other-secret');
  });
}

test('a credentialSecret in settings.js is the cluster\'s, and never stored', async (t) => {
  const credentialSecret = 'secret-of-the-settings-file';
  const cluster = await startCredentialsCluster(t, { settings: { credentialSecret } });
  await cluster.deploy(flowsOf(PASSWORD));
  await untilLive(cluster.workers[0], PASSWORD);
  const encrypted = await store.json(cluster.key('credentials'));
  assert.equal(decrypt(credentialSecret, encrypted).account.password, PASSWORD);
  const secret = await store.hash(cluster.key('secret'));
  assert.ok(secret.fingerprint);
  assert.equal(secret.generated, undefined);
  assert.ok(!secret.fingerprint.includes(credentialSecret));

  await cluster.workers[0].restart();
  await untilLive(cluster.workers[0], PASSWORD);

  const stranger = await cluster.addWorker({ name: 'stranger', settings: { credentialSecret: 'differs-from-that' } });
  assert.equal((await stranger.waitForExit()).code, 1);
  assert.match(stranger.log(), /credentialSecret/);
  assertNotLogged(cluster, credentialSecret);
});

test('with credentialSecret false the credentials work everywhere and are in no log', async (t) => {
  const cluster = await startCredentialsCluster(t, { settings: { credentialSecret: false } });
  await cluster.deploy(flowsOf(PASSWORD));
  await untilLive(cluster.workers[0], PASSWORD);
  assert.equal((await store.json(cluster.key('credentials'))).account.password, PASSWORD);
  await cluster.deploy(flowsOf(CHANGED), { type: 'nodes' });
  await untilLive(cluster.workers[0], CHANGED);
  await cluster.workers[0].restart();
  await untilLive(cluster.workers[0], CHANGED);
  await cluster.admin.restart();
  await until(async () => (await cluster.admin.api.credentials('probe-account', 'account')).has_password, {
    message: 'the admin has the password',
  });
  assertNotLogged(cluster);
});

test('a deploy that leaves the credentials as they are keeps them (a wrong key erases credentials)', async (t) => {
  const cluster = await startCredentialsCluster(t);
  await cluster.deploy(flowsOf(PASSWORD));
  await untilLive(cluster.workers[0], PASSWORD);
  await cluster.deploy([...flowsOf(), probe('tab', 'more', 'y')], { type: 'full' });
  await cluster.untilProbes(({ live }) => 'more' in live && live.watched?.password === PASSWORD, {
    message: 'the new node runs beside the old credentials',
  });
  const secret = await store.hash(cluster.key('secret'));
  const encrypted = await store.json(cluster.key('credentials'));
  assert.equal(decrypt(secret.generated, encrypted).account.password, PASSWORD);
});
