'use strict';

/** Whether a run did what it was to do. */

/**
 * @typedef {object} Latencies in milliseconds
 * @property {number} count
 * @property {number} p50
 * @property {number} p90
 * @property {number} p99
 * @property {number} p999
 * @property {number} max
 *
 * @typedef {object} Report as `crates/bench` tells it
 * @property {Record<string, Latencies>} latencies by kind
 * @property {Latencies} all
 * @property {Record<string, number>} errors by code
 * @property {number[]} windows operations a second in each
 * @property {number} acknowledged increments
 * @property {number} uncertain increments of which nobody knows
 * @property {number} counted the sum of all counters
 * @property {number} stale values that would be served and are not what the store has
 * @property {number} compared
 */

/** A window that answers more than so much of the rate is held: what is under way at its ends belongs to another. */
const HELD = 0.995;

/**
 * @param {{rate: number}} plan
 * @param {Pick<Report, 'windows'>} report
 * @returns {boolean} whether every window held the rate
 */
function isHeld({ rate }, { windows }) {
  return windows.length > 0 && windows.every((window) => window >= rate * HELD);
}

/**
 * @param {{rate: number, seconds: number}} plan
 * @param {Report} report
 * @returns {string[][]} what is wanted, what was measured, whether that is it
 */
function verdicts(plan, report) {
  const errors = Object.entries(report.errors);
  const yes = (/** @type {boolean} */ met) => (met ? 'yes' : 'NO');
  const lost = report.acknowledged > report.counted || report.counted > report.acknowledged + report.uncertain;
  return [
    [
      `at least ${plan.rate.toLocaleString('en')} operations a second in every window (${HELD * 100} % of it)`,
      Math.min(...report.windows).toLocaleString('en', { maximumFractionDigits: 0 }),
      yes(isHeld(plan, report)),
    ],
    ['no error', errors.map(([code, count]) => `${count} ${code}`).join(', ') || '0', yes(errors.length === 0)],
    [
      'counters add up to the acknowledged increments',
      `${report.counted.toLocaleString('en')} of ${report.acknowledged.toLocaleString('en')}${report.uncertain > 0 ? `, ${report.uncertain} uncertain` : ''}`,
      yes(!lost),
    ],
    ['nothing kept differs from the store afterwards', `${report.stale} of ${report.compared.toLocaleString('en')}`, yes(report.stale === 0)],
  ];
}

/**
 * @param {Record<string, number>} calls
 * @param {number} seconds
 * @returns {string} each command and how often a second, the most frequent first
 */
function describeCalls(calls, seconds) {
  const sorted = Object.entries(calls).sort(([, one], [, other]) => other - one);
  return sorted.map(([name, count]) => `${name} ${(count / seconds).toFixed(count / seconds < 10 ? 2 : 0)}`).join(', ');
}

module.exports = { describeCalls, isHeld, verdicts };
