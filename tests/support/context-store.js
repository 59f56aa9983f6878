'use strict';

/** Context stores in the process of the test: Node-RED's own memory store, and ours on a real server. */

const path = require('node:path');
const { withLogin } = require('./addresses');

/**
 * @typedef {object} ContextStore Node-RED's contract of a context store
 * @property {() => Promise<unknown>} open
 * @property {() => Promise<unknown>} close
 * @property {(scope: any, key: any, callback?: any) => any} get
 * @property {(scope: any, key: any, value: any, callback?: any) => any} set
 * @property {(scope: any, callback?: any) => any} keys
 * @property {(scope: string) => Promise<unknown>} delete
 * @property {(ids: string[]) => Promise<unknown>} clean
 *
 * @typedef {object} Way one of the two forms of the contract, as promises
 * @property {string} name
 * @property {(scope: string, key: string | string[]) => Promise<any>} get several keys: an array
 * @property {(scope: string, key: string | string[], value?: any) => Promise<void>} set
 * @property {(scope: string) => Promise<string[]>} keys
 *
 * @typedef {Record<string, unknown> & {keyPrefix?: string}} ContextConfig `contextStorage.<store>.config`
 */

/** How a package loads ours. */
const CONTEXT = 'node-red-cluster/context';

/** The file behind that name, for a settings.js that lies elsewhere. */
const CONTEXT_FILE = path.join(__dirname, '..', '..', 'node', 'context.js');

let prefixes = 0;

/** @returns {string} a key prefix that no other test of this process uses */
function ownPrefix() {
  prefixes += 1;
  return `context-test-${process.pid}-${prefixes}:`;
}

/** @returns {ContextStore} the store that Node-RED brings, and whose behaviour is the specification */
function memoryStore() {
  return require('@node-red/runtime/lib/nodes/context/memory')({});
}

/**
 * Opens one of our stores, alone as without the storage module, and closes it with the scope.
 *
 * @param {{after: (cleanUp: () => Promise<void>) => void}} scope
 * @param {{host: string, port: number}} server
 * @param {ContextConfig} [config]
 * @returns {Promise<ContextStore & {config: ContextConfig & {keyPrefix: string}, key: (name: string) => string}>}
 *   key: the key of a name below the prefix
 */
async function openContext(scope, server, config = {}) {
  const { host, port } = server;
  const address = { host, port, keyPrefix: ownPrefix(), ...config };
  const whole = { settings: { userDir: undefined }, ...await withLogin(address, 'nodered-worker') };
  const store = require(CONTEXT)(whole);
  scope.after(async () => {
    await store.close();
  });
  await store.open();
  return Object.assign(store, { config: whole, key: (/** @type {string} */ name) => `${whole.keyPrefix}${name}` });
}

/**
 * @param {ContextStore} store
 * @returns {Way[]}
 */
function waysOf(store) {
  return [
    {
      name: 'with a callback',
      get: (scope, key) => new Promise((resolve, reject) => {
        store.get(scope, key, (/** @type {any} */ error, /** @type {any[]} */ ...values) => {
          if (error) reject(error);
          else resolve(Array.isArray(key) ? values : values[0]);
        });
      }),
      set: (scope, key, value) => new Promise((resolve, reject) => {
        store.set(scope, key, value, (/** @type {any} */ error) => (error ? reject(error) : resolve()));
      }),
      keys: (scope) => new Promise((resolve, reject) => {
        store.keys(scope, (/** @type {any} */ error, /** @type {string[]} */ names) => (error ? reject(error) : resolve(names)));
      }),
    },
    {
      name: 'synchronous',
      get: async (scope, key) => store.get(scope, key),
      set: async (scope, key, value) => store.set(scope, key, value),
      keys: async (scope) => store.keys(scope),
    },
  ];
}

/**
 * What a synchronous set wrote has reached the server: writes go there in the order of their issue.
 *
 * @param {ContextStore} store
 */
async function settled(store) {
  const [way] = waysOf(store);
  await way.set('settled', 'mark', 0);
  await way.set('settled', 'mark');
}

/** The four ways in which our store can keep values. */
const VARIANTS = [true, false].flatMap((nearCache) => [false, true].map((enableCompression) => ({
  name: `near cache ${nearCache ? 'on' : 'off'}, compression ${enableCompression ? 'on' : 'off'}`,
  config: { nearCache: { enabled: nearCache }, enableCompression },
})));

module.exports = { CONTEXT, CONTEXT_FILE, VARIANTS, memoryStore, openContext, ownPrefix, settled, waysOf };
