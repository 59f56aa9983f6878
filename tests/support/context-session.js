'use strict';

/**
 * Node-RED's own context manager with our store as its default, and a sandbox as a Function node has
 * it: what a flow sees, without a whole Node-RED around it. One to a process, as the manager is.
 */

const vm = require('node:vm');
const { CONTEXT } = require('./context-store');

/** @typedef {Awaited<ReturnType<typeof openSession>>} Session */

/** @param {import('./context-store').ContextConfig} config */
async function openSession(config) {
  require('@node-red/util').log.init({ logging: { console: { level: 'info', metrics: false, audit: false } } });
  const manager = require('@node-red/runtime/lib/nodes/context');
  const createStore = require(CONTEXT);
  /** @type {import('./context-store').ContextStore & {stats?: () => any}} */
  let store = /** @type {any} */ (undefined);
  const settings = {
    functionGlobalContext: {},
    contextStorage: {
      default: { module: (/** @type {any} */ own) => (store = createStore(own)), config },
      memory: { module: 'memory' },
    },
  };
  manager.init(settings);
  await manager.load();
  const node = manager.get('a-node', 'a-flow');

  /** @param {any} context */
  const asFunctionNodeSees = (context) => ({
    get: (/** @type {any[]} */ ...given) => context.get(...given),
    set: (/** @type {any[]} */ ...given) => context.set(...given),
    keys: (/** @type {any[]} */ ...given) => context.keys(...given),
  });
  const sandbox = vm.createContext({
    __node__: { id: 'a-node' },
    context: {
      ...asFunctionNodeSees(node),
      get global() {
        return node.global;
      },
      get flow() {
        return node.flow;
      },
    },
    flow: asFunctionNodeSees(node.flow),
    global: asFunctionNodeSees(node.global),
  });

  return {
    store,
    /** The sandbox's objects, on which the atomic operations are. */
    global: /** @type {any} */ (sandbox).global,
    flow: /** @type {any} */ (sandbox).flow,
    context: /** @type {any} */ (sandbox).context,
    close: () => manager.close(),
  };
}

module.exports = { openSession };
