'use strict';

/**
 * Node-RED's own file storage. On the admin it keeps a copy of flows, settings and library (never the
 * truth), and Projects work through it; a worker keeps its own settings there.
 */

/**
 * @param {import('./types').Settings} settings
 * @returns {import('./types').LocalFiles} the file storage of the Node-RED that runs this
 */
function findLocalFiles(settings) {
  const file = require.resolve('@node-red/runtime/lib/storage/localfilesystem', {
    paths: [settings.coreNodesDir],
  });
  return require(file);
}

/**
 * Writes the flow files after each change, one write at a time and always the newest. A failure is a
 * warning: the store has the flows.
 *
 * @param {import('./types').LocalFiles} files
 * @param {import('./types').Runtime['log']} log
 */
function createFlowCopies(files, log) {
  /** @type {{flows: import('./types').FlowNode[], credentials: Record<string, unknown> | null, user: unknown} | null} */
  let pending = null;
  let writing = Promise.resolve();

  async function writeNewest() {
    if (pending === null) return;
    const { flows, credentials, user } = pending;
    pending = null;
    try {
      if (credentials !== null) await files.saveCredentials(credentials);
      await files.saveFlows(flows, user);
    } catch (error) {
      log.warn(`[cluster] the flow file of this admin is not up to date: ${/** @type {Error} */ (error).message}`);
    }
  }

  return {
    /**
     * @param {import('./types').FlowNode[]} flows
     * @param {Record<string, unknown> | null} credentials as exported; null where they did not change
     * @param {unknown} user
     */
    write(flows, credentials, user) {
      pending = { flows, credentials: credentials ?? pending?.credentials ?? null, user };
      writing = writing.then(writeNewest);
    },
    /** @returns {Promise<void>} when everything is on the disk */
    written: () => writing,
  };
}

module.exports = { createFlowCopies, findLocalFiles };
