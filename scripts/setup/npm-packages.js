'use strict';

/** npm packages exactly as a committed lock file states them. */

const fs = require('node:fs');
const path = require('node:path');

const { CACHE, NODE_RED_5, ROOT } = require('../support/paths.js');
const { runNpm } = require('../support/run.js');

/**
 * @typedef {{packages: Record<string, {version?: string, integrity?: string, optional?: boolean}>}} LockFile
 */

/** Installs the development dependencies of the repository, Node-RED 4 among them. */
function installDevelopmentDependencies() {
  if (isInstalled(ROOT, path.join(ROOT, 'package-lock.json'))) return;
  console.error('Installing the npm packages ...');
  installLocked(ROOT, 'install the npm packages');
}

/** Installs Node-RED 5 and the Node.js that it needs beside the repository's own packages. */
function installNodeRed5() {
  const source = path.join(ROOT, 'tests', 'node-red-5');
  if (isInstalled(NODE_RED_5, path.join(source, 'package-lock.json'))) return;
  console.error('Installing Node-RED 5 and its Node.js for the tests ...');
  const staging = path.join(CACHE, `node-red-5.${process.pid}`);
  fs.mkdirSync(staging, { recursive: true });
  try {
    for (const name of ['package.json', 'package-lock.json']) fs.copyFileSync(path.join(source, name), path.join(staging, name));
    installLocked(staging, 'install Node-RED 5');
    fs.rmSync(NODE_RED_5, { recursive: true, force: true });
    fs.renameSync(staging, NODE_RED_5);
  } finally {
    fs.rmSync(staging, { recursive: true, force: true });
  }
}

/**
 * Installs without install scripts: nothing that is depended on here has any.
 *
 * @param {string} folder
 * @param {string} purpose
 * @returns {void}
 */
function installLocked(folder, purpose) {
  runNpm(['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: folder, purpose });
}

/**
 * Compares what npm noted as installed with the lock file, so that a package installed by hand
 * in the right version counts and an interrupted installation does not.
 *
 * @param {string} folder that has the `node_modules`
 * @param {string} lockFile
 * @returns {boolean}
 */
function isInstalled(folder, lockFile) {
  const installed = readLockFile(path.join(folder, 'node_modules', '.package-lock.json'));
  const wanted = readLockFile(lockFile);
  if (!installed || !wanted) return false;
  return Object.entries(wanted.packages).every(([name, entry]) => {
    const found = installed.packages[name];
    if (name === '' || (!found && entry.optional)) return true;
    return found?.version === entry.version && found?.integrity === entry.integrity;
  });
}

/**
 * @param {string} file
 * @returns {LockFile | undefined} undefined when there is none or it is damaged
 */
function readLockFile(file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

module.exports = { installDevelopmentDependencies, installNodeRed5 };
