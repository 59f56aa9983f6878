'use strict';

/** Faults of the link between one instance and the store. */

const assert = require('node:assert/strict');
const { before, beforeEach, test } = require('node:test');
const { PROMPTLY, startCluster } = require('./support/cluster');
const { endpoint, probe, tab } = require('./support/flows');
const { startProxy } = require('./support/proxy');
const { fileScope } = require('./support/scope');
const { startStore } = require('./support/store');
const { startsOf } = require('./support/starts');
const { holdsFor, until } = require('./support/wait');

const scope = fileScope();
/** @type {import('./support/cluster').Cluster} */
let cluster;
/** The link of the admin. @type {import('./support/proxy').Proxy} */
let adminLink;
/** The link of the first worker. @type {import('./support/proxy').Proxy} */
let workerLink;
/** The worker behind that link. @type {import('./support/cluster').Instance} */
let worker;
/** A worker with an undisturbed link. @type {import('./support/cluster').Instance} */
let other;
before(async () => {
  const store = await startStore();
  scope.after(() => store.release());
  adminLink = await startProxy(store.port);
  workerLink = await startProxy(store.port);
  scope.after(() => adminLink.stop());
  scope.after(() => workerLink.stop());
  cluster = await startCluster(scope, {
    store,
    workers: 1,
    adminOptions: { valkey: { port: adminLink.port } },
    workerOptions: { valkey: { port: workerLink.port } },
  });
  [worker] = cluster.workers;
  other = await cluster.addWorker({ name: 'other worker', valkey: { port: store.port } });
  await other.waitUntilReady();
});

let versions = 0;
beforeEach(async () => {
  adminLink.heal();
  workerLink.heal();
  versions += 1;
  await untilDeployed(`base ${versions}`);
  await untilRuns(`base ${versions}`, [worker, other]);
});

/** @param {string} version */
function flowsOf(version) {
  return [
    tab('tab'),
    ...endpoint('tab', 'version', version),
    probe('tab', 'watched', version),
    probe('tab', 'untouched', 'x'),
  ];
}

/**
 * @param {string} version
 * @param {import('./support/cluster').Instance[]} on
 */
function untilRuns(version, on) {
  return cluster.untilAnswers('version', version, { on, timeout: PROMPTLY });
}

test('a deploy that a worker missed while its link was cut is applied when the link is back', async () => {
  workerLink.cut();
  await cluster.deploy(flowsOf('missed'), { type: 'nodes' });
  await untilRuns('missed', [other]);
  await holdsFor(async () => assert.equal((await worker.get('version')).text, `base ${versions}`), 300);
  const startsBefore = await startsOf(worker);
  workerLink.heal();
  await untilRuns('missed', [worker]);
  const starts = await startsOf(worker);
  assert.equal(starts.untouched, startsBefore.untouched, 'an untouched node does not restart');
});

test('a deploy that a worker missed while nothing passed its link is applied when it passes again', async () => {
  workerLink.hold();
  await cluster.deploy(flowsOf('held back'), { type: 'nodes' });
  await untilRuns('held back', [other]);
  await holdsFor(async () => assert.equal((await worker.get('version')).text, `base ${versions}`), 1_000);
  workerLink.heal();
  await untilRuns('held back', [worker]);
});

test('a half-open link is noticed, and left for a new one', async () => {
  workerLink.hold();
  await cluster.deploy(flowsOf('behind a dead link'), { type: 'nodes' });
  await worker.waitForLog(/NRC_[A-Z_]+/, { timeout: 60_000, from: worker.log().length });
  workerLink.cut();
  workerLink.heal();
  await untilRuns('behind a dead link', [worker]);
});

test('a deploy over a cut link is refused and leaves everything, and works when the link is back', async () => {
  adminLink.cut();
  const { status } = await cluster.admin.api.tryDeploy(flowsOf('never'), { type: 'nodes' });
  assert.ok(status >= 400, `answered ${status}`);
  await untilRuns(`base ${versions}`, [cluster.admin, worker, other]);
  assert.deepEqual((await cluster.admin.api.flows()).flows, flowsOf(`base ${versions}`));
  adminLink.heal();
  await cluster.untilAnswers('version', `base ${versions}`, { on: [cluster.admin] });
  await untilDeployed('after the cut');
  await untilRuns('after the cut', [cluster.admin, worker, other]);
});

test('a deploy whose answer from the store is lost leaves admin and workers alike', async () => {
  adminLink.hold();
  const deploying = cluster.admin.api.tryDeploy(flowsOf('answer lost'), { type: 'nodes' });
  await holdsFor(() => assert.ok(cluster.admin.isRunning()), 500);
  adminLink.cut();
  adminLink.heal();
  const { status } = await deploying;
  const expected = status === 200 ? 'answer lost' : `base ${versions}`;
  await untilRuns(expected, [cluster.admin, worker, other]);
  await untilDeployed('the next');
  await untilRuns('the next', [cluster.admin, worker, other]);
});

/** @param {string} version */
async function untilDeployed(version) {
  await until(
    async () => (await cluster.admin.api.tryDeploy(flowsOf(version), { type: 'nodes' })).status === 200,
    { message: `${version} is deployed`, timeout: 30_000 },
  );
}
