'use strict';

/**
 * What the shared context is compared with: a context store that keeps each property as JSON in a key
 * and talks to the server through ioredis, a GET for each get and a SET for each set. Nested sets are
 * a Lua script with cjson. One property a call, with a callback; the rest of Node-RED's contract is
 * left out.
 */

const fs = require('node:fs');
const path = require('node:path');

const { Redis } = require('ioredis');

const { propertyPath } = require('./node-red-parts.js');

const NESTED_SET = fs.readFileSync(path.join(__dirname, 'nested-set.lua'), 'utf8');

/** @typedef {Redis & {nestedSet: (...parameters: unknown[]) => void}} Client */

/**
 * @param {{host: string, port: number, keyPrefix: string}} config
 * @returns {import('./stores.js').ContextStore}
 */
function ioredisStore({ host, port, keyPrefix }) {
  const client = /** @type {Client} */ (new Redis({ host, port, lazyConnect: true }));
  client.defineCommand('nestedSet', { numberOfKeys: 1, lua: NESTED_SET });
  const keyOf = (/** @type {string} */ scope, /** @type {string} */ name) => `${keyPrefix}context:${scope}:${name}`;

  return {
    open: () => client.connect(),
    close: async () => {
      await client.quit();
    },
    get(scope, key, callback) {
      if (!callback) throw new Error('a server cannot be asked synchronously through ioredis');
      client.get(keyOf(scope, key), (error, text) => {
        if (error) callback(error);
        else callback(null, text === null || text === undefined ? undefined : JSON.parse(text));
      });
    },
    set(scope, key, value, callback = ignore) {
      const text = JSON.stringify(value);
      if (!/[.[]/.test(key)) {
        client.set(keyOf(scope, key), text, (error) => callback(error));
        return;
      }
      const [name, ...rest] = propertyPath(key);
      const segments = rest.map((segment) => (typeof segment === 'number' ? `i:${segment}` : `n:${segment}`));
      client.nestedSet(keyOf(scope, String(name)), text, ...segments, callback);
    },
    keys() {
      throw new Error('this baseline keeps no list of names');
    },
  };
}

/** @param {Error | null} [error] */
function ignore(error) {
  if (error) throw error;
}

module.exports = { ioredisStore };
