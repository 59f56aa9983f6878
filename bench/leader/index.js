'use strict';

const { startStore } = require('../../tests/support/store.js');
const { describeAim } = require('../context/compare.js');
const { withScope } = require('../support/clean-up.js');
const { table } = require('../support/table.js');
const { deaths, releases, stops } = require('./sections/failover.js');
const { messages } = require('./sections/messages.js');
const { traffic } = require('./sections/traffic.js');

/**
 * What every section measures with. The numbers of runs are of the failovers.
 *
 * @typedef {object} Setting
 * @property {import('../../tests/support/store.js').Store} server
 * @property {boolean} quick
 * @property {number} rounds
 * @property {number} milliseconds of each measurement of messages
 * @property {number} handovers runs of a stop, and of a release
 * @property {number} deaths runs of a kill, by TTL
 * @property {number} peers runs of each with the node that asks the store
 */

/**
 * @typedef {object} Section
 * @property {string} title
 * @property {string[][]} rows
 * @property {import('../context/compare.js').Aim[]} aims
 * @property {string[]} notes lines below the rows
 * @property {Record<string, object>} figures everything measured
 */

/** @type {Record<string, (setting: Setting) => Promise<Section>>} */
const SECTIONS = { messages, stops, releases, deaths, traffic };

/** Many short rounds: what else the machine does meets all that take turns alike. */
const PLAN = { rounds: 25, milliseconds: 60, handovers: 50, deaths: 10, peers: 10 };
const QUICK_PLAN = { rounds: 2, milliseconds: 50, handovers: 3, deaths: 1, peers: 1 };

module.exports = {
  summary: 'leader nodes beside a wire and a node that asks the store at each message: messages, failover, store traffic',
  /**
   * @param {(line: string) => void} progress
   * @param {{quick?: boolean}} [options]
   */
  run: async (progress, { quick = false } = {}) => {
    const plan = quick ? QUICK_PLAN : PLAN;
    /** @type {Record<string, Section>} */
    const sections = {};
    for (const [name, measure] of chosen()) {
      progress(`Measuring ${name} ...`);
      sections[name] = await withScope(async (scope) => {
        // Without persistence: how fast the disk is would be measured for all of them.
        const server = await startStore({ open: true, config: ['--appendonly', 'no'] });
        scope.after(server.release);
        return measure({ server, quick, ...plan });
      });
    }
    return { text: describe(Object.values(sections), plan, quick), figures: { plan, sections } };
  },
};

/** @returns {Array<[string, (setting: Setting) => Promise<Section>]>} all, or those that BENCH_SECTIONS names */
function chosen() {
  const names = process.env.BENCH_SECTIONS?.split(',');
  return Object.entries(SECTIONS).filter(([name]) => names?.includes(name) ?? true);
}

/**
 * @param {Section[]} sections
 * @param {typeof PLAN} plan
 * @param {boolean} quick
 * @returns {string} the aims first
 */
function describe(sections, { rounds, milliseconds }, quick) {
  const aims = sections.flatMap((section) => section.aims);
  return [
    `Messages: ${rounds} rounds in which all take turns, ${milliseconds} ms each; medians (lowest to highest); ratios are of the same round.${
      quick ? ' A quick run: the figures mean little.' : ''}`,
    'The server is on this machine and keeps nothing on disk. Everything but the light instances of the last part is a real Node-RED.',
    '',
    table([['aims', 'measured', 'wanted', 'met'], ...aims.map(describeAim)]),
    ...sections.flatMap(({ title, rows, notes }) => ['', title, table(rows), ...notes]),
  ].join('\n');
}
