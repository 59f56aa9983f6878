'use strict';

/** Temporary directories and the fixed places of this repository. */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

/** The root of the repository. */
const ROOT = path.resolve(__dirname, '..', '..');

/** @type {Set<string>} */
const temporary = new Set();

process.on('exit', () => {
  for (const directory of temporary) removeDirectory(directory);
});

/**
 * Makes a directory that is gone when the test process ends.
 *
 * @param {string} name part of the directory's name, for whoever looks at it
 * @returns {string} absolute path
 */
function temporaryDirectory(name) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), `node-red-cluster-${name}-`));
  temporary.add(directory);
  return directory;
}

/**
 * @param {string} directory
 * @returns {void}
 */
function removeDirectory(directory) {
  fs.rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
  temporary.delete(directory);
}

module.exports = { ROOT, removeDirectory, temporaryDirectory };
