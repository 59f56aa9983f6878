'use strict';

/** The admin's disk is not the truth, and neither is an empty store. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { before, test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { removeDirectory } = require('./support/directories');
const { account, endpoint, probe, tab } = require('./support/flows');
const { startReadyInstance } = require('./support/instance');
const { fileScope } = require('./support/scope');
const { assertStarts } = require('./support/starts');
const { startStore } = require('./support/store');
const { until, untilEqual } = require('./support/wait');

const scope = fileScope();
/** @type {import('./support/store').Store} */
let store;
before(async () => {
  store = await startStore();
  scope.after(() => store.release());
});

/**
 * @param {string} version
 * @param {string} [password] absent when the editor leaves it as it is
 */
function flowsOf(version, password) {
  return [
    tab('tab'),
    ...endpoint('tab', 'version', version),
    probe('tab', 'watched', version, { account: 'account' }),
    account('account', password === undefined ? undefined : { username: 'alice', password }),
  ];
}

/**
 * @param {import('./support/cluster').Cluster} cluster
 * @param {string} version
 * @param {string} password
 * @param {import('./support/cluster').Instance[]} [on]
 */
async function untilRuns(cluster, version, password, on = cluster.workers) {
  await cluster.untilProbes(
    ({ live }) => live.watched?.value === version && live.watched?.password === password,
    { message: `${version} runs with its password`, on },
  );
  await cluster.untilAnswers('version', version, { on });
}

/**
 * @param {import('./support/cluster').Cluster} cluster
 * @returns {Promise<any>} the flows in the store, undefined when there are none
 */
const storedFlows = (cluster) => store.json(cluster.key('flows'));

test('the first start of a cluster logs no error', async (t) => {
  const cluster = await startCluster(t, { store, workers: 1 });
  await cluster.deploy(flowsOf('first', 'a-password-of-flows'));
  await untilRuns(cluster, 'first', 'a-password-of-flows');
  for (const instance of cluster.instances) assert.doesNotMatch(instance.log(), /\[error\]/);
});

test('an empty store takes the flows and credentials that a Node-RED had on its disk', async (t) => {
  const plain = await startReadyInstance({ role: 'plain' });
  await plain.api.deploy(flowsOf('from disk', 'password from disk'));
  await plain.stop();

  const cluster = await startCluster(t, {
    store,
    workers: 1,
    adminOptions: { userDir: plain.userDir },
  });
  // After the cluster, whose admin has its user directory.
  t.after(() => plain.release());
  await untilRuns(cluster, 'from disk', 'password from disk');
  assert.deepEqual(await storedFlows(cluster), flowsOf('from disk'));
  await cluster.deploy(flowsOf('deployed'));
  await untilRuns(cluster, 'deployed', 'password from disk');

  await cluster.admin.restart();
  assert.deepEqual((await cluster.admin.api.flows()).flows, flowsOf('deployed'));
});

test('flows on the disk of a new admin do not replace those of the cluster', async (t) => {
  const plain = await startReadyInstance({ role: 'plain' });
  await plain.api.deploy(flowsOf('of another day', 'other password'));
  await plain.stop();

  const cluster = await startCluster(t, { store, workers: 1 });
  // After the cluster, whose second admin has its user directory.
  t.after(() => plain.release());
  await cluster.deploy(flowsOf('of the cluster', 'a-password-of-flows'));
  await untilRuns(cluster, 'of the cluster', 'a-password-of-flows');
  await cluster.admin.stop();
  const second = await cluster.addAdmin({ name: 'second admin', userDir: plain.userDir });
  await second.waitUntilReady();
  await untilEqual(async () => (await second.api.flows()).flows, flowsOf('of the cluster'), {
    message: 'the second admin has the flows of the cluster',
  });
  assert.deepEqual(await storedFlows(cluster), flowsOf('of the cluster'));
  await untilRuns(cluster, 'of the cluster', 'a-password-of-flows');
});

test('an admin that lost its disk comes back with everything (a restarted admin has no flows)', async (t) => {
  const cluster = await startCluster(t, { store, workers: 1 });
  await cluster.deploy(flowsOf('kept', 'a-password-of-flows'));
  await untilRuns(cluster, 'kept', 'a-password-of-flows');
  await cluster.admin.api.saveUserSettings({ view: { 'view-grid-size': 35 } });
  const revision = await cluster.revision();

  await assertStarts(cluster.workers, {}, async () => {
    await cluster.admin.stop();
    removeDirectory(cluster.admin.userDir);
    cluster.admin.start();
    await cluster.admin.waitUntilReady();
    await untilEqual(async () => (await cluster.admin.api.flows()).flows, flowsOf('kept'), {
      message: 'the admin has the flows again',
    });
  });
  const { username, has_password: hasPassword } = await cluster.admin.api.credentials('probe-account', 'account');
  assert.deepEqual({ username, hasPassword }, { username: 'alice', hasPassword: true });
  assert.equal((await cluster.admin.api.userSettings()).view['view-grid-size'], 35);
  assert.deepEqual(await cluster.revision(), revision);
  await cluster.deploy(flowsOf('next'), { type: 'nodes' });
  await untilRuns(cluster, 'next', 'a-password-of-flows');
});

test('an admin restarts with its flows, and its next deploy wipes nothing (flow file in a wrong shape)', async (t) => {
  const cluster = await startCluster(t, { store, workers: 1 });
  await cluster.deploy(flowsOf('before', 'a-password-of-flows'));
  await cluster.admin.restart();
  const { flows } = await cluster.admin.api.flows();
  assert.deepEqual(flows, flowsOf('before'));
  await cluster.deploy([...flows, probe('tab', 'more', 'y')], { type: 'nodes' });
  await cluster.untilProbes(({ live }) => 'more' in live, { message: 'the added node runs' });
  await untilRuns(cluster, 'before', 'a-password-of-flows');
  const file = JSON.parse(fs.readFileSync(`${cluster.admin.userDir}/flows.json`, 'utf8'));
  assert.ok(Array.isArray(file), 'the flow file is what Node-RED itself would write');
});

test('a store that is emptied while the cluster runs is filled again, and no node restarts', async (t) => {
  const cluster = await startCluster(t, { store, workers: 1 });
  await cluster.deploy(flowsOf('refilled', 'a-password-of-flows'));
  await untilRuns(cluster, 'refilled', 'a-password-of-flows', cluster.instances);
  await assertStarts([cluster.admin, ...cluster.workers], {}, async () => {
    await store.command('FLUSHALL');
    await until(() => storedFlows(cluster), { message: 'the store is filled again', timeout: 30_000 });
  });
  assert.deepEqual(await storedFlows(cluster), flowsOf('refilled'));

  const fresh = await cluster.addWorker({ name: 'fresh worker' });
  await fresh.waitUntilReady();
  await untilRuns(cluster, 'refilled', 'a-password-of-flows', [fresh]);
  await cluster.deploy(flowsOf('after'));
  await untilRuns(cluster, 'after', 'a-password-of-flows', [...cluster.workers, fresh]);
});

test('a store that is emptied while the admin is down is filled when it is back', async (t) => {
  const cluster = await startCluster(t, { store, workers: 1 });
  await cluster.deploy(flowsOf('refilled', 'a-password-of-flows'));
  await untilRuns(cluster, 'refilled', 'a-password-of-flows', cluster.instances);
  await cluster.admin.stop();
  await assertStarts(cluster.workers, {}, async () => {
    await store.command('FLUSHALL');
    cluster.admin.start();
    await cluster.admin.waitUntilReady();
    await until(() => storedFlows(cluster), { message: 'the store is filled again' });
  });
  assert.deepEqual(await storedFlows(cluster), flowsOf('refilled'));
  const fresh = await cluster.addWorker({ name: 'fresh worker' });
  await fresh.waitUntilReady();
  await untilRuns(cluster, 'refilled', 'a-password-of-flows', [fresh]);
});

test('of two admins that save at once one wins and the other gets Node-RED\'s conflict, each time', async (t) => {
  const cluster = await startCluster(t, { store, workers: 1 });
  await cluster.deploy(flowsOf('start', 'a-password-of-flows'));
  const second = await cluster.addAdmin({ name: 'second admin' });
  await second.waitUntilReady();
  const admins = [cluster.admin, second];

  for (let round = 1; round <= 5; round += 1) {
    const { rev } = await cluster.admin.api.flows();
    await untilEqual(async () => (await second.api.flows()).rev, rev, {
      message: 'the second admin follows',
    });
    const numberBefore = await cluster.revisionNumber();
    const answers = await Promise.all(
      admins.map((admin, index) =>
        admin.api.tryDeploy(flowsOf(`round ${round} of admin ${index}`), { type: 'nodes', rev }),
      ),
    );
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 409]);
    const loser = answers.find(({ status }) => status === 409);
    assert.equal(loser?.body.code, 'version_mismatch');
    assert.equal(await cluster.revisionNumber(), numberBefore + 1);

    const winner = answers.findIndex(({ status }) => status === 200);
    const version = `round ${round} of admin ${winner}`;
    await untilRuns(cluster, version, 'a-password-of-flows', [...admins, ...cluster.workers]);
    for (const admin of admins) {
      assert.deepEqual((await admin.api.flows()).flows, flowsOf(version));
    }
  }
});

test('an admin that has followed another deploys without a conflict', async (t) => {
  const cluster = await startCluster(t, { store, workers: 1 });
  const second = await cluster.addAdmin({ name: 'second admin' });
  await second.waitUntilReady();
  const rev = await cluster.deploy(flowsOf('of the first', 'a-password-of-flows'));
  await untilEqual(async () => (await second.api.flows()).rev, rev, { message: 'it follows' });
  assert.equal((await second.api.credentials('probe-account', 'account')).has_password, true);
  await second.api.deploy(flowsOf('of the second'), { type: 'nodes', rev });
  await untilRuns(cluster, 'of the second', 'a-password-of-flows', [cluster.admin, second, ...cluster.workers]);
});
