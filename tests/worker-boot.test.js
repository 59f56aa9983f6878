'use strict';

/** Workers that start before the admin, or while the store is down. */

const assert = require('node:assert/strict');
const { before, beforeEach, test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { account, endpoint, probe, tab } = require('./support/flows');
const { fileScope } = require('./support/scope');
const { startStore } = require('./support/store');
const { SHARED_CONTEXT } = require('./support/context-flows');
const { holdsFor, until } = require('./support/wait');

const scope = fileScope();
/** @type {import('./support/store').Store} */
let store;
before(async () => {
  store = await startStore();
  scope.after(() => store.release());
});
beforeEach(() => store.recover());

/**
 * @param {string} version
 * @param {string} [password] absent when the editor leaves it as it is
 */
function flowsOf(version, password) {
  return [
    tab('tab'),
    ...endpoint('tab', 'version', version),
    probe('tab', 'watched', version, { account: 'account' }),
    account('account', password === undefined ? undefined : { password }),
  ];
}

/**
 * @param {import('./support/cluster').Cluster} cluster
 * @param {string} version
 * @param {import('./support/cluster').Instance[]} on
 */
async function untilRuns(cluster, version, on) {
  await cluster.untilAnswers('version', version, { on, timeout: 30_000 });
  await cluster.untilProbes(({ live }) => live.watched?.password === 'a-password-of-flows', {
    message: `${version} runs with its password`,
    on,
  });
}

test('a worker that starts before the admin waits, and runs what the admin deploys', async (t) => {
  const cluster = await startCluster(t, { store, workers: 1, admin: false });
  const [worker] = cluster.workers;
  await until(async () => (await cluster.presenceOf(worker))?.state === 'waiting', {
    message: 'the worker reports that it waits',
  });
  assert.deepEqual(await store.keys(cluster.key('flows*')), [], 'it writes no flows itself');
  const admin = await cluster.addAdmin();
  await admin.waitUntilReady();
  await admin.api.deploy(flowsOf('first', 'a-password-of-flows'));
  await untilRuns(cluster, 'first', [worker]);
  await until(async () => (await cluster.presenceOf(worker))?.source === 'store', {
    message: 'the worker reports where its flows are from',
  });
});

test('a worker whose store is down waits, says where it looks, and starts once it is there', async (t) => {
  const cluster = await startCluster(t, { store, workers: 0 });
  await cluster.deploy(flowsOf('deployed', 'a-password-of-flows'));
  await store.stop();
  const worker = await cluster.addWorker();
  await worker.waitForLog(new RegExp(`127\\.0\\.0\\.1:${store.port}`));
  await holdsFor(() => assert.ok(worker.isRunning(), worker.log()), 1_000);
  await store.start();
  await worker.waitUntilReady();
  await untilRuns(cluster, 'deployed', [worker]);
});

test('an admin whose store is down waits and starts once it is there, without an exit', async (t) => {
  const cluster = await startCluster(t, { store, workers: 1 });
  await cluster.deploy(flowsOf('deployed', 'a-password-of-flows'));
  await untilRuns(cluster, 'deployed', cluster.workers);
  await cluster.admin.stop();
  await store.stop();
  cluster.admin.start();
  await cluster.admin.waitForLog(new RegExp(`127\\.0\\.0\\.1:${store.port}`));
  await store.start();
  await cluster.admin.waitUntilReady();
  await until(async () => (await cluster.admin.api.flows()).flows.length > 0, {
    message: 'the admin has the flows',
  });
  await cluster.deploy(flowsOf('next'), { type: 'nodes' });
  await untilRuns(cluster, 'next', cluster.workers);
});

for (const source of ['', SHARED_CONTEXT]) {
  test(`a worker whose store is down runs the last good flows of its disk, and catches up later${source && ', with shared context'}`, async (t) => {
    const cluster = await startCluster(t, { store, workers: 1, source });
    const [worker] = cluster.workers;
    await cluster.deploy(flowsOf('on disk', 'a-password-of-flows'));
    await untilRuns(cluster, 'on disk', [worker]);
    await cluster.untilKept(worker);
    await worker.stop();
    await cluster.deploy(flowsOf('newer'), { type: 'nodes' });
    await store.stop();

    const logged = worker.log().length;
    worker.start();
    await untilRuns(cluster, 'on disk', [worker]);
    await worker.waitForLog(/disk/i, { from: logged });

    await store.start();
    await untilRuns(cluster, 'newer', [worker]);
    await until(async () => (await cluster.presenceOf(worker))?.source === 'store', {
      message: 'the worker reports that it runs what the store holds',
    });
  });
}

test('a worker that runs from its disk restarts no node when the store has nothing newer', async (t) => {
  const cluster = await startCluster(t, { store, workers: 1 });
  const [worker] = cluster.workers;
  await cluster.deploy(flowsOf('on disk', 'a-password-of-flows'));
  await untilRuns(cluster, 'on disk', [worker]);
  const number = await cluster.revisionNumber();
  await cluster.untilKept(worker);
  await worker.stop();
  await store.stop();
  worker.start();
  await untilRuns(cluster, 'on disk', [worker]);
  await store.start();
  await until(
    async () => {
      const record = await cluster.presenceOf(worker);
      return record?.revision.running === number && record?.revision.wanted === number;
    },
    { message: 'the worker reports the revision', timeout: 30_000 },
  );
  assert.equal((await worker.probes()).starts.watched, 1);
});

test('an empty store is no order to run nothing: a worker starts from its disk', async (t) => {
  const cluster = await startCluster(t, { store, workers: 1 });
  const [worker] = cluster.workers;
  await cluster.deploy(flowsOf('kept', 'a-password-of-flows'));
  await untilRuns(cluster, 'kept', [worker]);
  await cluster.admin.stop();
  await store.command('FLUSHALL');
  await holdsFor(async () => assert.equal((await worker.get('version')).text, 'kept'), 1_000);
  await worker.restart();
  await untilRuns(cluster, 'kept', [worker]);
  await until(async () => (await cluster.presenceOf(worker))?.source === 'disk', {
    message: 'the worker reports that it runs what its disk holds',
  });
});
