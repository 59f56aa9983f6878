'use strict';

/** Sets with a callback, and sets without one at a steady rate. */

const { cpu, latency, short, takeTurns, thread, throughput } = require('../compare.js');
const { describePair, inFlight, throughputAim } = require('./reads.js');

/** @typedef {import('../index.js').Setting} Setting */
/** @typedef {import('../index.js').Section} Section */
/** @typedef {import('../values.js').Size} Size */

/** @type {Size[]} */
const SIZES = ['number', '1 KB', '10 KB'];

const KEYS = 1_000;

/** Sets a second, and what one of them may cost the thread that runs the flows, in microseconds. */
const RATE = 200_000;
const COST = 2;

/** Properties that are set in turn at the steady rate: hardly ever one twice in a round trip. */
const STEADY_KEYS = 20_000;

/** Part of the steady rate that counts as the rate: the last sets end a round trip later. */
const REACHED = 0.98;

/**
 * @param {Setting} setting
 * @returns {Promise<Section>}
 */
async function sets({ contenders: { ours, memory, files, ioredis }, rounds, milliseconds }) {
  /** @type {Section} */
  const section = {
    title: 'set with callback',
    rows: [['median (lowest to highest)', 'ours', 'ioredis', 'CPU µs: ours', 'CPU µs: ioredis', 'memory', 'localfilesystem (disk later)']],
    aims: [],
    figures: {},
  };
  for (const size of SIZES) {
    for (const width of [1, 64]) {
      const parameters = { size, keys: KEYS, milliseconds: milliseconds * 2, width };
      const measured = await takeTurns(rounds, Object.fromEntries(
        Object.entries({ ours, ioredis, memory, files })
          .map(([name, contender]) => [name, () => contender.measure('setInFlight', parameters)]),
      ));
      const figure = width === 1 ? latency : throughput;
      section.aims.push(throughputAim(`set, ${size}`, width, measured));
      section.rows.push([
        ...describePair(`${size}, ${inFlight(width)}`, width, measured),
        short(measured.memory.map(figure)),
        short(measured.files.map(figure)),
      ]);
      section.figures[`set, ${size}, ${width}`] = measured;
    }
  }
  return section;
}

/**
 * @param {Setting} setting
 * @returns {Promise<Section>}
 */
async function steadySets({ contenders: { ours, ioredis, memory }, server, prefixes, rounds, milliseconds }) {
  const parameters = { keys: STEADY_KEYS, milliseconds: milliseconds * 20, rate: RATE };
  const measured = await takeTurns(Math.ceil(rounds / 2), {
    ours: async () => {
      const done = await ours.measure('setSteadily', parameters);
      await expectLast(server, prefixes.ours, done.operations);
      return done;
    },
    ioredis: () => ioredis.measure('setSteadily', parameters),
    memory: () => memory.measure('setSteadily', parameters),
  });
  const call = (/** @type {import('../contender.js').Measured} */ { operations, more }) => ((more?.calls ?? 0) * 1e6) / operations;
  const behind = (/** @type {import('../contender.js').Measured} */ { more }) => (more?.behind ?? 0) * 1e3;
  const what = `synchronous set of a number, ${RATE.toLocaleString('en')} a second asked for`;
  /** @type {Array<[string, (measured: import('../contender.js').Measured) => number]>} */
  const rows = [
    ['in the store, a second', throughput],
    ['the call alone: µs', call],
    ['CPU of the thread that runs the flows: µs', thread],
    ['CPU of all threads: µs', cpu],
    ['last set until in the store: ms', behind],
    ['refused, as too many were pending', ({ more }) => more?.refused ?? 0],
  ];
  return {
    title: `${what}, different properties`,
    rows: [
      ['median (lowest to highest)', 'ours', 'ioredis', 'memory'],
      ...rows.map(([label, figure]) => [label, ...Object.values(measured).map((all) => short(all.map(figure)))]),
    ],
    aims: [
      { what: `${what}: reached, a second`, values: measured.ours.map(throughput), atLeast: RATE * REACHED },
      { what: 'the same: the call alone, µs', values: measured.ours.map(call), atMost: COST },
      { what: 'the same: CPU of the thread that runs the flows, delivery included, µs', values: measured.ours.map(thread), atMost: COST },
    ],
    figures: { [what]: measured },
  };
}

/**
 * What was measured must have happened.
 *
 * @param {import('../../../tests/support/store.js').Store} server
 * @param {string} prefix
 * @param {number} operations
 */
async function expectLast(server, prefix, operations) {
  for (let index = operations - 100; index < operations; index += 1) {
    const text = await server.command('GET', `${prefix}context:global:value_number_${index % STEADY_KEYS}`);
    if (text !== String(index)) throw new Error(`set ${index} is not in the store, which holds ${text}`);
  }
}

module.exports = { sets, steadySets };
