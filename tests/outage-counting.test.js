'use strict';

/**
 * A running flow counts its messages into the shared context, on every instance, while the store is away for ten
 * seconds: not one increment is lost, and not one is counted twice.
 */

const assert = require('node:assert/strict');
const { before, test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { SHARED_CONTEXT, codeEndpoint, run } = require('./support/context-flows');
const { tab } = require('./support/flows');
const { startProxy } = require('./support/proxy');
const { fileScope } = require('./support/scope');
const { startStore } = require('./support/store');
const { delay, until, untilEqual } = require('./support/wait');

/** How long the store is away. Milliseconds. */
const OUTAGE = 10_000;
/** Longer than the outage: what waits for the store is not given up. Milliseconds. */
const TIMEOUT = 30_000;
/** Between two messages of an instance. Milliseconds. */
const INTERVAL = 20;

const scope = fileScope();
/** @type {import('./support/cluster').Cluster} */
let cluster;
/** @type {import('./support/store').Store} */
let store;
/** @type {import('./support/proxy').Proxy} */
let proxy;
before(async () => {
  store = await startStore();
  scope.after(() => store.release());
  proxy = await startProxy(store.port);
  scope.after(() => proxy.stop());
  cluster = await startCluster(scope, { store, source: SHARED_CONTEXT, valkey: { host: proxy.host, port: proxy.port, timeout: TIMEOUT } });
  await cluster.deploy(flows());
  // Only the first flows: after another deploy an answer may still be one of the flows before it.
  await until(async () => (await reports()).length === cluster.instances.length, { message: 'the flows run' });
});

/** Messages of an Inject, each of which is counted once; what came of them is kept in the memory of the process. */
const COUNT = `
  const own = (name, by) => global.set(name, (global.get(name, 'memory') ?? 0) + by, 'memory');
  if (global.get('stopped', 'memory')) return null;
  own('begun', 1);
  try {
    const sum = await global.increment('counted');
    own('acknowledged', 1);
    global.set('sums', [...(global.get('sums', 'memory') ?? []), sum], 'memory');
  } catch (error) {
    own('failed', 1);
    global.set('error', error.message, 'memory');
  }
  return null;`;

const REPORT = `
  const names = ['begun', 'acknowledged', 'failed', 'sums', 'error'];
  return Object.fromEntries(names.map((name) => [name, global.get(name, 'memory')]));`;

const RESET = `
  for (const name of ['begun', 'acknowledged', 'failed', 'sums', 'error', 'stopped']) global.set(name, undefined, 'memory');`;

const flows = () => [
  tab('tab'),
  {
    id: 'ticks', type: 'inject', z: 'tab', name: '', props: [{ p: 'payload' }], payload: '', payloadType: 'date', repeat: String(INTERVAL / 1_000),
    crontab: '', once: false, onceDelay: 0.1, topic: '', x: 100, y: 100, wires: [['count']],
  },
  {
    id: 'count', type: 'function', z: 'tab', name: '', func: COUNT, outputs: 0, timeout: 0, noerr: 0, initialize: '', finalize: '', libs: [], x: 300, y: 100, wires: [],
  },
  ...codeEndpoint('tab', 'report', REPORT),
  ...codeEndpoint('tab', 'stop', "global.set('stopped', true, 'memory');"),
  ...codeEndpoint('tab', 'reset', RESET),
];

/** @returns {Promise<any[]>} what each instance did */
const reports = () => Promise.all(cluster.instances.map((instance) => run(instance, 'report')));

/** The ways in which a store can be away for a while and have its data afterwards. @type {Array<[string, () => unknown, () => unknown]>} */
const OUTAGES = [
  ['killed and started again', () => store.kill(), () => store.start()],
  ['frozen', () => store.pause(), () => store.resume()],
  ['cut off by the network', () => proxy.cut(), () => proxy.heal()],
  ['cut off in silence', () => proxy.hold(), () => proxy.heal()],
];

for (const [how, begin, end] of OUTAGES) {
  test(`a store that is ${how} after ${OUTAGE / 1_000} s under a flow that counts its messages: not one is lost, not one counted twice`, async () => {
    await store.recover();
    // The flow goes on meanwhile: what an earlier test counted is no part of this one.
    for (const instance of cluster.instances) await run(instance, 'stop');
    await untilEqual(async () => (await reports()).every(({ begun = 0, acknowledged = 0, failed = 0 }) => begun === acknowledged + failed), true, { message: 'nothing is under way' });
    await store.command('DEL', cluster.key('context:global:counted'));
    for (const instance of cluster.instances) await run(instance, 'reset');
    await until(async () => (await reports()).every(({ acknowledged = 0 }) => acknowledged > 20), { message: 'it counts' });

    await begin();
    await delay(OUTAGE);
    const during = await reports();
    assert.ok(during.every(({ begun, acknowledged }) => begun > acknowledged + 100), `messages came during the outage: ${JSON.stringify(during.map(({ begun, acknowledged }) => [begun, acknowledged]))}`);
    await end();

    const acknowledged = during.map((one) => one.acknowledged);
    await until(async () => (await reports()).every((one, index) => one.acknowledged > acknowledged[index] + 500), { message: 'it counts again', timeout: 30_000 });
    for (const instance of cluster.instances) await run(instance, 'stop');
    await untilEqual(async () => (await reports()).every(({ begun, acknowledged: done, failed = 0 }) => begun === done + failed), true, { message: 'everything is counted' });

    const last = await reports();
    assert.deepEqual(last.map(({ failed, error }) => [failed, error]), last.map(() => [undefined, undefined]), 'no increment failed');
    const sum = last.reduce((total, { begun }) => total + begun, 0);
    assert.equal(await store.json(cluster.key('context:global:counted')), sum);
    const sums = last.flatMap((one) => one.sums);
    assert.equal(new Set(sums).size, sum, 'no two increments came to the same number');
  });
}
