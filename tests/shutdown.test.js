'use strict';

/** A process that is told to end does so with 0, in time, and takes its presence with it. */

const assert = require('node:assert/strict');
const { before, beforeEach, test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { endpoint, probe, tab } = require('./support/flows');
const { fileScope } = require('./support/scope');
const { startStore } = require('./support/store');

/** How long a process with nothing to wait for may take to end. Milliseconds. */
const PROMPTLY = 5_000;

const scope = fileScope();
/** @type {import('./support/store').Store} */
let store;
before(async () => {
  store = await startStore();
  scope.after(() => store.release());
});
beforeEach(() => store.recover());

/** @param {string} version */
const flowsOf = (version) => [tab('tab'), ...endpoint('tab', 'version', version)];

/**
 * @param {import('./support/cluster').Instance} instance
 * @param {NodeJS.Signals} [signal]
 * @param {number} [limit] ms
 */
async function assertEndsWell(instance, signal = 'SIGTERM', limit = PROMPTLY) {
  const startedAt = Date.now();
  instance.signal(signal);
  assert.deepEqual(await instance.waitForExit({ timeout: 20_000 }), { code: 0, signal: null }, instance.log());
  const took = Date.now() - startedAt;
  assert.ok(took < limit, `${instance.name} took ${took} ms to end`);
  assert.ok(!/uncaught|unhandled/i.test(instance.log()), instance.log());
}

test('admin and workers end with 0 and are no longer present', async (t) => {
  const cluster = await startCluster(t, { store });
  await cluster.deploy(flowsOf('running'));
  await cluster.untilAnswers('version', 'running');
  assert.equal(Object.keys(await cluster.presence()).length, 2);
  const [first, second] = cluster.workers;
  await assertEndsWell(first, 'SIGTERM');
  assert.equal(await cluster.presenceOf(first), undefined);
  await assertEndsWell(second, 'SIGINT');
  await assertEndsWell(cluster.admin);
  assert.deepEqual(await store.keys(cluster.key('cluster:*')), []);
});

test('the id of a worker that ended is taken by the next one', async (t) => {
  const cluster = await startCluster(t, { store, workers: 1 });
  const [worker] = cluster.workers;
  const { id } = await cluster.presenceOf(worker);
  await worker.restart();
  assert.equal((await cluster.presenceOf(worker))?.id, id);
});

test('what a deploy was answered 200 for is kept, even if the admin ends right after', async (t) => {
  const cluster = await startCluster(t, { store, workers: 1 });
  await cluster.deploy(flowsOf('last words'));
  await assertEndsWell(cluster.admin);
  assert.deepEqual(await store.json(cluster.key('flows')), flowsOf('last words'));
  await cluster.untilAnswers('version', 'last words');
});

test('a deploy in progress is either kept or not, and the admin ends with 0', async (t) => {
  const cluster = await startCluster(t, { store, workers: 1 });
  await cluster.deploy(flowsOf('before'));
  const deploying = cluster.admin.api.tryDeploy(flowsOf('during')).catch(() => ({ status: 0 }));
  await assertEndsWell(cluster.admin);
  const { status } = await deploying;
  const flows = await store.json(cluster.key('flows'));
  if (status === 200) assert.deepEqual(flows, flowsOf('during'));
  const version = flows.find((/** @type {{id: string}} */ { id }) => id === 'version-function').func;
  await cluster.untilAnswers('version', /before/.test(version) ? 'before' : 'during');
});

test('a worker that ends while it applies a deploy ends with 0', async (t) => {
  const cluster = await startCluster(t, { store, workers: 1 });
  const slow = (/** @type {string} */ value) => [tab('tab'), probe('tab', 'slow', value, { closeDelay: '1000' })];
  await cluster.deploy(slow('first'));
  await cluster.untilProbes(({ live }) => 'slow' in live, { message: 'the slow node runs' });
  const [worker] = cluster.workers;
  const deploying = cluster.deploy(slow('second'), { type: 'nodes' });
  await cluster.untilProbes(({ closes }) => closes.slow === 1, { message: 'the slow node closes' });
  await assertEndsWell(worker);
  await deploying;
});

test('processes end with 0 while the store is down', async (t) => {
  const cluster = await startCluster(t, { store, workers: 1 });
  await cluster.deploy(flowsOf('running'));
  await cluster.untilAnswers('version', 'running');
  await store.stop();
  await assertEndsWell(cluster.workers[0], 'SIGTERM', 2 * PROMPTLY);
  await assertEndsWell(cluster.admin, 'SIGTERM', 2 * PROMPTLY);
});

test('processes end with 0 while the store hangs', async (t) => {
  const cluster = await startCluster(t, { store, workers: 1 });
  await cluster.deploy(flowsOf('running'));
  await cluster.untilAnswers('version', 'running');
  store.pause();
  await assertEndsWell(cluster.workers[0], 'SIGTERM', 2 * PROMPTLY);
  await assertEndsWell(cluster.admin, 'SIGTERM', 2 * PROMPTLY);
});

test('a process that still waits for its store ends promptly', async (t) => {
  const cluster = await startCluster(t, { store, workers: 0, admin: false });
  await store.stop();
  for (const add of [cluster.addWorker, cluster.addAdmin]) {
    const waiting = await add();
    await waiting.waitForLog(new RegExp(`127\\.0\\.0\\.1:${store.port}`));
    waiting.signal('SIGTERM');
    const { code } = await waiting.waitForExit({ timeout: PROMPTLY });
    assert.equal(code, 0, waiting.log());
  }
});

test('a node that does not close delays the end no longer than Node-RED\'s own limit', async (t) => {
  const cluster = await startCluster(t, { store, workers: 1, settings: { nodeCloseTimeout: 1_000 } });
  await cluster.deploy([tab('tab'), probe('tab', 'hanging', 'x', { closeDelay: '60000' })]);
  await cluster.untilProbes(({ live }) => 'hanging' in live, { message: 'the hanging node runs' });
  await assertEndsWell(cluster.workers[0], 'SIGTERM', 1_000 + PROMPTLY);
});
