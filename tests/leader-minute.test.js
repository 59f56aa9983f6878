'use strict';

/**
 * A minute in the life of a job: three workers with an Inject every 100 ms, of which one is killed, one is
 * told to end, and whose store is restarted. Every tick runs on at most one of them.
 */

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { tab } = require('./support/flows');
const { leaderNode, ticks } = require('./support/leader-flows');
const { untilOneLeads } = require('./support/leader-peers');
const { assertOneAtATime, followedBy, gapsBetweenLed, ledBy, now } = require('./support/leader-records');
const { delay, until } = require('./support/wait');

/** Milliseconds. */
const MINUTE = 60_000;
const TICK = 100;
const TTL = 3_000;
/** A tick that is due, one that came too late and was left out, and a busy machine. Milliseconds. */
const MEASURING = 3 * TICK + 200;
/** A handover that does not wait for the TTL. Milliseconds. */
const AT_ONCE = 500;

test('each tick runs on at most one instance, and the gaps are as promised', { timeout: 4 * MINUTE }, async (t) => {
  const cluster = await startCluster(t, { workers: 3, adminOptions: { valkey: { adminMayLead: false } } });
  const { workers } = cluster;
  // Twice as often as ticks are due, so that each is met; the stamp lets one through, on time.
  await cluster.deploy([
    tab('tab'), ...leaderNode('tab', 'job', { lockTTL: String(TTL / 1000) }, { slot: TICK }), ...ticks('tab', 'job', TICK / 2),
  ]);
  await untilOneLeads(workers, { id: 'job' });
  const start = now();
  const at = (/** @type {number} */ time) => delay(Math.max(0, start + time - now()));
  /** In the middle between two ticks. */
  const betweenTicks = () => until(() => Math.abs((Date.now() % TICK) - TICK / 2) < 5, { message: 'a moment between two ticks', interval: 1 });

  /**
   * Does something to the leader, or to the store, and measures how long no tick ran around it.
   *
   * @param {number} time
   * @param {(leader: import('./support/instance').Instance) => unknown} fault
   * @returns {Promise<{gap: () => number}>}
   */
  async function during(time, fault) {
    await at(time);
    const { leader } = await untilOneLeads(workers, { id: 'job' });
    await betweenTicks();
    const from = now();
    await fault(leader);
    await at(time + 12_000);
    const to = now();
    await Promise.all(workers.map(async (worker) => {
      if (worker.isRunning()) return;
      worker.start();
      await worker.waitUntilReady();
    }));
    return {
      gap: () => {
        const around = gapsBetweenLed(workers, 'job').filter((gap) => gap.start + gap.length > from && gap.start < to);
        return Math.round(Math.max(...around.map(({ length }) => length)));
      },
    };
  }

  const kill = await during(5_000, (leader) => leader.kill());
  const stop = await during(22_000, (leader) => leader.stop());
  const restart = await during(39_000, () => cluster.store.restart());
  await at(MINUTE);
  const measured = { kill: kill.gap(), stop: stop.gap(), restart: restart.gap() };
  t.diagnostic(`longest gap around each, ms: ${JSON.stringify(measured)}, TTL ${TTL}`);

  const tokens = assertOneAtATime(workers, 'job');
  assert.ok(tokens.length >= 3, `${tokens.length} leaders`);
  /** @type {Map<number, string>} */
  const ranOn = new Map();
  /** @type {string[]} */
  const twice = [];
  for (const worker of workers) {
    for (const { stamp: { slot } } of ledBy(worker, 'job')) {
      // The test's own questions are no ticks.
      if (slot === undefined) continue;
      if (ranOn.has(slot)) twice.push(`tick ${slot} on ${ranOn.get(slot)} and ${worker.name}`);
      ranOn.set(slot, worker.name);
    }
  }
  assert.deepEqual(twice, []);
  const slots = [...ranOn.keys()];
  const due = Math.max(...slots) - Math.min(...slots);
  const missing = (measured.kill + measured.stop + measured.restart) / TICK;
  t.diagnostic(`${slots.length} ticks of ${due} ran, on ${new Set(ranOn.values()).size} workers under ${tokens.length} tokens`);
  assert.ok(due * TICK >= 0.9 * MINUTE, `${due} ticks were due`);
  assert.ok(slots.length >= 0.8 * (due - missing), `${slots.length} of ${due} ticks ran`);
  for (const worker of workers) assert.ok(followedBy(worker, 'job').length > 0, `${worker.name} followed at times`);

  assert.ok(measured.kill <= TTL * 1.1 + MEASURING, `${measured.kill} ms without a leader after the kill`);
  assert.ok(measured.stop <= AT_ONCE + MEASURING, `${measured.stop} ms without a leader after SIGTERM`);
  assert.ok(measured.restart <= AT_ONCE + MEASURING, `${measured.restart} ms without a leader around the restart of the store`);
});
