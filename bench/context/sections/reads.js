'use strict';

/** Reads that this process can answer, and reads that have to ask the server. */

const { withScope } = require('../../support/clean-up.js');
const { cpu, latency, ratios, short, takeTurns, throughput } = require('../compare.js');
const { startContender } = require('../contender.js');

/** @typedef {import('../index.js').Setting} Setting */
/** @typedef {import('../index.js').Section} Section */
/** @typedef {import('../values.js').Size} Size */

/** @type {Size[]} */
const SIZES = ['number', '1 KB', '10 KB'];

/** Properties that are read in turn: more than the processor's nearest caches hold of the large ones. */
const KEYS = 100;

/** Reads that are in flight at the same time are never of the same property. */
const KEYS_IN_FLIGHT = 1_000;

/** What a hit costs at most, in microseconds; and how much faster than a read through ioredis it is. */
const NUMBER_HIT = 0.5;
const NUMBER_HIT_FASTER = 50;
/** What a hit of an object costs at most, as a part of JSON.parse of the same text. */
const OBJECT_HIT = 0.5;

/**
 * @param {Setting} setting
 * @returns {Promise<Section>}
 */
async function hits({ contenders: { ours, memory, files, ioredis }, open, prefixes, rounds, milliseconds }) {
  /** @type {Section} */
  const section = {
    title: 'get, hit: µs a read',
    rows: [['median (lowest to highest)', 'ours', 'JSON.parse', 'memory', 'localfilesystem', 'ioredis, one by one', 'CPU µs: ours']],
    aims: [],
    figures: {},
  };
  for (const size of SIZES) {
    for (const contender of [memory, files, ioredis]) await contender.measure('fill', { size, keys: KEYS });
    await fillFromElsewhere(open(prefixes.ours), size);
    await ours.measure('readAll', { size, keys: KEYS });
    const parameters = { size, keys: KEYS, milliseconds };
    for (const [form, task] of [['synchronous', 'getNow'], ['callback', 'getByCallback']]) {
      const measured = await takeTurns(rounds, {
        ours: () => ours.measure(task, parameters),
        parse: () => ours.measure('parse', parameters),
        memory: () => memory.measure(task, parameters),
        files: () => files.measure(task, parameters),
        ioredis: () => ioredis.measure('getInFlight', parameters),
      });
      const what = `get, hit, ${form}, ${size}`;
      const toParse = ratios(measured.ours, measured.parse, latency);
      const toIoredis = ratios(measured.ioredis, measured.ours, latency);
      if (size === 'number') {
        section.aims.push({ what: `${what}: µs`, values: measured.ours.map(latency), atMost: NUMBER_HIT });
        section.aims.push({ what: `${what}: ioredis / ours`, values: toIoredis, atLeast: NUMBER_HIT_FASTER });
      } else {
        section.aims.push({ what: `${what}: ours / JSON.parse`, values: toParse, atMost: OBJECT_HIT });
      }
      section.rows.push([
        `${form}, ${size}`,
        ...Object.values(measured).map((all) => short(all.map(latency))),
        short(measured.ours.map(cpu)),
      ]);
      section.figures[what] = measured;
    }
  }
  return section;
}

/**
 * Another instance sets what is read then: what a near cache holds was fetched, not set here.
 *
 * @param {import('../contender.js').StoreOptions} options
 * @param {Size} size
 */
function fillFromElsewhere(options, size) {
  return withScope(async (scope) => {
    const writer = await startContender(scope, 'node-red-cluster', options);
    await writer.measure('fill', { size, keys: KEYS });
    await writer.end();
  });
}

/**
 * @param {Setting} setting
 * @returns {Promise<Section>}
 */
async function misses({ contenders: { uncached, ioredis }, rounds, milliseconds }) {
  /** @type {Section} */
  const section = {
    title: 'get, miss (near cache off)',
    rows: [['median (lowest to highest)', 'ours', 'ioredis', 'CPU µs: ours', 'CPU µs: ioredis']],
    aims: [],
    figures: {},
  };
  for (const size of SIZES) {
    for (const contender of [uncached, ioredis]) await contender.measure('fill', { size, keys: KEYS_IN_FLIGHT });
    const parameters = { size, keys: KEYS_IN_FLIGHT, milliseconds: milliseconds * 2 };
    for (const width of [1, 64]) {
      const measured = await takeTurns(rounds, {
        ours: () => uncached.measure('getInFlight', { ...parameters, width }),
        ioredis: () => ioredis.measure('getInFlight', { ...parameters, width }),
      });
      section.aims.push(throughputAim(`get, miss, ${size}`, width, measured));
      section.rows.push(describePair(`${size}, ${inFlight(width)}`, width, measured));
      section.figures[`get, miss, ${size}, ${width}`] = measured;
    }
    const measured = await takeTurns(rounds, {
      ours: () => uncached.measure('getNow', parameters),
      ioredis: () => ioredis.measure('getInFlight', parameters),
    });
    section.rows.push(describePair(`${size}, ours synchronous, ioredis one by one: µs`, 1, measured));
    section.figures[`get, miss, ${size}, synchronous`] = measured;
  }
  return section;
}

/** How many times ioredis's throughput is wanted, by operations in flight. */
const FASTER = /** @type {Record<number, number>} */ ({ 1: 1, 64: 1.5 });

/**
 * @param {string} what
 * @param {number} width operations in flight
 * @param {import('../compare.js').Rounds} measured of ours and ioredis
 * @returns {import('../compare.js').Aim}
 */
function throughputAim(what, width, { ours, ioredis }) {
  return {
    what: `${what}, ${width === 1 ? 'one by one' : `${width} in flight`}: throughput, ours / ioredis`,
    values: ratios(ours, ioredis, throughput),
    atLeast: FASTER[width],
  };
}

/** @param {number} width */
function inFlight(width) {
  return width === 1 ? 'one by one: µs' : `${width} in flight: a second`;
}

/**
 * @param {string} label
 * @param {number} width
 * @param {import('../compare.js').Rounds} measured
 * @returns {string[]}
 */
function describePair(label, width, { ours, ioredis }) {
  const figure = width === 1 ? latency : throughput;
  return [
    label,
    short(ours.map(figure)),
    short(ioredis.map(figure)),
    short(ours.map(cpu)),
    short(ioredis.map(cpu)),
  ];
}

module.exports = { describePair, hits, inFlight, misses, throughputAim };
