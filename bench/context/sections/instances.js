'use strict';

/** One process writes, others read all of it again and again. */

const { withScope } = require('../../support/clean-up.js');
const { cpu, short, throughput } = require('../compare.js');
const { startContender } = require('../contender.js');
const { cpuOf } = require('../server-watch.js');

/** @typedef {import('../index.js').Setting} Setting */
/** @typedef {import('../index.js').Section} Section */
/** @typedef {import('../contender.js').Measured} Measured */

const READERS = [1, 4, 16];
const KEYS = 100;
/** Writes a second. */
const RATE = 500;

/** @type {Array<{name: string, store: string, synchronous: boolean}>} */
const STORES = [
  { name: 'ours, synchronous', store: 'node-red-cluster', synchronous: true },
  { name: 'ours, callbacks', store: 'node-red-cluster', synchronous: false },
  { name: 'ioredis, callbacks', store: 'ioredis', synchronous: false },
];

/**
 * @param {Setting} setting
 * @returns {Promise<Section>}
 */
async function instances(setting) {
  /** @type {Section} */
  const section = {
    title: `one instance writes ${RATE} numbers a second, others read all ${KEYS} of them every millisecond or as often as they can (spread: over the readers)`,
    rows: [[
      'median (lowest to highest)', 'reads a second, a reader', 'CPU µs a read', 'value first seen after ms: median', '99 of 100', 'CPU of the server',
    ]],
    aims: [],
    figures: {},
  };
  for (const count of READERS) {
    for (const { name, store, synchronous } of STORES) {
      const { readers, server } = await follow(setting, count, store, synchronous);
      const label = `${count} reading, ${name}`;
      section.rows.push([
        label,
        short(readers.map(throughput)),
        short(readers.map(cpu)),
        short(readers.map(({ more }) => more?.half ?? Number.NaN)),
        short(readers.map(({ more }) => more?.most ?? Number.NaN)),
        `${(server * 100).toFixed(0)} %`,
      ]);
      section.figures[label] = { readers, server };
    }
  }
  return section;
}

/**
 * @param {Setting} setting
 * @param {number} count of readers
 * @param {string} store
 * @param {boolean} synchronous whether it can be read so
 * @returns {Promise<{readers: Measured[], server: number}>} server: part of a core that it used
 */
function follow({ open, server, milliseconds }, count, store, synchronous) {
  return withScope(async (scope) => {
    const options = open(`instances-${store}-${synchronous}-${count}:`);
    const writer = await startContender(scope, store, options);
    await writer.measure('fill', { size: 'number', keys: KEYS });
    const readers = await Promise.all(Array.from({ length: count }, () => startContender(scope, store, options)));
    const parameters = { keys: KEYS, rate: RATE, synchronous };
    const time = milliseconds * 12;
    const before = await cpuOf(server);
    const since = performance.now();
    // The writer goes on for longer than anyone reads.
    const written = writer.measure('publish', { ...parameters, milliseconds: time + 200 });
    const measured = await Promise.all(readers.map((reader) => reader.measure('follow', { ...parameters, milliseconds: time })));
    await written;
    const used = (await cpuOf(server) - before) / ((performance.now() - since) / 1_000);
    await Promise.all([writer, ...readers].map((one) => one.end()));
    return { readers: measured, server: used };
  });
}

module.exports = { instances };
