'use strict';

/** Packages that belong to one instance alone: a worker's own stay as they are, and what only the admin has is said. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { before, test } = require('node:test');
const { temporaryDirectory } = require('./support/directories');
const { createGit } = require('./support/git');
const { INSTALLED, dependenciesOf, npm, saying, startPackageCluster, tab, treeVersionsOf } = require('./support/package-cluster');
const { nodePackage, plainPackage } = require('./support/packages');
const { fileScope } = require('./support/scope');
const { until, untilEqual } = require('./support/wait');

const scope = fileScope();
/** @type {import('./support/package-cluster').PackageCluster} */
let cluster;
before(async () => {
  cluster = await startPackageCluster(scope, { workers: 1 });
});

/** @param {string} version */
function publishDice(version) {
  cluster.registry.publish(plainPackage({ name: 'helper', version }));
  cluster.registry.publish(nodePackage({ name: 'dice-nodes', version, types: ['dice'], tells: ['helper'], dependencies: { helper: version } }));
}

/** @param {string} version */
const dice = (version) => `dice-nodes@${version}: hello helper@${version}`;

/**
 * @param {string} userDir
 * @param {string} name
 */
const isLink = (userDir, name) => fs.lstatSync(path.join(userDir, 'node_modules', name)).isSymbolicLink();

test("a worker's own packages are left alone, and both sides say which", async () => {
  const { registry } = cluster;
  publishDice('0.9.0');
  registry.publish(nodePackage({ name: 'own-nodes', version: '1.0.0', types: ['own'] }));
  const [userDir, env] = [temporaryDirectory('owner'), cluster.environment()];
  await npm(userDir, env, 'install', 'dice-nodes', 'own-nodes');
  const packageFile = path.join(userDir, 'package.json');
  const manifest = fs.readFileSync(packageFile, 'utf8');

  publishDice('1.0.0');
  await cluster.install('dice-nodes');
  await cluster.deploy([tab('tab'), ...saying('dice', 'dice')]);
  await cluster.untilSays('dice', dice('1.0.0'));
  const owner = await cluster.addWorker({ name: 'owner', userDir, env });
  await cluster.untilSays('dice', dice('0.9.0'), [owner]);
  const note = "dice-nodes is this worker's own (0.9.0) and is left alone; the admin has 1.0.0";
  await cluster.untilPackages({ state: 'current', notes: [note] }, { on: [owner] });
  const told = /worker \S+: dice-nodes is this worker's own \(0\.9\.0\) and is left alone; the admin has 1\.0\.0/;
  await cluster.admin.waitForLog(told);
  assert.equal(fs.readFileSync(packageFile, 'utf8'), manifest);
  assert.equal(isLink(userDir, 'dice-nodes'), false);

  // What the owner gives up comes from the admin.
  await npm(userDir, env, 'uninstall', 'dice-nodes');
  await owner.restart();
  await cluster.untilSays('dice', dice('1.0.0'), [owner]);
  await cluster.untilPackages({ state: 'current', notes: undefined }, { on: [owner] });
  assert.deepEqual(dependenciesOf(owner), { 'dice-nodes': '1.0.0', 'own-nodes': '^1.0.0' });
  assert.equal(isLink(userDir, 'own-nodes'), false);
  await owner.release();
});

test('npm that is run by hand on a worker does not break the packages of the cluster', async () => {
  const [worker] = cluster.workers;
  publishDice('1.0.1');
  cluster.registry.publish(nodePackage({ name: 'other-nodes', version: '1.0.0', types: ['other'] }));
  for (let runs = 0; runs < 2; runs += 1) await npm(worker.userDir, cluster.environment(), 'install', 'other-nodes');
  await worker.restart();
  await cluster.untilSays('dice', dice('1.0.0'));
  await cluster.untilPackages({ state: 'current', error: null, notes: undefined });
  assert.deepEqual(dependenciesOf(worker), { 'dice-nodes': '1.0.0', 'other-nodes': '^1.0.0' });
  assert.deepEqual(treeVersionsOf(worker), { 'dice-nodes': '1.0.0', helper: '1.0.0' });
  assert.equal(isLink(worker.userDir, 'dice-nodes'), true);
  assert.equal(isLink(worker.userDir, 'other-nodes'), false);

  await cluster.install('other-nodes');
  await cluster.deploy([tab('tab'), ...saying('dice', 'dice'), ...saying('other', 'other')]);
  await cluster.untilSays('other', 'other-nodes@1.0.0: hello');
  assert.equal(dependenciesOf(worker)['other-nodes'], '^1.0.0');
});

test('what only the admin has is not published, and it says what and why', async () => {
  const { admin, registry } = cluster;
  registry.publish(plainPackage({ name: 'node-red-cluster', version: '0.1.0' }));
  const git = createGit();
  const repository = temporaryDirectory('git-package');
  await git.run(repository, 'init');
  writePackage(repository, 'git-package');
  await git.run(repository, 'add', '.');
  await git.run(repository, 'commit', '-m', 'A package');
  writePackage(path.join(admin.userDir, 'local-package'), 'local-package');
  const address = `git+${pathToFileURL(repository)}`;
  const packageFile = path.join(admin.userDir, 'package.json');
  const manifest = JSON.parse(fs.readFileSync(packageFile, 'utf8'));
  Object.assign(manifest.dependencies, { 'git-package': address, 'local-package': 'file:local-package', 'node-red-cluster': '0.1.0' });
  fs.writeFileSync(packageFile, JSON.stringify(manifest));
  await npm(admin.userDir, { ...cluster.environment(), ...git.env }, 'install');

  registry.publish(nodePackage({ name: 'coin-nodes', version: '1.0.0', types: ['coin'] }));
  await cluster.install('coin-nodes');
  const published = { 'coin-nodes': '1.0.0', 'dice-nodes': '1.0.0', 'other-nodes': '1.0.0' };
  await untilEqual(() => cluster.packages(), published, { message: 'the admin has published', timeout: INSTALLED });
  // Without the address, which may have a login in it.
  const why = 'publish it in a registry, or upload it as a tarball in the palette';
  const notes = [`git-package is installed from a git repository; ${why}`, `local-package is installed from a folder or file that only this admin has; ${why}`];
  await cluster.untilPackages({ state: 'current', notes }, { on: [admin] });
  assert.ok(!admin.log().includes(address));
  for (const note of notes) assert.ok(admin.log().includes(`a package does not follow to the workers: ${note}`), note);
  const number = await cluster.packagesRevision();
  await until(async () => (await cluster.packagesOf(cluster.workers[0])).running === number, { message: 'the worker follows', timeout: INSTALLED });
  assert.deepEqual(treeVersionsOf(cluster.workers[0]), { ...published, helper: '1.0.0' });
});

/**
 * @param {string} folder
 * @param {string} name
 */
function writePackage(folder, name) {
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ name, version: '1.0.0' }));
}
