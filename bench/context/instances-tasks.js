'use strict';

/** One process writes, others follow: what each of them does. */

const { setTimeout: delay } = require('node:timers/promises');

const { SCOPE, namesOf } = require('./values.js');

/** @typedef {import('./stores.js').ContextStore} ContextStore */
/** @typedef {import('./tasks.js').Done} Done */

/**
 * @typedef {object} Parameters
 * @property {number} keys
 * @property {number} milliseconds
 * @property {number} rate writes a second, over all keys
 * @property {boolean} synchronous whether the store can be read so
 */

/** How long a reader waits between two looks at all keys, in milliseconds. */
const PAUSE = 1;

/** Milliseconds of a clock that all processes of the machine share. */
function now() {
  return Number(process.hrtime.bigint()) / 1e6;
}

/**
 * Sets each property in turn to the time at which it was set.
 *
 * @param {ContextStore} store
 * @param {Parameters} parameters
 * @returns {Promise<Done>}
 */
async function publish(store, { keys, milliseconds, rate }) {
  const names = namesOf('number', keys);
  const since = performance.now();
  let operations = 0;
  for (let elapsed = 0; elapsed < milliseconds; elapsed = performance.now() - since) {
    const due = Math.ceil((elapsed * rate) / 1_000);
    for (; operations < due; operations += 1) store.set(SCOPE, names[operations % keys], now());
    await delay(PAUSE);
  }
  return { operations, seconds: (performance.now() - since) / 1_000 };
}

/**
 * Reads all properties again and again.
 *
 * @param {ContextStore} store
 * @param {Parameters} parameters
 * @returns {Promise<Done>} more: how old a new value was when it was first seen, in milliseconds
 */
async function follow(store, { keys, milliseconds, synchronous }) {
  const names = namesOf('number', keys);
  const readAll = synchronous
    ? () => names.map((name) => store.get(SCOPE, name))
    : () => Promise.all(names.map((name) => new Promise((resolve, reject) => {
      store.get(SCOPE, name, (error, value) => (error ? reject(error) : resolve(value)));
    })));
  /** @type {number[]} */
  const ages = [];
  let seen = await readAll();
  let operations = 0;
  const since = performance.now();
  while (performance.now() - since < milliseconds) {
    const values = await readAll();
    const moment = now();
    values.forEach((value, index) => {
      if (value !== seen[index]) ages.push(moment - value);
    });
    seen = values;
    operations += keys;
    await delay(PAUSE);
  }
  ages.sort((one, other) => one - other);
  const quantile = (/** @type {number} */ part) => ages[Math.floor(part * (ages.length - 1))] ?? Number.NaN;
  return {
    operations,
    seconds: (performance.now() - since) / 1_000,
    more: { changes: ages.length, half: quantile(0.5), most: quantile(0.99) },
  };
}

module.exports = { follow, publish };
