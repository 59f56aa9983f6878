'use strict';

/** Workers that reach no registry take all packages from the store, into which the admin puts them. */

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { before, test } = require('node:test');
const { endpoint } = require('./support/flows');
const { INSTALLED, keepRunning, saying, startPackageCluster, tab, telling } = require('./support/package-cluster');
const { folderOf } = require('./support/package-disk');
const { nodePackage, npmEnvironment, plainPackage } = require('./support/packages');
const { freePort } = require('./support/ports');
const { packTarball } = require('./support/registry');
const { fileScope } = require('./support/scope');
const { until } = require('./support/wait');

const scope = fileScope();
/** @type {import('./support/package-cluster').PackageCluster} */
let cluster;
/** @type {ReturnType<typeof keepRunning>['exits']} */
let exits;
before(async () => {
  cluster = await startPackageCluster(scope, {
    valkey: { packageSource: 'store' },
    workerOptions: { env: await unreachableRegistry() },
  });
  ({ exits } = keepRunning(scope, cluster.workers));
});

/** @returns {Promise<Record<string, string>>} the environment of a process that nobody gives packages */
async function unreachableRegistry() {
  return npmEnvironment({ url: `http://127.0.0.1:${await freePort()}/` });
}

/** @param {string} version of a module, which needs another one */
function publishHelper(version) {
  cluster.registry.publish(plainPackage({ name: '@scope/deep', version }));
  const files = { 'index.js': `module.exports = 'helper@${version} with ' + require('@scope/deep');` };
  return cluster.registry.publish(plainPackage({ name: 'helper', version, files, dependencies: { '@scope/deep': version } }));
}

/**
 * @param {string} type
 * @param {string} version of the module with this node type, and of the one that it needs
 */
function publishNodes(type, version) {
  return cluster.registry.publish(nodePackage({ name: `${type}-nodes`, version, types: [type], tells: ['helper'], dependencies: { helper: version } }));
}

/**
 * @param {string} type
 * @param {string} version
 */
const says = (type, version) => `${type}-nodes@${version}: hello helper@${version} with @scope/deep@${version}`;

/** @param {{integrity: string}} published */
const digestOf = ({ integrity }) => Buffer.from(integrity.slice('sha512-'.length), 'base64').toString('hex');

/** @returns {Promise<string[]>} the hashes of the tarballs in the store */
const tarballs = async () => (await cluster.store.command('HKEYS', cluster.key('packages-tarballs'))).sort();

/** @returns {Promise<string[]>} the hashes that the newest lock file names, as often as it does */
async function locked() {
  const { lock } = await cluster.store.hash(cluster.key('packages-content'));
  return Object.values(JSON.parse(lock).packages).map(digestOf).sort();
}

/** @param {...string} types */
const deploy = (...types) => cluster.deploy([tab('tab'), ...types.flatMap((type) => saying(type, type))]);

test('a package and all that it needs come from the store', async () => {
  publishHelper('1.0.0');
  publishNodes('dice', '1.0.0');
  await cluster.install('dice-nodes');
  await deploy('dice');
  await cluster.untilSays('dice', says('dice', '1.0.0'));
  await cluster.untilPackages({ state: 'current', error: null });
  assert.deepEqual(exits, []);
  assert.equal((await locked()).length, 3);
  assert.deepEqual(await tarballs(), await locked());
});

test('an upload, with what it needs of the registry, comes from the store', async () => {
  const own = nodePackage({ name: '@own/upload-nodes', version: '1.0.0', types: ['upload'], tells: ['helper'], dependencies: { helper: '1.0.0' } });
  await cluster.upload(packTarball(own));
  await deploy('dice', 'upload');
  await cluster.untilSays('upload', '@own/upload-nodes@1.0.0: hello helper@1.0.0 with @scope/deep@1.0.0');
  await cluster.untilSays('dice', says('dice', '1.0.0'));
});

test('a module of a Function node comes from the store', async () => {
  cluster.registry.publish(plainPackage({ name: '@scope/module', version: '2.0.0' }));
  await cluster.deploy([tab('tab'), ...saying('dice', 'dice'), ...telling('module', '@scope/module')]);
  await cluster.untilSays('module', '@scope/module@2.0.0');
  assert.deepEqual(exits, []);
});

test('a tarball that several packages need lies in the store once', async () => {
  publishHelper('3.0.0');
  for (const type of ['one', 'two']) {
    publishNodes(type, '3.0.0');
    await cluster.install(`${type}-nodes`);
  }
  await deploy('dice', 'one', 'two');
  for (const type of ['one', 'two']) await cluster.untilSays(type, says(type, '3.0.0'));
  const all = await locked();
  const once = [...new Set(all)];
  assert.ok(all.length > once.length, `${all.length} packages, ${once.length} tarballs`);
  const needed = async () => (await tarballs()).filter((digest) => once.includes(digest));
  assert.deepEqual(await needed(), once);
});

test('an upgrade comes from the store, and what is no longer needed goes from there after one more change', async () => {
  const old = createHash('sha512').update(cluster.registry.tarball('dice-nodes', '1.0.0')).digest('hex');
  publishHelper('2.0.0');
  publishNodes('dice', '2.0.0');
  await cluster.install('dice-nodes', '2.0.0');
  await cluster.untilSays('dice', says('dice', '2.0.0'));
  await until(() => exits.length === cluster.workers.length && exits.every(({ back }) => back > 0), { message: 'each worker restarts once', timeout: 2 * INSTALLED });
  await cluster.untilPackages({ state: 'current', error: null });
  assert.deepEqual(exits.map(({ code }) => code), [0, 0]);
  assert.ok((await tarballs()).includes(old), 'a worker may still be installing the revision before');
  cluster.registry.publish(plainPackage({ name: 'more', version: '1.0.0' }));
  await cluster.deploy([tab('tab'), ...saying('dice', 'dice'), ...telling('more', 'more')]);
  await cluster.untilSays('more', 'more@1.0.0');
  assert.ok(!(await tarballs()).includes(old));
  // The revision before had no other packages than this one.
  assert.deepEqual(await tarballs(), [...new Set(await locked())]);
});

test('a fresh worker gets all of it from the store', async (t) => {
  const worker = await cluster.addWorker({ env: await unreachableRegistry() });
  t.after(() => worker.release());
  await worker.waitUntilReady();
  await cluster.untilSays('dice', says('dice', '2.0.0'), [worker]);
  await cluster.untilSays('more', 'more@1.0.0', [worker]);
});

test('a worker that takes packages from the store says what to set on an admin that puts none there', async (t) => {
  const other = await startPackageCluster(t, { workers: 1, workerOptions: { env: await unreachableRegistry(), valkey: { packageSource: 'store' } } });
  const [worker] = other.workers;
  other.registry.publish(nodePackage({ name: 'coin-nodes', version: '1.0.0', types: ['coin'] }));
  await other.deploy([tab('tab'), ...endpoint('tab', 'version', 'without')]);
  // The first one lists nothing yet.
  const first = await until(() => other.packagesRevision(), { message: 'the packages of the admin are published' });
  await other.install('coin-nodes');
  await other.untilPackages({ state: 'failed', wanted: first + 1 });
  const { error } = await other.packagesOf(worker);
  assert.equal(error.code, 'NRC_PACKAGES_FAILED');
  const words = /this worker takes packages from the store \(packageSource: 'store'\) and the admin puts none there; set packageSource to 'store' on the admin too/;
  assert.match(error.message, words);
  await worker.waitForLog(words);
  await other.admin.waitForLog(words);
  await other.untilAnswers('version', 'without');
  // It is set.
  Object.assign(other.admin.options.valkey ?? {}, { packageSource: 'store' });
  await other.admin.restart();
  await other.deploy([tab('tab'), ...saying('coin', 'coin')]);
  await other.untilSays('coin', 'coin-nodes@1.0.0: hello');
  await other.untilPackages({ state: 'current', error: null });
});

test('install scripts do not run on a worker with ignoreScripts, and do on others', async (t) => {
  const other = await startPackageCluster(t, { workers: 1 });
  const careful = await other.addWorker({ valkey: { ignoreScripts: true } });
  await careful.waitUntilReady();
  const scripts = Object.fromEntries(['preinstall', 'install', 'postinstall'].map((script) => [script, `node -e "fs.writeFileSync('${script}-ran', '')"`]));
  other.registry.publish(plainPackage({ name: 'native', version: '1.0.0', scripts }));
  other.registry.publish(nodePackage({ name: 'coin-nodes', version: '1.0.0', types: ['coin'], tells: ['native'], dependencies: { native: '1.0.0' }, scripts }));
  await other.install('coin-nodes');
  await other.deploy([tab('tab'), ...saying('coin', 'coin')]);
  await other.untilSays('coin', 'coin-nodes@1.0.0: hello native@1.0.0', [...other.workers, careful]);
  const marks = (/** @type {import('./support/instance').Instance} */ worker) => ['coin-nodes', 'native'].flatMap((name) => (
    fs.readdirSync(path.join(folderOf(worker), 'tree', 'node_modules', name)).filter((file) => file.endsWith('-ran'))
  ));
  assert.deepEqual(marks(careful), []);
  const ran = ['install-ran', 'postinstall-ran', 'preinstall-ran'];
  assert.deepEqual(marks(other.workers[0]), [...ran, ...ran]);
});
