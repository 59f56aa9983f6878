'use strict';

/** What the leader node does to messages, which lock it holds, and what it shows. */

const assert = require('node:assert/strict');
const os = require('node:os');
const { before, describe, test } = require('node:test');
const { tab } = require('./support/flows');
const { FOLLOWED, LED, ask, leaderFlow, leaderNode, release, releaseNode } = require('./support/leader-flows');
const { monitor } = require('./support/leader-monitor');
const { assertSameTerm, startPeers, untilOneLeads } = require('./support/leader-peers');
const { assertNoneLost, ledBy, now, statusesOf, untilShows } = require('./support/leader-records');
const { fileScope } = require('./support/scope');
const { startStore } = require('./support/store');
const { holdsFor, until } = require('./support/wait');

const HOST = os.hostname();
/** Seconds, as the dialog saves it. */
const TTL = '3';

const scope = fileScope();

describe('two instances on one host', () => {
  /** @type {import('./support/leader-peers').Peers} */
  let peers;
  before(async () => {
    peers = await startPeers(scope, { lockKeys: ['silent-job', 'nobody'] });
    await peers.deploy(leaderFlow({ lockTTL: TTL }));
  });

  test('exactly one of them leads, under the default lock key of its prefix', async () => {
    const { leader, followers, token } = await untilOneLeads(peers.peers);
    assert.equal(followers.length, 1);
    assert.ok(Number.isSafeInteger(token) && token > 0, String(token));
    const { holder, ...lock } = await peers.store.json(peers.key('leader'));
    assert.deepEqual(lock, { host: HOST, token });
    assert.match(holder, /^[0-9a-f-]{36}$/);
    const ttl = await peers.store.command('PTTL', peers.key('leader'));
    assert.ok(ttl > 0 && ttl <= Number(TTL) * 1000, `the lock lives ${ttl} ms more`);
    await holdsFor(async () => {
      assert.equal((await ask(leader)).output, LED);
      assert.equal((await ask(followers[0])).output, FOLLOWED);
      assert.equal((await peers.store.json(peers.key('leader'))).holder, holder);
    }, Number(TTL) * 1000);
  });

  test('messages carry what the contract names, and keep what they had', async () => {
    const { leader, followers, token } = await untilOneLeads(peers.peers);
    const payload = { of: 'the request', isLeader: 'in the payload' };
    const query = new URLSearchParams(payload).toString();
    assert.deepEqual(await ask(leader, 'leader', query), {
      output: LED,
      message: { payload, isLeader: true, leaderHost: HOST, leaderToken: token },
    });
    assert.deepEqual(await ask(followers[0], 'leader', query), {
      output: FOLLOWED,
      message: { payload, isLeader: false, leaderHost: HOST, followerHost: HOST, leaderToken: token },
    });
  });

  test('the statuses tell it: a green dot on the leader, a yellow ring that names the host elsewhere', async () => {
    const { leader, followers } = await untilOneLeads(peers.peers);
    await untilShows(leader, 'leader', 'green', 'dot');
    await untilShows(followers[0], 'leader', 'yellow', 'ring', new RegExp(HOST));
  });

  test('a status is shown when something changes, and not again', async () => {
    await untilOneLeads(peers.peers);
    const from = now();
    await holdsFor(() => {
      for (const peer of peers.peers) assert.deepEqual(statusesOf(peer, 'leader', from), []);
    }, 2 * Number(TTL) * 1000);
  });

  test('no message costs a command, and a follower sends none while nothing changes', async () => {
    const { leader, token } = await untilOneLeads(peers.peers);
    const names = [peers.key('leader'), `${peers.key('leader')}:election`, `{${peers.key('leader')}}:election`, peers.key('election-memory')];
    const watched = await monitor(peers.store);
    const watchedFrom = now();
    const sent = 2_000;
    for (const peer of peers.peers) assert.equal((await peer.get(`burst/leader?count=${sent}`)).status, 200);
    await holdsFor(async () => assert.equal((await ask(leader)).message.leaderToken, token), 2 * Number(TTL) * 1000);
    const watchedFor = now() - watchedFrom;
    watched.close();

    const about = new Set(names.flatMap((name) => watched.about(name)));
    const renewals = watchedFor / ((Number(TTL) * 1000) / 3);
    assert.ok(about.size >= Math.floor(renewals) - 1, `${about.size} commands renew the lock in ${watchedFor} ms`);
    assert.ok(about.size <= Math.ceil(renewals) + 1, `${about.size} commands in ${watchedFor} ms: ${JSON.stringify([...about])}`);
    assert.equal(new Set([...about].map(({ client }) => client)).size, 1, 'all are of the leader');
    assert.equal(ledBy(leader, 'leader', watchedFrom).filter(({ message }) => message.leaderToken === token).length >= sent, true);
    for (const peer of peers.peers) assert.ok(assertNoneLost(peer) >= sent);
  });

  test('a leader that ends is followed without any message flowing', async () => {
    const flows = [tab('quiet'), ...leaderNode('quiet', 'silent', { lockTTL: TTL, lockKey: 'silent-job' })];
    await peers.deploy(flows);
    const shows = (/** @type {import('./support/instance').Instance} */ peer) => statusesOf(peer, 'silent').at(-1)?.status.fill;
    await until(() => ['green,yellow', 'yellow,green'].includes(String(peers.peers.map(shows))), { message: 'the statuses tell one leader' });
    const leader = peers.peers[shows(peers.peers[0]) === 'green' ? 0 : 1];
    const follower = peers.peers[leader === peers.peers[0] ? 1 : 0];
    await leader.kill();
    await untilShows(follower, 'silent', 'green', 'dot', /./, { timeout: Number(TTL) * 1100 + 500 });
    assert.deepEqual(ledBy(follower, 'silent'), []);
    leader.start();
    await leader.waitUntilReady();
    await untilShows(leader, 'silent', 'yellow', 'ring', new RegExp(HOST));
  });

  test('of a leader node that a message passed before, nothing false is left', async () => {
    // The second node of the chain has a lock that nobody leads, and the other way round.
    await peers.store.command('SET', 'nobody', 'x');
    const [, , wired] = leaderNode('tab', 'first-of-two');
    await peers.deploy([
      ...leaderFlow({ lockTTL: TTL }), { ...wired, wires: [['second-of-two'], ['second-of-two']] },
      ...leaderNode('tab', 'second-of-two', { lockKey: 'nobody' }), { ...wired, id: 'third-of-three', wires: [['leader'], ['leader']], lockKey: 'nobody' },
      { id: 'chain-in', type: 'http in', z: 'tab', name: '', url: '/ask/chain', method: 'get', x: 100, y: 100, wires: [['first-of-two']] },
      { id: 'back-in', type: 'http in', z: 'tab', name: '', url: '/ask/back', method: 'get', x: 100, y: 100, wires: [['third-of-three']] },
    ]);
    const { leader, followers, token } = await untilOneLeads(peers.peers);
    for (const peer of peers.peers) {
      const { body: { message } } = await peer.get('ask/chain');
      assert.deepEqual({ ...message, leaderHost: null }, { payload: {}, isLeader: false, leaderHost: null, followerHost: HOST });
    }
    assert.deepEqual((await leader.get('ask/back')).body.message, { payload: {}, isLeader: true, leaderHost: HOST, leaderToken: token });
    assert.equal((await followers[0].get('ask/back')).body.message.leaderToken, token);
  });
});

describe('lock keys', () => {
  /** @type {import('./support/store').Store} */
  let store;
  before(async () => {
    store = await startStore();
    scope.after(() => store.release());
  });

  test('two clusters on one store with untouched keys have a leader each', async (t) => {
    const [one, other] = await Promise.all([startPeers(t, { store, count: 1 }), startPeers(t, { store, count: 1 })]);
    for (const cluster of [one, other]) await cluster.deploy(leaderFlow());
    for (const cluster of [one, other]) {
      const { token } = await untilOneLeads(cluster.peers);
      assert.equal((await store.json(cluster.key('leader'))).token, token);
    }
    assert.equal(await store.command('EXISTS', 'nodered:leader'), 0);
  });

  test('a key that was typed is used as typed, and each key has a leader of its own', async (t) => {
    const typed = ['backup-job', 'nodered:backup-job', 'with {braces} and ünïcode', '}{'];
    const peers = await startPeers(t, { store, lockKeys: typed });
    const nodes = typed.flatMap((lockKey, index) => [
      ...leaderNode('tab', `job-${index}`, { lockKey, lockTTL: '2' }),
      ...releaseNode('tab', `release-${index}`, { lockKey }),
    ]);
    await peers.deploy([tab('tab'), ...nodes, ...leaderNode('tab', 'empty', { lockKey: '', lockTTL: '2' })]);
    const terms = [];
    for (const [index, lockKey] of typed.entries()) {
      const term = await untilOneLeads(peers.peers, { id: `job-${index}` });
      assert.equal((await store.json(lockKey)).token, term.token, lockKey);
      terms.push(term);
    }
    const { token } = await untilOneLeads(peers.peers, { id: 'empty' });
    assert.equal((await store.json(peers.key('leader'))).token, token, 'an empty key is the default');

    const [first, ...others] = terms;
    assert.equal((await release(first.leader, 'release-0')).lockReleased, true);
    const later = await untilOneLeads(peers.peers, { id: 'job-0', except: first.token });
    assert.equal(later.leader, first.followers[0]);
    assert.ok(later.token > first.token);
    for (const [index, term] of others.entries()) {
      assertSameTerm(await untilOneLeads(peers.peers, { id: `job-${index + 1}` }), term);
    }
  });

  test('nodes with the same lock key in one process lead together', async (t) => {
    const peers = await startPeers(t, { store });
    await peers.deploy([tab('one'), ...leaderNode('one', 'first'), tab('two'), ...leaderNode('two', 'second')]);
    const first = await untilOneLeads(peers.peers, { id: 'first' });
    assertSameTerm(await untilOneLeads(peers.peers, { id: 'second' }), first);
  });

  test('in subflows each instance may name its own lock', async (t) => {
    const peers = await startPeers(t, { store, count: 1, lockKeys: ['lock-of-'] });
    const [peer] = peers.peers;
    const instance = (/** @type {string} */ id, /** @type {string} */ lockKey) => ({
      id, type: 'subflow:jobs', z: 'tab', name: '', env: [{ name: 'LOCK', type: 'str', value: lockKey }], x: 100, y: 100, wires: [],
    });
    const [, , inside] = leaderNode('jobs', 'inside', { lockKey: '${LOCK}', lockTTL: '1', wires: [[], []] });
    await peers.deploy([
      { id: 'jobs', type: 'subflow', name: 'jobs', info: '', in: [], out: [], env: [{ name: 'LOCK', type: 'str', value: 'unset' }] }, inside,
      tab('tab'), instance('first-instance', 'lock-of-first'), instance('second-instance', 'lock-of-second'),
    ]);
    for (const lockKey of ['lock-of-first', 'lock-of-second']) {
      await until(async () => (await store.json(lockKey))?.host === HOST, { message: `${lockKey} is led` });
    }
    assert.equal(await store.command('EXISTS', 'unset'), 0);
    assert.ok(peer.isRunning());
  });

  test('a TTL may be a number, a text or a fraction, and is 10 s when absent', async (t) => {
    const peers = await startPeers(t, { store, count: 1, lockKeys: ['ttl-'] });
    const ttls = /** @type {const} */ ([[2, 2_000], ['1.5', 1_500], ['', 10_000], [undefined, 10_000]]);
    const nodes = ttls.flatMap(([lockTTL], index) => leaderNode('tab', `node-${index}`, { lockTTL, lockKey: `ttl-${index}` }));
    await peers.deploy([tab('tab'), ...nodes]);
    for (const [index, [, expected]] of ttls.entries()) {
      await untilOneLeads(peers.peers, { id: `node-${index}`, timeout: 2 * expected + 5_000 });
      // Just renewed, or not yet for a third of the time, and a little longer where the machine is busy.
      await until(async () => {
        const lives = await store.command('PTTL', `ttl-${index}`);
        assert.ok(lives <= expected, `${expected}: ${lives}`);
        return lives > expected / 2;
      }, { message: `a TTL of ${expected} ms` });
    }
  });
});
