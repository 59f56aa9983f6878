'use strict';

/** Messages through a node that knows the leader, beside a wire, an empty node and one that asks the store. */

const { withScope } = require('../../support/clean-up.js');
const { cpu, latency, ratios, short, takeTurns, throughput } = require('../../context/compare.js');
const { askStore, clusterLeader, flowsOf, middleOf, pass, passTwo, pathThrough, sourceOf } = require('../flows.js');
const { FOLLOWER, LEADER, startNodeRed } = require('../instances.js');
const { difference, trafficOf } = require('../store-watch.js');

/** @typedef {import('../index.js').Setting} Setting */
/** @typedef {import('../index.js').Section} Section */
/** @typedef {import('../instances.js').Done} Done */

/**
 * Part of its peer's messages that is wanted. Where there is nothing else to do the peer cannot be a wire: any
 * node is a hop more than a wire, which costs as much as the rest.
 */
const OF_A_PEER = 0.9;

/** Messages that a source sends in one turn, where they are not sent one by one. */
const BURST = 1_000;

const LOCK = { lockKey: 'bench-messages', lockTTL: 10 };
const ASKED_LOCK = { lockKey: 'bench-messages-asked', lockTTL: 10 };

/** What the messages go through, by path. @type {Record<string, (server: Setting['server']) => any>} */
const MIDDLES = {
  wire: () => undefined,
  pass: () => pass(),
  passTwo: () => passTwo(),
  ours: () => clusterLeader(LOCK),
  asks: (server) => askStore(ASKED_LOCK, server),
};
const HEADING = ['wire', 'empty node', 'empty node, 2 outputs', 'cluster-leader', 'asks the store'];

/** What comes after it: nothing that counts, or a Function node, as in a flow where the leader does something. */
const FLOWS = [
  { name: 'nothing after it', prefix: 'bare', job: false },
  { name: 'Function node after it', prefix: 'job', job: true },
];

const ROLES = /** @type {const} */ (['leader', 'follower']);

/** @param {Setting['server']} server */
const flows = (server) => flowsOf(...FLOWS.flatMap(({ prefix, job }) => (
  Object.entries(MIDDLES).map(([name, middle]) => pathThrough(`${prefix}-${name}`, middle(server), { job }))
)));

/**
 * @param {Setting} setting
 * @returns {Promise<Section>}
 */
function messages({ server, rounds, milliseconds }) {
  return withScope(async (scope) => {
    /** @type {Section} */
    const section = {
      title: `messages through one Node-RED: a second, in bursts of ${BURST.toLocaleString('en')}; µs of one, one by one; and CPU µs of one in a burst`,
      rows: [['median (lowest to highest)', ...HEADING]],
      aims: [],
      figures: {},
      notes: ['A wire is one hop less than any node; the empty nodes show what Node-RED takes for a hop.'],
    };
    for (const role of ROLES) {
      // The one that is started first leads, the other one follows.
      const instance = await startNodeRed(scope, { name: role, server, flows: flows(server) });
      const fill = role === 'leader' ? LEADER : FOLLOWER;
      for (const { prefix } of FLOWS) {
        await instance.untilShows(middleOf(`${prefix}-ours`), fill);
        // It knows who leads from the first message on.
        await instance.send(sourceOf(`${prefix}-asks`));
        await instance.untilShows(middleOf(`${prefix}-asks`), fill);
      }
      /** @type {Record<string, {operations: number, commands: number}>} */
      const asked = { ours: { operations: 0, commands: 0 }, asks: { operations: 0, commands: 0 } };
      for (const { name, prefix, job } of FLOWS) {
        for (const [form, burst] of /** @type {const} */ ([['in bursts', BURST], ['one by one', 1]])) {
          const measured = await takeTurns(rounds, Object.fromEntries(Object.keys(MIDDLES).map((path) => [path, async () => {
            const before = await trafficOf(server);
            const done = await instance.measure({ source: sourceOf(`${prefix}-${path}`), burst, milliseconds });
            const { commands } = difference(before, await trafficOf(server));
            if (path in asked) {
              checkRole(done, role, path);
              asked[path].operations += done.operations;
              asked[path].commands += commands;
            }
            return { ...done, thread: Number.NaN };
          }])));
          const label = `${role}, ${name}`;
          const figure = burst === 1 ? latency : throughput;
          section.rows.push([
            `${label}, ${form}: ${burst === 1 ? 'µs' : 'a second'}`,
            ...Object.values(measured).map((all) => short(all.map(figure))),
          ]);
          if (burst > 1) {
            section.rows.push([`${label}, ${form}: CPU µs`, ...Object.values(measured).map((all) => short(all.map(cpu)))]);
            const [peer, than] = job ? [measured.wire, 'wire'] : [measured.passTwo, 'empty node with 2 outputs'];
            section.aims.push({ what: `${label}: messages a second, ours / ${than}`, values: ratios(measured.ours, peer, throughput), atLeast: OF_A_PEER });
            section.notes.push(`${label}: messages a second, ours / wire ${short(ratios(measured.ours, measured.wire, throughput))}, ours / empty node with 2 outputs ${short(ratios(measured.ours, measured.passTwo, throughput))}, that / wire ${short(ratios(measured.passTwo, measured.wire, throughput))}`);
            section.notes.push(`${label}: the same by CPU time of the process, wire / ours ${short(ratios(measured.wire, measured.ours, cpu))}, empty node with 2 outputs / ours ${short(ratios(measured.passTwo, measured.ours, cpu))}`);
            section.notes.push(`${label}: messages a second, ours / asks the store ${short(ratios(measured.ours, measured.asks, throughput))}`);
          } else {
            section.notes.push(`${label}: time of a message, asks the store / ours ${short(ratios(measured.asks, measured.ours, latency))}`);
          }
          section.figures[`${label}, ${form}`] = measured;
        }
      }
      for (const [path, { operations, commands }] of Object.entries(asked)) {
        section.notes.push(`${role}: ${commands.toLocaleString('en')} commands to the store during ${operations.toLocaleString('en')} messages through ${HEADING[Object.keys(MIDDLES).indexOf(path)]}`);
        section.figures[`${role}, commands, ${path}`] = { operations, commands };
      }
      section.aims.push({ what: `${role}: commands to the store of a message`, values: [asked.ours.commands / asked.ours.operations], atMost: MOST_COMMANDS });
    }
    return section;
  });
}

/** What renewals may add up to while messages flow: a message itself sends none. */
const MOST_COMMANDS = 0.001;

/**
 * @param {Done} done
 * @param {typeof ROLES[number]} role
 * @param {string} path
 */
function checkRole(done, role, path) {
  if (done[role] !== done.operations) throw new Error(`${path}: ${done[role]} of ${done.operations} messages were the ${role}'s`);
}

module.exports = { messages };
