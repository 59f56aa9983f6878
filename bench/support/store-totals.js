'use strict';

/** What a server tells of itself as a whole. */

/** @typedef {import('../../tests/support/store.js').Store} Store */

/**
 * @param {Store} store
 * @param {string} section
 * @param {string} field
 * @returns {Promise<number>}
 */
async function fieldOf(store, section, field) {
  const text = await store.command('INFO', section);
  return Number(new RegExp(`^${field}:(.*)$`, 'm').exec(text)?.[1] ?? Number.NaN);
}

/**
 * @param {Store} store
 * @returns {Promise<number>} seconds of CPU so far, in all its threads
 */
async function cpuOf(store) {
  return await fieldOf(store, 'cpu', 'used_cpu_user') + await fieldOf(store, 'cpu', 'used_cpu_sys');
}

/**
 * Of connections that come and go as well; asking for it is in it, too.
 *
 * @param {Store} store
 */
async function totalsOf(store) {
  return {
    commands: await fieldOf(store, 'stats', 'total_commands_processed'),
    received: await fieldOf(store, 'stats', 'total_net_input_bytes'),
    sent: await fieldOf(store, 'stats', 'total_net_output_bytes'),
  };
}

module.exports = { cpuOf, fieldOf, totalsOf };
