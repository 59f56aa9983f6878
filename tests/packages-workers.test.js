'use strict';

/** Workers that are new, or were away, have what the admin has; uploads reach them through the store. */

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { before, test } = require('node:test');
const { manyNodes } = require('./support/flows');
const { INSTALLED, dependenciesOf, keepRunning, saying, startPackageCluster, tab, treeOf, treeVersionsOf } = require('./support/package-cluster');
const { nodePackage, plainPackage } = require('./support/packages');
const { packTarball } = require('./support/registry');
const { fileScope } = require('./support/scope');
const { until, untilEqual } = require('./support/wait');

const scope = fileScope();
/** @type {import('./support/package-cluster').PackageCluster} */
let cluster;
/** @type {import('./support/instance').Instance} */
let newcomer;
before(async () => {
  cluster = await startPackageCluster(scope);
  keepRunning(scope, cluster.workers);
});

const DICE = 'dice-nodes@1.0.0: hello helper@1.0.0 deep@1.0.0';

/** @param {string} version of dice-nodes and of what it depends on, directly or not */
function publishDice(version) {
  const { registry } = cluster;
  registry.publish(plainPackage({ name: 'deep', version }));
  registry.publish(plainPackage({ name: 'helper', version, dependencies: { deep: '^1.0.0' } }));
  registry.publish(nodePackage({ name: 'dice-nodes', version, types: ['dice'], tells: ['helper', 'deep'], dependencies: { helper: '^1.0.0' } }));
}

/** Waits until the workers have what the admin has published last. */
async function untilFollowed() {
  await until(async () => {
    const number = await cluster.packagesRevision();
    const states = await Promise.all(cluster.workers.map((worker) => cluster.packagesOf(worker)));
    return states.every(({ state, running }) => state === 'current' && running === number);
  }, { message: 'the workers have the packages of the admin', timeout: INSTALLED });
}

/** @param {Record<string, string>} packages */
async function untilPublished(packages) {
  await untilEqual(() => cluster.packages(), packages, { message: 'the admin has published', timeout: INSTALLED }).catch((error) => {
    error.message += `\n--- log of the admin\n${cluster.admin.log().slice(-3_000)}`;
    throw error;
  });
}

/** @param {string} says */
function uploadNodes(says) {
  return packTarball(nodePackage({
    name: 'upload-nodes', version: '1.0.0', types: ['upload'], says, tells: ['helper'], dependencies: { helper: '^1.0.0' },
  }));
}

/** @param {Buffer} tarball */
function assertHeld(tarball, on = cluster.workers) {
  const digest = createHash('sha512').update(tarball).digest('hex');
  for (const worker of on) {
    assert.deepEqual(fs.readFileSync(path.join(treeOf(worker), 'tarballs', `${digest}.tgz`)), tarball, worker.name);
  }
  assert.deepEqual(cluster.registry.requests.filter((request) => request.path.startsWith('/upload-nodes')), []);
}

test('a new worker answers its first request with the nodes of the cluster, at the exact versions', async () => {
  publishDice('1.0.0');
  await cluster.install('dice-nodes');
  // Many nodes come first, so that there is time to be too early.
  await cluster.deploy([tab('many'), ...manyNodes('many', 1_000), tab('tab'), ...saying('dice', 'dice')]);
  await cluster.untilSays('dice', DICE);
  // Newer versions that a worker must not take.
  publishDice('1.1.0');

  newcomer = await cluster.addWorker({ name: 'newcomer', env: cluster.environment() });
  const first = await until(() => newcomer.get('dice').catch(() => undefined), { message: 'there is an answer', timeout: INSTALLED, interval: 5 });
  assert.equal(first.text, DICE);
  assert.deepEqual(treeVersionsOf(newcomer), { deep: '1.0.0', 'dice-nodes': '1.0.0', helper: '1.0.0' });
  assert.deepEqual(dependenciesOf(newcomer), { 'dice-nodes': '1.0.0' });
});

test('a worker that was away has the end of all changes at its next start, and fetches nothing else', async () => {
  const { registry } = cluster;
  await newcomer.waitUntilReady();
  await newcomer.stop();
  for (const version of ['1.0.0', '1.1.0']) registry.publish(nodePackage({ name: 'a-nodes', version, types: ['a'] }));
  registry.publish(nodePackage({ name: 'b-nodes', version: '1.0.0', types: ['b'] }));
  registry.publish(nodePackage({ name: 'c-nodes', version: '1.0.0', types: ['c'] }));
  await cluster.install('a-nodes', '1.0.0');
  await cluster.install('a-nodes', '1.1.0');
  await cluster.install('b-nodes', '1.0.0');
  await cluster.remove('a-nodes');
  await cluster.install('c-nodes', '1.0.0');
  const end = { 'b-nodes': '1.0.0', 'c-nodes': '1.0.0', 'dice-nodes': '1.0.0' };
  await untilPublished(end);
  await untilFollowed();
  for (const name of ['b-nodes', 'c-nodes']) registry.publish(nodePackage({ name, version: '1.1.0', types: [name[0]] }));

  registry.clearRequests();
  const from = newcomer.log().length;
  newcomer.start();
  await newcomer.waitUntilReady();
  assert.deepEqual(dependenciesOf(newcomer), end);
  assert.deepEqual(treeVersionsOf(newcomer), { ...end, deep: '1.0.0', helper: '1.0.0' });
  await cluster.deploy([tab('tab'), ...saying('dice', 'dice'), ...saying('b', 'b'), ...saying('c', 'c')]);
  const all = [...cluster.workers, newcomer];
  await cluster.untilSays('b', 'b-nodes@1.0.0: hello', all);
  await cluster.untilSays('c', 'c-nodes@1.0.0: hello', all);
  await cluster.untilSays('dice', DICE, all);
  const paths = registry.requests.map((request) => request.path);
  assert.deepEqual(paths.filter((one) => one.endsWith('.tgz')).sort(), ['/b-nodes/-/b-nodes-1.0.0.tgz', '/c-nodes/-/c-nodes-1.0.0.tgz']);
  assert.deepEqual(paths.filter((one) => !/^\/[bc]-nodes/.test(one)), []);
  assert.equal(newcomer.log().slice(from).match(/packages revision \d+ is installed/g)?.length, 1);
  await newcomer.release();
});

test('an upload reaches every worker byte for byte, without the registry', async () => {
  const tarball = uploadNodes('first');
  cluster.registry.clearRequests();
  await cluster.upload(tarball);
  await cluster.deploy([tab('tab'), ...saying('upload', 'upload')]);
  await cluster.untilSays('upload', 'upload-nodes@1.0.0: first helper@1.0.0');
  assert.equal((await cluster.packages())['upload-nodes'], '1.0.0');
  assertHeld(tarball);
});

test('another upload of the same name and version takes its place, on new workers too', async () => {
  const tarball = uploadNodes('second');
  await cluster.deploy([tab('tab')]);
  await cluster.remove('upload-nodes');
  await cluster.upload(tarball);
  await cluster.deploy([tab('tab'), ...saying('upload', 'upload')]);
  await cluster.untilSays('upload', 'upload-nodes@1.0.0: second helper@1.0.0');
  await untilFollowed();
  assertHeld(tarball);
  newcomer = await cluster.addWorker({ name: 'another-newcomer', env: cluster.environment() });
  await cluster.untilSays('upload', 'upload-nodes@1.0.0: second helper@1.0.0', [newcomer]);
  assertHeld(tarball, [newcomer]);
  await newcomer.release();
});

test('an upload that Node-RED refuses takes nothing away from the workers', async () => {
  // It runs this version already, and says so only after it has overwritten the former tarball.
  await assert.rejects(cluster.upload(uploadNodes('third')), /module_already_loaded/);
  await cluster.remove('c-nodes');
  await untilPublished({ 'b-nodes': '1.0.0', 'dice-nodes': '1.0.0', 'upload-nodes': '1.0.0' });
  await untilFollowed();
  await cluster.untilSays('upload', 'upload-nodes@1.0.0: second helper@1.0.0');
});
