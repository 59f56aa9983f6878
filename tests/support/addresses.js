'use strict';

/** The stores of this test process by the addresses that lead to them, their proxies' included. */

/** @typedef {import('./store').Store} Store */
/** @typedef {import('./access').User} User */
/** @typedef {import('./access').Reach} Reach */

/** @type {Map<string, Store>} */
const stores = new Map();

/**
 * @param {Store} store
 * @param {...(string | number)} addresses its port, the path of its socket
 */
function register(store, ...addresses) {
  for (const address of addresses) stores.set(String(address), store);
}

/**
 * @param {string | number} address leads to the same store
 * @param {string | number} target as another
 */
function registerWay(address, target) {
  const store = stores.get(String(target));
  if (store) stores.set(String(address), store);
}

/**
 * @param {any} block options of a connection
 * @returns {Store | undefined} the store of this process that they lead to
 */
function storeOf({ port, path }) {
  return stores.get(String(path ?? port));
}

/**
 * Options of a connection with the login of a documented user, unless they say themselves who logs in, or
 * the store is one whose users its test made.
 *
 * @template {Record<string, any>} T
 * @param {T} block
 * @param {User} user
 * @param {Reach} [reach] beyond the keys below the block's prefix
 * @returns {Promise<T & {username?: string, password?: string}>}
 */
async function withLogin(block, user, reach = {}) {
  const store = storeOf(block);
  const named = ['username', 'password', 'url'].some((name) => name in block);
  if (!store?.hasDocumentedUsers || named) return block;
  return { ...block, ...await store.login(user, { prefix: block.keyPrefix, ...reach }) };
}

module.exports = { register, registerWay, storeOf, withLogin };
