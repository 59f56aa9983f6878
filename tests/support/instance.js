'use strict';

/** One real Node-RED process. */

const fs = require('node:fs');
const path = require('node:path');
const { withLogin } = require('./addresses');
const { createApi } = require('./api');
const { ROOT, removeDirectory, temporaryDirectory } = require('./directories');
const { request } = require('./http');
const { untilFlowsStarted } = require('./leader-records');
const { freePort } = require('./ports');
const { startProcess } = require('./processes');
const secrets = require('./secrets');
const { until } = require('./wait');

/** Version of Node-RED that a test runs on unless it asks for another: '4' or '5'. */
const DEFAULT_VERSION = process.env.NODE_RED_VERSION || '4';

/** The module under test. */
const STORAGE = path.join(ROOT, 'node', 'storage.js');

/**
 * @param {string} version
 * @returns {{node: string, red: string}} the Node.js and the red.js to start
 */
function findNodeRed(version) {
  if (version === '4') return { node: process.execPath, red: require.resolve('node-red/red.js') };
  const modules = path.join(ROOT, '.cache', 'node-red-5', 'node_modules');
  return {
    node: path.join(modules, '.bin', 'node'),
    red: path.join(modules, 'node-red', 'red.js'),
  };
}

/**
 * @typedef {'admin' | 'worker' | 'plain'} Role
 *   plain: Node-RED with its own file storage and no cluster
 */

/**
 * @typedef {object} InstanceOptions
 * @property {Role} role
 * @property {string} [name] shown in messages; the role when absent
 * @property {string} [version] '4' or '5'
 * @property {string} [userDir] a fresh one when absent
 * @property {object} [valkey] the `valkey` block; role is filled in unless it is there
 * @property {object} [settings] more settings, as JSON
 * @property {string} [source] JavaScript: more settings as the inside of an object literal,
 *   for what JSON cannot say
 * @property {NodeJS.ProcessEnv} [env] more environment variables
 */

/**
 * @typedef {ReturnType<typeof describeInstance>} Instance
 */

/**
 * Starts a Node-RED.
 *
 * @param {InstanceOptions} options
 * @returns {Promise<Instance>} its process is started, and not yet ready
 */
async function startInstance(options) {
  registerSecrets(options);
  const instance = describeInstance(await loggedIn(options), await freePort());
  instance.start();
  return instance;
}

/**
 * Starts a Node-RED and waits until it answers.
 *
 * @param {InstanceOptions} options
 * @returns {Promise<Instance>}
 */
async function startReadyInstance(options) {
  const instance = await startInstance(options);
  await instance.waitUntilReady();
  // Without our storage Node-RED answers before it has loaded its flows, and what is deployed until then is overwritten.
  if (options.role === 'plain') await untilFlowsStarted(instance);
  return instance;
}

/**
 * SIGSTOP reaches one thread first, and the others when that one is next scheduled.
 *
 * @param {number} pid
 */
function isStopped(pid) {
  // Elsewhere nothing tells.
  if (process.platform !== 'linux') return true;
  const threads = fs.readdirSync(`/proc/${pid}/task`);
  // The state stands behind the name, which is in parentheses and may hold anything.
  return threads.every((thread) => /\) T [^)]*$/.test(fs.readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8')));
}

/** @param {InstanceOptions} options */
function registerSecrets({ valkey, settings = {}, env = {} }) {
  const { valkey: plain, credentialSecret } = /** @type {Record<string, any>} */ (settings);
  for (const block of [valkey, plain]) {
    const { password, sentinelPassword, tls } = /** @type {Record<string, any>} */ (block ?? {});
    for (const secret of [password, sentinelPassword, tls?.passphrase]) secrets.register(secret, 'a password of the settings');
  }
  secrets.register(credentialSecret || undefined, 'the credential secret');
  secrets.registerEnvironment(env);
}

/**
 * @param {InstanceOptions} options
 * @returns {Promise<InstanceOptions>} with the login of its role at the store, unless they say who logs in
 */
async function loggedIn(options) {
  const { role, valkey, settings } = options;
  const { valkey: block } = /** @type {{valkey?: Record<string, any>}} */ (settings ?? {});
  return {
    ...options,
    ...(valkey && { valkey: await withLogin(valkey, role === 'admin' ? 'nodered-admin' : 'nodered-worker') }),
    ...(block && { settings: { ...settings, valkey: await withLogin(block, 'nodered-worker') } }),
  };
}

/**
 * @param {InstanceOptions} options
 * @param {number} port
 */
function describeInstance(options, port) {
  const { role, name = role, version = DEFAULT_VERSION, env = {} } = options;
  const userDir = options.userDir ?? temporaryDirectory(name);
  const settingsFile = path.join(userDir, 'settings.js');
  const nodeUrl = `http://127.0.0.1:${port}/api`;
  let log = '';
  /** @type {import('./processes').Child | undefined} */
  let child;

  function current() {
    if (!child) throw new Error(`${name} was never started`);
    return child;
  }

  function start() {
    fs.mkdirSync(userDir, { recursive: true });
    fs.writeFileSync(settingsFile, settingsText(options, port));
    const { node, red } = findNodeRed(version);
    child = startProcess(node, [red, '--userDir', userDir, '--settings', settingsFile], {
      cwd: userDir,
      env: { ...cleanEnvironment(), ...env },
      onOutput: (text) => {
        log += text;
      },
    });
  }

  /**
   * @param {RegExp} pattern
   * @param {{timeout?: number, from?: number}} [options] from: length of the log to skip
   */
  function waitForLog(pattern, { timeout, from = 0 } = {}) {
    return until(() => log.slice(from).match(pattern), {
      message: `${name} logs ${pattern}; its log was:\n${log}`,
      timeout,
    });
  }

  async function waitUntilReady() {
    await until(
      async () => {
        if (!current().isRunning()) return true;
        return (await request(`${nodeUrl}/probe`, { timeout: 2_000 })).status === 200;
      },
      { message: `${name} answers on port ${port}`, timeout: 30_000 },
    ).catch((error) => {
      throw new Error(`${error.message}; its log was:\n${log}`);
    });
    if (!current().isRunning()) throw new Error(`${name} ended before it was ready:\n${log}`);
  }

  return {
    name,
    role,
    port,
    userDir,
    options,
    nodeUrl,
    adminUrl: `http://127.0.0.1:${port}/admin`,
    /** The editor's API; only an admin answers. */
    api: createApi(`http://127.0.0.1:${port}/admin`),
    /** All that the process printed, over all its starts. */
    log: () => log,
    pid: () => current().pid,
    isRunning: () => current().isRunning(),
    start,
    waitForLog,
    waitUntilReady,
    /**
     * @param {NodeJS.Signals} signal
     */
    signal: (signal) => current().signal(signal),
    /** The process hangs: its connections stay open, it does nothing. Returns once no thread of it runs any more. */
    async pause() {
      current().signal('SIGSTOP');
      await until(() => isStopped(current().pid), { message: `${name} is stopped`, interval: 1 });
    },
    resume: () => current().signal('SIGCONT'),
    /** @returns {Promise<import('./processes').Exit>} SIGKILL, and waits */
    kill: () => current().kill(),
    /** @returns {Promise<import('./processes').Exit>} SIGTERM, and waits */
    async stop() {
      current().signal('SIGTERM');
      return current().exited;
    },
    /** Stops in order and starts again with the same user directory and port. */
    async restart() {
      current().signal('SIGTERM');
      await current().exited;
      start();
      await waitUntilReady();
    },
    /**
     * Waits until the process has ended by itself.
     * @param {{timeout?: number}} [options] ms
     * @returns {Promise<import('./processes').Exit>}
     */
    async waitForExit({ timeout } = {}) {
      const message = `${name} ends`;
      await until(() => !current().isRunning(), { message, timeout }).catch((error) => {
        throw new Error(`${error.message}; its log was:\n${log}`);
      });
      return current().exited;
    },
    /**
     * @param {string} endpointPath below httpNodeRoot
     * @param {{timeout?: number}} [options] ms
     * @returns {Promise<import('./http').Answer>}
     */
    get: (endpointPath, { timeout = 10_000 } = {}) => request(`${nodeUrl}/${endpointPath}`, { timeout }),
    /** @returns {Promise<ProbeReport>} what the tests' palette tells about this process */
    probes: async () => (await request(`${nodeUrl}/probe`, { timeout: 10_000 })).body,
    /**
     * Registers a node type in the running process, as installing its package would.
     * @param {string} type
     */
    registerType: (type) => request(`${nodeUrl}/probe/types/${type}`, { method: 'POST' }),
    /** Ends the process, looks for secrets in what it said and wrote, and removes its user directory. */
    async release() {
      if (child) await child.kill();
      const leaks = [...secrets.leaksIn(log, `the log of ${name}`), ...secrets.leaksInFiles(userDir, `a file of ${name}`)];
      removeDirectory(userDir);
      secrets.assertNone(leaks);
    },
  };
}

/**
 * @typedef {object} ProbeReport
 * @property {number} pid
 * @property {Record<string, number>} starts by node id
 * @property {Record<string, number>} closes by node id
 * @property {Record<string, {value?: string, username?: string, password?: string}>} live by node id
 */

/**
 * The environment without what would configure a store or a Node-RED.
 *
 * @returns {NodeJS.ProcessEnv}
 */
function cleanEnvironment() {
  const entries = Object.entries(process.env);
  return Object.fromEntries(
    entries.filter(([key]) => !/^(REDIS|VALKEY|NODE_RED)_|^NODE_TEST_CONTEXT$/.test(key)),
  );
}

/**
 * @param {InstanceOptions} options
 * @param {number} port
 * @returns {string} the text of settings.js
 */
function settingsText({ role, valkey = {}, settings = {}, source = '' }, port) {
  const base = {
    uiHost: '127.0.0.1',
    uiPort: port,
    httpAdminRoot: role === 'worker' ? false : '/admin',
    httpNodeRoot: '/api',
    flowFile: 'flows.json',
    // The tests' own palette, and the nodes of this package.
    nodesDir: [path.join(__dirname, 'nodes'), ROOT],
    telemetry: { enabled: false, updateNotification: false },
    externalModules: { palette: { allowInstall: false } },
    ...(role === 'plain' ? {} : { valkey: { role, ...valkey } }),
    ...settings,
  };
  const storage = role === 'plain' ? '' : `storageModule: require(${JSON.stringify(STORAGE)}),`;
  return [
    'module.exports = Object.assign(',
    `  ${JSON.stringify(base, null, 2)},`,
    `  { ${storage} },`,
    `  { ${source} },`,
    ');',
    '',
  ].join('\n');
}

module.exports = { DEFAULT_VERSION, STORAGE, startInstance, startReadyInstance };
