'use strict';

/**
 * `require('node-red-cluster/context')`: Node-RED's context plugin. The context of all instances with the
 * same key prefix is one, for synchronous calls too.
 */

const { equipFunctionNodes } = require('./context/function-nodes.js');
const { findBlock, findLog, findSeeds } = require('./context/node-red.js');
const { complainTo } = require('./context/operations.js');
const { createStore } = require('./context/store.js');
const { startOrExit } = require('./instance.js');
const { known } = require('./process-wide.js');
const { describeBlock } = require('./settings-block.js');

/** @typedef {import('./context/store.js').Callback} Callback */

/**
 * @param {object} [config] of the store in settings.js; Node-RED adds `settings`
 */
function plugin(config) {
  const { settings: _nodeRed, ...options } = /** @type {Record<string, unknown>} */ (config ?? {});
  equipFunctionNodes();
  /** @type {import('./types').NativeContext | undefined} */
  let native;
  /** @type {ReturnType<typeof createStore> | undefined} */
  let store;
  /** @type {Promise<void> | undefined} */
  let opening;
  /** @type {Promise<void> | undefined} */
  let closing;

  async function open() {
    const log = findLog();
    complainTo((line) => log.error(`[cluster] ${line}`));
    await startOrExit(log, async () => {
      // Loaded here and not with this file, so that its error reaches Node-RED's log.
      const addon = /** @type {import('./types').Addon} */ (require('./addon.js'));
      const described = {
        settings: describeBlock(findBlock()),
        config: Object.keys(options).length > 0 ? describeBlock(options) : 'null',
      };
      const { cluster } = known();
      native = addon.openContext(
        JSON.stringify(described),
        (level, line) => log[/** @type {'error' | 'warn' | 'info' | 'debug'} */ (level)](`[cluster] ${line}`),
        () => {
          try {
            store?.drain();
          } catch (error) {
            // Thrown on, it would end the process: nobody is above this. The native side has logged it.
            log.debug(`[cluster] ${/** @type {Error} */ (error).stack}`);
          }
        },
        // Another copy of this package may have opened it.
        cluster instanceof addon.NativeCluster ? cluster : undefined,
      );
      /** @type {import('./types').AboutContext} */
      const about = JSON.parse(native.about());
      for (const warning of about.warnings) log.warn(`[cluster] context: ${warning}`);
      log.info(`[cluster] the context is shared in the store ${about.store}, the key prefix is ${about.keyPrefix}`);
      store = createStore(native, findSeeds());
      await native.ready();
    });
  }

  /** @returns {NonNullable<typeof store>} */
  function opened() {
    if (store === undefined || closing !== undefined) throw closed();
    return store;
  }

  /** @returns {Error} */
  function closed() {
    const state = closing === undefined ? 'not open yet' : 'closed';
    return Object.assign(new Error(`the context store of node-red-cluster is ${state}`), { code: 'NRC_CLOSED' });
  }

  /** @param {unknown} callback */
  function unavailable(callback) {
    if (!callback) throw closed();
    if (typeof callback !== 'function') throw new Error('Callback must be a function');
    callback(closed());
    return undefined;
  }

  return {
    open() {
      opening ??= open();
      return opening;
    },

    /** Waits until what was set is in the store. Node-RED calls it twice on a default store. */
    close() {
      closing ??= native === undefined ? Promise.resolve() : native.close();
      return closing;
    },

    /**
     * @param {string} scope
     * @param {string | string[]} key
     * @param {Callback} [callback]
     * @returns {any}
     */
    get(scope, key, callback) {
      return store === undefined || closing !== undefined ? unavailable(callback) : store.get(scope, key, callback);
    },

    /**
     * @param {string} scope
     * @param {string | string[]} key
     * @param {any} value
     * @param {Callback} [callback]
     * @returns {void}
     */
    set(scope, key, value, callback) {
      if (store === undefined || closing !== undefined) unavailable(callback);
      else store.set(scope, key, value, callback);
    },

    /**
     * @param {string} scope
     * @param {Callback} [callback]
     * @returns {any} the names, where there is no callback
     */
    keys(scope, callback) {
      return store === undefined || closing !== undefined ? unavailable(callback) : store.keys(scope, callback);
    },

    /**
     * @param {string} scope
     * @returns {Promise<void>}
     */
    delete: async (scope) => opened().delete(scope),

    /**
     * @param {string[]} ids of the nodes and flows that are there
     * @returns {Promise<void>}
     */
    clean: async (ids) => {
      // A deploy may end while Node-RED stops.
      if (closing === undefined) await opened().clean(ids);
    },

    /** @returns {Record<string, unknown>} counters, also of the near cache */
    stats: () => opened().stats(),
  };
}

// Node-RED writes it into its log.
plugin.toString = () => 'node-red-cluster';

module.exports = plugin;
