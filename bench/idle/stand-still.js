'use strict';

/** One admin and its workers, real or light, that stand still while the store is watched. */

const { setTimeout: delay } = require('node:timers/promises');

const { startCluster } = require('../../tests/support/cluster.js');
const { SHARED_CONTEXT } = require('../../tests/support/context-flows.js');
const { tab } = require('../../tests/support/flows.js');
const { startStore } = require('../../tests/support/store.js');
const { until } = require('../../tests/support/wait.js');
const { callsBetween, callsOf, difference, trafficOf } = require('../leader/store-watch.js');
const { startLightInstances } = require('../support/light-instances.js');
const { cpuOf, fieldOf, totalsOf } = require('../support/store-totals.js');

/**
 * @typedef {object} Still
 * @property {number} workers
 * @property {number} seconds
 * @property {Record<string, number>} calls of each command, those in scripts as well
 * @property {number} received bytes that the store got
 * @property {number} sent bytes that it sent
 * @property {number} links
 * @property {number} memory of the store, in bytes
 * @property {number} cpu seconds of the store
 * @property {{seconds: number, commands: number, received: number, sent: number}} start of all workers
 *
 * @typedef {object} Plan
 * @property {string} program of the light instances
 * @property {number} seconds
 * @property {number} settle milliseconds between the start and the watch
 * @property {number} [real] workers
 * @property {number} [light] workers
 */

/** More connections than any number of instances here has. */
const MOST_CONNECTIONS = 20_000;

/** A leader node with its default settings, as in every instance of a cluster that has one. */
const FLOWS = [
  tab('tab'),
  {
    id: 'leader', type: 'cluster-leader', z: 'tab', name: '', valkey: '', lockKey: 'nodered:leader', lockTTL: '10', x: 300, y: 100, wires: [[], []],
  },
];

/**
 * @param {import('../../tests/support/cluster.js').Scope} scope
 * @param {Plan} plan
 * @returns {Promise<Still>}
 */
async function standStill(scope, { program, seconds: length, settle, real = 0, light = 0 }) {
  const store = await startStore({ open: true, config: ['--appendfsync', 'everysec', '--maxclients', String(MOST_CONNECTIONS)] });
  scope.after(store.release);
  const cluster = await startCluster(scope, {
    workers: 0,
    store,
    source: SHARED_CONTEXT,
    // The tests write presence more often than the default does.
    valkey: { clusterMonitoring: { enabled: true } },
  });
  await cluster.deploy(FLOWS);
  const leads = async () => Number(await store.command('EXISTS', cluster.key('leader'))) === 1;
  await until(leads, { message: 'the admin leads while there is no worker', timeout: 30_000 });

  const workers = real + light;
  const totals = { before: await totalsOf(store), at: performance.now() };
  for (let number = 0; number < real; number += 1) await (await cluster.addWorker()).waitUntilReady();
  if (light > 0) {
    const instances = startLightInstances(scope, program, 'idle', {
      host: store.host, port: store.port, prefix: cluster.prefix, instances: light,
    });
    await instances.until('ready');
  }
  const present = async () => Number(await store.command('SCARD', cluster.key('cluster:members'))) === workers + 1;
  await until(present, { message: `${workers} workers and the admin are present`, timeout: 60_000 });
  const startSeconds = (performance.now() - totals.at) / 1_000;
  const after = await totalsOf(store);
  await delay(settle);

  const cpu = await cpuOf(store);
  const calls = await callsOf(store);
  const traffic = await trafficOf(store);
  const at = performance.now();
  await delay(length * 1_000);
  const { received, sent, links } = difference(traffic, await trafficOf(store));
  const seconds = (performance.now() - at) / 1_000;
  return {
    workers,
    seconds,
    calls: callsBetween(calls, await callsOf(store)),
    received,
    sent,
    links,
    memory: await fieldOf(store, 'memory', 'used_memory'),
    cpu: await cpuOf(store) - cpu,
    start: {
      seconds: startSeconds,
      commands: after.commands - totals.before.commands,
      received: after.received - totals.before.received,
      sent: after.sent - totals.before.sent,
    },
  };
}

module.exports = { standStill };
