'use strict';

/** Flows that are stopped and started in the editor are so on every worker. */

const assert = require('node:assert/strict');
const { before, beforeEach, test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { probe, tab } = require('./support/flows');
const { fileScope } = require('./support/scope');
const { holdsFor, until } = require('./support/wait');

const scope = fileScope();
/** @type {import('./support/cluster').Cluster} */
let cluster;
before(async () => {
  cluster = await startCluster(scope, {
    adminOptions: { settings: { runtimeState: { enabled: true, ui: true } } },
  });
});
let starts = 0;
let started = '';
beforeEach(async () => {
  await cluster.admin.api.setState('start');
  // Another value each time, which the flows before do not have.
  started = `started ${(starts += 1)}`;
  await cluster.deploy(flowsOf(started));
  await cluster.untilProbes(({ live }) => live.watched?.value === started, { message: 'it runs', on: [cluster.admin, ...cluster.workers] });
});

/** @param {string} value */
const flowsOf = (value) => [tab('tab'), probe('tab', 'watched', value)];
const nothingLives = (/** @type {{live: object}} */ { live }) => Object.keys(live).length === 0;

async function stopFlows() {
  await cluster.admin.api.setState('stop');
  await cluster.untilProbes(nothingLives, { message: 'no node runs' });
}

/** @param {import('./support/cluster').Instance} worker */
function untilStopped(worker) {
  return until(async () => (await cluster.presenceOf(worker))?.state === 'stopped', {
    message: `${worker.name} reports stopped`,
  });
}

test('stopping and starting the flows in the editor stops and starts every worker', async () => {
  const subscription = await cluster.store.subscribe(cluster.channel);
  await stopFlows();
  for (const worker of cluster.workers) await untilStopped(worker);
  assert.equal((await cluster.revision()).state, 'stop');
  assert.equal(JSON.parse(subscription.messages[0].text).state, 'stop');
  await cluster.admin.api.setState('start');
  await cluster.untilProbes(({ live }) => live.watched?.value === started, { message: 'it runs again' });
  subscription.close();
});

test('a deploy while the flows are stopped starts nothing until they are started', async () => {
  await stopFlows();
  await cluster.deploy(flowsOf('deployed while stopped'), { type: 'nodes' });
  const number = await cluster.revisionNumber();
  await until(
    async () =>
      Object.values(await cluster.presence()).every(({ revision }) => revision.wanted === number),
    { message: 'every worker knows the deploy' },
  );
  await holdsFor(async () => {
    for (const worker of cluster.workers) assert.ok(nothingLives(await worker.probes()));
  }, 300);
  await cluster.admin.api.setState('start');
  await cluster.untilProbes(({ live }) => live.watched?.value === 'deployed while stopped', {
    message: 'the newest flows run',
  });
});

test('a worker that boots while the flows are stopped starts none, until they are started', async () => {
  await stopFlows();
  const late = await cluster.addWorker({ name: 'late worker' });
  await late.waitUntilReady();
  await untilStopped(late);
  assert.deepEqual((await late.probes()).starts, {});
  await cluster.admin.api.setState('start');
  await cluster.untilProbes(({ live }) => live.watched?.value === started, {
    message: 'the late worker runs too',
    on: [...cluster.workers, late],
  });
  await late.stop();
});

test('an admin that restarts while the flows are stopped starts no worker', async () => {
  await stopFlows();
  await cluster.admin.restart();
  await until(async () => (await cluster.admin.api.state()).state === 'stop', {
    message: 'the admin is still stopped',
  });
  await holdsFor(async () => {
    for (const worker of cluster.workers) assert.ok(nothingLives(await worker.probes()));
  }, 500);
  assert.equal((await cluster.revision()).state, 'stop');
});
