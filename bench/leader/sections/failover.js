'use strict';

/** How long nobody leads after the leader stops, releases or dies, while no message flows. */

const { setTimeout: delay } = require('node:timers/promises');

const { connect } = require('../../../tests/support/resp.js');
const { until } = require('../../../tests/support/wait.js');
const { withScope } = require('../../support/clean-up.js');
const { describeSpread } = require('../../support/statistics.js');
const { askStore, clusterLeader, flowsOf, middleOf, pathThrough, releaseLeader, sourceOf } = require('../flows.js');
const { FOLLOWER, LEADER, startNodeRed } = require('../instances.js');
const { machineTime } = require('../machine-time.js');

/** @typedef {import('../index.js').Setting} Setting */
/** @typedef {import('../index.js').Section} Section */
/** @typedef {import('../instances.js').NodeRed} NodeRed */

/**
 * @typedef {object} Failover
 * @property {number} total milliseconds from what ended the leadership until another node shows that it leads
 * @property {number} [released] until the lock key was deleted, as the server tells
 */

const INSTANCES = 3;

/** Milliseconds within which a leader that stopped or released is wanted to be replaced. */
const HANDOVER = 50;
/** What a leader that died may take, in TTLs. */
const DEATH = 1.1;

const TTL = 10;
const TTLS = [3, 10];

/** Milliseconds between two messages of a flow with a node that only acts when one comes. */
const TICK = 5;

/** Milliseconds that an instance is left alone after its start. */
const CALM = 300;

/**
 * The leader's process gets SIGTERM.
 *
 * @param {Setting} setting
 * @returns {Promise<Section>}
 */
async function stops({ server, handovers, peers }) {
  const ours = await withScope((scope) => endLeaders(scope, server, 'ours', TTL, 'SIGTERM', handovers));
  const asks = await withScope((scope) => endLeaders(scope, server, 'asks', TTL, 'SIGTERM', peers));
  return {
    title: `a Node-RED that leads gets SIGTERM (${INSTANCES} instances, TTL ${TTL} s): ms until another one leads`,
    rows: [
      HEADING,
      row('cluster-leader, no messages: since the signal', ours.map(({ total }) => total)),
      row('cluster-leader, no messages: of this, since the lock was given up', sinceReleased(ours)),
      row(`asks the store, a message every ${TICK} ms: since the signal`, asks.map(({ total }) => total)),
      row(`asks the store, a message every ${TICK} ms: of this, since the lock was given up`, sinceReleased(asks)),
    ],
    aims: [
      { what: `stop to the next leader, since the signal: ms, 99 of 100 (${ours.length} runs)`, values: [percentile(ours.map(({ total }) => total), 0.99)], atMost: HANDOVER },
    ],
    notes: ['That another one leads is what its node shows; that the lock was given up is what the server tells this program, which may hear of it later than the next leader.'],
    figures: { stops: { ours, asks } },
  };
}

/**
 * A message comes to a release node. Each run is of a lock of its own, so that none waits until the
 * instance that released the one before may lead again.
 *
 * @param {Setting} setting
 * @returns {Promise<Section>}
 */
function releases({ server, handovers }) {
  return withScope(async (scope) => {
    const locks = Array.from({ length: handovers }, (_, index) => `release-${index}`);
    const flows = flowsOf(...locks.flatMap((lock) => [
      pathThrough(lock, clusterLeader({ lockKey: lock, lockTTL: TTL })),
      pathThrough(`${lock}-by-hand`, releaseLeader(lock)),
    ]));
    const instances = await startAll(scope, server, flows, locks.map(middleOf));
    const [leader, ...others] = instances;
    /** @type {number[]} */
    const totals = [];
    for (const lock of locks) {
      const { at } = await leader.send(sourceOf(`${lock}-by-hand`));
      totals.push(await firstLeader(others, middleOf(lock), at, 5_000) - at);
    }
    return {
      title: `a message comes to a release node (${INSTANCES} instances, TTL ${TTL} s): ms until another one leads`,
      rows: [HEADING, row('cluster-leader, no messages', totals)],
      aims: [{ what: `release to the next leader: ms, 99 of 100 (${totals.length} runs)`, values: [percentile(totals, 0.99)], atMost: HANDOVER }],
      notes: [],
      figures: { releases: { ours: totals } },
    };
  });
}

/**
 * The leader's process gets SIGKILL.
 *
 * @param {Setting} setting
 * @returns {Promise<Section>}
 */
async function deaths({ server, deaths: runs, peers }) {
  /** @type {Section} */
  const section = {
    title: `a Node-RED that leads gets SIGKILL (${INSTANCES} instances): seconds until another one leads`,
    rows: [HEADING],
    aims: [],
    notes: [],
    figures: {},
  };
  for (const ttl of TTLS) {
    const ours = await withScope((scope) => endLeaders(scope, server, 'ours', ttl, 'SIGKILL', runs));
    const seconds = ours.map(({ total }) => total / 1_000);
    section.rows.push(row(`TTL ${ttl} s: cluster-leader, no messages`, seconds, 2));
    section.aims.push({ what: `kill -9 to the next leader, TTL ${ttl} s: TTLs, the longest of ${runs} runs`, values: [Math.max(...seconds) / ttl], atMost: DEATH });
    section.figures[`TTL ${ttl} s`] = { ours };
    if (ttl === TTLS[0]) {
      const asks = await withScope((scope) => endLeaders(scope, server, 'asks', ttl, 'SIGKILL', peers));
      section.rows.push(row(`TTL ${ttl} s: asks the store, a message every ${TICK} ms`, asks.map(({ total }) => total / 1_000), 2));
      section.figures[`TTL ${ttl} s`] = { ours, asks };
    }
  }
  return section;
}

const HEADING = ['', 'runs', 'median (lowest to highest)', '99 of 100'];

/**
 * @param {string} label
 * @param {number[]} values
 * @param {number} [digits]
 */
const row = (label, values, digits = 1) => (
  [label, String(values.length), describeSpread(values, digits), percentile(values, 0.99).toFixed(digits)]
);

/**
 * @param {Failover[]} failovers
 * @returns {number[]} of each the time after the lock was given up
 */
function sinceReleased(failovers) {
  return failovers.map(({ total, released }) => {
    if (released === undefined) throw new Error('a leader that stopped did not give up its lock');
    return total - released;
  });
}

/**
 * @param {number[]} values at least one
 * @param {number} part of 1
 * @returns {number} the lowest that so many of them do not exceed
 */
function percentile(values, part) {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.ceil(sorted.length * part) - 1];
}

/**
 * Ends whoever leads, again and again.
 *
 * @param {import('../../../tests/support/cluster.js').Scope} scope
 * @param {Setting['server']} server
 * @param {'ours' | 'asks'} kind
 * @param {number} ttl seconds
 * @param {'SIGTERM' | 'SIGKILL'} signal
 * @param {number} runs
 * @returns {Promise<Failover[]>}
 */
async function endLeaders(scope, server, kind, ttl, signal, runs) {
  const lockKey = `${kind}-${signal}-${ttl}`;
  const lock = { lockKey, lockTTL: ttl };
  const node = middleOf(kind);
  const deletions = await watchDeletions(scope, server, lockKey);
  const flows = flowsOf(pathThrough(kind, kind === 'ours' ? clusterLeader(lock) : askStore(lock, server)));
  // A node that asks at each message learns nothing without one.
  const ready = (/** @type {NodeRed} */ instance) => (kind === 'asks' ? instance.tick(sourceOf(kind), TICK) : undefined);
  const instances = await startAll(scope, server, flows, [node], ready);

  /** @type {Failover[]} */
  const failovers = [];
  let leader = instances[0];
  for (let run = 0; run < runs; run += 1) {
    // Each run meets another moment between two renewals.
    await delay(CALM + (run / runs) * (ttl * 1_000) / 3);
    const others = instances.filter((one) => one !== leader);
    const since = machineTime();
    leader.instance.signal(signal);
    const next = await firstLeader(others, node, since, ttl * 3_000);
    const released = deletions.find((at) => at > since);
    failovers.push({ total: next - since, ...(released ? { released: released - since } : {}) });
    await leader.instance.waitForExit();
    const restarted = machineTime();
    await leader.startAgain();
    await ready(leader);
    await leader.untilShows(node, FOLLOWER, { since: restarted });
    leader = others.find((one) => one.shows(node) === LEADER) ?? leader;
  }
  return failovers;
}

/**
 * @param {import('../../../tests/support/cluster.js').Scope} scope
 * @param {Setting['server']} server
 * @param {import('../flows.js').FlowNode[]} flows
 * @param {string[]} nodes that show who leads
 * @param {(instance: NodeRed) => Promise<unknown> | undefined} [ready] done with each when its flows run
 * @returns {Promise<NodeRed[]>} the first one leads all, the others follow
 */
async function startAll(scope, server, flows, nodes, ready) {
  /** @type {NodeRed[]} */
  const instances = [];
  for (let number = 1; number <= INSTANCES; number += 1) {
    const instance = await startNodeRed(scope, { name: `instance-${number}`, server, flows });
    await ready?.(instance);
    for (const node of nodes) await instance.untilShows(node, number === 1 ? LEADER : FOLLOWER, { timeout: 40_000 });
    instances.push(instance);
  }
  await delay(CALM);
  return instances;
}

/**
 * @param {NodeRed[]} instances
 * @param {string} node
 * @param {number} since machine time
 * @param {number} timeout milliseconds
 * @returns {Promise<number>} machine time when the first of them showed that it leads
 */
function firstLeader(instances, node, since, timeout) {
  return until(() => {
    const times = instances.flatMap((one) => one.statuses())
      .filter(({ id, fill, at }) => id === node && fill === LEADER && at >= since)
      .map(({ at }) => at);
    return times.length > 0 ? Math.min(...times) : undefined;
  }, { message: `another instance shows in ${node} that it leads`, timeout, interval: 10 });
}

/**
 * @param {import('../../../tests/support/cluster.js').Scope} scope
 * @param {Setting['server']} server
 * @param {string} key
 * @returns {Promise<number[]>} machine times of its deletions, more as they happen; not of its expiry
 */
async function watchDeletions(scope, server, key) {
  /** @type {number[]} */
  const times = [];
  await server.command('CONFIG', 'SET', 'notify-keyspace-events', 'Kg');
  const client = await connect({
    path: server.socketPath,
    onPush: ([, , event]) => {
      if (event === 'del') times.push(machineTime());
    },
  });
  scope.after(async () => client.close());
  await client.command('SUBSCRIBE', `__keyspace@0__:${key}`);
  return times;
}

module.exports = { deaths, releases, stops };
