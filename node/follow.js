'use strict';

/** Does what the cluster asks of this instance, one thing after the other, as long as it lives. */

/**
 * @param {import('./types').NativeCluster} cluster
 * @param {import('./types').Runtime['log']} log
 * @param {(job: import('./types').Job) => Promise<import('./types').JobOutcome>} perform
 * @returns {Promise<void>} when the cluster is closed
 */
async function follow(cluster, log, perform) {
  for (;;) {
    const job = await cluster.nextJob();
    if (job === null) return;
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
}

module.exports = { follow };
