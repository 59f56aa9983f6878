'use strict';

/** Folders that are there as a whole or not at all. */

const fs = require('node:fs');

/**
 * Puts a new folder in the place of an old one, once it is complete.
 *
 * @param {string} folder
 * @param {(staging: string) => void} fill
 * @returns {void}
 */
function swapFolder(folder, fill) {
  const staging = `${folder}.${process.pid}`;
  fs.mkdirSync(staging, { recursive: true });
  try {
    fill(staging);
    fs.rmSync(folder, { recursive: true, force: true });
    fs.renameSync(staging, folder);
  } finally {
    fs.rmSync(staging, { recursive: true, force: true });
  }
}

module.exports = { swapFolder };
