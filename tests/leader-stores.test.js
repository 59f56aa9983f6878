'use strict';

/** Which store the leader nodes use, how they reach it, and with how many connections. */

const assert = require('node:assert/strict');
const { before, describe, test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { endpoint, tab } = require('./support/flows');
const { FOLLOWED, ask, leaderFlow, leaderNode } = require('./support/leader-flows');
const { assertSameTerm, startPeers, untilOneLeads } = require('./support/leader-peers');
const { untilShows } = require('./support/leader-records');
const { fileScope } = require('./support/scope');
const { startStore } = require('./support/store');
const { startTlsFront } = require('./support/tls-front');
const { until } = require('./support/wait');

const PASSWORD = 'a password of the test';
/** Of users of the access rules, whose passwords have no spaces. */
const WORD = PASSWORD.replaceAll(' ', '_');

const scope = fileScope();
/** @type {import('./support/store').Store} */
let secured;
/** @type {import('./support/store').Store} */
let open;
before(async () => {
  secured = await startStore({
    password: PASSWORD,
    users: [
      `leader on >${WORD} ~* &* +@all -@dangerous +info`,
      `elsewhere on >${WORD} ~other:* &* +@all -@dangerous +info`,
    ],
  });
  open = await startStore({ open: true });
  scope.after(async () => {
    await secured.release();
    await open.release();
  });
});

/**
 * @param {object} properties
 * @param {{host: string, port: number}} [store]
 */
const configNode = (properties, store = secured) => ({
  id: 'config', type: 'valkey-config', name: '', host: store.host, port: String(store.port), database: '0', ...properties,
});

describe('a config node', () => {
  test('of another store, with a password as credential, reaches the workers and is the only one used', async (t) => {
    const cluster = await startCluster(t);
    const flows = (/** @type {string} */ version, /** @type {object} */ credentials) => [
      ...leaderFlow({ lockTTL: '2', valkey: 'config' }), configNode(credentials), ...endpoint('tab', 'version', version),
    ];
    await cluster.deploy(flows('first', { credentials: { password: PASSWORD } }));
    await cluster.untilAnswers('version', 'first');
    const term = await untilOneLeads(cluster.workers);
    assert.equal((await secured.json(cluster.key('leader'))).token, term.token);
    assert.equal(await cluster.store.command('EXISTS', cluster.key('leader')), 0);

    await cluster.deploy(flows('password unchanged', {}));
    await cluster.untilAnswers('version', 'password unchanged');
    assertSameTerm(await untilOneLeads(cluster.workers), term);
    const [first] = cluster.workers;
    await first.restart();
    await untilOneLeads(cluster.workers);
    for (const instance of cluster.instances) assert.ok(!instance.log().includes(PASSWORD), 'no log has the password');
  });

  test('with a wrong password is a red ring, and put right it leads', async (t) => {
    const peers = await startPeers(t, { store: open, count: 1 });
    const flows = (/** @type {string} */ password) => [
      ...leaderFlow({ lockTTL: '1', lockKey: 'by-password', valkey: 'config' }), configNode({ credentials: { password } }),
    ];
    await peers.deploy(flows('not the password'));
    const [peer] = peers.peers;
    await untilShows(peer, 'leader', 'red', 'ring', /NRC_STORE_AUTH/);
    const { output, message } = await ask(peer);
    assert.equal(output, FOLLOWED);
    assert.equal(message.leaderHost, null);
    assert.ok(!peer.log().includes('not the password'));
    await peers.deploy(flows(PASSWORD), { type: 'nodes' });
    await untilOneLeads(peers.peers);
    assert.equal(await secured.command('EXISTS', 'by-password'), 1);
  });

  test('with a user of the access rules, and with another database', async (t) => {
    const peers = await startPeers(t, { store: open });
    await peers.deploy([
      ...leaderFlow({ lockTTL: '1', lockKey: 'by-user', valkey: 'config' }),
      configNode({ database: '3', credentials: { username: 'leader', password: WORD } }),
    ]);
    await untilOneLeads(peers.peers);
    assert.equal(await secured.command('EXISTS', 'by-user'), 0);
    assert.match(await secured.command('INFO', 'keyspace'), /db3:keys=/);
  });

  test('whose user the access rules forbid the lock is a red ring, and the log says what is missing', async (t) => {
    const peers = await startPeers(t, { store: open, count: 1 });
    await peers.deploy([
      ...leaderFlow({ lockTTL: '1', lockKey: 'forbidden', valkey: 'config' }),
      configNode({ credentials: { username: 'elsewhere', password: WORD } }),
    ]);
    const [peer] = peers.peers;
    await untilShows(peer, 'leader', 'red', 'ring', /NRC_STORE_PERMISSION/);
    assert.equal((await ask(peer)).output, FOLLOWED);
    await until(() => /\[(warn|error)\].*forbidden/.test(peer.log()), { message: 'the log names the lock' });
    assert.ok(!peer.log().includes(WORD));
  });

  test('takes no address from the block, and from the environment what stands in ${}', async (t) => {
    const peers = await startPeers(t, { count: 0, store: open });
    const peer = await peers.add({
      block: { password: 'of the block only', port: 1 },
      env: { TEST_STORE_HOST: secured.host, TEST_STORE_PORT: String(secured.port) },
    });
    await peer.waitUntilReady();
    await peers.deploy([
      ...leaderFlow({ lockTTL: '1', valkey: 'config' }),
      configNode({ host: '${TEST_STORE_HOST}', port: '${TEST_STORE_PORT}', credentials: { password: PASSWORD } }),
    ]);
    const { token } = await untilOneLeads(peers.peers);
    assert.equal((await secured.json(peers.key('leader'))).token, token);
  });

  test('with TLS checks the certificate, unless it is told not to', async (t) => {
    const front = await startTlsFront(open.port);
    t.after(() => front.stop());
    const peers = await startPeers(t, { store: open, count: 1 });
    const [peer] = peers.peers;
    const flows = (/** @type {object} */ properties) => [
      ...leaderFlow({ lockTTL: '1', lockKey: 'by-tls', valkey: 'config' }), configNode({ tls: true, ...properties }, front),
    ];
    await peers.deploy(flows({}));
    await untilShows(peer, 'leader', 'red', 'ring', /NRC_STORE_/);
    await until(() => /certificate/i.test(peer.log()), { message: 'the log names the certificate' });
    assert.equal((await ask(peer)).output, FOLLOWED);
    await peers.deploy(flows({ ca: front.certificate }));
    await untilOneLeads(peers.peers);
    await peers.deploy(flows({ ca: front.certificate, servername: 'another.example' }));
    await untilShows(peer, 'leader', 'red', 'ring', /NRC_STORE_/);
    await peers.deploy(flows({ rejectUnauthorized: false }));
    await untilOneLeads(peers.peers);
  });
});

describe('without the storage module', () => {
  test('the environment alone is enough', async (t) => {
    const peers = await startPeers(t, { store: open, count: 0 });
    const url = `valkey://:${encodeURIComponent(PASSWORD)}@${secured.host}:${secured.port}`;
    await Promise.all([peers.add({ block: null, env: { VALKEY_URL: url } }), peers.add({ block: null, env: { VALKEY_URL: url } })]);
    await Promise.all(peers.peers.map((peer) => peer.waitUntilReady()));
    await peers.deploy(leaderFlow({ lockTTL: '2' }));
    const { leader, token } = await untilOneLeads(peers.peers);
    assert.equal((await secured.json('nodered:leader')).token, token);
    assert.ok(peers.peers.every((peer) => !peer.log().includes(PASSWORD)));
    assert.deepEqual(await leader.stop(), { code: 0, signal: null }, leader.log());
    assert.doesNotMatch(leader.log(), /uncaught|unhandled/i);
  });

  test('a store that is not there yet is waited for, and messages leave meanwhile', async (t) => {
    const late = await startStore();
    scope.after(() => late.release());
    await late.stop();
    const peers = await startPeers(t, { store: late, count: 1 });
    const [peer] = peers.peers;
    await peers.deploy(leaderFlow({ lockTTL: '1' }));
    await untilShows(peer, 'leader', 'red', 'ring');
    assert.deepEqual([(await ask(peer)).output, (await ask(peer)).message.leaderHost], [FOLLOWED, null]);
    await late.start();
    await untilOneLeads(peers.peers);
    await untilShows(peer, 'leader', 'green', 'dot');
  });
});

describe('connections', () => {
  /** @param {import('./support/store').Store} store */
  async function connections(store) {
    const lines = (await store.command('CLIENT', 'LIST')).trim().split('\n');
    // The test's own connection has no name.
    return lines.map((/** @type {string} */ line) => / name=(\S*)/.exec(line)?.[1]).filter(Boolean).sort();
  }

  /** @param {number} count @param {string} lockKey @param {string} valkey */
  const nodes = (count, lockKey, valkey = '') => Array.from({ length: count }, (_, index) => (
    leaderNode('tab', `leader-${index}`, { lockKey: `${lockKey}-${index % 20}`, lockTTL: '2', valkey })
  )).flat();

  test('forty leader nodes on one store have as many as one leader node', async (t) => {
    const peers = await startPeers(t, { count: 1, lockKeys: ['few', 'many', 'deploy-'] });
    await peers.deploy([tab('tab'), ...nodes(1, 'few')]);
    await untilOneLeads(peers.peers, { id: 'leader-0' });
    const ofOne = await connections(peers.store);
    assert.ok(ofOne.length > 0);
    await peers.deploy([tab('tab'), ...nodes(40, 'many')]);
    for (const id of ['leader-0', 'leader-19', 'leader-39']) await untilOneLeads(peers.peers, { id });
    assert.deepEqual(await connections(peers.store), ofOne);

    const { host, port } = peers.store;
    const credentials = await peers.store.login('nodered-leader', { prefix: peers.prefix });
    await peers.deploy([tab('tab'), ...nodes(40, 'many', 'config'), configNode({ credentials }, { host, port })]);
    await untilOneLeads(peers.peers, { id: 'leader-39' });
    await until(async () => (await connections(peers.store)).length <= ofOne.length, { message: 'a config node of the same store shares them' });

    for (let deploys = 0; deploys < 5; deploys += 1) await peers.deploy([tab('tab'), ...nodes(40, `deploy-${deploys}`)]);
    await untilOneLeads(peers.peers, { id: 'leader-39' });
    assert.deepEqual(await connections(peers.store), ofOne, 'deploys leak none');
  });

  test('in a cluster leader nodes on its store add none', async (t) => {
    const cluster = await startCluster(t, { workers: 1, lockKeys: ['shared'] });
    const version = (/** @type {string} */ text) => endpoint('tab', 'version', text);
    await cluster.deploy([tab('tab'), ...version('without')]);
    await cluster.untilAnswers('version', 'without');
    const without = await connections(cluster.store);
    await cluster.deploy([tab('tab'), ...version('with'), ...nodes(2, 'shared')]);
    await cluster.untilAnswers('version', 'with');
    await untilOneLeads(cluster.workers, { id: 'leader-1' });
    assert.deepEqual(await connections(cluster.store), without);
  });

  test('deploys while the store is away leave no connection behind', async (t) => {
    const peers = await startPeers(t, { count: 1, lockKeys: ['away'] });
    await peers.deploy([tab('tab'), ...nodes(2, 'away')]);
    await untilOneLeads(peers.peers, { id: 'leader-0' });
    const earlier = await connections(peers.store);
    await peers.store.stop();
    for (let deploys = 0; deploys < 5; deploys += 1) await peers.deploy([tab('tab'), ...nodes(2, `away-${deploys}`)]);
    await peers.store.start();
    await untilOneLeads(peers.peers, { id: 'leader-0' });
    assert.deepEqual(await connections(peers.store), earlier);
  });
});
