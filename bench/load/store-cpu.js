'use strict';

/** @typedef {import('../../tests/support/store.js').Store} Store */

/**
 * @param {Store} store
 * @returns {Promise<number>} seconds of CPU so far, in all its threads
 */
async function cpuOf(store) {
  const text = await store.command('INFO', 'cpu');
  const field = (/** @type {string} */ name) => Number(new RegExp(`^${name}:(.*)$`, 'm').exec(text)?.[1] ?? Number.NaN);
  return field('used_cpu_user') + field('used_cpu_sys');
}

module.exports = { cpuOf };
