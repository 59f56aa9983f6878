'use strict';

/**
 * Packages of the admin that a worker cannot install: what runs goes on, whoever looks is told, and it heals by
 * itself. The worker has a registry of its own, with a login, and its log tells all there is to tell.
 */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { before, test } = require('node:test');
const { temporaryDirectory } = require('./support/directories');
const { endpoint } = require('./support/flows');
const { INSTALLED, saying, startPackageCluster, tab } = require('./support/package-cluster');
const { childrenOf, folderOf, packagesOnDisk, processesIn, stagesOf } = require('./support/package-disk');
const { nodePackage, npmEnvironment } = require('./support/packages');
const { startRegistry } = require('./support/registry');
const { fileScope } = require('./support/scope');
const secrets = require('./support/secrets');
const { until } = require('./support/wait');

const TOKEN = secrets.register('npm_TheTokenOfTheWorker', 'the token of npm');
const PASSWORD = secrets.register('ThePasswordOfTheWorker', 'the password of the registry');

const scope = fileScope();
/** @type {import('./support/package-cluster').PackageCluster} */
let cluster;
/** @type {import('./support/registry').Registry} the worker's */
let registry;
/** @type {import('./support/instance').Instance} */
let worker;
/** While this file is there, install scripts fail on the worker. */
let failing = '';

before(async () => {
  registry = await startRegistry(scope);
  const userDir = temporaryDirectory('worker');
  fs.writeFileSync(path.join(userDir, '.npmrc'), `//127.0.0.1:${registry.port}/:_authToken=${TOKEN}\n`);
  failing = path.join(temporaryDirectory('failing'), 'scripts');
  const npm_config_registry = registry.url.replace('//', `//me:${PASSWORD}@`);
  cluster = await startPackageCluster(scope, {
    workers: 1,
    workerOptions: {
      userDir,
      env: { ...npmEnvironment(registry), npm_config_registry, FAILING: failing },
      settings: { logging: { console: { level: 'debug', metrics: false, audit: false } } },
    },
  });
  [worker] = cluster.workers;
  offer('good');
  await cluster.install('good-nodes');
  await cluster.deploy(flowsOf('first', 'good'));
  await cluster.untilSays('good', 'good-nodes@1.0.0: hello');
});

/**
 * Publishes a package with a node type in both registries.
 *
 * @param {string} type
 * @param {Partial<import('./support/registry').PackageSpec>} [more]
 */
function offer(type, more) {
  for (const one of [cluster.registry, registry]) one.publish(spec(type, more));
}

/**
 * @param {string} type
 * @param {Partial<import('./support/registry').PackageSpec>} [more]
 */
function spec(type, more) {
  return nodePackage({ name: `${type}-nodes`, version: '1.0.0', types: [type], ...more });
}

/**
 * @param {string} version
 * @param {string} type
 */
function flowsOf(version, type) {
  return [tab('tab'), ...endpoint('tab', 'version', version), ...saying(type, type)];
}

/** @returns {Promise<string>} which flows the worker runs */
const version = async () => (await worker.get('version')).text;

/**
 * Installs a package on the admin and has a deploy wait for it.
 *
 * @param {string} type
 */
async function want(type) {
  const seen = {
    disk: packagesOnDisk(worker),
    pid: worker.pid(),
    version: await version(),
    revision: await cluster.packagesRevision() + 1,
    workerLog: worker.log().length,
    adminLog: cluster.admin.log().length,
  };
  await cluster.install(`${type}-nodes`);
  await cluster.deploy(flowsOf(`${type} waits`, type));
  return seen;
}

/** @param {Awaited<ReturnType<typeof want>>} seen */
async function assertGoesOn(seen) {
  assert.equal(await version(), seen.version, 'it answers with the flows that ran');
  assert.equal(worker.pid(), seen.pid);
  assert.deepEqual(packagesOnDisk(worker), seen.disk, 'nothing half-installed is there');
}

/**
 * The worker cannot install a package that the admin has, and says why.
 *
 * @param {string} type
 * @param {RegExp} why
 * @param {{during?: () => Promise<unknown>}} [options] what makes it fail
 */
async function lacks(type, why, { during = async () => {} } = {}) {
  const seen = await want(type);
  await during();
  await cluster.untilPackages({ state: 'failed', wanted: seen.revision, running: seen.revision - 1 });
  const { error } = await cluster.packagesOf(worker);
  assert.equal(error.code, 'NRC_PACKAGES_FAILED');
  assert.match(error.message, why);
  await assertGoesOn(seen);
  const revision = `packages revision ${seen.revision}: `;
  const reason = `.*${why.source}.*\\[NRC_PACKAGES_FAILED\\]`;
  await worker.waitForLog(new RegExp(`\\[error\\] \\[cluster\\] ${revision}${reason}; what runs goes on, trying again in \\d+ s`), { from: seen.workerLog });
  await cluster.admin.waitForLog(new RegExp(`\\[error\\] \\[cluster\\] worker \\S+ does not have the packages of this admin, and tries again: ${revision}${reason}`), { from: seen.adminLog });
  await cluster.deploy(flowsOf(`${type} at last`, type));
  await assertGoesOn(seen);
  return seen;
}

/**
 * The cause is gone: the worker has the package, and runs the newest of what waited for it.
 *
 * @param {string} type
 * @param {Awaited<ReturnType<typeof want>>} seen
 */
async function heals(type, seen) {
  await cluster.untilSays(type, `${type}-nodes@1.0.0: hello`);
  await cluster.untilAnswers('version', `${type} at last`);
  await cluster.untilPackages({ state: 'current', running: seen.revision, error: null });
  await cluster.admin.waitForLog(new RegExp(`worker \\S+ has packages revision ${seen.revision} now`), { from: seen.adminLog });
  assert.deepEqual(stagesOf(worker), []);
}

test('while the registry is unreachable the worker goes on, and it installs once it is back', async () => {
  offer('unreachable');
  await registry.stop();
  const seen = await lacks('unreachable', /ECONNREFUSED/);
  await registry.start();
  await heals('unreachable', seen);
  assert.equal(worker.pid(), seen.pid);
});

test('a version that the registry of the worker does not have is named', async () => {
  offer('gone');
  registry.publish(spec('gone', { version: '1.0.1' }));
  registry.unpublish('gone-nodes', '1.0.0');
  const seen = await lacks('gone', /gone-nodes@1\.0\.0/);
  offer('gone');
  await heals('gone', seen);
  assert.equal(worker.pid(), seen.pid);
});

test('a package of the same version with other bytes is refused', async () => {
  offer('other');
  registry.publish(spec('other', { extra: { description: 'not what the admin has' } }));
  const seen = await lacks('other', /EINTEGRITY/);
  offer('other');
  await heals('other', seen);
});

test('a package whose install script fails on the worker is not used', async () => {
  const script = 'node -e "if (require(\'fs\').existsSync(process.env.FAILING)) { console.error(\'no compiler here\'); process.exit(3) }"';
  offer('script', { scripts: { install: script } });
  fs.writeFileSync(failing, '');
  const seen = await lacks('script', /script-nodes.*no compiler here/);
  fs.rmSync(failing);
  await heals('script', seen);
});

test('an npm that is killed half-way is run again', async () => {
  offer('killed');
  registry.hold(/\.tgz$/);
  const seen = await lacks('killed', /signal: 9/, {
    during: async () => {
      await until(() => registry.waiting() > 0, { message: 'npm asks for the tarball', timeout: INSTALLED });
      const [npm, ...others] = childrenOf(worker.pid());
      assert.deepEqual(others, []);
      process.kill(npm, 'SIGKILL');
    },
  });
  registry.heal();
  await heals('killed', seen);
});

test('a worker that is killed while npm works installs at its next start', async () => {
  offer('crash');
  registry.hold(/\.tgz$/);
  const seen = await want('crash');
  await until(() => registry.waiting() > 0, { message: 'npm asks for the tarball', timeout: INSTALLED });
  await worker.kill();
  assert.deepEqual(packagesOnDisk(worker), seen.disk);
  await cluster.deploy(flowsOf('crash at last', 'crash'));
  worker.start();
  await until(() => childrenOf(worker.pid()).length > 0 && registry.waiting() > 0, { message: 'npm asks again', timeout: INSTALLED });
  registry.heal();
  await worker.waitUntilReady();
  await cluster.untilSays('crash', 'crash-nodes@1.0.0: hello');
  await cluster.untilAnswers('version', 'crash at last');
  await cluster.untilPackages({ state: 'current', running: seen.revision, error: null });
  await until(() => processesIn(folderOf(worker)).length === 0, { message: 'no npm is left behind', timeout: INSTALLED });
  assert.deepEqual(stagesOf(worker), []);
});

test('what npm prints is in the log at debug level only, and no login of a registry is in any', async () => {
  assert.match(worker.log(), /\[debug\] \[cluster\] npm: added \d+ package/);
  assert.match(worker.log(), /\[debug\] \[cluster\] npm: npm error code E/);
  assert.doesNotMatch(worker.log(), /\[(info|warn)\] \[cluster\] npm: /);
  const records = JSON.stringify(Object.values(await cluster.presence()));
  for (const text of [worker.log(), cluster.admin.log(), records]) {
    for (const secret of [TOKEN, PASSWORD]) assert.ok(!text.includes(secret), `${secret} is in\n${text.slice(text.indexOf(secret) - 500)}`);
  }
});
