'use strict';

/** A cluster of real Node-RED processes on a real store. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { join } = require('node:path');
const { withLogin } = require('./addresses');
const { startInstance } = require('./instance');
const secrets = require('./secrets');
const { startStore } = require('./store');
const { until, untilEqual } = require('./wait');

/**
 * @typedef {import('./instance').Instance} Instance
 * @typedef {import('./instance').InstanceOptions} InstanceOptions
 * @typedef {import('./store').Store} Store
 * @typedef {Awaited<ReturnType<typeof startCluster>>} Cluster
 */

/** What a test or a hook registers its clean-up with. */
/** @typedef {{after: (cleanUp: () => Promise<void>) => void}} Scope */

/**
 * @typedef {object} ClusterOptions
 * @property {number} [workers] how many are started, 2 when absent
 * @property {boolean} [admin] false: no admin is started
 * @property {Store} [store] an own one is started when absent
 * @property {string} [version] of Node-RED
 * @property {object} [valkey] more of the `valkey` block, for all instances
 * @property {object} [settings] more settings, for all instances
 * @property {string} [source] more settings as JavaScript, for all instances
 * @property {string[]} [lockKeys] of leader nodes, where they are outside of the prefix: the access rules name them
 * @property {Partial<InstanceOptions>} [adminOptions] for the admin only
 * @property {Partial<InstanceOptions>} [workerOptions] for the workers only
 */

let prefixes = 0;

/**
 * How soon a worker that is told of a deploy runs it, with room for a busy machine: well below the
 * slow poll that catches what no message told. Milliseconds.
 */
const PROMPTLY = 5_000;

/**
 * A request that meets a node while it restarts is never answered by Node-RED: it is given up and
 * made again. Milliseconds.
 */
const ANSWER_LIMIT = 500;

/** Presence is written often, so that tests need not wait for it. Milliseconds. */
const MONITORING = { enabled: true, heartbeatInterval: 500, heartbeatTTL: 3_000 };

/**
 * Starts a cluster with a key prefix of its own, and ends it when the test is over.
 *
 * @param {Scope} scope
 * @param {ClusterOptions} [options]
 */
async function startCluster(scope, options = {}) {
  const { workers: workerCount = 2, version, settings = {}, source } = options;
  const { adminOptions = {}, workerOptions = {} } = options;
  prefixes += 1;
  const prefix = `test-${prefixes}:`;
  /** @type {Instance[]} */
  const instances = [];
  /** @type {Store | undefined} */
  let ownStore;
  scope.after(async () => {
    const leaks = await leaksOf(options.store ?? ownStore, valkeyPrefix(options, prefix));
    const released = await Promise.allSettled(instances.map((instance) => instance.release()));
    await ownStore?.release();
    // Both, so that one finding does not hide another.
    for (const outcome of released) {
      if (outcome.status === 'rejected') leaks.push(String(outcome.reason?.message ?? outcome.reason));
    }
    secrets.assertNone(leaks);
  });
  if (!options.store) ownStore = await startStore();
  const store = options.store ?? /** @type {Store} */ (ownStore);

  /** @param {InstanceOptions} own */
  async function add(own) {
    /** @type {Record<string, any>} */
    const block = {
      host: store.host,
      port: store.port,
      keyPrefix: prefix,
      clusterMonitoring: MONITORING,
      ...options.valkey,
      ...own.valkey,
    };
    const user = (block.role ?? own.role) === 'admin' ? 'nodered-admin' : 'nodered-worker';
    const instance = await startInstance({
      version,
      source,
      ...own,
      settings: { ...settings, ...own.settings },
      valkey: await withLogin(block, user, { lockKeys: options.lockKeys }),
    });
    instances.push(instance);
    return instance;
  }
  /** @param {Partial<InstanceOptions>} [own] */
  const addAdmin = (own = {}) => add({ role: 'admin', ...adminOptions, ...own });
  /** @param {Partial<InstanceOptions>} [own] */
  const addWorker = (own = {}) => {
    const name = `worker-${instances.filter(({ role }) => role === 'worker').length + 1}`;
    return add({ role: 'worker', name, ...workerOptions, ...own });
  };

  /** @type {Instance[]} */
  const workers = [];
  /** @type {Instance | undefined} */
  let admin;
  if (options.admin !== false) admin = await addAdmin();
  for (let count = 0; count < workerCount; count += 1) workers.push(await addWorker());
  await Promise.all(instances.map((instance) => instance.waitUntilReady()));
  await assertLogins(store, instances);

  const cluster = {
    store,
    prefix,
    /** Key of a name, and channel of a name: both carry the prefix. */
    key: (/** @type {string} */ name) => `${prefix}${name}`,
    channel: `${prefix}flows:updated`,
    instances,
    workers,
    get admin() {
      if (!admin) throw new Error('this cluster was started without an admin');
      return admin;
    },
    /** Starts one more instance; its process is started, and not yet ready. */
    addAdmin,
    addWorker,
    /**
     * @param {object[]} flows
     * @param {{type?: import('./api').DeploymentType, rev?: string}} [deployOptions]
     */
    deploy: (flows, deployOptions) => cluster.admin.api.deploy(flows, deployOptions),
    /**
     * Waits until every worker answers an endpoint with a text.
     * @param {string} path
     * @param {string} text
     * @param {{timeout?: number, on?: Instance[]}} [waitOptions]
     */
    async untilAnswers(path, text, { timeout, on = workers } = {}) {
      const answers = () =>
        Promise.all(on.map(async (one) => (await one.get(path, { timeout: ANSWER_LIMIT })).text));
      const message = `/${path} is answered with ${text}`;
      await untilEqual(answers, on.map(() => text), { message, timeout }).catch((error) => {
        throw withLogs(error, on);
      });
    },
    /**
     * Waits until the probes of every worker are as expected.
     * @param {(report: import('./instance').ProbeReport) => boolean} condition
     * @param {{message: string, timeout?: number, on?: Instance[]}} waitOptions
     */
    async untilProbes(condition, { message, timeout, on = workers }) {
      await until(
        async () => (await Promise.all(on.map((one) => one.probes()))).every(condition),
        { message, timeout },
      ).catch((error) => {
        throw withLogs(error, on);
      });
    },
    /**
     * Waits until an instance has the newest revision on its disk, which it writes once the revision runs.
     * @param {Instance} instance
     */
    async untilKept(instance) {
      const number = await cluster.revisionNumber();
      const file = join(instance.userDir, '.node-red-cluster', 'last-good-revision');
      await until(() => JSON.parse(fs.readFileSync(file, 'utf8').split('\n')[0]).head.revision.number === number, {
        message: `${instance.name} keeps revision ${number}`,
      });
    },
    /** @returns {Promise<Record<string, any>>} presence records by instance id */
    async presence(role = 'worker') {
      const keys = await store.keys(`${prefix}cluster:${role}:*`);
      const records = await Promise.all(keys.map((key) => store.json(key)));
      return Object.fromEntries(records.filter(Boolean).map((record) => [record.id, record]));
    },
    /**
     * @param {Instance} instance
     * @returns {Promise<any>} its presence record, undefined while it has none
     */
    async presenceOf(instance) {
      const records = Object.values(await cluster.presence(instance.role));
      return records.find(({ pid }) => pid === instance.pid());
    },
    /** @returns {Promise<Record<string, string>>} */
    revision: () => store.hash(`${prefix}revision`),
    /** @returns {Promise<number>} */
    revisionNumber: async () => Number((await cluster.revision()).number ?? 0),
    /**
     * @param {string} name below the prefix
     * @param {() => Promise<unknown>} action
     * @returns {Promise<void>} checks that an action does not change a key's value
     */
    async assertUnchanged(name, action) {
      const before = await store.commandBytes('GET', `${prefix}${name}`);
      await action();
      assert.deepEqual(await store.commandBytes('GET', `${prefix}${name}`), before, name);
    },
  };
  return cluster;
}

/**
 * Nothing but the users of the access rules is logged in at the store, and each role as its own.
 *
 * @param {Store} store
 * @param {Instance[]} instances that are there
 */
async function assertLogins(store, instances) {
  if (!store.hasDocumentedUsers) return;
  const names = await store.loggedIn();
  for (const { role } of instances) assert.ok(names.includes(`nodered-${role}`), `a ${role} is logged in as nodered-${role}: ${names}`);
  assert.deepEqual(names.filter((name) => !/^nodered-(admin|worker|leader)$/.test(name)), [], 'nobody else is logged in');
}

/**
 * @param {ClusterOptions} options
 * @param {string} own
 * @returns {string} the prefix that the instances use
 */
function valkeyPrefix({ valkey = {} }, own) {
  const { keyPrefix = own } = /** @type {{keyPrefix?: string}} */ (valkey);
  return keyPrefix.endsWith(':') ? keyPrefix : `${keyPrefix}:`;
}

/**
 * Registers the secret that the cluster generated, and looks for secrets in what the store shows to everyone.
 *
 * @param {Store | undefined} store
 * @param {string} prefix
 * @returns {Promise<string[]>}
 */
async function leaksOf(store, prefix) {
  // A test may leave its store stopped or frozen: then there is nothing to look at.
  if (!store?.isRunning()) return [];
  secrets.register((await store.hash(`${prefix}secret`)).generated, 'the generated credential secret');
  const keys = (await Promise.all(['cluster:*', 'revision', 'history', 'packages*', 'leader*'].map((name) => store.keys(prefix + name)))).flat();
  const texts = await Promise.all(keys.map(async (key) => {
    const kind = await store.command('TYPE', key);
    if (kind === 'string') return secrets.leaksIn(String(await store.command('GET', key)), `the key ${key}`);
    if (kind === 'hash' && !/tarballs$/.test(key)) return secrets.leaksIn(JSON.stringify(await store.hash(key)), `the key ${key}`);
    return [];
  }));
  return texts.flat();
}

/**
 * @param {Error} error
 * @param {Instance[]} instances
 * @returns {Error} the same with the end of each instance's log
 */
function withLogs(error, instances) {
  const logs = instances.map((one) => `--- log of ${one.name}\n${one.log().slice(-3_000)}`);
  error.message = [error.message, ...logs].join('\n');
  return error;
}

module.exports = { PROMPTLY, startCluster };
