'use strict';

/** How much memory a process needs for what its store keeps in it. Needs `--expose-gc`. */

const { fill, readAll } = require('./tasks.js');
const { namesOf } = require('./values.js');

/** @typedef {import('./stores.js').ContextStore} ContextStore */
/** @typedef {import('./tasks.js').Parameters} Parameters */

/**
 * Reads what the store's server holds, or sets it where there is no server.
 *
 * @param {ContextStore} store
 * @param {Parameters & {set: boolean}} parameters
 * @returns {Promise<import('./tasks.js').Done>} more: bytes that it took: `once` of heap after a first
 *   read, `heap` and `resident` after a second one
 */
async function memoryOf(store, parameters) {
  // What stays of a first read is not part of an entry: code, buffers of the connection.
  await readAll(store, { ...parameters, size: 'number', keys: 1_000 });
  const names = namesOf(parameters.size, parameters.keys);
  const before = await settled();
  const done = await (parameters.set ? fill : readAll)(store, parameters);
  const once = await settled();
  // What is read once may be kept in another form than what is read again.
  await readAll(store, parameters);
  const again = await settled();
  // Named here so that the names, which both before and after hold, stay until then.
  if (names.length !== done.operations) throw new Error('not all entries were read');
  return {
    ...done,
    more: {
      once: once.heap - before.heap,
      heap: again.heap - before.heap,
      resident: again.resident - before.resident,
    },
  };
}

async function settled() {
  for (let count = 0; count < 4; count += 1) {
    /** @type {() => void} */ (globalThis.gc)();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heap: heapUsed + external, resident: rss };
}

module.exports = { memoryOf };
