'use strict';

/** The release node hands leadership over, and tells what it did. */

const assert = require('node:assert/strict');
const os = require('node:os');
const { before, test } = require('node:test');
const { tab } = require('./support/flows');
const { ask, leaderFlow, release, releaseNode } = require('./support/leader-flows');
const { assertSameTerm, startPeers, untilOneLeads } = require('./support/leader-peers');
const { assertNoneLost, assertOneAtATime, followedBy, gapsBetweenLed, messagesAt, now, untilShows } = require('./support/leader-records');
const { fileScope } = require('./support/scope');
const { holdsFor, until } = require('./support/wait');

const HOST = os.hostname();
/** Far longer than a handover takes, so that one that waits for it is seen. Seconds. */
const TTL = 10;
/** A handover takes some tens of milliseconds; a machine that is busy with other tests more. */
const AT_ONCE = 1_500;

const scope = fileScope();
/** @type {import('./support/leader-peers').Peers} */
let peers;
before(async () => {
  peers = await startPeers(scope, { lockKeys: ['nobody-uses-this'] });
  await peers.deploy([
    ...leaderFlow({ lockTTL: String(TTL) }),
    ...releaseNode('tab', 'release-unused', { lockKey: 'nobody-uses-this' }),
  ]);
  await untilOneLeads(peers.peers, { timeout: 3 * TTL * 1000 });
});

test('on the leader: the other one leads at once, with a greater token', async () => {
  const { leader, followers, token } = await untilOneLeads(peers.peers);
  const from = now();
  const { payload, ...message } = await release(leader);
  assert.deepEqual(message, { lockReleased: true, releasedBy: HOST, lockKey: peers.key('leader') });
  assert.deepEqual(payload, {});
  const after = await untilOneLeads(peers.peers, { except: token, timeout: AT_ONCE });
  assert.equal(after.leader, followers[0]);
  assert.ok(after.token > token);
  await untilShows(leader, 'release', 'green', 'dot');
  await untilShows(leader, 'leader', 'yellow', 'ring', new RegExp(HOST));
  await untilShows(after.leader, 'leader', 'green', 'dot');
  const longest = Math.max(...gapsBetweenLed(peers.peers, 'leader', from).map(({ length }) => length));
  assert.ok(longest < AT_ONCE, `${longest} ms without a leader`);
});

test('on a follower: nothing changes, and it tells who leads', async () => {
  const earlier = await untilOneLeads(peers.peers);
  const [follower] = earlier.followers;
  const { payload, ...message } = await release(follower);
  assert.deepEqual(message, { lockReleased: false, lockKey: peers.key('leader'), currentLeader: HOST });
  assert.deepEqual(payload, {});
  await untilShows(follower, 'release', 'yellow', 'ring', new RegExp(HOST));
  await holdsFor(async () => assert.equal((await ask(earlier.leader)).message.leaderToken, earlier.token), 500);
  assertSameTerm(await untilOneLeads(peers.peers), earlier);
});

test('where nobody leads: it says so', async () => {
  const [peer] = peers.peers;
  const { payload, ...message } = await release(peer, 'release-unused');
  assert.deepEqual(message, { lockReleased: false, lockKey: 'nobody-uses-this' });
  assert.deepEqual(payload, {});
  await untilShows(peer, 'release-unused', 'grey', 'ring');
  assert.equal(await peers.store.command('EXISTS', 'nobody-uses-this'), 0);
});

test('who released stands back, until the other one has had its turn', async () => {
  const first = await untilOneLeads(peers.peers);
  await release(first.leader);
  const second = await untilOneLeads(peers.peers, { except: first.token, timeout: AT_ONCE });
  assert.equal(second.leader, first.followers[0]);
  assert.equal((await release(second.leader)).lockReleased, true);
  // The first one has just released too, and yet nobody has to wait for it.
  const third = await untilOneLeads(peers.peers, { except: second.token, timeout: AT_ONCE });
  assert.equal(third.leader, first.leader);
});

test('who is alone leads again', async (t) => {
  const alone = await startPeers(t, { count: 1, store: peers.store });
  await alone.deploy(leaderFlow({ lockTTL: '2' }));
  const { leader, token } = await untilOneLeads(alone.peers);
  assert.equal((await release(leader)).lockReleased, true);
  const again = await untilOneLeads(alone.peers, { except: token, timeout: 2 * 2_000 + AT_ONCE });
  assert.ok(again.token > token);
  await alone.deploy([tab('tab'), ...releaseNode('tab', 'release')]);
  assert.deepEqual(await release(leader), { payload: {}, lockReleased: false, lockKey: alone.key('leader') });
});

test('handing over again and again: no message is lost, and never do two lead', async () => {
  const from = now();
  for (let round = 0; round < 10; round += 1) {
    const { leader, token } = await untilOneLeads(peers.peers);
    assert.equal((await release(leader)).lockReleased, true);
    await untilOneLeads(peers.peers, { except: token, timeout: AT_ONCE });
  }
  assert.ok(assertOneAtATime(peers.peers).length >= 10);
  for (const peer of peers.peers) {
    assert.ok(assertNoneLost(peer) > 0);
    assert.ok(followedBy(peer, 'leader', from).every(({ message }) => message.isLeader === false));
  }
});

test('while the store hangs: a Catch node gets an error in time, and the message goes on', async (t) => {
  const own = await startPeers(t, { count: 1, valkey: { timeout: 1_000 } });
  await own.deploy([
    ...leaderFlow({ lockTTL: '3' }),
    { id: 'caught', type: 'catch', z: 'tab', name: '', scope: ['release'], uncaught: false, x: 100, y: 600, wires: [['caught-recorder']] },
    { id: 'caught-recorder', type: 'message-recorder', z: 'tab', name: '', x: 300, y: 600, wires: [[]] },
  ]);
  const { leader } = await untilOneLeads(own.peers);
  own.store.pause();
  const from = now();
  await release(leader);
  assert.ok(now() - from < 3_000, `${now() - from} ms`);
  await until(() => messagesAt(leader, 'caught-recorder').length > 0, { message: 'a Catch node gets it' });
  const [{ message: { error } }] = messagesAt(leader, 'caught-recorder');
  assert.equal(error.source.id, 'release');
  assert.match(error.message, /store/);
  await until(() => messagesAt(leader, 'release-released').length > 0, { message: 'the message goes on' });
  const [{ message }] = messagesAt(leader, 'release-released');
  assert.equal(message.lockReleased, false);
  assert.equal(message.lockKey, own.key('leader'));
  await untilShows(leader, 'release', 'red', 'ring');
  own.store.resume();
  await untilOneLeads(own.peers);
});
