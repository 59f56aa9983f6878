'use strict';

/** Packages that are new on the admin: on every worker, exactly, and in use without a restart. */

const assert = require('node:assert/strict');
const { before, test } = require('node:test');
const { INSTALLED, dependenciesOf, saying, startPackageCluster, tab, telling } = require('./support/package-cluster');
const { nodePackage, plainPackage } = require('./support/packages');
const { fileScope } = require('./support/scope');
const { until } = require('./support/wait');

const scope = fileScope();
/** @type {import('./support/package-cluster').PackageCluster} */
let cluster;
before(async () => {
  // Lists of a worker hold for what the cluster installs; that nobody may install by hand does not.
  const externalModules = {
    palette: { allowInstall: false, allowList: ['*'], denyList: ['denied-nodes'] },
    modules: { allowInstall: false },
  };
  cluster = await startPackageCluster(scope, { workerOptions: { settings: { externalModules } } });
});

test('a package installed in the palette runs on every worker without a restart', async () => {
  const { registry, workers } = cluster;
  registry.publish(plainPackage({ name: 'helper', version: '1.0.0' }));
  registry.publish(nodePackage({ name: 'dice-nodes', version: '1.0.0', types: ['dice'], tells: ['helper'], dependencies: { helper: '^1.0.0' } }));
  const pids = workers.map((worker) => worker.pid());
  await cluster.install('dice-nodes');
  // Newer versions that a worker must not take.
  registry.publish(plainPackage({ name: 'helper', version: '1.1.0' }));
  registry.publish(nodePackage({ name: 'dice-nodes', version: '1.0.1', types: ['dice'], tells: ['helper'], dependencies: { helper: '^1.0.0' } }));
  await cluster.deploy([tab('tab'), ...saying('dice', 'dice')]);
  await cluster.untilSays('dice', 'dice-nodes@1.0.0: hello helper@1.0.0');
  assert.deepEqual(workers.map((worker) => worker.pid()), pids);
  assert.deepEqual(await cluster.packages(), { 'dice-nodes': '1.0.0' });
  for (const worker of workers) assert.deepEqual(dependenciesOf(worker), { 'dice-nodes': '1.0.0' });
});

test('a module of a Function node comes from the admin at its version', async () => {
  cluster.registry.publish(plainPackage({ name: '@scope/module', version: '2.0.0' }));
  await cluster.deploy([tab('tab'), ...saying('dice', 'dice'), ...telling('module', '@scope/module')]);
  await until(async () => '@scope/module' in (await cluster.packages()), { message: 'the admin has installed it', timeout: INSTALLED });
  cluster.registry.publish(plainPackage({ name: '@scope/module', version: '2.1.0' }));
  await cluster.untilSays('module', '@scope/module@2.0.0');
  assert.equal((await cluster.packages())['@scope/module'], '2.0.0');
});

test('a module that a worker denies is not loaded there, and both sides say so', async () => {
  cluster.registry.publish(nodePackage({ name: 'denied-nodes', version: '1.0.0', types: ['denied'] }));
  await cluster.install('denied-nodes');
  const notes = async () => Promise.all(cluster.workers.map(async (worker) => (await cluster.packagesOf(worker)).notes.join()));
  await until(async () => (await notes()).every((note) => /denied-nodes .* does not load it.*externalModules/.test(note)), {
    message: 'each worker says why',
    timeout: INSTALLED,
  });
  await cluster.admin.waitForLog(/worker \S+: denied-nodes is installed, and Node-RED does not load it/);
  await cluster.untilSays('dice', 'dice-nodes@1.0.0: hello helper@1.0.0');
});
