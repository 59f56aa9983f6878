'use strict';

/** An admin that lost its disk, a store that lost everything, a store that is away: the packages are there again. */

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { before, test } = require('node:test');
const { INSTALLED, dependenciesOf, keepRunning, saying, startPackageCluster, tab } = require('./support/package-cluster');
const { nodePackage, plainPackage } = require('./support/packages');
const { packTarball } = require('./support/registry');
const { fileScope } = require('./support/scope');
const { until, untilEqual } = require('./support/wait');

const scope = fileScope();
/** @type {import('./support/package-cluster').PackageCluster} */
let cluster;
/** @type {ReturnType<typeof keepRunning>['exits']} */
let exits;
before(async () => {
  cluster = await startPackageCluster(scope);
  ({ exits } = keepRunning(scope, cluster.workers));
});

const UPLOAD = packTarball(nodePackage({ name: '@scope/upload-nodes', version: '1.0.0', types: ['upload'] }));

const FLOWS = [tab('tab'), ...saying('dice', 'dice'), ...saying('upload', 'upload'), ...saying('coin', 'coin')];

/** @param {string} version of dice-nodes and of what it depends on */
function publish(version) {
  const { registry } = cluster;
  registry.publish(plainPackage({ name: 'helper', version }));
  registry.publish(nodePackage({ name: 'dice-nodes', version, types: ['dice'], tells: ['helper'], dependencies: { helper: '^1.0.0' } }));
  registry.publish(nodePackage({ name: 'coin-nodes', version, types: ['coin', 'cup'] }));
}

/** Waits until the admin has published and the workers have just that. */
async function untilFollowed() {
  const instances = [cluster.admin, ...cluster.workers];
  await until(async () => {
    const number = await cluster.packagesRevision();
    const states = await Promise.all(instances.map((one) => cluster.packagesOf(one)));
    return number > 0 && states.every(({ state, running }) => state === 'current' && running === number);
  }, { message: 'everybody has the packages', timeout: INSTALLED });
}

/**
 * @param {string} version of dice-nodes
 * @param {string} helper its version
 */
async function untilAllSay(version, helper, on = cluster.workers) {
  await cluster.untilSays('dice', `dice-nodes@${version}: hello helper@${helper}`, on);
  await cluster.untilSays('upload', '@scope/upload-nodes@1.0.0: hello', on);
  await cluster.untilSays('coin', 'coin-nodes@1.0.0: hello', on);
}

/** @returns {Promise<Buffer>} the upload as the store has it */
const uploadInStore = () => {
  const digest = createHash('sha512').update(UPLOAD).digest('hex');
  return cluster.store.commandBytes('HGET', cluster.key('packages-tarballs'), digest);
};

test('an admin that lost its disk has all packages again, its palette works on, and no worker restarts for it', async () => {
  const { admin, registry } = cluster;
  publish('1.0.0');
  await cluster.install('dice-nodes');
  await cluster.install('coin-nodes');
  await cluster.upload(UPLOAD);
  await cluster.enable('coin-nodes/cup', false);
  await cluster.deploy(FLOWS);
  await untilAllSay('1.0.0', '1.0.0');
  await untilFollowed();
  const published = await cluster.packages();
  assert.deepEqual(published, { '@scope/upload-nodes': '1.0.0', 'coin-nodes': '1.0.0', 'dice-nodes': '1.0.0' });
  // Newer versions that the admin must not take.
  publish('1.0.1');
  const soFar = exits.length;

  await admin.stop();
  fs.rmSync(admin.userDir, { recursive: true });
  registry.clearRequests();
  const from = admin.log().length;
  admin.start();
  await admin.waitUntilReady();
  await untilFollowed();
  await untilAllSay('1.0.0', '1.0.0', [admin]);
  assert.match(admin.log().slice(from), /packages revision \d+ of the cluster is taken over \(3 installed, 0 removed\)/);
  assert.deepEqual(await cluster.packages(), published);
  const file = 'nodes/scope-upload-nodes-1.0.0.tgz';
  assert.deepEqual(dependenciesOf(admin), { '@scope/upload-nodes': `file:${file}`, 'coin-nodes': '~1.0.0', 'dice-nodes': '~1.0.0' });
  assert.deepEqual(fs.readFileSync(path.join(admin.userDir, file)), UPLOAD);
  assert.deepEqual(registry.requests.filter((request) => request.path.includes('upload')), []);
  assert.deepEqual(await disabledOn(admin), ['coin-nodes/cup']);
  assert.equal(exits.length, soFar);

  publish('1.1.0');
  await cluster.install('dice-nodes', '1.1.0');
  await cluster.untilSays('dice', 'dice-nodes@1.1.0: hello helper@1.0.0');
  await untilFollowed();
  await untilAllSay('1.1.0', '1.0.0');
  assert.deepEqual(await cluster.packages(), { ...published, 'dice-nodes': '1.1.0' });
  await admin.restart();
  await untilAllSay('1.1.0', '1.0.0', [admin]);
  await untilFollowed();
});

test('a store that was emptied has all packages again, and the workers go on as they are', async () => {
  const published = await cluster.packages();
  const number = await cluster.packagesRevision();
  const soFar = exits.length;
  await cluster.store.command('FLUSHALL');
  await untilEqual(() => cluster.packages(), published, { message: 'the admin has published again', timeout: INSTALLED });
  await untilFollowed();
  assert.ok(await cluster.packagesRevision() > number, 'the number of the revision goes on');
  assert.deepEqual(await uploadInStore(), UPLOAD);
  await untilAllSay('1.1.0', '1.0.0');
  assert.equal(exits.length, soFar);

  cluster.registry.publish(nodePackage({ name: 'card-nodes', version: '1.0.0', types: ['card'] }));
  await cluster.install('card-nodes');
  await cluster.deploy([...FLOWS, ...saying('card', 'card')]);
  await cluster.untilSays('card', 'card-nodes@1.0.0: hello');
  assert.equal(exits.length, soFar);
});

test('what is installed while the store is away is published once it is back', async () => {
  const soFar = exits.length;
  cluster.registry.publish(nodePackage({ name: 'late-nodes', version: '1.0.0', types: ['late'] }));
  cluster.registry.hold(/late-nodes.*\.tgz$/);
  // What Node-RED answers depends on how it stores its settings, the package is installed all the same.
  const answered = cluster.install('late-nodes').catch(() => undefined);
  await until(() => cluster.registry.waiting() > 0, { message: 'npm fetches the package', timeout: INSTALLED });
  await cluster.store.stop();
  cluster.registry.heal();
  const isInstalled = () => dependenciesOf(cluster.admin)['late-nodes'] === '~1.0.0';
  await until(isInstalled, { message: 'npm has installed the package', timeout: INSTALLED });
  await untilAllSay('1.1.0', '1.0.0');
  await cluster.store.start();
  await answered;
  await until(async () => (await cluster.packages())['late-nodes'] === '1.0.0', { message: 'the admin has published', timeout: INSTALLED });
  await untilFollowed();
  await cluster.deploy([...FLOWS, ...saying('late', 'late')]);
  await cluster.untilSays('late', 'late-nodes@1.0.0: hello');
  assert.equal(exits.length, soFar);
});

/**
 * @param {import('./support/instance').Instance} instance
 * @returns {Promise<string[]>} the node sets that its palette shows as disabled
 */
async function disabledOn({ api }) {
  const sets = await api.expect('GET', '/nodes', undefined, { accept: 'application/json' });
  return sets.filter((/** @type {{enabled: boolean}} */ set) => !set.enabled).map((/** @type {{id: string}} */ set) => set.id);
}
