'use strict';

/** `syncPackages: false` on a worker or on the admin: both sides say so, and everybody keeps what he has. */

const assert = require('node:assert/strict');
const { before, test } = require('node:test');
const { INSTALLED, dependenciesOf, saying, startPackageCluster, tab, treeVersionsOf } = require('./support/package-cluster');
const { nodePackage } = require('./support/packages');
const { fileScope } = require('./support/scope');
const { until } = require('./support/wait');

const scope = fileScope();
/** @type {import('./support/package-cluster').PackageCluster} */
let cluster;
/** @type {import('./support/instance').Instance} */
let worker;
/** @type {import('./support/instance').Instance} */
let other;
before(async () => {
  cluster = await startPackageCluster(scope);
  [worker, other] = cluster.workers;
});

const dice = (/** @type {string} */ version) => `dice-nodes@${version}: hello`;

/**
 * @param {string} name `<type>-nodes`
 * @param {string} version
 */
function publish(name, version) {
  cluster.registry.publish(nodePackage({ name, version, types: [name.split('-')[0]] }));
}

/**
 * Restarts an instance with another setting.
 *
 * @param {import('./support/instance').Instance} instance
 * @param {boolean} syncPackages
 * @returns {Promise<number>} where its log goes on
 */
async function switchSync(instance, syncPackages) {
  const from = instance.log().length;
  Object.assign(instance.options.valkey ?? {}, { syncPackages });
  await instance.restart();
  return from;
}

/**
 * Waits until an instance lacks these node types, and nothing else.
 *
 * @param {import('./support/instance').Instance} instance
 * @param {string[]} types
 */
async function untilMissing(instance, types) {
  const number = await cluster.revisionNumber();
  await until(async () => {
    const { revision } = await cluster.presenceOf(instance);
    return revision.wanted === number && revision.missingTypes.join() === types.join();
  }, { message: `${instance.name} lacks ${types}`, timeout: INSTALLED });
}

test('a worker that does not follow keeps its packages, and both sides say so', async () => {
  publish('dice-nodes', '1.0.0');
  await cluster.install('dice-nodes');
  await cluster.deploy([tab('tab'), ...saying('dice', 'dice')]);
  await cluster.untilSays('dice', dice('1.0.0'));

  const fromAdmin = cluster.admin.log().length;
  const from = await switchSync(worker, false);
  await worker.waitForLog(/this worker does not follow the admin's packages \(syncPackages: false\)/, { from });
  await cluster.untilPackages({ state: 'off' }, { on: [worker] });
  await cluster.admin.waitForLog(/worker \S+ does not follow the packages of this admin \(syncPackages: false there\)/, { from: fromAdmin });
  await cluster.untilSays('dice', dice('1.0.0'), [worker]);

  publish('coin-nodes', '1.0.0');
  await cluster.install('coin-nodes');
  await cluster.deploy([tab('tab'), ...saying('dice', 'dice'), ...saying('coin', 'coin')]);
  await cluster.untilSays('coin', 'coin-nodes@1.0.0: hello', [other]);
  await untilMissing(worker, ['coin']);
  await cluster.untilSays('dice', dice('1.0.0'), [worker]);
  assert.deepEqual(dependenciesOf(worker), { 'dice-nodes': '1.0.0' });
  assert.deepEqual(treeVersionsOf(worker), { 'dice-nodes': '1.0.0' });
});

test('once it follows again it has what the admin has', async () => {
  await switchSync(worker, true);
  await cluster.untilSays('coin', 'coin-nodes@1.0.0: hello');
  await cluster.untilPackages({ state: 'current', running: await cluster.packagesRevision() });
  assert.deepEqual(dependenciesOf(worker), { 'coin-nodes': '1.0.0', 'dice-nodes': '1.0.0' });
});

test('an admin that does not publish says so to the workers, which keep what they have', async () => {
  const published = await cluster.packages();
  const froms = cluster.workers.map((one) => one.log().length);
  const pids = cluster.workers.map((one) => one.pid());
  const from = await switchSync(cluster.admin, false);
  await cluster.admin.waitForLog(/this admin does not publish its packages \(syncPackages: false\)/, { from });
  await cluster.untilPackages({ state: 'off' }, { on: [cluster.admin] });
  for (const [index, one] of cluster.workers.entries()) {
    const told = /the admin does not publish its packages \(syncPackages: false there\); this worker keeps those it has/;
    await one.waitForLog(told, { from: froms[index] });
  }

  publish('card-nodes', '1.0.0');
  await cluster.install('card-nodes');
  await cluster.deploy([tab('tab'), ...saying('dice', 'dice'), ...saying('card', 'card')]);
  for (const one of cluster.workers) await untilMissing(one, ['card']);
  assert.deepEqual(await cluster.packages(), published);
  await cluster.untilSays('dice', dice('1.0.0'));
  assert.deepEqual(cluster.workers.map((one) => one.pid()), pids);

  const again = worker.log().length;
  await worker.restart();
  await worker.waitForLog(/the admin does not publish its packages/, { from: again });
  assert.deepEqual(dependenciesOf(worker), published);
  assert.deepEqual(treeVersionsOf(worker), published);
  await cluster.deploy([tab('tab'), ...saying('dice', 'dice'), ...saying('coin', 'coin')]);
  await cluster.untilSays('coin', 'coin-nodes@1.0.0: hello');
});

test('once it publishes again the workers have its packages', async () => {
  await switchSync(cluster.admin, true);
  await cluster.deploy([tab('tab'), ...saying('dice', 'dice'), ...saying('card', 'card')]);
  await cluster.untilSays('card', 'card-nodes@1.0.0: hello');
  assert.deepEqual(await cluster.packages(), { 'card-nodes': '1.0.0', 'coin-nodes': '1.0.0', 'dice-nodes': '1.0.0' });
  await cluster.untilPackages({ state: 'current' }, { on: [cluster.admin, ...cluster.workers] });
});
