'use strict';

/** The settings files in `deploy/`, started as a real cluster outside containers. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { before, test } = require('node:test');
const { createApi } = require('./support/api');
const { ROOT, temporaryDirectory } = require('./support/directories');
const { endpoint, tab } = require('./support/flows');
const { startProcess } = require('./support/processes');
const { fileScope } = require('./support/scope');
const { startWithSettings } = require('./support/settings-file');
const { startStore } = require('./support/store');
const { until } = require('./support/wait');

const ADMIN = path.join(ROOT, 'deploy', 'settings', 'admin.js');
const WORKER = path.join(ROOT, 'deploy', 'settings', 'worker.js');
const HEALTHCHECK = path.join(ROOT, 'deploy', 'docker', 'healthcheck.js');
const STORE_PASSWORD = 'password of the store';
const EDITOR_PASSWORD = 'password of the editor';
const EDITOR_PASSWORD_HASH = '$2b$04$njMHGDJnyZVmCaKfKKNvOO2e1bLMcPUJ6kX8HClgO.gqJzyDt94by';

const scope = fileScope();
const red = require.resolve('node-red/red.js');
const secrets = temporaryDirectory('secrets');
/** @type {import('./support/store').Store} */
let store;

before(async () => {
  store = await startStore({ password: STORE_PASSWORD });
  scope.after(() => store.release());
});

/**
 * @param {string} name
 * @param {string} value
 * @returns {string} path of a file as containers mount secrets
 */
function secretFile(name, value) {
  const file = path.join(secrets, name);
  fs.writeFileSync(file, `${value}\n`);
  return file;
}

/**
 * @param {Record<string, string>} variables
 * @returns {Record<string, string | undefined>} an environment with these and nothing else of the kind
 */
function environment(variables) {
  return { PATH: process.env.PATH, HOME: process.env.HOME, ...variables };
}

/** @returns {Record<string, string>} the store's address and its password's file, as the container platforms give them */
function addressOfStore() {
  return {
    VALKEY_HOST: store.host,
    VALKEY_PORT: String(store.port),
    VALKEY_PASSWORD_FILE: secretFile('valkey-password', STORE_PASSWORD),
  };
}

/**
 * @param {number} port
 * @returns {Promise<number | null>} exit code
 */
async function runHealthcheck(port) {
  const child = startProcess(process.execPath, [HEALTHCHECK], {
    cwd: ROOT,
    env: environment({ PORT: String(port) }),
    onOutput: () => {},
  });
  return (await child.exited).code;
}

test('the settings files make a cluster whose workers answer with what the editor deploys', async (t) => {
  const prefix = { VALKEY_KEY_PREFIX: 'settings-files' };
  const admin = await startWithSettings(t, {
    red,
    settings: ADMIN,
    env: environment({
      ...addressOfStore(),
      ...prefix,
      NODE_RED_CREDENTIAL_SECRET_FILE: secretFile('credential-secret', 'secret of the credentials'),
      NODE_RED_ADMIN_USER: 'operator',
      NODE_RED_ADMIN_PASSWORD_HASH_FILE: secretFile('admin-password-hash', EDITOR_PASSWORD_HASH),
    }),
  });
  const address = `redis://:${encodeURIComponent(STORE_PASSWORD)}@${store.host}:${store.port}`;
  const credentialSecret = { NODE_RED_CREDENTIAL_SECRET: 'secret of the credentials' };
  const workers = [
    await startWithSettings(t, { red, settings: WORKER, env: environment({ ...addressOfStore(), ...prefix, ...credentialSecret }) }),
    await startWithSettings(t, { red, settings: WORKER, env: environment({ VALKEY_URL: address, ...prefix, ...credentialSecret }) }),
  ];
  for (const instance of [admin, ...workers]) await instance.untilListening();

  assert.equal((await admin.get('/admin/flows')).status, 401, 'the editor asks for its password');
  const token = await admin.api.login('operator', EDITOR_PASSWORD);
  const editor = createApi(`http://127.0.0.1:${admin.port}/admin`, token);
  await editor.deploy([tab('tab'), ...endpoint('tab', 'hello', 'deployed')]);

  for (const worker of workers) {
    await worker.untilAnswers('/api/hello', 'deployed');
    assert.equal((await worker.get('/admin/')).status, 404, 'a worker has no editor');
    assert.equal(await runHealthcheck(worker.port), 0, 'a worker is healthy');
  }
  assert.ok(await store.json('settings-files:flows'), 'the key prefix holds');
  assert.equal((await workers[0].stop()).code, 0, 'a worker ends in order');
  assert.equal(await runHealthcheck(workers[0].port), 1, 'a worker that ended is not healthy');
});

test('the editor asks for no password where no hash is set', async (t) => {
  const env = environment({ ...addressOfStore(), VALKEY_KEY_PREFIX: 'open-editor' });
  const admin = await startWithSettings(t, { red, settings: ADMIN, env });
  await admin.untilListening();
  await until(async () => (await admin.get('/admin/flows')).status === 200, { message: 'the editor is open' });
});

test('an instance whose secret is not mounted does not start, and says which file it wanted', async (t) => {
  const missing = path.join(secrets, 'nothing-here');
  for (const variable of ['VALKEY_PASSWORD_FILE', 'NODE_RED_ADMIN_PASSWORD_HASH_FILE']) {
    const env = environment({ ...addressOfStore(), [variable]: missing });
    const admin = await startWithSettings(t, { red, settings: ADMIN, env });
    assert.equal((await admin.untilEnded()).code, 1);
    assert.match(admin.log(), /nothing-here/);
  }
});

test('the health check accepts any answer and refuses silence', async (t) => {
  const answering = http.createServer((_request, response) => response.writeHead(404).end());
  const silent = http.createServer(() => {});
  for (const server of [answering, silent]) {
    await new Promise((resolve) => void server.listen(0, '127.0.0.1', () => resolve(undefined)));
    t.after(() => server.close().closeAllConnections());
  }
  const portOf = (/** @type {http.Server} */ server) => /** @type {import('node:net').AddressInfo} */ (server.address()).port;
  assert.equal(await runHealthcheck(portOf(answering)), 0);
  assert.equal(await runHealthcheck(portOf(silent)), 1);
});
