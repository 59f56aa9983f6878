'use strict';

/**
 * The flow file of an admin: a copy of what the cluster runs, never the truth. It is there for whoever
 * reads or keeps the file, and for the first project, which Node-RED makes of it.
 */

const fs = require('node:fs');
const { open, rename } = require('node:fs/promises');
const path = require('node:path');
const os = require('node:os');

const { printFlows } = require('./slices.js');

/**
 * @param {import('./types').Settings} settings
 * @returns {string} the path that Node-RED's own file storage gives the flow file, without a project
 */
function flowFile(settings) {
  const name = settings.flowFile ?? `flows_${os.hostname()}.json`;
  if (path.isAbsolute(name)) return name;
  const here = path.resolve(name);
  if (name.startsWith('./') || fs.existsSync(here)) return here;
  return path.join(settings.userDir ?? '.', name);
}

/**
 * Writes the copy after each change, one at a time and always the newest. A failure is a warning: the
 * store has the flows.
 *
 * @param {import('./types').LocalFiles} files
 * @param {import('./types').Runtime} runtime
 */
function createFlowCopies(files, { log, settings }) {
  const file = flowFile(settings);
  /** @typedef {{flows: import('./types').FlowNode[], credentials: Record<string, unknown> | null}} Copy */
  /** @type {Copy | null} */
  let pending = null;
  let writing = Promise.resolve();

  async function writeNewest() {
    if (pending === null || settings.readOnly) return;
    const { flows, credentials } = pending;
    pending = null;
    try {
      if (credentials !== null) await files.saveCredentials(credentials);
      await replace(file, await printFlows(flows, { pretty: Boolean(settings.flowFilePretty) }));
    } catch (error) {
      log.warn(`[cluster] the flow file of this admin is not up to date: ${/** @type {Error} */ (error).message}`);
    }
  }

  return {
    /**
     * @param {import('./types').FlowNode[]} flows
     * @param {Record<string, unknown> | null} credentials as exported; null where they did not change
     */
    write(flows, credentials) {
      pending = { flows, credentials: credentials ?? pending?.credentials ?? null };
      writing = writing.then(writeNewest);
    },
    /** @returns {Promise<void>} when everything is on the disk */
    written: () => writing,
  };
}

/**
 * Replaces a file so that it is always whole.
 *
 * @param {string} file
 * @param {Buffer[]} slices its new content
 */
async function replace(file, slices) {
  const temporary = `${file}.new`;
  const handle = await open(temporary, 'w');
  try {
    await handle.writev(slices);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
}

module.exports = { createFlowCopies };
