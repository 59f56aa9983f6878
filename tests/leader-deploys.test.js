'use strict';

/** A deploy keeps the leader, and a node that goes hands over. */

const assert = require('node:assert/strict');
const { after, before, beforeEach, describe, test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { change, endpoint, probe, tab } = require('./support/flows');
const { FOLLOWED, LED, ask, leaderFlow, leaderNode } = require('./support/leader-flows');
const { assertSameTerm, startPeers, untilOneLeads } = require('./support/leader-peers');
const { assertOneAtATime, followedBy, ledBy, now, statusesOf } = require('./support/leader-records');
const { fileScope } = require('./support/scope');
const { until } = require('./support/wait');

/** @typedef {import('./support/instance').Instance} Instance */

/** Far longer than a handover takes, so that one that waits for it is seen. Seconds. */
const TTL = '10';
/** A handover takes some tens of milliseconds; the deploy that causes it, and a busy machine, more. */
const AT_ONCE = 3_000;

const scope = fileScope();

describe('deploys of a cluster', () => {
  /** @type {import('./support/cluster').Cluster} */
  let cluster;
  let versions = 0;
  const flows = (/** @type {object} */ properties = {}) => [
    ...leaderFlow({ lockTTL: TTL, ...properties }),
    ...endpoint('tab', 'version', `version ${versions}`),
    tab('other-tab'),
    probe('other-tab', 'unrelated', `version ${versions}`),
  ];
  before(async () => {
    cluster = await startCluster(scope, { lockKeys: ['moved-job'], adminOptions: { settings: { runtimeState: { enabled: true, ui: true } } } });
    await cluster.deploy(flows());
    await untilOneLeads(cluster.workers, { timeout: 30_000 });
  });
  beforeEach(() => {
    versions += 1;
  });

  const untilRuns = () => cluster.untilAnswers('version', `version ${versions}`);

  /**
   * Checks that an action changes neither the leader nor its token, and that no message of the leader
   * leaves at the other output meanwhile.
   *
   * @param {() => Promise<unknown>} action
   */
  async function assertKept(action) {
    const term = await untilOneLeads(cluster.workers);
    const from = now();
    await action();
    await untilRuns();
    const deployedAt = now();
    await until(() => ledBy(term.leader, 'leader', deployedAt).length > 10, { message: 'the ticks go on' });
    assert.deepEqual(followedBy(term.leader, 'leader', from).map(({ message }) => message), []);
    assert.deepEqual([...new Set(ledBy(term.leader, 'leader', from).map(({ message }) => message.leaderToken))], [term.token]);
    assertSameTerm(await untilOneLeads(cluster.workers), term);
    for (const follower of term.followers) assert.deepEqual(ledBy(follower, 'leader', from), []);
  }

  test('a full deploy', () => assertKept(() => cluster.deploy(flows(), { type: 'full' })));

  test('a deploy of an unrelated node leaves the leader node alone', async () => {
    const from = now();
    await assertKept(() => cluster.deploy(flows(), { type: 'nodes' }));
    for (const worker of cluster.workers) assert.deepEqual(statusesOf(worker, 'leader', from), []);
  });

  test('a change of its flow', () => assertKept(() => cluster.deploy(change(flows(), 'tab', { info: `version ${versions}` }), { type: 'flows' })));

  test('another name of the leader node', () => assertKept(() => cluster.deploy(flows({ name: `named ${versions}` }), { type: 'nodes' })));

  test('a leader node of another id on the same lock key', () => assertKept(async () => {
    const more = leaderNode('other-tab', `leader-${versions}`, { lockTTL: TTL });
    await cluster.deploy([...flows(), ...more], { type: 'nodes' });
    await untilRuns();
    versions += 1;
    await cluster.deploy(flows(), { type: 'nodes' });
  }));

  test('ten deploys in a row', () => assertKept(async () => {
    for (let count = 0; count < 10; count += 1) {
      versions += 1;
      await cluster.deploy(flows({ name: `row ${count}` }), { type: count % 2 ? 'full' : 'nodes' });
    }
  }));

  test('a restart of the flows', () => assertKept(() => cluster.admin.api.deploy([], { type: 'reload' }).then(() => {
    versions -= 1;
  })));

  test('a lock key that changes is led anew, and the former one is given up', async () => {
    const { token } = await untilOneLeads(cluster.workers);
    await cluster.deploy(flows({ lockKey: 'moved-job' }), { type: 'nodes' });
    await untilRuns();
    await until(async () => (await cluster.store.command('EXISTS', cluster.key('leader'))) === 0, { message: 'the former lock is free', timeout: AT_ONCE });
    await untilOneLeads(cluster.workers, { timeout: 30_000 });
    assert.equal((await ask(cluster.workers[0])).message.leaderToken, (await cluster.store.json('moved-job')).token);
    versions += 1;
    await cluster.deploy(flows(), { type: 'nodes' });
    await untilRuns();
    const back = await untilOneLeads(cluster.workers, { timeout: 30_000 });
    assert.ok(back.token > token);
  });

  test('flows that are stopped and started again on all instances', async () => {
    const { token } = await untilOneLeads(cluster.workers);
    await cluster.admin.api.setState('stop');
    await until(async () => (await cluster.store.command('EXISTS', cluster.key('leader'))) === 0, { message: 'the lock is free', timeout: AT_ONCE });
    await cluster.admin.api.setState('start');
    const back = await untilOneLeads(cluster.workers, { timeout: 30_000 });
    assert.ok(back.token > token);
    assert.equal((await ask(cluster.admin)).output, FOLLOWED);
  });

  after(() => {
    assertOneAtATime(cluster.workers);
  });
});

describe('an instance that loses its node', () => {
  /** @type {import('./support/leader-peers').Peers} */
  let peers;
  const flows = leaderFlow({ lockTTL: TTL });
  before(async () => {
    peers = await startPeers(scope);
  });
  beforeEach(async () => {
    await peers.deploy(flows);
    await untilOneLeads(peers.peers, { timeout: 30_000 });
  });

  /**
   * @param {(leader: Instance) => Promise<unknown>} action
   */
  async function assertHandsOver(action) {
    const { leader, followers: [follower], token } = await untilOneLeads(peers.peers);
    await action(leader);
    await until(async () => (await ask(follower)).output === LED, { message: 'the other one leads', timeout: AT_ONCE });
    const { message } = await ask(follower);
    assert.ok(message.leaderToken > token);
    assert.equal((await peers.store.json(peers.key('leader'))).token, message.leaderToken);
    assertOneAtATime(peers.peers);
  }

  test('by its deletion hands over at once', () => assertHandsOver((leader) => leader.api.deploy([tab('tab')], { type: 'nodes' })));

  test('by a deploy that disables its tab hands over at once', () => assertHandsOver((leader) => (
    leader.api.deploy(change(flows, 'tab', { disabled: true }))
  )));

  test('by a deploy that disables the node hands over at once', () => assertHandsOver((leader) => (
    leader.api.deploy(change(flows, 'leader', { d: true }))
  )));

  test('because its flows are stopped in the editor hands over at once', async () => {
    const { leader } = await untilOneLeads(peers.peers);
    await assertHandsOver(() => leader.api.setState('stop'));
    await leader.api.setState('start');
    const { followers } = await untilOneLeads(peers.peers);
    assert.deepEqual(followers, [leader], 'who stopped is a follower now');
  });

  test('but keeps the lead while another node of it is there', async () => {
    await peers.deploy([...flows, tab('second-tab'), ...leaderNode('second-tab', 'second', { lockTTL: TTL })]);
    const term = await untilOneLeads(peers.peers, { id: 'second' });
    await peers.deploy([tab('second-tab'), ...leaderNode('second-tab', 'second', { lockTTL: TTL })], { type: 'nodes' });
    assertSameTerm(await untilOneLeads(peers.peers, { id: 'second' }), term);
  });
});
