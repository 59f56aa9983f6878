'use strict';

/**
 * Node-RED's own file storage. An admin keeps copies of settings and library there (never the truth), and
 * Projects work through it; a worker keeps its own settings there.
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

module.exports = { findLocalFiles };
