'use strict';

/** Does what the cluster asks of this instance, one thing after the other, as long as it lives. */

const { insist } = require('./insist.js');

/**
 * @param {import('./types').NativeCluster} cluster
 * @param {import('./types').Runtime['log']} log
 */
function createFollowing(cluster, log) {
  /** @type {Promise<void>} */
  let current = Promise.resolve();

  /**
   * @param {import('./types').Job} job
   * @param {(job: import('./types').Job) => Promise<import('./types').JobOutcome>} perform
   */
  async function carryOut(job, perform) {
    /** @type {import('./types').JobOutcome} */
    let outcome;
    try {
      outcome = await perform(job);
    } catch (error) {
      const { message, stack } = /** @type {Error} */ (error);
      log.debug(`[cluster] ${stack}`);
      outcome = { error: message };
    }
    await cluster.done(JSON.stringify(outcome));
  }

  return {
    /**
     * @param {(job: import('./types').Job) => Promise<import('./types').JobOutcome>} perform
     * @returns {Promise<void>} when the cluster is closed
     */
    async follow(perform) {
      await insist('what follows the deploys of this instance', log, async () => {
        const job = await cluster.nextJob();
        if (job === null) return false;
        current = carryOut(job, perform);
        await current;
        return true;
      });
    },
    /** @returns {Promise<void>} when what is being done at this moment is done */
    settled: () => current,
  };
}

module.exports = { createFollowing };
