'use strict';

/** What packages left on the disk of a worker, and the npm that works on it. */

const fs = require('node:fs');
const path = require('node:path');
const { dependenciesOf } = require('./package-cluster');

/** @typedef {import('./instance').Instance} Instance */

/**
 * @param {Instance} worker
 * @returns {string} the folder of the cluster's packages
 */
const folderOf = (worker) => path.join(worker.userDir, '.node-red-cluster', 'packages');

/**
 * @param {Instance} worker
 * @returns {string[]} folders in which packages are being built, or were
 */
const stagesOf = (worker) => namesIn(folderOf(worker)).filter((name) => name.startsWith('stage-'));

/**
 * All that a failed install must leave as it was.
 *
 * @param {Instance} worker
 * @returns {{tree: string[], links: string[], dependencies: Record<string, string>}}
 *   tree: every file of it with its inode, size and time
 */
function packagesOnDisk(worker) {
  const modules = path.join(worker.userDir, 'node_modules');
  const isLink = (/** @type {string} */ name) => fs.lstatSync(path.join(modules, name)).isSymbolicLink();
  return {
    tree: filesIn(path.join(folderOf(worker), 'tree')),
    links: namesIn(modules).filter(isLink),
    dependencies: fs.existsSync(path.join(worker.userDir, 'package.json')) ? dependenciesOf(worker) : {},
  };
}

/**
 * @param {string} folder
 * @returns {string[]}
 */
function filesIn(folder) {
  return namesIn(folder).flatMap((name) => {
    const file = path.join(folder, name);
    const stats = fs.lstatSync(file);
    return stats.isDirectory() ? filesIn(file) : [`${file} ${stats.ino} ${stats.size} ${stats.mtimeMs}`];
  });
}

/**
 * @param {string} folder
 * @returns {string[]} sorted; none where there is no such folder
 */
function namesIn(folder) {
  return fs.existsSync(folder) ? fs.readdirSync(folder).sort() : [];
}

/**
 * @param {number} pid
 * @returns {number[]} the processes that it started and that run
 */
function childrenOf(pid) {
  return runningProcesses().filter((child) => {
    // After the name of the program, which may hold anything: the state, then the parent.
    const [, parent] = read(`/proc/${child}/stat`).split(') ').pop()?.split(' ') ?? [];
    return Number(parent) === pid;
  });
}

/**
 * @param {string} folder
 * @returns {number[]} the processes that work in it or below, also when it is gone
 */
function processesIn(folder) {
  return runningProcesses().filter((pid) => {
    try {
      return fs.readlinkSync(`/proc/${pid}/cwd`).startsWith(folder);
    } catch {
      return false;
    }
  });
}

/** @returns {number[]} */
function runningProcesses() {
  return fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number);
}

/**
 * @param {string} file
 * @returns {string} empty when it is gone
 */
function read(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/**
 * @param {Instance} instance
 * @returns {number} the most memory that its process ever held, in MB
 */
function peakMemory(instance) {
  return Number(/VmHWM:\s+(\d+) kB/.exec(read(`/proc/${instance.pid()}/status`))?.[1]) / 1024;
}

module.exports = { childrenOf, folderOf, packagesOnDisk, peakMemory, processesIn, stagesOf };
