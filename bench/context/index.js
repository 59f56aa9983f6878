'use strict';

const { startStore } = require('../../tests/support/store.js');
const { withScope } = require('../support/clean-up.js');
const { table } = require('../support/table.js');
const { describeAim } = require('./compare.js');
const { startContender } = require('./contender.js');
const { growth, memory } = require('./sections/growth.js');
const { instances } = require('./sections/instances.js');
const { nestedSets, serverTime } = require('./sections/nested.js');
const { hits, misses } = require('./sections/reads.js');
const { sets, steadySets } = require('./sections/writes.js');

/**
 * What every section measures with.
 *
 * @typedef {object} Setting
 * @property {import('../../tests/support/store.js').Store} server
 * @property {Record<'ours' | 'uncached' | 'ioredis' | 'memory' | 'files', import('./contender.js').Contender>} contenders
 * @property {Record<string, string>} prefixes of their keys
 * @property {(keyPrefix: string) => import('./contender.js').StoreOptions} open the server, for another contender
 * @property {boolean} quick
 * @property {number} rounds
 * @property {number} milliseconds that the shortest task takes
 */

/**
 * @typedef {object} Section
 * @property {string} title
 * @property {string[][]} rows
 * @property {import('./compare.js').Aim[]} aims
 * @property {Record<string, object>} figures everything measured
 */

/** @type {Record<string, (setting: Setting) => Promise<Section>>} */
const SECTIONS = { hits, misses, sets, steadySets, nestedSets, serverTime, memory, growth, instances };

const PLAN = { rounds: 7, milliseconds: 100 };
const QUICK_PLAN = { rounds: 2, milliseconds: 20 };

/** @type {Array<{name: keyof Setting['contenders'], store: string, nearCache?: boolean}>} */
const CONTENDERS = [
  { name: 'ours', store: 'node-red-cluster' },
  { name: 'uncached', store: 'node-red-cluster', nearCache: false },
  { name: 'ioredis', store: 'ioredis' },
  { name: 'memory', store: 'memory' },
  { name: 'files', store: 'localfilesystem' },
];

module.exports = {
  summary: 'shared context beside Node-RED\'s own stores and a store that does GET and SET through ioredis',
  /**
   * @param {(line: string) => void} progress
   * @param {{quick?: boolean}} [options]
   */
  run: (progress, { quick = false } = {}) => withScope(async (scope) => {
    // Without persistence: how fast the disk is would be measured for all of them.
    const server = await startStore({ open: true, config: ['--appendonly', 'no'] });
    scope.after(server.release);
    const open = (/** @type {string} */ keyPrefix) => ({ host: server.host, port: server.port, keyPrefix });
    const prefixes = Object.fromEntries(CONTENDERS.map(({ name }) => [name, `${name}:`]));
    const started = [];
    for (const { name, store, nearCache } of CONTENDERS) {
      started.push([name, await startContender(scope, store, { ...open(prefixes[name]), nearCache })]);
    }
    /** @type {Setting['contenders']} */
    const contenders = Object.fromEntries(started);
    const setting = { server, contenders, prefixes, open, quick, ...(quick ? QUICK_PLAN : PLAN) };

    /** @type {Record<string, Section>} */
    const sections = {};
    for (const [name, measure] of Object.entries(SECTIONS)) {
      progress(`Measuring ${name} ...`);
      sections[name] = await measure(setting);
    }
    return { text: describe(Object.values(sections), setting), figures: { plan: { rounds: setting.rounds, milliseconds: setting.milliseconds }, sections } };
  }),
};

/**
 * @param {Section[]} sections
 * @param {Setting} setting
 * @returns {string} the aims first
 */
function describe(sections, { rounds, milliseconds, quick }) {
  const aims = sections.flatMap((section) => section.aims);
  return [
    `${rounds} rounds in which all take turns, ${milliseconds} ms or more each; medians (lowest to highest); ratios are of the same round.${
      quick ? ' A quick run: the figures mean little.' : ''}`,
    'The server is on this machine and keeps nothing on disk; each store runs in a process of its own.',
    '',
    table([['aims', 'measured', 'wanted', 'met'], ...aims.map(describeAim)]),
    ...sections.flatMap(({ title, rows }) => ['', title, table(rows)]),
  ].join('\n');
}
