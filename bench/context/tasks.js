'use strict';

/**
 * What is measured, as a process runs it on its store. Each task is a loop of its own and runs in a
 * process that knows one store, so that the compiled code is as good as it can be for that store.
 */

const { setImmediate: nextTurn, setTimeout: delay } = require('node:timers/promises');

const { keepInFlight } = require('./in-flight.js');
const { SCOPE, namesOf, readingsOf, valueOf, valueOfFlow } = require('./values.js');

/** @typedef {import('./stores.js').ContextStore} ContextStore */
/** @typedef {import('./values.js').Size} Size */

/**
 * @typedef {object} Parameters
 * @property {Size} size
 * @property {number} keys how many properties are used in turn
 * @property {number} milliseconds how long
 * @property {number} [width] operations in flight; 1 when absent
 * @property {number} [rate] operations a second
 */

/**
 * @typedef {object} Done
 * @property {number} operations
 * @property {number} seconds
 * @property {Record<string, number>} [more]
 */

/** Synchronous operations between two looks at the clock. */
const BURST = { number: 1_000, '1 KB': 200, '10 KB': 20, '100 KB': 4 };

/** Different objects that are set in turn. */
const VARIANTS = 16;

/** What was read last: keeps a loop that uses nothing from being optimised away. */
const last = { value: /** @type {unknown} */ (undefined) };

/**
 * @param {ContextStore} store
 * @param {Parameters} parameters
 * @returns {Promise<Done>}
 */
async function fill(store, { size, keys }) {
  const names = namesOf(size, keys);
  const since = performance.now();
  for (let start = 0; start < keys; start += 256) {
    const part = names.slice(start, start + 256);
    await Promise.all(part.map((name, offset) => set(store, name, valueOfFlow(size, start + offset))));
  }
  return { operations: keys, seconds: secondsSince(since) };
}

/**
 * Reads every property once, by callback: what a near cache can keep is there afterwards.
 *
 * @param {ContextStore} store
 * @param {Parameters} parameters
 * @returns {Promise<Done>}
 */
async function readAll(store, { size, keys }) {
  const names = namesOf(size, keys);
  const since = performance.now();
  for (let start = 0; start < keys; start += 256) {
    await Promise.all(names.slice(start, start + 256).map((name) => get(store, name)));
  }
  return { operations: keys, seconds: secondsSince(since) };
}

/**
 * @param {ContextStore} store
 * @param {Parameters} parameters
 * @returns {Promise<Done>}
 */
async function getNow(store, { size, keys, milliseconds }) {
  const names = namesOf(size, keys);
  const burst = BURST[size];
  let operations = 0;
  let at = 0;
  const since = performance.now();
  while (performance.now() - since < milliseconds) {
    for (let count = 0; count < burst; count += 1) {
      last.value = store.get(SCOPE, names[at]);
      at += 1;
      if (at === keys) at = 0;
    }
    operations += burst;
  }
  return { operations, seconds: secondsSince(since) };
}

/**
 * Reads with a callback, in bursts that are over before the next begins.
 *
 * @param {ContextStore} store
 * @param {Parameters} parameters
 * @returns {Promise<Done>}
 */
async function getByCallback(store, { size, keys, milliseconds }) {
  const names = namesOf(size, keys);
  const burst = BURST[size];
  let operations = 0;
  let answered = 0;
  let at = 0;
  /** @type {(error?: Error | null, value?: unknown) => void} */
  const callback = (error, value) => {
    if (error) throw error;
    last.value = value;
    answered += 1;
  };
  const since = performance.now();
  while (performance.now() - since < milliseconds) {
    for (let count = 0; count < burst; count += 1) {
      store.get(SCOPE, names[at], callback);
      at += 1;
      if (at === keys) at = 0;
    }
    operations += burst;
    while (answered < operations) await nextTurn();
  }
  return { operations, seconds: secondsSince(since) };
}

/**
 * JSON.parse of the same texts.
 *
 * @param {ContextStore} _store
 * @param {Parameters} parameters
 * @returns {Promise<Done>}
 */
async function parse(_store, { size, keys, milliseconds }) {
  const texts = Array.from({ length: keys }, (_, index) => JSON.stringify(valueOf(size, index)));
  const burst = BURST[size];
  let operations = 0;
  let at = 0;
  const since = performance.now();
  while (performance.now() - since < milliseconds) {
    for (let count = 0; count < burst; count += 1) {
      last.value = JSON.parse(texts[at]);
      at += 1;
      if (at === keys) at = 0;
    }
    operations += burst;
  }
  return { operations, seconds: secondsSince(since) };
}

/**
 * @param {ContextStore} store
 * @param {Parameters} parameters
 * @returns {Promise<Done>}
 */
async function getInFlight(store, { size, keys, milliseconds, width = 1 }) {
  const names = namesOf(size, keys);
  const since = performance.now();
  const operations = await keepInFlight(width, milliseconds, (index, done) => {
    store.get(SCOPE, names[index % keys], (error, value) => {
      last.value = value;
      done(error);
    });
  });
  return { operations, seconds: secondsSince(since) };
}

/**
 * @param {ContextStore} store
 * @param {Parameters} parameters
 * @returns {Promise<Done>}
 */
async function setInFlight(store, { size, keys, milliseconds, width = 1 }) {
  const names = namesOf(size, keys);
  const values = Array.from({ length: VARIANTS }, (_, index) => valueOfFlow(size, index));
  const since = performance.now();
  const operations = await keepInFlight(width, milliseconds, (index, done) => {
    store.set(SCOPE, names[index % keys], size === 'number' ? index : values[index % VARIANTS], done);
  });
  return { operations, seconds: secondsSince(since) };
}

/**
 * Sets a number inside an object, another place each time.
 *
 * @param {ContextStore} store
 * @param {Parameters} parameters
 * @returns {Promise<Done>}
 */
async function nestedSetInFlight(store, { size, keys, milliseconds, width = 1 }) {
  const readings = readingsOf(size);
  const expressions = namesOf(size, keys).flatMap((name) => (
    Array.from({ length: readings }, (_, index) => `${name}.readings[${index}].value`)
  ));
  // A stride that visits all of them, so that neighbours in time are not neighbours in the text.
  const stride = 7_919;
  const since = performance.now();
  const operations = await keepInFlight(width, milliseconds, (index, done) => {
    store.set(SCOPE, expressions[(index * stride) % expressions.length], index, done);
  });
  return { operations, seconds: secondsSince(since) };
}

/**
 * The names of the scope, synchronously.
 *
 * @param {ContextStore} store
 * @param {Parameters} parameters
 * @returns {Promise<Done>}
 */
async function keysNow(store, { milliseconds }) {
  let operations = 0;
  const since = performance.now();
  while (performance.now() - since < milliseconds) {
    last.value = store.keys(SCOPE);
    operations += 1;
  }
  return { operations, seconds: secondsSince(since) };
}

/**
 * Sets without a callback at a steady rate; what cannot keep up falls behind. The time counts until the
 * last of them is in the store.
 *
 * @param {ContextStore} store
 * @param {Parameters} parameters
 * @returns {Promise<Done>} more: `calls` seconds inside the calls, `refused` how often too many were
 *   pending (that set is made again), `behind` seconds from the last call until it was in the store
 */
async function setSteadily(store, { keys, milliseconds, rate = Infinity }) {
  const names = namesOf('number', keys);
  const total = Math.round((rate * milliseconds) / 1_000);
  let operations = 0;
  let calls = 0;
  let refused = 0;
  const since = performance.now();
  while (operations < total) {
    const due = Math.min(total, Math.ceil(((performance.now() - since) * rate) / 1_000));
    // One turn sets no more than a turn of a flow would, and leaves the loop to others.
    const until = Math.min(due, operations + 2_000);
    const before = performance.now();
    let full = false;
    try {
      for (; operations < until; operations += 1) store.set(SCOPE, names[operations % keys], operations);
    } catch (error) {
      if (/** @type {{code?: string}} */ (error).code !== 'NRC_TOO_MANY_PENDING_WRITES') throw error;
      full = true;
      refused += 1;
    }
    calls += performance.now() - before;
    await (operations < due && !full ? nextTurn() : delay(1));
  }
  const lastCall = performance.now();
  // Writes of a process reach the store in the order in which they were issued.
  await set(store, `${names[0]}_end`, operations);
  return {
    operations,
    seconds: secondsSince(since),
    more: { calls: calls / 1_000, refused, behind: secondsSince(lastCall) },
  };
}

/**
 * @param {ContextStore} store
 * @param {string} name
 * @param {unknown} value
 * @returns {Promise<void>}
 */
function set(store, name, value) {
  return new Promise((resolve, reject) => {
    store.set(SCOPE, name, value, (error) => (error ? reject(error) : resolve()));
  });
}

/**
 * @param {ContextStore} store
 * @param {string} name
 * @returns {Promise<unknown>}
 */
function get(store, name) {
  return new Promise((resolve, reject) => {
    store.get(SCOPE, name, (error, value) => (error ? reject(error) : resolve(value)));
  });
}

/** @param {number} moment of performance.now() */
function secondsSince(moment) {
  return (performance.now() - moment) / 1_000;
}

module.exports = {
  fill,
  readAll,
  getNow,
  getByCallback,
  parse,
  getInFlight,
  setInFlight,
  nestedSetInFlight,
  keysNow,
  setSteadily,
};
