'use strict';

/** A cluster whose npm uses a registry of the test, and what a user of the palette does on its admin. */

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');
const { startCluster } = require('./cluster');
const { tab } = require('./flows');
const { npmEnvironment } = require('./packages');
const { startRegistry } = require('./registry');
const { until, untilEqual } = require('./wait');

/** npm takes its time on a busy machine. Milliseconds. */
const INSTALLED = 60_000;

/**
 * @typedef {import('./instance').Instance} Instance
 * @typedef {Awaited<ReturnType<typeof startPackageCluster>>} PackageCluster
 */

/**
 * @param {import('./cluster').Scope} scope
 * @param {import('./cluster').ClusterOptions} [options]
 */
async function startPackageCluster(scope, options = {}) {
  const registry = await startRegistry(scope);
  // As on two machines: each has an npm of its own.
  const environment = () => npmEnvironment(registry);
  const cluster = await startCluster(scope, {
    ...options,
    settings: { externalModules: {}, ...options.settings },
    adminOptions: { env: environment(), ...options.adminOptions },
    workerOptions: { env: environment(), ...options.workerOptions },
  });

  /**
   * @param {string} method
   * @param {string} where below /nodes
   * @param {object} [body]
   */
  async function palette(method, where, body) {
    const response = await fetch(`${cluster.admin.adminUrl}/nodes${where}`, {
      method,
      headers: { 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    assert.ok(response.ok, `${method} /nodes${where}: ${response.status} ${text}\n${cluster.admin.log().slice(-3_000)}`);
    return text;
  }

  return Object.assign(cluster, {
    registry,
    environment,
    /**
     * @param {string} module
     * @param {string} [version]
     */
    install: (module, version) => palette('POST', '', { module, version }),
    /** @param {string} module */
    remove: (module) => palette('DELETE', `/${module}`),
    /**
     * @param {string} id of a module or a node set
     * @param {boolean} enabled
     */
    enable: (id, enabled) => palette('PUT', `/${id}`, { enabled }),
    /** @param {Buffer} tarball */
    async upload(tarball) {
      const form = new FormData();
      form.append('tarball', new Blob([new Uint8Array(tarball)]), 'package.tgz');
      const response = await fetch(`${cluster.admin.adminUrl}/nodes`, { method: 'POST', body: form });
      assert.ok(response.ok, `upload: ${response.status} ${await response.text()}\n${cluster.admin.log().slice(-3_000)}`);
    },
    /** @returns {Promise<Record<string, string>>} what an operator reads in the store */
    packages: async () => (await cluster.store.json(cluster.key('packages'))) ?? {},
    /** @returns {Promise<number>} */
    packagesRevision: async () => Number((await cluster.store.hash(cluster.key('packages-revision'))).number ?? 0),
    /**
     * @param {Instance} instance
     * @returns {Promise<any>} what its presence record says of packages
     */
    packagesOf: async (instance) => (await cluster.presenceOf(instance))?.packages,
    /**
     * Waits until instances have packages in a state.
     * @param {Record<string, unknown>} expected part of what the presence record says
     * @param {{on?: Instance[], timeout?: number}} [waitOptions]
     */
    async untilPackages(expected, { on = cluster.workers, timeout = INSTALLED } = {}) {
      const keys = Object.keys(expected);
      const states = () => Promise.all(on.map(async (one) => {
        const packages = (await cluster.presenceOf(one))?.packages ?? {};
        return Object.fromEntries(keys.map((key) => [key, packages[key]]));
      }));
      const message = `packages are ${JSON.stringify(expected)}`;
      await untilEqual(states, on.map(() => expected), { message, timeout }).catch((error) => {
        error.message = [error.message, ...on.map((one) => `--- log of ${one.name}\n${one.log().slice(-3_000)}`)].join('\n');
        throw error;
      });
    },
    /**
     * Waits until an endpoint is answered so on all of these workers.
     * @param {string} endpointPath
     * @param {string} text
     * @param {Instance[]} [on]
     */
    untilSays: (endpointPath, text, on = cluster.workers) => cluster.untilAnswers(endpointPath, text, { on, timeout: INSTALLED }),
  });
}

/**
 * A flow whose endpoint answers what a node says.
 *
 * @param {string} endpointPath below httpNodeRoot
 * @param {string} type of the node
 * @returns {import('./flows').FlowNode[]}
 */
function saying(endpointPath, type) {
  return [
    { id: `${endpointPath}-in`, type: 'http in', z: 'tab', name: '', url: `/${endpointPath}`, method: 'get', upload: false, x: 100, y: 100, wires: [[`${endpointPath}-node`]] },
    { id: `${endpointPath}-node`, type, z: 'tab', name: '', x: 300, y: 100, wires: [[`${endpointPath}-out`]] },
    { id: `${endpointPath}-out`, type: 'http response', z: 'tab', name: '', statusCode: '', headers: {}, x: 500, y: 100, wires: [] },
  ];
}

/**
 * A flow whose endpoint answers what a module exports, as a Function node sees it.
 *
 * @param {string} endpointPath below httpNodeRoot
 * @param {string} module
 * @returns {import('./flows').FlowNode[]}
 */
function telling(endpointPath, module) {
  const [incoming, node, outgoing] = saying(endpointPath, 'function');
  const libs = [{ var: 'theModule', module }];
  Object.assign(node, { func: 'msg.payload = String(theModule);\nreturn msg;', outputs: 1, timeout: 0, noerr: 0, initialize: '', finalize: '', libs });
  return [incoming, node, outgoing];
}

/**
 * Starts an instance again whenever it ends by itself, as an orchestrator does, until the test is over.
 *
 * @param {import('./cluster').Scope} scope
 * @param {Instance[]} instances
 * @returns {{exits: {name: string, code: number | null, at: number, back: number}[]}} in ms since 1970
 */
function keepRunning(scope, instances) {
  /** @type {{name: string, code: number | null, at: number, back: number}[]} */
  const exits = [];
  let over = false;
  const kept = instances.map(async (instance) => {
    while (!over) {
      const ended = await until(() => over || !instance.isRunning(), { message: 'the end', timeout: 10 * 60_000 });
      if (over || !ended) return;
      const { code } = await instance.waitForExit();
      const exit = { name: instance.name, code, at: Date.now(), back: 0 };
      exits.push(exit);
      instance.start();
      await instance.waitUntilReady();
      exit.back = Date.now();
    }
  });
  scope.after(async () => {
    over = true;
    await Promise.all(kept);
  });
  return { exits };
}

/**
 * @param {Instance} instance
 * @returns {Record<string, string>} the dependencies in the package.json of its user directory
 */
function dependenciesOf(instance) {
  return JSON.parse(fs.readFileSync(path.join(instance.userDir, 'package.json'), 'utf8')).dependencies ?? {};
}

/**
 * @param {Instance} instance
 * @returns {string} the folder that the cluster's packages lie in, and what npm is told about them
 */
function treeOf(instance) {
  return path.join(instance.userDir, '.node-red-cluster', 'packages', 'tree');
}

/**
 * @param {Instance} instance
 * @returns {Record<string, string>} the version of each package that npm installed for the cluster at the top
 */
function treeVersionsOf(instance) {
  const modules = path.join(treeOf(instance), 'node_modules');
  if (!fs.existsSync(modules)) return {};
  const names = fs.readdirSync(modules).flatMap((name) => {
    if (name.startsWith('.')) return [];
    return name.startsWith('@') ? fs.readdirSync(path.join(modules, name)).map((inner) => `${name}/${inner}`) : [name];
  });
  const version = (/** @type {string} */ name) => JSON.parse(fs.readFileSync(path.join(modules, name, 'package.json'), 'utf8')).version;
  return Object.fromEntries(names.map((name) => [name, version(name)]));
}

/**
 * Runs npm as a person at a terminal would.
 *
 * @param {string} folder
 * @param {NodeJS.ProcessEnv} env in which it finds its registry
 * @param {...string} words
 */
async function npm(folder, env, ...words) {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith('npm_'));
  await promisify(execFile)('npm', words, { cwd: folder, env: { ...Object.fromEntries(entries), ...env } });
}

module.exports = { INSTALLED, dependenciesOf, keepRunning, npm, saying, startPackageCluster, tab, telling, treeOf, treeVersionsOf };
