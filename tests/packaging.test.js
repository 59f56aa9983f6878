'use strict';

/** The npm package, as `npm pack` makes it after a build, installed into a folder of its own. */

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { before, test } = require('node:test');
const { promisify } = require('node:util');
const { ROOT, removeDirectory, temporaryDirectory } = require('./support/directories');
const { endpoint, tab } = require('./support/flows');
const { fileScope } = require('./support/scope');
const { startWithSettings } = require('./support/settings-file');
const { startStore } = require('./support/store');

const run = promisify(execFile);
const manifest = require('../package.json');

const scope = fileScope();
const folder = temporaryDirectory('package');
/** A PATH with Node.js and nothing else: no cargo, no compiler. */
const bareEnvironment = { PATH: path.join(folder, 'programs'), HOME: folder };

/**
 * @param {string[]} parameters
 * @param {string} cwd
 * @returns {Promise<string>} what npm printed
 */
async function npm(parameters, cwd) {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith('npm_'));
  const { stdout } = await run('npm', parameters, { cwd, env: Object.fromEntries(entries) });
  return stdout;
}

/** @type {string[]} */
let packed;

before(async () => {
  scope.after(async () => removeDirectory(folder));
  const [{ filename, files }] = JSON.parse(await npm(['pack', '--json', '--pack-destination', folder], ROOT));
  packed = files.map((/** @type {{path: string}} */ file) => file.path);
  fs.writeFileSync(path.join(folder, 'package.json'), '{"name": "user-directory", "private": true}');
  await npm(['install', '--offline', '--no-audit', '--no-fund', path.join(folder, filename)], folder);
  fs.mkdirSync(bareEnvironment.PATH);
  fs.symlinkSync(process.execPath, path.join(bareEnvironment.PATH, 'node'));
});

test('the package holds what runs and nothing of its development', () => {
  const addon = packed.filter((file) => file.startsWith('native/'));
  assert.equal(addon.length, 1, `one addon: ${addon}`);
  for (const file of ['LICENSE', 'CHANGELOG.md', 'README.md', 'node/storage.js', 'bin/node-red-cluster.js', 'deploy/settings/worker.js']) {
    assert.ok(packed.includes(file), `${file} is packed`);
  }
  const stray = packed.filter((file) => /^(\.|crates\/|tests\/|scripts\/|bench\/|target\/|Cargo|package-lock)|tsconfig|eslint/.test(file));
  assert.deepEqual(stray, []);
});

test('installing it brings no other package', () => {
  const installed = fs.readdirSync(path.join(folder, 'node_modules')).filter((name) => !name.startsWith('.'));
  assert.deepEqual(installed, ['node-red-cluster']);
});

test('its program runs without cargo', async () => {
  const program = path.join(folder, 'node_modules', '.bin', 'node-red-cluster');
  const { stdout } = await run(program, ['--version'], { cwd: folder, env: bareEnvironment });
  assert.ok(stdout.includes(manifest.version), stdout);
});

test('installed beside node-red in another folder, it runs a cluster without cargo', async (t) => {
  const store = await startStore();
  t.after(() => store.release());
  const red = require.resolve('node-red/red.js');
  const address = { VALKEY_HOST: store.host, VALKEY_PORT: String(store.port) };
  const roles = { admin: "httpAdminRoot: '/admin'", worker: 'httpAdminRoot: false' };
  const instances = Object.entries(roles).map(async ([role, adminRoot]) => {
    const { username, password } = await store.login(role === 'admin' ? 'nodered-admin' : 'nodered-worker');
    const login = { VALKEY_USERNAME: username, VALKEY_PASSWORD: password };
    const settings = path.join(folder, `${role}.js`);
    const text = [
      'module.exports = {',
      '  uiPort: Number(process.env.PORT),',
      `  ${adminRoot},`,
      "  httpNodeRoot: '/api',",
      "  storageModule: require('node-red-cluster/storage'),",
      `  valkey: { role: '${role}' },`,
      '};',
      '',
    ];
    fs.writeFileSync(settings, text.join('\n'));
    return startWithSettings(t, { red, settings, env: { ...bareEnvironment, ...address, ...login } });
  });
  const [admin, worker] = await Promise.all(instances);
  await Promise.all([admin.untilListening(), worker.untilListening()]);
  await admin.api.deploy([tab('tab'), ...endpoint('tab', 'hello', 'from the package')]);
  await worker.untilAnswers('/api/hello', 'from the package');
});
