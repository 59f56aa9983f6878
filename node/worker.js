'use strict';

/** A worker's storage: runs what the cluster has, writes nothing that is shared. */

const { adjustPalette } = require('./packages/at-start.js');
const { parseFlows } = require('./slices.js');

/** Settings that the cluster decides; a worker's own copy of them would be stale at its next start. */
const SHARED_SETTINGS = ['_credentialSecret', 'runtimeFlowState'];

/**
 * @param {import('./types').Runtime} runtime
 * @param {import('./types').NativeCluster} cluster
 * @param {import('./types').LocalFiles} files
 * @param {import('./types').Start} start
 * @param {ReturnType<typeof import('./apply').createApplier>} applier
 */
function createWorker(runtime, cluster, files, start, applier) {
  /** @param {string} what */
  const refuse = (what) => {
    throw Object.assign(new Error(`a worker does not save ${what}; do it on the admin`), {
      code: 'NRC_INVALID_REQUEST',
    });
  };
  return {
    async getFlows() {
      const running = runtime.flows.getFlows();
      return running === null ? parseFlows(await cluster.bootFlows()) : running.flows;
    },
    async getCredentials() {
      return JSON.parse(cluster.credentials());
    },
    async saveFlows() {
      if (!applier.takeSave()) refuse('flows');
    },
    async saveCredentials() {
      if (!applier.expectsSave()) refuse('credentials');
    },
    async getSettings() {
      const settings = await files.getSettings();
      if (start.generatedSecret !== null) settings._credentialSecret = start.generatedSecret;
      if (start.state === 'stop') settings.runtimeFlowState = 'stop';
      adjustPalette(settings, JSON.parse(cluster.packagesAtStart()));
      return settings;
    },
    /** @param {Record<string, unknown>} settings */
    async saveSettings(settings) {
      const own = Object.entries(settings).filter(([name]) => !SHARED_SETTINGS.includes(name));
      await files.saveSettings(Object.fromEntries(own));
    },
    async saveLibraryEntry() {
      refuse('library entries');
    },
    /**
     * @param {import('./types').Job} job
     * @returns {Promise<import('./types').JobOutcome>}
     */
    async perform(job) {
      if (job.kind === 'apply') return applier.apply(job);
      if (job.state) await applier.setState(job.state);
      return { applied: true };
    },
    flush: async () => {},
  };
}

module.exports = { createWorker };
