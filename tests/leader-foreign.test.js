'use strict';

/** A lock key that holds what we did not write is respected: never overwritten, and it is said. */

const assert = require('node:assert/strict');
const { before, test } = require('node:test');
const { FOLLOWED, ask, leaderFlow, release } = require('./support/leader-flows');
const { startPeers, untilOneLeads } = require('./support/leader-peers');
const { ledBy, now, statusOf, untilShows } = require('./support/leader-records');
const { fileScope } = require('./support/scope');
const { startStore } = require('./support/store');
const { holdsFor, until } = require('./support/wait');

/** Milliseconds. */
const TTL = 2_000;
/** What the older package writes: the name of its host. */
const OLDER = 'host-of-the-older-package';

const scope = fileScope();
/** @type {import('./support/store').Store} */
let store;
/** @type {import('./support/leader-peers').Peers} */
let peers;
before(async () => {
  store = await startStore();
  scope.after(() => store.release());
  peers = await startPeers(scope, { store, lockKeys: ['older', 'expiring', 'taken', 'foreign-'] });
});

/** @param {string} lockKey */
async function deploy(lockKey) {
  await peers.deploy(leaderFlow({ lockTTL: String(TTL / 1000), lockKey }));
}

test('a lock of the older package is followed until it ends', async () => {
  await store.command('SET', 'older', OLDER, 'PX', 3 * TTL);
  await deploy('older');
  for (const peer of peers.peers) {
    await until(async () => (await ask(peer)).message.leaderHost === OLDER, { message: 'it names the host' });
    const { output, message } = await ask(peer);
    assert.equal(output, FOLLOWED);
    assert.equal(message.isLeader, false);
    assert.ok(!('leaderToken' in message), 'that package has no tokens');
    assert.match(peer.log(), /\[warn\].*older/);
  }
  const from = now();
  // The older leader renews while it is alive.
  await holdsFor(async () => {
    await store.command('PEXPIRE', 'older', 3 * TTL);
    assert.equal(await store.command('GET', 'older'), OLDER);
  }, 2 * TTL);
  for (const peer of peers.peers) assert.deepEqual(ledBy(peer, 'leader', from), []);
  const warned = peers.peers[0].log().split('\n').filter((line) => /\[warn\].*older/.test(line));
  assert.equal(warned.length, 1, 'it is said once');

  await store.command('DEL', 'older');
  const { token } = await untilOneLeads(peers.peers, { timeout: 10 * TTL });
  assert.equal((await store.json('older')).token, token);
});

test('a lock of the older package that expires by itself is followed by one of ours', async () => {
  await store.command('SET', 'expiring', OLDER, 'PX', TTL);
  await deploy('expiring');
  const { token } = await untilOneLeads(peers.peers, { timeout: 10 * TTL });
  assert.equal((await store.json('expiring')).token, token);
});

for (const [what, command, expected] of /** @type {Array<[string, Array<string | number>, string]>} */ ([
  ['a list', ['RPUSH', 'foreign-list', 'a', 'b'], 'list'],
  ['a hash', ['HSET', 'foreign-hash', 'token', '5', 'holder', 'x'], 'hash'],
  ['JSON of somebody else', ['SET', 'foreign-json', '{"holder":5}'], 'string'],
  ['a sentence', ['SET', 'foreign-text', 'this is no host name'], 'string'],
])) {
  test(`${what} at the lock key is left alone, and nobody leads`, async () => {
    const key = String(command[1]);
    await store.command(...command);
    const dumped = () => store.commandBytes('DUMP', key);
    const earlier = await dumped();
    await deploy(key);
    for (const peer of peers.peers) {
      await until(() => /^(red|grey)$/.test(String(statusOf(peer, 'leader').fill)), { message: 'the status tells it' });
      await until(() => new RegExp(`\\[(warn|error)\\].*${key}`).test(peer.log()), { message: 'the log tells it' });
      await holdsFor(async () => assert.equal((await ask(peer)).output, FOLLOWED), TTL);
      assert.ok(!('leaderToken' in (await ask(peer)).message));
    }
    assert.equal((await release(peers.peers[0])).lockReleased, false);
    assert.equal(await store.command('TYPE', key), expected);
    assert.deepEqual(await dumped(), earlier);
    await store.command('DEL', key);
    const { leader } = await untilOneLeads(peers.peers, { timeout: 10 * TTL });
    await untilShows(leader, 'leader', 'green', 'dot');
  });
}

test('a lock that is overwritten while one of ours leads is left alone too', async () => {
  await deploy('taken');
  const { leader } = await untilOneLeads(peers.peers);
  await store.command('SET', 'taken', OLDER, 'PX', 4 * TTL);
  await until(async () => (await ask(leader)).output === FOLLOWED, { message: 'ours leads no more', timeout: 2 * TTL });
  assert.equal(await store.command('GET', 'taken'), OLDER);
  await untilOneLeads(peers.peers, { timeout: 10 * TTL });
});
