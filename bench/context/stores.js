'use strict';

/** The context stores that are measured, each made in a process of its own. */

const { ioredisStore } = require('./baseline-ioredis.js');
const { fileStore, memoryStore } = require('./node-red-parts.js');

/**
 * As much of Node-RED's contract for context stores as the benches call.
 *
 * @typedef {object} ContextStore
 * @property {() => Promise<unknown>} open
 * @property {() => Promise<unknown>} close
 * @property {(scope: string, key: string, callback?: (error?: Error | null, ...values: any[]) => void) => unknown} get
 * @property {(scope: string, key: string, value: unknown, callback?: (error?: Error | null) => void) => void} set
 * @property {(scope: string) => string[] | undefined} keys
 */

/**
 * @typedef {object} StoreOptions
 * @property {string} host
 * @property {number} port
 * @property {string} keyPrefix
 * @property {string} directory of its own
 * @property {boolean} [nearCache] of ours; true when absent
 */

/** Enough for everything that a bench reads; how entries are evicted is not measured here. */
const NEAR_CACHE_BYTES = 2 ** 30;

/** Later than the end of a run: else it writes its file, every 30 s, while others are measured. */
const FLUSH_SECONDS = 3_600;

/** @type {Record<string, (options: StoreOptions) => ContextStore>} */
const STORES = {
  'node-red-cluster': ({ host, port, keyPrefix, directory, nearCache = true }) => ourStore({
    host,
    port,
    keyPrefix,
    nearCache: { enabled: nearCache, maxBytes: NEAR_CACHE_BYTES },
    settings: { userDir: directory },
  }),
  memory: () => memoryStore({}),
  localfilesystem: ({ directory }) => fileStore({ dir: directory, flushInterval: FLUSH_SECONDS }),
  ioredis: ioredisStore,
};

/**
 * @param {Record<string, unknown>} config
 * @returns {ContextStore}
 */
function ourStore(config) {
  return require('../../node/context.js')(config);
}

module.exports = { STORES };
