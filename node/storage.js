'use strict';

/**
 * `require('node-red-cluster/storage')`: Node-RED's storage module. All methods are own properties,
 * because Node-RED looks for them with `hasOwnProperty`.
 */

const { createAdmin } = require('./admin.js');
const { createApplier } = require('./apply.js');
const { createFollowing } = require('./follow.js');
const { openInstance, startOrExit } = require('./instance.js');
const { findLocalFiles } = require('./local-files.js');
const { followPackages } = require('./packages/follow.js');
const { waitForModules } = require('./packages/modules.js');
const { tellPalette, watchPalette } = require('./packages/palette.js');
const { prepareRestart } = require('./packages/restart.js');
const { whenBooted, whenListening } = require('./runtime-events.js');
const { leaveOnShutdown } = require('./shutdown.js');
const { createWorker } = require('./worker.js');

/** @typedef {ReturnType<typeof createAdmin> | ReturnType<typeof createWorker>} Instance */

/** @type {import('./types').NativeCluster} */
let cluster;
/** @type {import('./types').LocalFiles} */
let files;
/** @type {Instance} */
let instance;
/** @type {'admin' | 'worker'} */
let role;

/**
 * @param {import('./types').Settings} settings
 * @param {import('./types').Runtime} runtime
 * @returns {Promise<void>}
 */
async function init(settings, runtime) {
  const { log } = runtime;
  files = findLocalFiles(settings);
  await startOrExit(log, () => {
    ({ cluster, role } = openInstance(settings, runtime));
  });
  leaveOnShutdown(runtime, cluster, async () => instance?.flush());
  await files.init(settings, runtime);
  const secrets = await secretsOnDisk();
  /** @type {import('./types').Start} */
  const start = JSON.parse(await startOrExit(log, () => cluster.start(secrets)));
  const applier = role === 'admin'
    ? createApplier(runtime)
    : createApplier(runtime, (names) => cluster.lackingModules(names));
  const booted = whenBooted(runtime.events);
  const restart = prepareRestart(runtime, booted);
  const following = createFollowing(cluster, log);
  instance = role === 'admin'
    ? createAdmin(runtime, cluster, files, start, applier, following)
    : createWorker(runtime, cluster, files, start, applier);
  if (role === 'admin') {
    watchPalette(runtime, cluster);
  } else {
    waitForModules(runtime, cluster);
  }
  followOnceBooted(runtime, booted, following, restart).catch((error) => log.error(`[cluster] this instance no longer follows the cluster: ${error.stack}`));
}

/** @returns {Promise<string[]>} a secret that Node-RED generated before it joined the cluster */
async function secretsOnDisk() {
  if (role !== 'admin') return [];
  const { _credentialSecret: secret } = await files.getSettings();
  return typeof secret === 'string' ? [secret] : [];
}

/**
 * The first apply waits for the start of Node-RED: two at once would leave nodes behind that nobody stops.
 *
 * @param {import('./types').Runtime} runtime
 * @param {ReturnType<typeof whenBooted>} booted
 * @param {ReturnType<typeof createFollowing>} following
 * @param {() => Promise<void>} restart
 */
async function followOnceBooted(runtime, booted, following, restart) {
  const { events, log } = runtime;
  const { missingTypes, missingModules, error } = await booted;
  if (error) log.error(`[cluster] the flows of the start do not run: ${error}`);
  let missing = missingTypes;
  if (missing.length > 0) {
    // Node-RED starts them by itself once their types are there.
    events.once('flows:started', () => {
      missing = [];
      cluster.booted(missing);
    });
  }
  // An instance that came back from a restart is back when it answers.
  await whenListening(runtime);
  if ('seed' in instance) {
    await instance.seed().catch((failure) => log.error(`[cluster] ${failure.message}`));
  }
  if (role === 'admin') {
    tellPalette(runtime, cluster);
    cluster.booted(missing);
  } else if (missingModules.length > 0) {
    cluster.stalled(missingModules);
  } else {
    cluster.booted(missing);
  }
  const packages = followPackages(runtime, cluster, restart);
  packages.catch((failure) => log.error(`[cluster] this instance no longer follows packages: ${failure.stack}`));
  events.on('type-registered', () => cluster.forgive());
  await following.follow(instance.perform);
}

/**
 * Node-RED reads `projects` before it calls `init`, so this stands for what is known only afterwards.
 * A worker has no project: it runs what the admin publishes.
 */
const projects = new Proxy({}, {
  get(_target, name) {
    if (role === 'worker' && name === 'getActiveProject') return () => undefined;
    return Reflect.get(files.projects, name);
  },
  has: (_target, name) => Reflect.has(files.projects, name),
});

module.exports = {
  projects,
  init,
  getFlows: () => instance.getFlows(),
  getCredentials: () => instance.getCredentials(),
  /**
   * @param {import('./types').FlowNode[]} flows
   * @param {{username?: string}} [user]
   */
  saveFlows: (flows, user) => instance.saveFlows(flows, user),
  /** @param {Record<string, unknown>} credentials */
  saveCredentials: (credentials) => instance.saveCredentials(credentials),
  getSettings: () => instance.getSettings(),
  /** @param {Record<string, unknown>} settings */
  saveSettings: (settings) => instance.saveSettings(settings),
  getSessions: async () => JSON.parse(await cluster.readSessions()),
  /** @param {Record<string, unknown>} sessions serialised at once: Node-RED goes on changing it */
  saveSessions: async (sessions) => {
    await cluster.saveSessions(JSON.stringify(sessions));
  },
  /**
   * @param {string} type
   * @param {string} path
   */
  getLibraryEntry: async (type, path) => {
    const entry = JSON.parse(await cluster.libraryEntry(type, path).catch((error) => {
      // Node-RED's own file storage answers without a code, and its API then with 400.
      throw error.code === 'NRC_NOT_FOUND' ? new Error(`Library Entry not found ${path}`) : error;
    }));
    return 'body' in entry ? entry.body : entry.items;
  },
  /**
   * @param {string} type
   * @param {string} path
   * @param {Record<string, unknown>} meta
   * @param {string} body
   */
  saveLibraryEntry: (type, path, meta, body) => instance.saveLibraryEntry(type, path, meta, body),
};
