'use strict';

/** The two clusters that a deploy is measured on: ours, and one whose workers reload everything. */

const path = require('node:path');

const { startCluster } = require('../../tests/support/cluster.js');
const { startReadyInstance } = require('../../tests/support/instance.js');
const { startStore } = require('../../tests/support/store.js');

/** @typedef {import('../../tests/support/instance.js').Instance} Instance */
/** @typedef {{name: string, admin: Instance, workers: Instance[]}} Measured */

const WORKERS = 2;

/** JavaScript in each settings.js. */
const MIDDLEWARE = `httpNodeMiddleware: require(${JSON.stringify(path.join(__dirname, 'closed-nodes.js'))}).closedNodes`;
const BASELINE = `storageModule: require(${JSON.stringify(path.join(__dirname, '..', 'baseline-storage.js'))})`;

const SETTINGS = { credentialSecret: 'bench', apiMaxLength: '50mb' };

/**
 * Starts both on one store.
 *
 * @param {import('../../tests/support/cluster.js').Scope} scope
 * @returns {Promise<Measured[]>} ours first
 */
async function startBoth(scope) {
  const store = await startStore({ open: true, config: ['--appendfsync', 'everysec'] });
  scope.after(store.release);
  const ours = await startCluster(scope, {
    workers: WORKERS,
    store,
    settings: SETTINGS,
    source: MIDDLEWARE,
    valkey: { clusterMonitoring: { enabled: true } },
  });
  /** @param {'admin' | 'worker'} role */
  const startBaseline = async (role) => {
    const instance = await startReadyInstance({
      role: 'plain',
      name: `baseline-${role}`,
      settings: { ...SETTINGS, baseline: { role, path: store.socketPath } },
      source: `${BASELINE}, ${MIDDLEWARE}`,
    });
    scope.after(instance.release);
    return instance;
  };
  const admin = await startBaseline('admin');
  const workers = [];
  for (let count = 0; count < WORKERS; count += 1) workers.push(await startBaseline('worker'));
  return [
    { name: 'node-red-cluster', admin: ours.admin, workers: ours.workers },
    { name: 'full reload', admin, workers },
  ];
}

module.exports = { WORKERS, startBoth };
