'use strict';

/** Where npm is. */

const fs = require('node:fs');
const path = require('node:path');

/** npm's program, below the folder of its package. */
const PROGRAM = path.join('bin', 'npm-cli.js');

/**
 * npm as Node-RED brings it, else as Node.js does. Without either, the one in the PATH is run.
 *
 * @param {import('../types').Settings} settings
 * @returns {{node: string, cli: string | null}} programs to run
 */
function findNpm(settings) {
  const beside = path.dirname(process.execPath);
  const candidates = [
    () => path.join(path.dirname(require.resolve('npm/package.json', { paths: [registryFolder(settings)] })), PROGRAM),
    () => path.join(beside, '..', 'lib', 'node_modules', 'npm', PROGRAM),
    () => path.join(beside, 'node_modules', 'npm', PROGRAM),
  ];
  for (const candidate of candidates) {
    try {
      const file = candidate();
      if (fs.existsSync(file)) return { node: process.execPath, cli: file };
    } catch {
      // Not there: the next one.
    }
  }
  return { node: process.execPath, cli: null };
}

/**
 * @param {import('../types').Settings} settings
 * @returns {string}
 */
function registryFolder(settings) {
  return path.dirname(require.resolve('@node-red/registry/package.json', { paths: [settings.coreNodesDir] }));
}

module.exports = { findNpm };
