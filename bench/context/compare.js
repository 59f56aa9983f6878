'use strict';

/** Rounds in which contenders take turns, and what is said of the figures. */

const { describeSpread, spread } = require('../support/statistics.js');

/** @typedef {import('./contender.js').Measured} Measured */
/** @typedef {Record<string, Measured[]>} Rounds by contender, in the order of the rounds */

/**
 * Runs each contender once a round. Who begins changes from round to round; a first round is not counted.
 *
 * @param {number} rounds
 * @param {Record<string, () => Promise<Measured>>} contenders
 * @returns {Promise<Rounds>}
 */
async function takeTurns(rounds, contenders) {
  const names = Object.keys(contenders);
  /** @type {Rounds} */
  const measured = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round <= rounds; round += 1) {
    for (const name of round % 2 === 0 ? names : [...names].reverse()) {
      const done = await contenders[name]();
      if (round > 0) measured[name].push(done);
    }
  }
  return measured;
}

/** Microseconds of an operation. */
const latency = (/** @type {Measured} */ { seconds, operations }) => (seconds * 1e6) / operations;
/** Operations a second. */
const throughput = (/** @type {Measured} */ { seconds, operations }) => operations / seconds;
/** Microseconds of CPU of an operation, in all threads of the process. */
const cpu = (/** @type {Measured} */ measured) => (measured.cpu * 1e6) / measured.operations;
/** Microseconds of CPU of an operation, in the thread that runs JavaScript. */
const thread = (/** @type {Measured} */ measured) => (measured.thread * 1e6) / measured.operations;

/**
 * @param {Measured[]} ones
 * @param {Measured[]} others of the same rounds
 * @param {(measured: Measured) => number} figure
 * @returns {number[]} one divided by other, round by round
 */
function ratios(ones, others, figure) {
  return ones.map((one, round) => figure(one) / figure(others[round]));
}

/**
 * A figure that the project wants, beside what was measured.
 *
 * @typedef {object} Aim
 * @property {string} what
 * @property {number[]} values
 * @property {number} [atMost]
 * @property {number} [atLeast]
 */

/**
 * @param {Aim} aim
 * @returns {string[]} what, measured, wanted, whether the median meets it
 */
function describeAim({ what, values, atMost, atLeast }) {
  const { median } = spread(values);
  const met = atMost === undefined ? median >= (atLeast ?? 0) : median <= atMost;
  const wanted = atMost === undefined ? `at least ${atLeast}` : `at most ${atMost}`;
  return [what, short(values), wanted, met ? 'yes' : 'no'];
}

/**
 * @param {number[]} values
 * @returns {string} with as many digits as say something
 */
function short(values) {
  if (values.length === 0 || values.some(Number.isNaN)) return '-';
  const { median } = spread(values);
  return describeSpread(values, median >= 100 ? 0 : median >= 10 ? 1 : median >= 1 ? 2 : 3);
}

module.exports = { cpu, describeAim, latency, ratios, short, takeTurns, thread, throughput };
