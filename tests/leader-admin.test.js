'use strict';

/** Jobs belong on workers: when an admin leads. And presence records tell who leads what. */

const assert = require('node:assert/strict');
const { before, beforeEach, describe, test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { FOLLOWED, LED, ask, leaderFlow } = require('./support/leader-flows');
const { untilOneLeads } = require('./support/leader-peers');
const { assertOneAtATime, ledBy, now, untilShows } = require('./support/leader-records');
const { fileScope } = require('./support/scope');
const { startStore } = require('./support/store');
const { holdsFor, untilEqual } = require('./support/wait');

/** Milliseconds. */
const TTL = 2_000;
const flows = leaderFlow({ lockTTL: String(TTL / 1000) });

const scope = fileScope();
/** @type {import('./support/store').Store} */
let store;
before(async () => {
  store = await startStore();
  scope.after(() => store.release());
});

describe('an admin and a worker', () => {
  /** @type {import('./support/cluster').Cluster} */
  let cluster;
  /** @type {import('./support/instance').Instance} */
  let worker;
  before(async () => {
    cluster = await startCluster(scope, { store, workers: 1 });
    [worker] = cluster.workers;
    await cluster.deploy(flows);
  });
  beforeEach(async () => {
    if (!worker.isRunning()) worker.start();
    await worker.waitUntilReady();
  });
  const both = () => [cluster.admin, worker];
  /** @param {import('./support/instance').Instance} instance */
  const untilLeads = async (instance) => {
    await untilEqual(async () => (await ask(instance)).output, LED, { message: `${instance.name} leads`, timeout: 5 * TTL });
  };

  test('the worker leads, and the admin keeps out of its way', async () => {
    await untilLeads(worker);
    await untilShows(cluster.admin, 'leader', 'yellow', 'ring');
    const { token } = await untilOneLeads(both());
    await holdsFor(async () => assert.equal((await ask(worker)).message.leaderToken, token), TTL);
  });

  test('the admin leads when the last worker ends, and gives way when one comes back', async (t) => {
    await untilLeads(worker);
    const from = now();
    assert.deepEqual(await worker.stop(), { code: 0, signal: null }, worker.log());
    assert.doesNotMatch(worker.log(), /uncaught|unhandled/i);
    await untilLeads(cluster.admin);
    t.diagnostic(`the admin led ${Math.round(ledBy(cluster.admin, 'leader', from)[0].at - from)} ms after the signal`);
    worker.start();
    await worker.waitUntilReady();
    await untilLeads(worker);
    await untilShows(cluster.admin, 'leader', 'yellow', 'ring');
    assertOneAtATime(both());
  });

  test('the admin leads when the last worker is killed', async () => {
    await untilLeads(worker);
    const from = now();
    await worker.kill();
    await untilLeads(cluster.admin);
    const gap = ledBy(cluster.admin, 'leader', from)[0].at - from;
    // A reserve tries a tenth of the TTL later than others.
    assert.ok(gap < TTL * 1.2 + 500, `${gap} ms`);
    worker.start();
    await worker.waitUntilReady();
    await untilLeads(worker);
    assertOneAtATime(both());
  });

  test('a worker whose event loop hangs does not take the lead from the admin again and again', async () => {
    await untilLeads(worker);
    const from = now();
    const spinning = worker.get(`spin/leader?ms=${5 * TTL}`, { timeout: 1_000 }).catch(() => {});
    await untilLeads(cluster.admin);
    const token = (await ask(cluster.admin)).message.leaderToken;
    await holdsFor(async () => assert.equal((await ask(cluster.admin)).message.leaderToken, token), 2 * TTL);
    const tokens = new Set(ledBy(cluster.admin, 'leader', from).map(({ message }) => message.leaderToken));
    assert.equal(tokens.size, 1, 'it led once');
    await spinning;
    await untilLeads(worker);
    assertOneAtATime(both());
  });

  test('a second worker does not take the lead from the first', async () => {
    await untilLeads(worker);
    const { token } = await untilOneLeads(both());
    const second = await cluster.addWorker();
    try {
      await second.waitUntilReady();
      await untilEqual(async () => (await ask(second)).output, FOLLOWED, { message: 'it follows' });
      await holdsFor(async () => assert.equal((await ask(worker)).message.leaderToken, token), TTL);
      const from = now();
      await worker.kill();
      await untilLeads(second);
      assert.deepEqual(ledBy(cluster.admin, 'leader', from), [], 'the admin does not come in between');
    } finally {
      await second.kill();
    }
  });

  test('the presence record lists the locks that an instance leads', async () => {
    await untilLeads(worker);
    const leadsOf = async (/** @type {import('./support/instance').Instance} */ one) => (await cluster.presenceOf(one))?.leads ?? [];
    await untilEqual(() => leadsOf(worker), [cluster.key('leader')], { message: 'the worker is said to lead' });
    await untilEqual(() => leadsOf(cluster.admin), [], { message: 'the admin is not' });
    await worker.stop();
    await untilEqual(() => leadsOf(cluster.admin), [cluster.key('leader')], { message: 'then the admin is' });
  });
});

test('adminMayLead: false: an admin alone never leads, and says that nobody does', async (t) => {
  const cluster = await startCluster(t, { store, workers: 0, valkey: { adminMayLead: false } });
  await cluster.deploy(flows);
  await untilShows(cluster.admin, 'leader', 'grey', 'ring');
  await holdsFor(async () => assert.equal((await ask(cluster.admin)).output, FOLLOWED), 3 * TTL);
  const { message } = await ask(cluster.admin);
  assert.equal(message.leaderHost, null);
  assert.ok(!('leaderToken' in message));
  await untilShows(cluster.admin, 'leader', 'grey', 'ring');
  assert.equal(await store.command('EXISTS', cluster.key('leader')), 0);
  const worker = await cluster.addWorker();
  await worker.waitUntilReady();
  await untilOneLeads([cluster.admin, worker]);
  await untilShows(cluster.admin, 'leader', 'yellow', 'ring');
});

test('adminMayLead: true: an admin leads like any other, and a worker does not take its place', async (t) => {
  const cluster = await startCluster(t, { store, workers: 0, valkey: { adminMayLead: true } });
  await cluster.deploy(flows);
  const { token } = await untilOneLeads([cluster.admin]);
  const worker = await cluster.addWorker();
  await worker.waitUntilReady();
  await untilEqual(async () => (await ask(worker)).output, FOLLOWED, { message: 'the worker follows' });
  await holdsFor(async () => assert.equal((await ask(cluster.admin)).message.leaderToken, token), 2 * TTL);
});

test('adminMayLead that is none of these stops the start and says so', async (t) => {
  const cluster = await startCluster(t, { store, workers: 0, admin: false });
  const admin = await cluster.addAdmin({ valkey: { adminMayLead: 'sometimes' } });
  const { code } = await admin.waitForExit();
  assert.notEqual(code, 0);
  assert.match(admin.log(), /adminMayLead/);
  assert.match(admin.log(), /if-no-worker/);
});
