'use strict';

/** Opens the cluster for the Node-RED that runs here, and ends the process where it can never work. */

const path = require('node:path');

const { findNpm } = require('./packages/npm.js');
const { remember } = require('./process-wide.js');
const { describeBlock } = require('./settings-block.js');

/** Where an instance keeps what it needs to start without the store, below its user directory. */
const OWN_DIRECTORY = '.node-red-cluster';

/**
 * @param {import('./types').Settings} settings
 * @param {import('./types').Runtime} runtime
 * @returns {{cluster: import('./types').NativeCluster, role: 'admin' | 'worker'}}
 */
function openInstance(settings, runtime) {
  const { log } = runtime;
  remember({
    block: settings.valkey,
    log,
    seeds: /** @type {object | undefined} */ (settings.functionGlobalContext),
    isStarted: () => runtime.isStarted(),
  });
  // Loaded here and not with this file, so that its error reaches Node-RED's log.
  const addon = /** @type {import('./types').Addon} */ (require('./addon.js'));
  const options = {
    settings: describeBlock(settings.valkey),
    credentialSecret: settings.credentialSecret ?? null,
    directory: path.resolve(settings.userDir ?? '.', OWN_DIRECTORY),
    userDirectory: path.resolve(settings.userDir ?? '.'),
    npm: findNpm(settings),
    nodeRed: runtime.version(),
    node: process.version,
  };
  const cluster = addon.openCluster(JSON.stringify(options), (level, line) => {
    log[/** @type {'error' | 'warn' | 'info' | 'debug'} */ (level)](`[cluster] ${line}`);
  });
  remember({ cluster });
  const about = JSON.parse(cluster.about());
  remember({ warnings: about.warnings });
  for (const warning of about.warnings) log.warn(`[cluster] settings.js: ${warning}`);
  log.info(`[cluster] this is a${about.role === 'admin' ? 'n admin' : ' worker'}, the store is ${about.store}, the key prefix is ${about.keyPrefix}`);
  return { cluster, role: about.role };
}

/**
 * Runs a step of the start. What fails here no waiting heals (the store being away is waited for), so it
 * says why and ends the process with 1: Node-RED would stay alive and serve nothing.
 *
 * @template T
 * @param {import('./types').Log} log
 * @param {() => T | Promise<T>} step
 * @returns {Promise<T>}
 */
async function startOrExit(log, step) {
  try {
    return await step();
  } catch (error) {
    const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
    // Node-RED was asked to stop while it waited here, and ends by itself.
    if (code === 'NRC_CLOSED') return new Promise(() => {});
    log.error(`[cluster] cannot start: ${message}${code ? ` [${code}]` : ''}`);
    process.exit(1);
  }
}

module.exports = { openInstance, startOrExit };
