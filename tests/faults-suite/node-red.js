'use strict';

/**
 * A subject of the fault suite (`crates/faults`): an admin and workers, real Node-REDs with real flows. The
 * suite starts it, gives orders on its standard input and reads what it says on its standard output: lines of
 * JSON, see `crates/faults/src/protocol.rs`.
 */

const fs = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');
const { SHARED_CONTEXT, run } = require('../support/context-flows');
const { ROOT } = require('../support/directories');
const { startInstance } = require('../support/instance');
const { until } = require('../support/wait');
const { flowsOf } = require('./flows');
const { createWork } = require('./work');

/** @typedef {{host: string, ports: number[], keyPrefix: string, locks: string[], ttl: number, clock: Record<string, string>}} Task */
/** @typedef {import('../support/instance').Instance} Instance */

/** Where the logs of the last run are. */
const LOGS = path.join(ROOT, '.cache', 'faults');

/** What a log has only where something is broken. */
const BROKEN = /panicked|a fault of node-red-cluster|uncaught|unhandled/i;

/** @param {object} said */
const say = (said) => process.stdout.write(`${JSON.stringify(said)}\n`);

/**
 * @param {Task} task
 * @returns {Promise<Instance[]>} all of which run the same flows
 */
async function startInstances(task) {
  const instances = await Promise.all(task.ports.map((port, index) => startInstance({
    role: index === 0 ? 'admin' : 'worker',
    name: index === 0 ? 'admin' : `worker-${index}`,
    valkey: { host: task.host, port, family: 4, keyPrefix: task.keyPrefix },
    source: SHARED_CONTEXT,
    env: task.clock,
  })));
  await Promise.all(instances.map((instance) => instance.waitUntilReady()));
  const [admin] = instances;
  await until(async () => (await admin.api.tryDeploy(flowsOf('at first', task))).status === 200, { message: 'the first deploy', timeout: 30_000 });
  for (const instance of instances) {
    await until(async () => (await instance.get('which', { timeout: 1_000 })).text === 'at first', { message: `${instance.name} runs the flows`, timeout: 30_000 });
  }
  return instances;
}

/**
 * @param {Instance} instance
 * @param {string[]} keys
 * @param {{locks: string[]}} task
 * @param {(lock: number) => Promise<boolean>} leads
 */
async function report(instance, keys, task, leads) {
  try {
    const { text: label } = await instance.get('which', { timeout: 2_000 });
    const values = [];
    for (const key of keys) {
      const value = await run(instance, 'operation', { kind: 'read', key });
      values.push(value === undefined ? null : JSON.stringify(value));
    }
    const locks = [];
    for (const [index, lock] of task.locks.entries()) {
      if (await leads(index)) locks.push(lock);
    }
    return { label, leads: locks, values, error: null };
  } catch (error) {
    return { label: null, leads: [], values: [], error: String(error) };
  }
}

async function main() {
  /** @type {Task} */
  const task = JSON.parse(process.env.FAULTS_TASK ?? 'null');
  const instances = await startInstances(task);
  const work = createWork(instances, task);
  /** How much of each log was looked at. @type {Map<Instance, number>} */
  const seen = new Map();

  /** @returns {string[]} what must not be in the logs or among the processes */
  function alarms() {
    return instances.flatMap((instance) => {
      const log = instance.log();
      const news = log.slice(seen.get(instance) ?? 0);
      seen.set(instance, log.length);
      const broken = news.split('\n').filter((line) => BROKEN.test(line)).map((line) => `${instance.name} logs: ${line}`);
      return instance.isRunning() ? broken : [...broken, `${instance.name} has ended: ${log.slice(-2_000)}`];
    });
  }

  /** @type {Record<string, (order: any) => Promise<void>>} */
  const orders = {
    begin: async (order) => work.begin(order),
    epoch: async ({ epoch }) => work.nextEpoch(epoch),
    async halt() {
      const history = await work.halt();
      say({ said: 'halted', ...history, alarms: [...history.alarms, ...alarms()] });
    },
    async report({ keys }) {
      const reports = await Promise.all(instances.map((instance, index) => report(instance, keys, task, (lock) => work.ask(index, lock))));
      say({ said: 'report', instances: reports, tasks: null, processes: instances.map((instance) => instance.pid()) });
    },
    async close() {
      fs.mkdirSync(LOGS, { recursive: true });
      for (const instance of instances) fs.writeFileSync(path.join(LOGS, `${instance.name}.log`), instance.log());
      const exits = await Promise.all(instances.map((instance) => instance.stop()));
      const wrong = exits.findIndex(({ code }) => code !== 0);
      if (wrong >= 0) throw new Error(`${instances[wrong].name} ended with ${JSON.stringify(exits[wrong])}:\n${instances[wrong].log().slice(-3_000)}`);
      say({ said: 'closed' });
    },
  };
  say({ said: 'ready' });
  try {
    for await (const line of readline.createInterface({ input: process.stdin })) {
      const order = JSON.parse(line);
      await orders[order.order](order);
      if (order.order === 'close') break;
    }
  } finally {
    await Promise.all(instances.map((instance) => instance.release()));
  }
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
