'use strict';

/** What leaders do while the store hangs, is away, forgets, or is told nonsense. */

const assert = require('node:assert/strict');
const { before, beforeEach, test } = require('node:test');
const { ask, leaderFlow } = require('./support/leader-flows');
const { assertSameTerm, startPeers, untilOneLeads } = require('./support/leader-peers');
const { assertNoneLost, assertOneAtATime, followedBy, gapsBetweenLed, ledBy, now, untilShows } = require('./support/leader-records');
const { fileScope } = require('./support/scope');
const { holdsFor, until, untilEqual } = require('./support/wait');

/** Milliseconds. */
const TTL = 3_000;
/** For a link to be made again and a tick to be recorded, on a busy machine. Milliseconds. */
const MEASURING = 500;

const scope = fileScope();
/** @type {import('./support/leader-peers').Peers} */
let peers;
before(async () => {
  peers = await startPeers(scope);
  await peers.deploy(leaderFlow({ lockTTL: String(TTL / 1000) }));
});
beforeEach(async () => {
  await peers.store.recover();
  await untilOneLeads(peers.peers, { timeout: 30_000 });
});

/** Nothing that went in is lost, and never two led: over all that this file did so far. */
function assertSafe() {
  assertOneAtATime(peers.peers);
  for (const peer of peers.peers) assert.ok(assertNoneLost(peer) > 0);
}

/**
 * Waits until the ticks of every instance leave at output 2 and name no leader.
 * @param {number} from
 */
async function untilNobodyLeads(from) {
  await until(() => peers.peers.every((peer) => {
    const last = followedBy(peer, 'leader', from).at(-1);
    return last && last.message.leaderHost === null && last.at > (ledBy(peer).at(-1)?.at ?? 0);
  }), { message: 'nobody leads', timeout: 3 * TTL });
}

/**
 * @param {{leader: import('./support/instance').Instance, token: number}} term
 * @param {number} duration ms
 */
const staysLeader = ({ leader, token }, duration) => (
  holdsFor(async () => assert.deepEqual((await ask(leader)).message.leaderToken, token), duration)
);

/**
 * Checks that an action costs nobody the lead: the leader keeps its token, and its ticks go on.
 * @param {() => Promise<unknown> | void} action
 */
async function assertKept(action) {
  const term = await untilOneLeads(peers.peers);
  const from = now();
  await action();
  await staysLeader(term, TTL);
  assertSameTerm(await untilOneLeads(peers.peers), term);
  assert.deepEqual(followedBy(term.leader, 'leader', from).map(({ message }) => message), []);
  const longest = Math.max(...gapsBetweenLed(peers.peers, 'leader', from).map(({ length }) => length));
  assert.ok(longest < MEASURING, `${longest} ms without a tick`);
  assertSafe();
}

test('a store that hangs for less than two thirds of the TTL costs nobody the lead', () => assertKept(async () => {
  const term = await untilOneLeads(peers.peers);
  peers.store.pause();
  await staysLeader(term, TTL / 3);
  peers.store.resume();
}));

for (const [what, takeAway, bringBack] of /** @type {Array<[string, () => unknown, () => unknown]>} */ ([
  ['hangs', () => peers.store.pause(), () => peers.store.resume()],
  ['is away', () => peers.store.kill(), () => peers.store.start()],
])) {
  test(`while the store ${what} the leader leads until its lease ends, then nobody; and no message is lost`, async (t) => {
    const { leader, followers: [follower], token } = await untilOneLeads(peers.peers);
    const from = now();
    await takeAway();
    await untilNobodyLeads(from);
    const last = /** @type {import('./support/leader-records').MessageRecord} */ (ledBy(leader).at(-1));
    assert.equal(last.message.leaderToken, token);
    const led = Number(last.stamp.at) - from;
    t.diagnostic(`it led for ${Math.round(led)} ms more, TTL ${TTL} ms`);
    assert.ok(led > TTL / 2 && led < TTL, `it led for ${led} ms more`);
    for (const peer of peers.peers) {
      const { message } = /** @type {import('./support/leader-records').MessageRecord} */ (followedBy(peer).at(-1));
      assert.equal(message.isLeader, false);
      assert.equal(message.leaderHost, null);
      assert.ok(!('leaderToken' in message), 'there is no leader, so no token');
      await untilShows(peer, 'leader', 'red', 'ring');
    }
    assert.deepEqual(ledBy(follower, 'leader', from), []);
    const back = now();
    await bringBack();
    const next = await untilOneLeads(peers.peers);
    assert.ok(next.token > token);
    const first = Math.min(...peers.peers.flatMap((peer) => ledBy(peer, 'leader', back)).map(({ at }) => at));
    t.diagnostic(`somebody led ${Math.round(first - back)} ms after it was back`);
    // The link comes back after a pause that has grown meanwhile; then a lease is waited out.
    assert.ok(first - back < TTL * 1.1 + 3_000, `${first - back} ms after the store was back`);
    await untilShows(next.leader, 'leader', 'green', 'dot');
    await untilShows(next.followers[0], 'leader', 'yellow', 'ring');
    assertSafe();
  });
}

test('a store that is restarted with its data costs nobody the lead', () => assertKept(() => peers.store.restart()));

test('a store that is restarted without its data costs nobody the lead, and gets lock and record back', async () => {
  const { token } = await untilOneLeads(peers.peers);
  await assertKept(() => peers.store.restart({ empty: true }));
  assert.equal((await peers.store.json(peers.key('leader'))).token, token);
  assert.equal((await peers.store.hash(peers.key('leader:election'))).token, String(token));
});

test('a store that is emptied costs nobody the lead', () => assertKept(() => peers.store.command('FLUSHALL')));

test('a lock and a record that are deleted by hand come back', async () => {
  const { token } = await untilOneLeads(peers.peers);
  for (const name of ['leader', 'leader:election']) {
    await assertKept(() => peers.store.command('DEL', peers.key(name)));
    await untilEqual(() => peers.store.command('EXISTS', peers.key(name)), 1, { message: `${name} is back`, timeout: TTL });
  }
  assert.equal((await peers.store.json(peers.key('leader'))).token, token);
});

test('after a store without data the token of the next leader is greater still', async () => {
  const { leader, token } = await untilOneLeads(peers.peers);
  await peers.store.kill();
  await untilNobodyLeads(now() - 1);
  await peers.store.restart({ empty: true });
  const next = await untilOneLeads(peers.peers);
  assert.ok(next.token > token, `${next.token} after ${token}`);
  assert.ok(leader.isRunning());
  assertSafe();
});

test('links that are cut again and again cost nobody the lead', () => assertKept(async () => {
  const term = await untilOneLeads(peers.peers);
  for (let count = 0; count < 5; count += 1) {
    await peers.store.killClients('normal');
    await peers.store.killClients('pubsub');
    await staysLeader(term, TTL / 10);
  }
}));

test('nonsense on the channel changes nothing', async () => {
  const { token } = await untilOneLeads(peers.peers);
  const channel = `${peers.prefix}elections`;
  // What the instances themselves say, and the same with what a forger would put in.
  const subscription = await peers.store.subscribe(channel);
  await until(() => subscription.messages.length > 1, { message: 'a renewal is announced' });
  const real = subscription.messages.map(({ text }) => JSON.parse(text));
  subscription.close();
  const forged = real.flatMap((message) => Object.keys(message).flatMap((field) => (
    [null, -1, 1e308, '', 'x'.repeat(10_000), [], { __proto__: null, constructor: 1 }, Number.MAX_SAFE_INTEGER, 'released'].map((value) => JSON.stringify({ ...message, [field]: value }))
  )));
  const garbage = ['', '{', 'null', '[]', '0', '"x"', '{"__proto__":{"a":1}}', '\0\uffff', '['.repeat(100_000), 'x'.repeat(5_000_000)];
  await assertKept(async () => {
    for (const text of [...garbage, ...forged]) await peers.store.command('PUBLISH', channel, text);
  });
  assert.equal((await untilOneLeads(peers.peers)).token, token);
  for (const peer of peers.peers) assert.ok(peer.isRunning());
});
