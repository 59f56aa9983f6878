'use strict';

/** A leader node that is set up wrongly says so, and loses no message. */

const assert = require('node:assert/strict');
const os = require('node:os');
const { before, describe, test } = require('node:test');
const { tab } = require('./support/flows');
const { FOLLOWED, ask, leaderFlow, leaderNode, release, releaseNode } = require('./support/leader-flows');
const { startPeers, untilOneLeads } = require('./support/leader-peers');
const { messagesAt, untilShows } = require('./support/leader-records');
const { fileScope } = require('./support/scope');
const { startStore } = require('./support/store');
const { until } = require('./support/wait');

const scope = fileScope();
/** @type {import('./support/store').Store} */
let store;
/** @type {import('./support/leader-peers').Peers} */
let peers;
/** @type {{username: string, password: string}} */
let login;
before(async () => {
  store = await startStore();
  scope.after(() => store.release());
  peers = await startPeers(scope, { store, count: 1, lockKeys: ['healthy', 'mended'] });
  login = await store.login('nodered-leader', { prefix: peers.prefix });
});

/**
 * @param {string} id
 * @param {object} [properties]
 */
const configNode = (id, properties = {}) => ({
  id, type: 'valkey-config', name: '', host: store.host, port: String(store.port), database: '0', credentials: login, ...properties,
});

let names = 0;

/**
 * Deploys a leader node beside a healthy one and checks how it tells that it is set up wrongly.
 *
 * @param {object} properties of the leader node
 * @param {RegExp} says what its line in the log says
 * @param {object[]} [more] nodes
 */
async function assertRefused(properties, says, more = []) {
  const [peer] = peers.peers;
  names += 1;
  const name = `node ${names}`;
  const from = peer.log().length;
  await peers.deploy([
    tab('tab'), ...leaderNode('tab', 'wrong', { name, ...properties }), ...leaderNode('tab', 'healthy', { lockTTL: '1', lockKey: 'healthy' }), ...more,
  ]);
  // The status has room for the beginning of the sentence only.
  await untilShows(peer, 'wrong', 'red', 'ring', /NRC_/);
  assert.deepEqual(await ask(peer, 'wrong', 'a=1'), {
    output: FOLLOWED,
    message: { payload: { a: '1' }, isLeader: false, leaderHost: null, followerHost: os.hostname() },
  });
  for (let count = 0; count < 20; count += 1) assert.equal((await ask(peer, 'wrong')).output, FOLLOWED);
  const lines = peer.log().slice(from).split('\n').filter((line) => line.includes('[error]') || line.includes('[warn]'));
  const own = lines.filter((line) => line.includes(`[cluster-leader:${name}]`));
  assert.equal(own.length, 1, `one line names the node:\n${lines.join('\n')}`);
  assert.match(own[0], says);
  assert.match(own[0], /\[error\]/);
  await untilOneLeads(peers.peers, { id: 'healthy' });
  assert.ok(peer.isRunning());
}

describe('a TTL', () => {
  for (const lockTTL of ['0', '0.5', '-3', '86401', 'abc', '10s', 'NaN', 'Infinity', '1e9', { of: 'object' }, ['5'], true]) {
    test(`of ${JSON.stringify(lockTTL)} is refused with its value and the range`, () => (
      assertRefused({ lockTTL }, /(?=.*\b1\b)(?=.*86,?400)/)
    ));
  }

  test('that differs between instances warns on both sides, and one leads', async (t) => {
    const different = await startPeers(t, { store });
    const [one, other] = different.peers;
    await different.deploy(leaderFlow({ lockTTL: '2' }), { on: [one] });
    await different.deploy(leaderFlow({ lockTTL: '4' }), { on: [other] });
    await untilOneLeads(different.peers);
    const DIFFER = /\[warn\].*(\b2 s.*\b4 s|\b4 s.*\b2 s)/;
    const warnings = () => different.peers.flatMap((peer) => peer.log().split('\n').filter((line) => DIFFER.test(line)));
    await until(() => warnings().length > 0, { message: 'the follower warns' });
    const { leader, followers: [follower], token } = await untilOneLeads(different.peers);
    assert.match(warnings()[0], new RegExp(different.key('leader')));
    // The other way round.
    await release(leader);
    await untilOneLeads(different.peers, { except: token });
    await until(() => DIFFER.test(leader.log()), { message: 'the other one warns when it follows' });
    assert.ok(DIFFER.test(follower.log()));
    assert.equal(warnings().length, 2, warnings().join('\n'));
  });
});

describe('a lock key', () => {
  for (const [what, lockKey] of /** @type {const} */ ([
    ['that is a number', 5], ['of spaces only', '   '], ['that is an object', { key: 'x' }], ['of two lines', 'two\nlines'], ['with a zero byte', 'a\0b'],
    ['longer than 1,024 bytes', 'ü'.repeat(600)],
  ])) {
    test(`${what} is refused`, () => assertRefused({ lockKey }, /lock ?key/i));
  }
});

describe('a config node', () => {
  const wrong = /** @type {Array<[string, object, RegExp]>} */ ([
    ['a port that is none', { port: 'abc' }, /port/],
    ['a port out of range', { port: '70000' }, /port/],
    ['a database that is none', { database: '-1' }, /database|db/],
    ['a certificate that is none', { tls: true, ca: 'nonsense' }, /ca\b|certificate/],
    ['sentinels beside nodes of a Cluster', { sentinels: '127.0.0.1:26379', sentinelName: 'main', clusterNodes: '127.0.0.1:7000' }, /cluster/],
    ['sentinels that are none', { sentinels: '127.0.0.1:abc', sentinelName: 'main' }, /sentinel/i],
  ]);
  for (const [what, properties, says] of wrong) {
    test(`with ${what} is refused`, () => assertRefused({ valkey: 'config' }, says, [configNode('config', properties)]));
  }

  test('that is missing is not another store in silence', () => assertRefused({ valkey: 'nowhere' }, /config/));

  test('that is disabled is not another store in silence', () => (
    assertRefused({ valkey: 'config' }, /config/, [configNode('config', { d: true })])
  ));

  test('with a host that does not exist is a red ring, and is tried on', async () => {
    const [peer] = peers.peers;
    await peers.deploy([
      tab('tab'), ...leaderNode('tab', 'astray', { valkey: 'config' }), configNode('config', { host: 'does-not-exist.invalid' }),
    ]);
    await untilShows(peer, 'astray', 'red', 'ring');
    assert.equal((await ask(peer, 'astray')).output, FOLLOWED);
    await until(() => peer.log().includes('does-not-exist.invalid'), { message: 'the log names the host' });
    assert.ok(peer.isRunning());
  });

  test('that was wrong and is put right works without a restart', async () => {
    const flows = [tab('tab'), ...leaderNode('tab', 'mended', { valkey: 'config', lockKey: 'mended', lockTTL: '1' })];
    const [peer] = peers.peers;
    await peers.deploy([...flows, configNode('config', { port: 'abc' })]);
    await untilShows(peer, 'mended', 'red', 'ring');
    await peers.deploy([...flows, configNode('config')], { type: 'nodes' });
    await untilOneLeads(peers.peers, { id: 'mended' });
    await untilShows(peer, 'mended', 'green', 'dot');
  });
});

test('a release node that is set up wrongly says so', async () => {
  const [peer] = peers.peers;
  await peers.deploy([
    tab('tab'), ...releaseNode('tab', 'release', { name: 'wrong release', lockKey: 7 }),
    { id: 'caught', type: 'catch', z: 'tab', name: '', scope: ['release'], uncaught: false, x: 100, y: 600, wires: [['caught-recorder']] },
    { id: 'caught-recorder', type: 'message-recorder', z: 'tab', name: '', x: 300, y: 600, wires: [[]] },
  ]);
  await untilShows(peer, 'release', 'red', 'ring', /NRC_CONFIG_INVALID/);
  await release(peer);
  await until(() => messagesAt(peer, 'caught-recorder').length > 0, { message: 'a Catch node gets it' });
  assert.match(messagesAt(peer, 'caught-recorder')[0].message.error.message, /lock ?key/i);
  await until(() => messagesAt(peer, 'release-released').length > 0, { message: 'and the message goes on' });
  assert.equal(messagesAt(peer, 'release-released')[0].message.lockReleased, false);
  assert.match(peer.log(), /\[error\] \[release-cluster-leader:wrong release\]/);
});
