'use strict';

/** What instances that follow and lead ask of the store, whether or not messages flow. */

const path = require('node:path');
const { setTimeout: delay } = require('node:timers/promises');

const { temporaryDirectory } = require('../../../tests/support/directories.js');
const { until } = require('../../../tests/support/wait.js');
const { short } = require('../../context/compare.js');
const { cpuOf } = require('../../context/server-watch.js');
const { withScope } = require('../../support/clean-up.js');
const { startCommanded } = require('../../support/commanded.js');
const { callsBetween, callsOf, difference, trafficOf } = require('../store-watch.js');

/** @typedef {import('../index.js').Setting} Setting */
/** @typedef {import('../index.js').Section} Section */

/**
 * @typedef {object} Measured of one stretch of time
 * @property {number} seconds
 * @property {number} commands that instances sent, and those in the scripts that they ran
 * @property {Record<string, number>} calls of each command
 * @property {number} received bytes that the server got
 * @property {number} sent bytes that it sent
 * @property {number} server part of a core that the server used
 * @property {number} instance part of a core that an instance used, on average
 * @property {number} asked messages
 */

const TTL = 10;
const LOCKS = [1, 10, 100];
const INSTANCES = [1, 10, 50];
const QUICK_INSTANCES = [1, 3];

/** Messages a second through the leader nodes of an instance, all of them together. */
const MESSAGES = 1_000;

/** A leader renews so often, in milliseconds: nothing shorter shows all that happens. */
const PERIOD = (TTL * 1_000) / 3;

/** Stretches of each kind. */
const STRETCHES = 3;

/** With messages / without. */
const MORE_WITH_MESSAGES = 1.1;

/**
 * @param {Setting} setting
 * @returns {Promise<Section>}
 */
async function traffic({ server, quick }) {
  /** @type {Section} */
  const section = {
    title: `light instances, TTL ${TTL} s: traffic with the store, a second, over ${(PERIOD / 1_000).toFixed(1)} s, the time between two renewals; with messages: ${MESSAGES.toLocaleString('en')} a second and instance`,
    rows: [[
      'median (lowest to highest)', 'scripts', 'PING', 'commands, also in scripts', 'with messages', 'kB to the store', 'kB from it', 'its CPU, %', 'CPU of an instance, %', 'connections', 'MB of an instance',
    ]],
    aims: [],
    notes: [],
    figures: {},
  };
  /** @type {number[]} */
  const more = [];
  /** @type {{label: string, measured: Measured} | undefined} */
  let last;
  for (const instances of quick ? QUICK_INSTANCES : INSTANCES) {
    for (const locks of LOCKS) {
      const { idle, busy, links, memory } = await measure(server, instances, locks, quick ? 1 : STRETCHES);
      const label = `${locks} ${locks === 1 ? 'lock' : 'locks'}, ${instances} ${instances === 1 ? 'instance' : 'instances'}`;
      const rate = (/** @type {Measured[]} */ all, /** @type {(one: Measured) => number} */ figure) => (
        short(all.map((one) => figure(one) / one.seconds))
      );
      section.rows.push([
        label,
        rate(idle, ({ calls }) => (calls.evalsha ?? 0) + (calls.eval ?? 0)),
        rate(idle, ({ calls }) => calls.ping ?? 0),
        rate(idle, ({ commands }) => commands),
        rate(busy, ({ commands }) => commands),
        rate(idle, ({ received }) => received / 1e3),
        rate(idle, ({ sent }) => sent / 1e3),
        short(idle.map((one) => one.server * 100)),
        short(idle.map((one) => one.instance * 100)),
        String(links),
        (memory / 1e6).toFixed(0),
      ]);
      more.push(...busy.map((one, stretch) => (one.commands / one.seconds) / (idle[stretch].commands / idle[stretch].seconds)));
      last = { label, measured: idle[0] };
      section.figures[label] = { idle, busy, links, memory };
    }
  }
  if (last) section.notes.push(`${last.label}, a second: ${describeCalls(last.measured)}`);
  section.aims.push({ what: 'commands to the store a second: with messages / without', values: more, atMost: MORE_WITH_MESSAGES });
  return section;
}

/**
 * @param {Measured} measured
 * @returns {string} each command and how often a second, the most frequent first
 */
function describeCalls({ calls, seconds }) {
  const sorted = Object.entries(calls).sort(([, one], [, other]) => other - one);
  return sorted.map(([name, count]) => `${name} ${(count / seconds).toFixed(1)}`).join(', ');
}

/**
 * @param {Setting['server']} server
 * @param {number} count of instances
 * @param {number} locks
 * @param {number} stretches
 */
function measure(server, count, locks, stretches) {
  return withScope(async (scope) => {
    const lockKeys = Array.from({ length: locks }, (_, index) => `traffic-${count}-${locks}-${index}`);
    const instances = Array.from({ length: count }, () => startCandidate(scope));
    const everyone = (/** @type {string} */ name, /** @type {object} */ parameters = {}) => (
      Promise.all(instances.map(({ command }) => command(name, parameters)))
    );
    for (const { command } of instances) await command('join', { host: server.host, port: server.port, lockKeys, lockTTL: TTL });
    await until(async () => {
      const standings = await everyone('standings');
      const leads = standings.reduce((sum, one) => sum + one.leads, 0);
      return leads === locks && standings.every(({ known }) => known === locks);
    }, { message: `${count} instances agree who leads ${locks} locks`, timeout: 60_000, interval: 200 });
    // What joining has brought about is over by then.
    await delay(PERIOD);

    /** @returns {Promise<Measured>} */
    async function stretch() {
      const usedBefore = await everyone('used');
      const serverBefore = await cpuOf(server);
      const callsBefore = await callsOf(server);
      const before = await trafficOf(server);
      const since = performance.now();
      await delay(PERIOD);
      const { commands, received, sent } = difference(before, await trafficOf(server));
      const seconds = (performance.now() - since) / 1_000;
      const calls = callsBetween(callsBefore, await callsOf(server));
      const serverUsed = await cpuOf(server) - serverBefore;
      const used = await everyone('used');
      const sum = (/** @type {'cpu' | 'asked'} */ field) => used.reduce((total, one, index) => total + one[field] - usedBefore[index][field], 0);
      return { seconds, commands, calls, received, sent, server: serverUsed / seconds, instance: sum('cpu') / count / seconds, asked: sum('asked') };
    }

    /** @type {Measured[]} */
    const idle = [];
    /** @type {Measured[]} */
    const busy = [];
    for (let round = 0; round < stretches; round += 1) {
      await everyone('messages', { rate: 0 });
      idle.push(await stretch());
      await everyone('messages', { rate: MESSAGES });
      busy.push(await stretch());
    }
    const { links } = await trafficOf(server);
    const used = await everyone('used');
    return { idle, busy, links, memory: used.reduce((sum, { memory }) => sum + memory, 0) / count };
  });
}

/** @param {import('../../../tests/support/cluster.js').Scope} scope */
function startCandidate(scope) {
  const file = path.join(__dirname, '..', 'candidate-process.js');
  return startCommanded(scope, file, temporaryDirectory('bench-candidate'));
}

module.exports = { traffic };
