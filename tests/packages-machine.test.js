'use strict';

/** Workers whose machine lacks what packages need: npm, room on the disk, the right to write there. */

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const { randomBytes } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { before, test } = require('node:test');
const { temporaryDirectory } = require('./support/directories');
const { endpoint } = require('./support/flows');
const { INSTALLED, saying, startPackageCluster, tab } = require('./support/package-cluster');
const { folderOf, packagesOnDisk, stagesOf } = require('./support/package-disk');
const { nodePackage } = require('./support/packages');
const { fileScope } = require('./support/scope');
const { holdsFor, until } = require('./support/wait');

/** Only root can mount, and only Linux as here. */
const skip = (process.platform !== 'linux' || process.getuid?.() !== 0) && 'needs to mount file systems: run it as root on Linux';

const scope = fileScope();
/** @type {import('./support/package-cluster').PackageCluster} */
let cluster;
before(async () => {
  cluster = await startPackageCluster(scope, { workers: 0 });
  offer('good');
  await cluster.install('good-nodes');
});

/**
 * @param {string} type
 * @param {Record<string, string>} [files]
 */
function offer(type, files) {
  cluster.registry.publish(nodePackage({ name: `${type}-nodes`, version: '1.0.0', types: [type], files }));
}

/** @param {string} type */
const flowsOf = (type) => [tab('tab'), ...endpoint('tab', 'version', type), ...saying(type, type)];

/**
 * Starts a worker that runs flows of a package.
 *
 * @param {Partial<import('./support/instance').InstanceOptions>} options
 */
async function startGoodWorker(options) {
  await cluster.deploy(flowsOf('good'));
  const worker = await cluster.addWorker(options);
  await worker.waitUntilReady();
  await cluster.untilSays('good', 'good-nodes@1.0.0: hello', [worker]);
  return worker;
}

/**
 * The admin gets a package that the worker cannot have: it says so, and goes on.
 *
 * @param {import('./support/instance').Instance} worker
 * @param {string} type
 * @param {{code: RegExp, says: RegExp[], runs?: string}} expected runs: the type whose flows go on
 */
async function assertLacks(worker, type, { code, says, runs = 'good' }) {
  const disk = packagesOnDisk(worker);
  const number = await cluster.packagesRevision() + 1;
  await cluster.install(`${type}-nodes`);
  await cluster.deploy(flowsOf(type));
  await cluster.untilPackages({ state: 'failed', wanted: number }, { on: [worker] });
  const { error } = await cluster.packagesOf(worker);
  assert.match(error.code, code, error.message);
  for (const words of says) {
    assert.match(error.message, words);
    await worker.waitForLog(new RegExp(`\\[error\\] \\[cluster\\] packages revision .*${words.source}`));
    await cluster.admin.waitForLog(new RegExp(`worker \\S+ does not have the packages of this admin.*${words.source}`));
  }
  assert.equal((await worker.get('version')).text, runs);
  assert.equal((await worker.get(runs)).text, `${runs}-nodes@1.0.0: hello`);
  assert.deepEqual(packagesOnDisk(worker), disk);
}

/**
 * @param {import('./support/instance').Instance} worker
 * @param {string} type
 */
async function assertHeals(worker, type) {
  await cluster.untilSays(type, `${type}-nodes@1.0.0: hello`, [worker]);
  await cluster.untilPackages({ state: 'current', error: null }, { on: [worker] });
  assert.deepEqual(stagesOf(worker), []);
}

/** @param {...string} words */
function run(...words) {
  const { status, stderr } = spawnSync(words[0], words.slice(1), { encoding: 'utf8' });
  assert.equal(status, 0, `${words.join(' ')}: ${stderr}`);
}

test('a worker without npm says what to do, and installs once it was started with one', async (t) => {
  const nowhere = temporaryDirectory('nowhere');
  const hidden = path.join(nowhere, 'hidden');
  // Node-RED and Node.js bring an npm, which other processes use: it is hidden from this one only.
  const source = `hideNpm: (() => {
    const fs = require('node:fs');
    const { existsSync } = fs;
    fs.existsSync = (file) => existsSync(file) && !(String(file).endsWith('npm-cli.js') && existsSync(${JSON.stringify(hidden)}));
  })()`;
  fs.writeFileSync(hidden, '');
  await cluster.deploy([tab('tab'), ...endpoint('tab', 'version', 'good')]);
  const worker = await cluster.addWorker({ source, env: { ...cluster.environment(), PATH: nowhere } });
  t.after(() => worker.release());
  await worker.waitUntilReady();
  await cluster.untilPackages({ state: 'failed' }, { on: [worker] });
  const { error } = await cluster.packagesOf(worker);
  assert.equal(error.code, 'NRC_PACKAGES_FAILED');
  for (const words of [/there is no npm/, /install npm, or set syncPackages to false/]) {
    assert.match(error.message, words);
    await worker.waitForLog(words);
    await cluster.admin.waitForLog(words);
  }
  assert.equal((await worker.get('version')).text, 'good');
  await cluster.deploy(flowsOf('good'));
  fs.rmSync(hidden);
  await worker.restart();
  await assertHeals(worker, 'good');
});

/**
 * A worker on a disk of 16 MB, which can be filled up.
 *
 * @param {import('node:test').TestContext} t
 */
async function startOnSmallDisk(t) {
  const disk = temporaryDirectory('disk');
  run('mount', '-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', disk);
  t.after(() => run('umount', '--lazy', disk));
  const worker = await startGoodWorker({ userDir: path.join(disk, 'user') });
  t.after(() => worker.release());
  const ballast = path.join(disk, 'ballast');
  const room = () => {
    const { bavail, bsize } = fs.statfsSync(disk);
    return bavail * bsize;
  };
  return {
    worker,
    /** @param {number} left how many bytes stay free */
    fill: (left) => fs.writeFileSync(ballast, Buffer.alloc(room() - left)),
    makeRoom: () => fs.rmSync(ballast),
  };
}

test('a worker whose disk is full goes on, and installs once there is room', { skip }, async (t) => {
  const { worker, fill, makeRoom } = await startOnSmallDisk(t);
  const folder = new RegExp(folderOf(worker));
  const megabyte = randomBytes(64 * 1024).toString('hex').repeat(8);
  offer('large', { 'one.txt': megabyte, 'two.txt': megabyte });
  // Room for what tells npm what to do, and not for the package.
  fill(512 * 1024);
  // npm notices, or whoever writes after it.
  const says = [folder, /ENOSPC|No space left on device/, /make room on the disk|Clear up some disk space/];
  await assertLacks(worker, 'large', { code: /^NRC_(PACKAGES_FAILED|LOCAL_FILE)$/, says });
  makeRoom();
  await assertHeals(worker, 'large');
  offer('tiny');
  fill(0);
  await assertLacks(worker, 'tiny', { code: /^NRC_LOCAL_FILE$/, says, runs: 'large' });
  makeRoom();
  await assertHeals(worker, 'tiny');
});

test('a package whose files were cut off by a full disk is not used, also when there is room again', { skip }, async (t) => {
  const { worker, fill, makeRoom } = await startOnSmallDisk(t);
  const text = randomBytes(1024 * 1024).toString('hex');
  offer('cut', { 'data.txt': text });
  fill(512 * 1024);
  await cluster.install('cut-nodes');
  // npm warns of a file that it could not write, and takes the package for installed.
  await worker.waitForLog(/npm could not write all files in .*TAR_ENTRY_ERROR/, { timeout: INSTALLED });
  makeRoom();
  await cluster.deploy(flowsOf('cut'));
  await assertHeals(worker, 'cut');
  const file = path.join(folderOf(worker), 'tree', 'node_modules', 'cut-nodes', 'data.txt');
  assert.equal(fs.statSync(file).size, text.length);
});

test('a worker that may not write into its user directory goes on, and installs once it may', { skip }, async (t) => {
  const userDir = temporaryDirectory('read-only');
  const worker = await startGoodWorker({ userDir });
  let mounted = false;
  const unmount = () => {
    if (mounted) run('umount', '--lazy', userDir);
    mounted = false;
  };
  t.after(async () => {
    unmount();
    await worker.release();
  });
  run('mount', '--bind', userDir, userDir);
  mounted = true;
  run('mount', '-o', 'remount,bind,ro', userDir);
  offer('written');
  const folder = new RegExp(folderOf(worker));
  await assertLacks(worker, 'written', { code: /^NRC_LOCAL_FILE$/, says: [folder, /Read-only file system/, /which this process must be able to write/] });
  unmount();
  await assertHeals(worker, 'written');
  await until(() => stagesOf(worker).length === 0, { message: 'nothing half-built stays' });
});

test('a fresh worker that may not write where packages go is not ready while its flows need one', { skip }, async (t) => {
  const userDir = temporaryDirectory('read-only');
  const folder = path.join(userDir, '.node-red-cluster', 'packages');
  fs.mkdirSync(folder, { recursive: true });
  run('mount', '--bind', folder, folder);
  run('mount', '-o', 'remount,bind,ro', folder);
  let mounted = true;
  const unmount = () => {
    if (mounted) run('umount', '--lazy', folder);
    mounted = false;
  };
  t.after(unmount);
  await cluster.deploy(flowsOf('good'));
  const worker = await cluster.addWorker({ userDir });
  t.after(() => worker.release());
  await cluster.untilPackages({ state: 'failed' }, { on: [worker] });
  assert.match((await cluster.packagesOf(worker)).error.message, /Read-only file system.*which this process must be able to write/);
  await holdsFor(async () => {
    assert.ok(worker.isRunning(), worker.log());
    await assert.rejects(worker.get('version'), (/** @type {any} */ error) => error.cause?.code === 'ECONNREFUSED');
  }, 2_000);
  unmount();
  await worker.waitUntilReady();
  await assertHeals(worker, 'good');
});
