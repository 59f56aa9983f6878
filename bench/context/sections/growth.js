'use strict';

/** What grows with the number of properties: time, and memory. */

const { withScope } = require('../../support/clean-up.js');
const { latency, short, takeTurns } = require('../compare.js');
const { startContender } = require('../contender.js');

/** @typedef {import('../index.js').Setting} Setting */
/** @typedef {import('../index.js').Section} Section */
/** @typedef {import('../values.js').Size} Size */

const COUNTS = [1, 100, 10_000, 100_000];
const FEW_COUNTS = [1, 100, 10_000];

/** @type {Array<[string, string]>} what, and its task */
const OPERATIONS = [
  ['get, hit, synchronous', 'getNow'],
  ['set with callback, one by one', 'setInFlight'],
  ['keys, synchronous', 'keysNow'],
];

/**
 * @param {Setting} setting
 * @returns {Promise<Section>}
 */
function growth({ open, quick, rounds, milliseconds }) {
  return withScope(async (scope) => {
    /** @type {Section} */
    const section = {
      title: 'growth with the number of properties in the scope, numbers: µs',
      rows: [['median (lowest to highest)', 'ours', 'memory']],
      aims: [],
      figures: {},
    };
    for (const keys of quick ? FEW_COUNTS : COUNTS) {
      const ours = await startContender(scope, 'node-red-cluster', open(`growth-${keys}:`));
      const reference = await startContender(scope, 'memory', open('unused:'));
      for (const contender of [ours, reference]) await contender.measure('fill', { size: 'number', keys });
      await ours.measure('readAll', { size: 'number', keys });
      for (const [what, task] of OPERATIONS) {
        const parameters = { size: 'number', keys, milliseconds };
        const measured = await takeTurns(Math.ceil(rounds / 2), {
          ours: () => ours.measure(task, parameters),
          memory: () => reference.measure(task, parameters),
        });
        const label = `${what}, ${keys.toLocaleString('en')} ${keys === 1 ? 'property' : 'properties'}`;
        section.rows.push([label, ...Object.values(measured).map((all) => short(all.map(latency)))]);
        section.figures[label] = measured;
      }
      await Promise.all([ours.end(), reference.end()]);
    }
    section.rows.splice(1, section.rows.length - 1, ...byOperation(section.rows.slice(1)));
    return section;
  });
}

/**
 * @param {string[][]} rows
 * @returns {string[][]} those of one operation after each other
 */
function byOperation(rows) {
  return OPERATIONS.flatMap(([what]) => rows.filter(([label]) => label.startsWith(what)));
}

/** @type {Array<{size: Size, keys: number}>} */
const ENTRIES = [
  { size: 'number', keys: 100_000 },
  { size: '1 KB', keys: 20_000 },
];

/** Starts of each: memory hardly varies. */
const STARTS = 2;

/**
 * @param {Setting} setting
 * @returns {Promise<Section>}
 */
function memory({ open, quick }) {
  return withScope(async (scope) => {
    /** @type {Section} */
    const section = {
      title: 'memory of an entry: bytes',
      rows: [[
        'median (lowest to highest)', 'ours: heap, read once', 'ours: heap', 'ours: resident', 'memory: heap', 'memory: resident',
      ]],
      aims: [],
      figures: {},
    };
    for (const { size, keys: all } of ENTRIES) {
      const keys = quick ? all / 10 : all;
      const options = open(`memory-${keys}:`);
      const writer = await startContender(scope, 'node-red-cluster', options);
      await writer.measure('fill', { size, keys });
      await writer.end();
      /** @type {Record<string, import('../contender.js').Measured[]>} */
      const measured = { ours: [], memory: [] };
      for (let start = 0; start < STARTS; start += 1) {
        for (const [name, store] of [['ours', 'node-red-cluster'], ['memory', 'memory']]) {
          const contender = await startContender(scope, store, options, { flags: ['--expose-gc'] });
          measured[name].push(await contender.measure('memoryOf', { size, keys, set: store === 'memory' }));
          await contender.end();
        }
      }
      const label = `${keys.toLocaleString('en')} entries, ${size}`;
      const entry = (/** @type {string} */ name, /** @type {string} */ kind) => (
        short(measured[name].map(({ more, operations }) => (more?.[kind] ?? Number.NaN) / operations))
      );
      section.rows.push([
        label, entry('ours', 'once'), entry('ours', 'heap'), entry('ours', 'resident'), entry('memory', 'heap'), entry('memory', 'resident'),
      ]);
      section.figures[label] = measured;
    }
    return section;
  });
}

module.exports = { growth, memory };
