'use strict';

/** Signed deploys, and a thief who can write to the store and has no key. */

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const { afterEach, before, test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { account, endpoint, tab } = require('./support/flows');
const { startInstance } = require('./support/instance');
const { INSTALLED, saying, startPackageCluster } = require('./support/package-cluster');
const { nodePackage } = require('./support/packages');
const { fileScope } = require('./support/scope');
const { startStore } = require('./support/store');
const { until } = require('./support/wait');

/** @typedef {import('./support/cluster').Cluster} Cluster */
/** @typedef {import('./support/cluster').Instance} Instance */

const KEY = 'b1946ac92492d2347c6235b4d2611184e8f1f2d3c4b5a697';
const NEXT = 'd3b07384d113edec49eaa6238ad5ff00a1b2c3d4e5f60718';
const SECRETS = [KEY, NEXT];

const scope = fileScope();
/** @type {import('./support/store').Store} */
let store;
/** @type {Cluster} */
let cluster;
before(async () => {
  store = await startStore();
  scope.after(() => store.release());
  const settings = { runtimeState: { enabled: true, ui: true } };
  cluster = await startCluster(scope, { store, workers: 1, valkey: { signingKey: KEY }, adminOptions: { settings } });
});

/** Everybody whose log must not have a key in it. @type {Instance[]} */
const watched = [];
afterEach(() => {
  for (const instance of [...cluster.instances, ...watched]) {
    for (const secret of SECRETS) {
      assert.ok(!instance.log().includes(secret), `a key is in the log of ${instance.name}`);
    }
  }
});

/** @param {string} version */
const flowsOf = (version) => [tab('tab'), ...endpoint('tab', 'version', version), account('account', { password: `secret-of-${version}` })];

const FORGED = JSON.stringify(flowsOf('forged'));

/** @param {string} text */
const hash = (text) => createHash('sha256').update(text).digest('hex');

/**
 * @param {Cluster} one
 * @param {Instance} instance
 * @param {string} code
 */
async function untilRefused(one, instance, code) {
  await until(async () => (await one.presenceOf(instance))?.revision.error?.code === code, {
    message: `${instance.name} reports ${code}`, timeout: 20_000,
  }).catch((error) => {
    error.message += `\n--- log of ${instance.name}\n${instance.log().slice(-3_000)}`;
    throw error;
  });
}

/**
 * @param {Cluster} one
 * @param {Instance} instance
 */
async function untilContent(one, instance) {
  await until(async () => (await one.presenceOf(instance))?.revision.error === null, {
    message: `${instance.name} has no complaint`, timeout: 20_000,
  });
}

/** @param {Cluster} one */
const wake = (one) => one.store.command('PUBLISH', one.channel, '{"revision":1,"id":"x","type":"full","time":"","state":"start"}');

let deploys = 0;
/** Deploys, and waits for it on the worker. @returns {Promise<string>} what it answers */
async function deployed() {
  deploys += 1;
  const version = `deploy ${deploys}`;
  await cluster.deploy(flowsOf(version));
  await cluster.untilAnswers('version', version);
  await untilContent(cluster, cluster.workers[0]);
  return version;
}

test('what an admin deploys is signed and followed', async () => {
  await deployed();
  const head = await cluster.revision();
  assert.match(head.signature, /^v1:[0-9a-f]{12}:[\w-]{43}$/);
  assert.match(head.stateSignature, /^v1:[0-9a-f]{12}:[\w-]{43}$/);
  const entry = JSON.parse((await store.hash(cluster.key('history')))[head.number]);
  assert.equal(entry.signature, head.signature);
});

/** @type {Record<string, {steal: (head: Record<string, string>) => Promise<unknown>, code: string}>} */
const THEFTS = {
  'forges a revision': {
    code: 'NRC_SIGNATURE_INVALID',
    async steal({ number }) {
      await store.command('SET', cluster.key('flows'), FORGED);
      await store.command('HSET', cluster.key('revision'), 'number', Number(number) + 1, 'id', 'forged', 'hash', hash(FORGED));
    },
  },
  'forges one without a signature': {
    code: 'NRC_SIGNATURE_MISSING',
    async steal({ number }) {
      await store.command('DEL', cluster.key('revision'));
      await store.command('SET', cluster.key('flows'), FORGED);
      await store.command('HSET', cluster.key('revision'), 'number', Number(number) + 1, 'id', 'forged', 'hash', hash(FORGED), 'state', 'start', 'type', 'full');
    },
  },
  'changes the flows under the same revision': {
    code: 'NRC_SIGNATURE_INVALID',
    async steal() {
      await store.command('SET', cluster.key('flows'), FORGED);
      await store.command('HSET', cluster.key('revision'), 'hash', hash(FORGED));
    },
  },
  'changes the credentials': {
    code: 'NRC_SIGNATURE_INVALID',
    async steal() {
      const credentials = '{"account":{"password":"forged"}}';
      await store.command('SET', cluster.key('credentials'), credentials);
      await store.command('HSET', cluster.key('revision'), 'credentialsSha256', hash(credentials));
    },
  },
  'stops the flows': {
    code: 'NRC_SIGNATURE_INVALID',
    steal: () => store.command('HSET', cluster.key('revision'), 'state', 'stop'),
  },
  'counts the number up as far as it goes': {
    code: 'NRC_SIGNATURE_INVALID',
    steal: () => store.command('HSET', cluster.key('revision'), 'number', '18446744073709551615'),
  },
};

for (const [what, { steal, code }] of Object.entries(THEFTS)) {
  test(`a thief ${what}: what ran goes on, and the next deploy heals it`, async () => {
    const [worker] = cluster.workers;
    const version = await deployed();
    await steal(await cluster.revision());
    await wake(cluster);
    await untilRefused(cluster, worker, code);
    await untilRefused(cluster, cluster.admin, code);
    assert.equal((await worker.get('version')).text, version);

    // A start anew is no way in either: the disk has what ran.
    await worker.stop();
    worker.start();
    await worker.waitUntilReady();
    await cluster.untilAnswers('version', version);
    await untilRefused(cluster, worker, code);
    await deployed();
    await untilContent(cluster, cluster.admin);
  });
}

test('a thief writes an old revision again: nobody follows, and an admin that comes back puts the newest there', async () => {
  const [worker] = cluster.workers;
  const keys = ['flows', 'credentials', 'revision', 'history', 'history:content'];
  await deployed();
  for (const key of keys) await store.command('COPY', cluster.key(key), `stolen:${key}`, 'REPLACE');
  const version = await deployed();
  const { number } = await cluster.revision();
  await cluster.admin.stop();
  for (const key of keys) await store.command('COPY', `stolen:${key}`, cluster.key(key), 'REPLACE');
  await worker.stop();
  worker.start();
  await worker.waitUntilReady();
  await cluster.untilAnswers('version', version);
  await untilRefused(cluster, worker, 'NRC_REVISION_REPLAYED');

  cluster.admin.start();
  await cluster.admin.waitUntilReady();
  await until(async () => (await cluster.revision()).number === number, { message: 'the newest is there again', timeout: 20_000 });
  await untilContent(cluster, worker);
  await deployed();
});

test('a stop of before, written again, stops nobody', async () => {
  const [worker] = cluster.workers;
  const version = await deployed();
  await cluster.admin.api.setState('stop');
  await until(async () => (await cluster.presenceOf(worker))?.state === 'stopped', { message: 'the worker stops' });
  const stopped = await cluster.revision();
  await cluster.admin.api.setState('start');
  await cluster.untilAnswers('version', version);
  const { state, stateNumber, stateSignature } = stopped;
  await store.command('HSET', cluster.key('revision'), 'state', state, 'stateNumber', stateNumber, 'stateSignature', stateSignature);
  await wake(cluster);
  await untilRefused(cluster, worker, 'NRC_REVISION_REPLAYED');
  assert.equal((await worker.get('version')).text, version);
  await deployed();
});

test('a worker with another key waits, and says what is wrong', async () => {
  await deployed();
  const stranger = await cluster.addWorker({ name: 'stranger', valkey: { signingKey: NEXT } });
  await stranger.waitUntilReady();
  await untilRefused(cluster, stranger, 'NRC_SIGNATURE_INVALID');
  assert.match(stranger.log(), /give all instances the same signingKey/);
  assert.notEqual((await stranger.get('version')).status, 200);
  await stranger.stop();
});

test('a key that is too short stops the start with a sentence, from settings.js and from the environment', async (t) => {
  const short = 'abcdefgh01234567abcdefgh0123456';
  for (const options of [{ valkey: { signingKey: short } }, { env: { NODE_RED_CLUSTER_SIGNING_KEY: short } }]) {
    const instance = await startInstance({
      role: 'worker', ...options, valkey: { host: store.host, port: store.port, ...options.valkey },
    });
    t.after(() => instance.release());
    assert.deepEqual(await instance.waitForExit(), { code: 1, signal: null }, instance.log());
    assert.match(instance.log(), /(signingKey|NODE_RED_CLUSTER_SIGNING_KEY) is a string of 31 characters: give at least 32 random characters/);
    assert.ok(!instance.log().includes(short));
  }
});

test('an upgrade and a change of keys: one instance after the other, and no deploy is refused', async (t) => {
  /** @type {Record<'admin' | 'worker', NodeJS.ProcessEnv>} */
  const environments = { admin: {}, worker: {} };
  const rolling = await startCluster(t, {
    store, workers: 1, adminOptions: { env: environments.admin }, workerOptions: { env: environments.worker },
  });
  watched.push(...rolling.instances);
  const [worker] = rolling.workers;
  let runs = 'unsigned';
  await rolling.deploy(flowsOf(runs));
  await rolling.untilAnswers('version', runs);
  assert.equal((await rolling.revision()).signature, undefined);

  /** @type {NodeJS.ProcessEnv[]} */
  const steps = [
    { NODE_RED_CLUSTER_SIGNING_KEY: KEY },
    { NODE_RED_CLUSTER_SIGNING_KEY: KEY, NODE_RED_CLUSTER_SIGNING_KEY_ACCEPTED: NEXT },
    { NODE_RED_CLUSTER_SIGNING_KEY: NEXT, NODE_RED_CLUSTER_SIGNING_KEY_ACCEPTED: KEY },
    { NODE_RED_CLUSTER_SIGNING_KEY: NEXT, NODE_RED_CLUSTER_SIGNING_KEY_ACCEPTED: '' },
  ];
  for (const [step, variables] of steps.entries()) {
    for (const [role, instance] of /** @type {const} */ ([['admin', rolling.admin], ['worker', worker]])) {
      await instance.stop();
      Object.assign(environments[role], variables);
      instance.start();
      await instance.waitUntilReady();
      await rolling.untilAnswers('version', runs, { timeout: 20_000 });
      runs = `step ${step} ${role}`;
      await rolling.deploy(flowsOf(runs), { type: 'nodes' });
      await rolling.untilAnswers('version', runs);
    }
  }
  for (const instance of rolling.instances) assert.doesNotMatch(instance.log(), /refused|NRC_SIGNATURE/, instance.name);
});
test('packages that nobody signed are not installed, and the admin puts its own there again', async (t) => {
  const packages = await startPackageCluster(t, { store, workers: 1, valkey: { signingKey: KEY } });
  watched.push(...packages.instances);
  const [worker] = packages.workers;
  for (const name of ['good', 'evil']) packages.registry.publish(nodePackage({ name: `${name}-nodes`, version: '1.0.0', types: [name] }));
  await packages.install('good-nodes');
  await packages.deploy([tab('tab'), ...saying('good', 'good')]);
  await packages.untilSays('good', 'good-nodes@1.0.0: hello');
  const head = await store.hash(packages.key('packages-revision'));
  assert.match(head.signature, /^v1:/);

  /** What the store has, with another package. */
  const { list, lock } = await store.hash(packages.key('packages-content'));
  const forged = [list, lock].map((text) => text.replaceAll('good-nodes', 'evil-nodes'));
  const attacks = [
    ['id', 'forged', 'number', String(Number(head.number) + 1)],
    ['sync', 'off'],
  ];
  for (const fields of attacks) {
    const earlier = await packages.packagesRevision();
    const logged = worker.log().length;
    // Or it puts its own there again before the worker has looked.
    await packages.admin.pause();
    await store.command('HSET', packages.key('packages-content'), 'id', 'forged', 'list', forged[0], 'lock', forged[1]);
    await store.command('HSET', packages.key('packages-revision'), ...fields);
    await store.command('PUBLISH', packages.key('packages:updated'), '{"packages":9}');
    await worker.waitForLog(/NRC_SIGNATURE_INVALID/, { from: logged });
    packages.admin.resume();
    await until(async () => {
      const now = await store.hash(packages.key('packages-revision'));
      const { state, running } = await packages.packagesOf(worker);
      return now.id !== 'forged' && now.sync === 'on' && Number(now.number) >= earlier && state === 'current' && running === Number(now.number);
    }, { message: 'the admin and the worker agree again', timeout: INSTALLED }).catch((error) => {
      error.message += `\n--- log of the admin\n${packages.admin.log().slice(-3_000)}\n--- log of the worker\n${worker.log().slice(-3_000)}`;
      throw error;
    });
    assert.deepEqual(await packages.packages(), { 'good-nodes': '1.0.0' });
    assert.doesNotMatch(worker.log(), /evil/);
  }

  // An old list, with the signatures that it had: while no admin runs, nobody puts the newest back.
  const { number } = await store.hash(packages.key('packages-revision'));
  for (const key of ['packages-revision', 'packages-content']) await store.command('COPY', packages.key(key), packages.key(`stolen:${key}`));
  await packages.install('evil-nodes');
  await until(async () => (await packages.packagesOf(worker))?.running > Number(number), { message: 'the worker follows', timeout: INSTALLED });
  const { running } = await packages.packagesOf(worker);
  await packages.admin.stop();
  for (const key of ['packages-revision', 'packages-content']) await store.command('COPY', packages.key(`stolen:${key}`), packages.key(key), 'REPLACE');
  await store.command('PUBLISH', packages.key('packages:updated'), '{"packages":9}');
  await worker.waitForLog(/NRC_REVISION_REPLAYED/, { timeout: INSTALLED });
  assert.equal((await packages.packagesOf(worker)).running, running);
  packages.admin.start();
  await packages.admin.waitUntilReady();
  await until(async () => {
    const now = await packages.packagesOf(worker);
    return now.state === 'current' && now.running > running;
  }, { message: 'the admin has put its own there again', timeout: INSTALLED });
});
