'use strict';

/**
 * What the parts of this package know of each other in one process. Node-RED hands its settings to the
 * storage module only; the context plugin gets nothing but a user directory. Kept on `globalThis`, because
 * the user directory and the image may each hold a copy of the package.
 */

const KEY = Symbol.for('node-red-cluster');

/**
 * @typedef {object} Known
 * @property {unknown} [block] the `valkey` block of settings.js
 * @property {object} [seeds] `functionGlobalContext` of settings.js
 * @property {import('./types').Log} [log] Node-RED's log
 * @property {import('./types').NativeCluster} [cluster] the cluster that the storage module opened
 * @property {string[]} [warnings] about settings.js that the storage module has given
 * @property {() => boolean} [isStarted] whether Node-RED runs, and is not about to end
 * @property {unknown} [elections] of the leader nodes, see leader/elections.js
 */

/** @returns {Known} */
function known() {
  const holder = /** @type {Record<symbol, Known>} */ (/** @type {unknown} */ (globalThis));
  holder[KEY] ??= {};
  return holder[KEY];
}

/** @param {Known} facts */
function remember(facts) {
  Object.assign(known(), facts);
}

module.exports = { known, remember };
