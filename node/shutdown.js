'use strict';

/** Leaves the cluster in order when Node-RED stops. */

/** How long leaving may take, in milliseconds: less than any orchestrator waits. */
const LIMIT = 5000;

/**
 * Node-RED awaits `closeContextsPlugin` last before it exits, and offers no hook after it; so the
 * leaving is put behind it.
 *
 * @param {import('./types').Runtime} runtime
 * @param {import('./types').NativeCluster} cluster
 * @param {() => Promise<void>} flush what is still being written
 */
function leaveOnShutdown(runtime, cluster, flush) {
  runtime.events.on('flows:stopping', () => {
    if (!runtime.isStarted()) cluster.stopping();
  });
  const closeContexts = runtime.nodes.closeContextsPlugin;
  runtime.nodes.closeContextsPlugin = async () => {
    try {
      await closeContexts();
    } finally {
      await withLimit(async () => {
        await flush();
        await cluster.close();
      }, runtime.log);
    }
  };
}

/**
 * @param {() => Promise<void>} leave
 * @param {import('./types').Runtime['log']} log
 */
async function withLimit(leave, log) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(reject, LIMIT, new Error(`not done within ${LIMIT} ms`));
  });
  try {
    await Promise.race([leave(), late]);
  } catch (error) {
    log.warn(`[cluster] left the cluster without waiting for the end: ${/** @type {Error} */ (error).message}`);
  } finally {
    clearTimeout(timer);
  }
}

module.exports = { leaveOnShutdown };
