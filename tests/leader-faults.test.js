'use strict';

/** A leader that ends or hangs is replaced in time, and knows it when it comes back. */

const assert = require('node:assert/strict');
const { before, beforeEach, test } = require('node:test');
const { leaderFlow } = require('./support/leader-flows');
const { assertSameTerm, startPeers, untilOneLeads } = require('./support/leader-peers');
const { assertNoneLost, assertOneAtATime, followedBy, ledBy, now, untilShows } = require('./support/leader-records');
const { startProxy } = require('./support/proxy');
const { fileScope } = require('./support/scope');
const { until } = require('./support/wait');

/** @typedef {import('./support/instance').Instance} Instance */

/** Milliseconds. */
const TTL = 2_000;
/** Until a tick that is due is recorded: its interval, and a machine that is busy with other tests. Milliseconds. */
const MEASURING = 250;
/** How long a takeover may take that does not wait for the TTL. Milliseconds. */
const AT_ONCE = 500;

const scope = fileScope();
/** @type {import('./support/leader-peers').Peers} */
let peers;
before(async () => {
  peers = await startPeers(scope, { count: 3 });
});
const flows = leaderFlow({ lockTTL: String(TTL / 1000) });
beforeEach(async () => {
  await Promise.all(peers.peers.map(async (peer) => {
    peer.resume();
    if (!peer.isRunning()) peer.start();
    await peer.waitUntilReady();
    await peer.api.setState('start');
  }));
  await peers.deploy(flows);
  await untilOneLeads(peers.peers);
});

/**
 * Waits until another one acts as leader.
 *
 * @param {Instance} former
 * @param {number} from when the fault was made
 * @returns {Promise<{next: Instance, gap: number}>} gap: ms between the last message that the former one
 *   sent by output 1 before, and the first one of the next
 */
async function untilReplaced(former, from) {
  const others = peers.peers.filter((peer) => peer !== former);
  return until(() => {
    const last = ledBy(former, 'leader').filter(({ at }) => at <= from + MEASURING).at(-1);
    const next = others.find((peer) => ledBy(peer, 'leader', from).length > 0);
    return next && last && { next, gap: ledBy(next, 'leader', from)[0].at - last.at };
  }, { message: 'another one leads', timeout: 5 * TTL });
}

/** @param {number} gap @param {number} limit ms */
function assertWithin(gap, limit) {
  assert.ok(gap <= limit, `${Math.round(gap)} ms without a leader, at most ${limit}`);
}

/** @param {Instance} former */
async function assertFollowsAgain(former) {
  await untilOneLeads(peers.peers);
  await untilShows(former, 'leader', 'yellow', 'ring');
  assertOneAtATime(peers.peers);
  assert.ok(former.isRunning());
}

test('a leader that is killed is replaced within its TTL and a tenth', async (t) => {
  const { leader, token } = await untilOneLeads(peers.peers);
  const from = now();
  await leader.kill();
  const { next, gap } = await untilReplaced(leader, from);
  t.diagnostic(`replaced after ${Math.round(gap)} ms, TTL ${TTL} ms`);
  assertWithin(gap, TTL * 1.1 + MEASURING);
  assert.ok(ledBy(next, 'leader', from)[0].message.leaderToken > token);
  leader.start();
  await leader.waitUntilReady();
  await assertFollowsAgain(leader);
});

test('a leader that is told to end is replaced at once, and ends with 0', async (t) => {
  const { leader } = await untilOneLeads(peers.peers);
  const from = now();
  const exit = leader.stop();
  const { gap } = await untilReplaced(leader, from);
  t.diagnostic(`replaced after ${Math.round(gap)} ms`);
  assertWithin(gap, AT_ONCE + MEASURING);
  assert.deepEqual(await exit, { code: 0, signal: null }, leader.log());
  assert.doesNotMatch(leader.log(), /uncaught|unhandled/i);
  assertOneAtATime(peers.peers);
});

test('a leader whose event loop hangs is replaced, and is none when it wakes', async (t) => {
  const { leader, token } = await untilOneLeads(peers.peers);
  const from = now();
  const spinning = leader.get(`spin/leader?ms=${3 * TTL}`, { timeout: 1_000 }).catch(() => {});
  const { next, gap } = await untilReplaced(leader, from);
  t.diagnostic(`replaced after ${Math.round(gap)} ms, TTL ${TTL} ms`);
  assertWithin(gap, TTL * 1.1 + MEASURING);
  await spinning;
  // A tick that had been on its way to the node when the loop began to hang may come before it.
  const isHung = (/** @type {any} */ { message }) => message.payload.ms === String(3 * TTL);
  await until(() => followedBy(leader, 'leader', from).findIndex(isHung) >= 0, { message: 'the message that hung with it comes by output 2' });
  await until(() => followedBy(leader, 'leader', from).length > 5, { message: 'it is awake' });
  const since = ledBy(next, 'leader', from)[0].at;
  // A tick that the node had let pass before the loop hung is recorded when it wakes.
  assert.deepEqual(ledBy(leader, 'leader', since).filter(({ stamp }) => stamp.at === undefined || stamp.at > since), []);
  assert.ok(ledBy(next, 'leader', from)[0].message.leaderToken > token);
  await assertFollowsAgain(leader);
});

test('an event loop that hangs for less than the TTL does not cost the lead', async () => {
  const term = await untilOneLeads(peers.peers);
  await term.leader.get(`spin/leader?ms=${TTL / 4}`, { timeout: 1_000 }).catch(() => {});
  assertSameTerm(await untilOneLeads(peers.peers), term);
});

test('a leader that is stopped and goes on later sends nothing more by output 1', async (t) => {
  const { leader } = await untilOneLeads(peers.peers);
  const from = now();
  await leader.pause();
  const { next, gap } = await untilReplaced(leader, from);
  t.diagnostic(`replaced after ${Math.round(gap)} ms, TTL ${TTL} ms`);
  assertWithin(gap, TTL * 1.1 + MEASURING);
  const resumed = now();
  leader.resume();
  await until(() => followedBy(leader, 'leader', resumed).length > 10, { message: 'it goes on' });
  // But for one that the node had let pass before it was stopped.
  assert.deepEqual(ledBy(leader, 'leader', resumed).filter(({ stamp }) => stamp.at === undefined || stamp.at > resumed), []);
  assert.ok(ledBy(next, 'leader', resumed).length > 0);
  await assertFollowsAgain(leader);
});

test('a leader that is stopped for a moment stays the leader', async () => {
  const term = await untilOneLeads(peers.peers);
  const from = now();
  await term.leader.pause();
  await until(() => now() > from + TTL / 4, { message: 'a moment goes by' });
  term.leader.resume();
  await until(() => ledBy(term.leader, 'leader', now() - 100).length > 0, { message: 'it goes on' });
  assertSameTerm(await untilOneLeads(peers.peers), term);
});

for (const [how, cut] of /** @type {const} */ ([['is cut', 'cut'], ['holds everything back', 'hold']])) {
  test(`a leader whose link to the store ${how} is replaced, and follows when it is whole again`, async (t) => {
    const proxy = await startProxy(peers.store.port);
    t.after(() => proxy.stop());
    const far = await peers.add({ name: `behind a proxy that ${how}`, block: { port: proxy.port } });
    t.after(async () => {
      peers.peers.splice(peers.peers.indexOf(far), 1);
      await far.release();
    });
    await far.waitUntilReady();
    await peers.deploy(flows, { on: [far] });
    // It leads once the others have given up their node.
    const others = peers.peers.filter((peer) => peer !== far);
    await untilOneLeads(peers.peers);
    await Promise.all(others.map((peer) => peer.api.setState('stop')));
    await until(() => ledBy(far).length > 0, { message: 'it leads' });
    await Promise.all(others.map((peer) => peer.api.setState('start')));
    const { leader } = await untilOneLeads(peers.peers);
    assert.equal(leader, far);

    const from = now();
    proxy[cut]();
    const { next } = await untilReplaced(far, from);
    const replacedAt = ledBy(next, 'leader', from)[0].at;
    // It led until its lease ended by its own clock, and no moment longer.
    const last = ledBy(far).at(-1)?.stamp.at ?? 0;
    assert.ok(last > from && last < from + TTL, `led for ${last - from} ms more`);
    assert.ok(last <= replacedAt);
    await untilShows(far, 'leader', 'red', 'ring');
    assert.equal(followedBy(far).at(-1)?.message.leaderHost, null);
    proxy.heal();
    await assertFollowsAgain(far);
    assertNoneLost(far);
  });
}
