'use strict';

/**
 * The Node-RED that runs in this process, for who is not handed it. Only modules that are loaded count: one
 * that is merely installed would be a second Node-RED, without a log and without settings.
 */

const path = require('node:path');

const { known } = require('../process-wide.js');

/**
 * @param {...string} parts of the path of a file in a Node-RED
 * @returns {any} its exports, where it is loaded
 */
function loaded(...parts) {
  const end = path.join('node_modules', '@node-red', ...parts);
  const file = Object.keys(require.cache).find((name) => name.endsWith(path.sep + end));
  return file === undefined ? undefined : require.cache[file]?.exports;
}

/** Whether a Node-RED runs here: others load parts of it for themselves. */
const runs = () => loaded('runtime', 'lib', 'index.js') !== undefined;

/** @returns {import('../types').Log} */
function findLog() {
  return known().log ?? (runs() ? loaded('util', 'lib', 'log.js') : undefined) ?? plainLog;
}

/** @returns {unknown} the `valkey` block of settings.js */
function findBlock() {
  const { block } = known();
  return block ?? (runs() ? loaded('runtime', 'lib', 'settings.js')?.valkey : undefined);
}

/** @returns {object} the values that Node-RED gives where the global context has none */
function findSeeds() {
  return known().seeds ?? (runs() ? loaded('runtime', 'lib', 'settings.js')?.functionGlobalContext : undefined) ?? {};
}

/** @returns {boolean} whether Node-RED itself is about to end, not only its flows */
function isStopping() {
  const isStarted = known().isStarted ?? loaded('runtime', 'lib', 'index.js')?._?.isStarted;
  return isStarted !== undefined && !isStarted();
}

/** For programs that use the context without Node-RED; standard output is theirs. */
const plainLog = {
  error: write,
  warn: write,
  info: write,
  debug: () => {},
};

/** @param {string} line */
function write(line) {
  process.stderr.write(`${line}\n`);
}

module.exports = { findBlock, findLog, findSeeds, isStopping };
