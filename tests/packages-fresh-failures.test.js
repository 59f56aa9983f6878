'use strict';

/** Workers that start while the packages of the admin cannot be installed. They have a registry of their own. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { before, beforeEach, test } = require('node:test');
const { endpoint } = require('./support/flows');
const { INSTALLED, dependenciesOf, saying, startPackageCluster, tab, telling } = require('./support/package-cluster');
const { folderOf, packagesOnDisk, stagesOf } = require('./support/package-disk');
const { nodePackage, npmEnvironment, plainPackage } = require('./support/packages');
const { startRegistry } = require('./support/registry');
const { fileScope } = require('./support/scope');
const { holdsFor, until } = require('./support/wait');

const scope = fileScope();
/** @type {import('./support/package-cluster').PackageCluster} */
let cluster;
/** @type {import('./support/registry').Registry} the workers' */
let registry;

before(async () => {
  registry = await startRegistry(scope);
  cluster = await startPackageCluster(scope, { workers: 0 });
  offer(nodePackage({ name: 'dice-nodes', version: '1.0.0', types: ['dice'] }));
  offer(plainPackage({ name: 'helper', version: '1.0.0' }));
  await cluster.install('dice-nodes');
});
beforeEach(async () => {
  await registry.stop();
  await registry.start();
});

/** @param {import('./support/registry').PackageSpec} spec */
function offer(spec) {
  for (const one of [cluster.registry, registry]) one.publish(spec);
}

/** @param {string} version */
const plainFlows = (version) => [tab('tab'), ...endpoint('tab', 'version', version)];

/**
 * Starts a worker that has nothing yet, with an npm of its own.
 *
 * @param {import('node:test').TestContext} t
 */
async function startWorker(t) {
  const worker = await cluster.addWorker({ env: npmEnvironment(registry) });
  t.after(() => worker.release());
  return worker;
}

/**
 * @param {import('./support/instance').Instance} worker
 * @param {RegExp} why
 */
async function assertNotReady(worker, why) {
  await worker.waitForLog(why, { timeout: INSTALLED });
  await holdsFor(async () => {
    assert.ok(worker.isRunning(), worker.log());
    await assert.rejects(worker.get('version'), (/** @type {any} */ error) => error.cause?.code === 'ECONNREFUSED');
  }, 1_000);
}

test('a fresh worker is not ready until it has the package that its flows need', async (t) => {
  await cluster.deploy([...plainFlows('needs dice'), ...saying('dice', 'dice')]);
  await registry.stop();
  const worker = await startWorker(t);
  await assertNotReady(worker, /\[error\] \[cluster\] the flows need dice-nodes, which could not be installed: .*ECONNREFUSED.*\[NRC_PACKAGES_FAILED\]/);
  await cluster.untilPackages({ state: 'failed', running: null }, { on: [worker] });
  await cluster.admin.waitForLog(/worker \S+ does not have the packages of this admin, and tries again: .*ECONNREFUSED/);
  // What is deployed meanwhile is what it starts with.
  await cluster.deploy([...plainFlows('needs dice still'), ...saying('dice', 'dice')]);
  await registry.start();
  await worker.waitUntilReady();
  await cluster.untilSays('dice', 'dice-nodes@1.0.0: hello', [worker]);
  await cluster.untilAnswers('version', 'needs dice still', { on: [worker] });
  await cluster.untilPackages({ state: 'current', error: null }, { on: [worker] });
  assert.deepEqual(stagesOf(worker), []);
});

test('a fresh worker is not ready until it has the module that a Function node needs', async (t) => {
  await cluster.deploy([...plainFlows('needs helper'), ...telling('helper', 'helper')]);
  await cluster.untilSays('helper', 'helper@1.0.0', [cluster.admin]);
  await registry.stop();
  const worker = await startWorker(t);
  await assertNotReady(worker, /the flows need helper, which could not be installed/);
  // Node-RED would have installed it by itself, at whatever version is the latest.
  offer(plainPackage({ name: 'helper', version: '1.1.0' }));
  await registry.start();
  await worker.waitUntilReady();
  await cluster.untilSays('helper', 'helper@1.0.0', [worker]);
  assert.equal(dependenciesOf(worker).helper, '1.0.0');
});

test('a fresh worker whose flows need no package starts without, and gets it later', async (t) => {
  await cluster.deploy(plainFlows('needs nothing'));
  await registry.stop();
  const worker = await startWorker(t);
  await worker.waitUntilReady();
  await cluster.untilAnswers('version', 'needs nothing', { on: [worker] });
  await cluster.untilPackages({ state: 'failed' }, { on: [worker] });
  await worker.waitForLog(/\[error\] \[cluster\] the packages of the admin could not be installed, this worker starts with what it has: .*ECONNREFUSED/);
  assert.deepEqual(packagesOnDisk(worker), { tree: [], links: [], dependencies: {} });
  await registry.start();
  await cluster.untilPackages({ state: 'current', error: null }, { on: [worker] });
  const pid = worker.pid();
  assert.ok('dice-nodes' in dependenciesOf(worker));
  await cluster.deploy([...plainFlows('needs dice'), ...saying('dice', 'dice')]);
  await cluster.untilSays('dice', 'dice-nodes@1.0.0: hello', [worker]);
  assert.equal(worker.pid(), pid, 'without a restart');
});

test('a worker whose newest flows need what cannot be installed starts with those that ran last', async (t) => {
  await cluster.deploy([...plainFlows('older'), ...saying('dice', 'dice')]);
  const worker = await startWorker(t);
  await worker.waitUntilReady();
  await cluster.untilSays('dice', 'dice-nodes@1.0.0: hello', [worker]);
  await worker.stop();
  offer(nodePackage({ name: 'coin-nodes', version: '1.0.0', types: ['coin'] }));
  await cluster.install('coin-nodes');
  await cluster.deploy([...plainFlows('newer'), ...saying('coin', 'coin')]);
  await registry.stop();
  worker.start();
  await worker.waitUntilReady();
  await worker.waitForLog(/\[error\] \[cluster\] the newest flows need coin-nodes, which could not be installed; this worker starts with the last flows that ran here: .*ECONNREFUSED/);
  await cluster.untilAnswers('version', 'older', { on: [worker] });
  await cluster.untilSays('dice', 'dice-nodes@1.0.0: hello', [worker]);
  await cluster.untilPackages({ state: 'failed' }, { on: [worker] });
  await until(async () => (await cluster.presenceOf(worker)).source === 'disk', { message: 'it says where its flows are from' });
  const pid = worker.pid();
  await registry.start();
  await cluster.untilSays('coin', 'coin-nodes@1.0.0: hello', [worker]);
  await cluster.untilAnswers('version', 'newer', { on: [worker] });
  await cluster.untilPackages({ state: 'current', error: null }, { on: [worker] });
  assert.equal(worker.pid(), pid, 'without a restart');
});

test('a worker whose packages were removed from its disk, and cannot be installed again, is not ready', async (t) => {
  await cluster.deploy([...plainFlows('lost'), ...saying('dice', 'dice')]);
  const worker = await startWorker(t);
  await worker.waitUntilReady();
  await worker.stop();
  const kept = String(worker.options.env?.npm_config_cache);
  for (const folder of [path.join(folderOf(worker), 'tree'), path.join(worker.userDir, 'node_modules'), kept]) fs.rmSync(folder, { recursive: true });
  await registry.stop();
  worker.start();
  await assertNotReady(worker, /the flows need dice-nodes, which could not be installed/);
  await registry.start();
  await worker.waitUntilReady();
  await cluster.untilSays('dice', 'dice-nodes@1.0.0: hello', [worker]);
});
