'use strict';

/** A deploy reaches every worker as it was made: the same nodes start, and no others. */

const assert = require('node:assert/strict');
const { before, test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { account, change, endpoint, manyNodes, probe, startCounter, tab } = require('./support/flows');
const { fileScope } = require('./support/scope');
const { assertStarts, requestsDuring } = require('./support/starts');

/** How long a slow probe takes to close on a worker: a deploy lasts as long there. Milliseconds. */
const WORKER_CLOSE_DELAY = 400;

const scope = fileScope();
/** @type {import('./support/cluster').Cluster} */
let cluster;
before(async () => {
  cluster = await startCluster(scope, {
    adminOptions: { env: { PROBE_CLOSE_DELAY: '0' } },
    workerOptions: { env: { PROBE_CLOSE_DELAY: String(WORKER_CLOSE_DELAY) } },
  });
});

const everyone = () => [cluster.admin, ...cluster.workers];
let versions = 0;

/**
 * Two tabs with two probes each: a1 is wired to a2; a2 uses account-a, b2 uses account-b.
 *
 * @returns {import('./support/flows').FlowNode[]}
 */
function baseFlows() {
  return [
    tab('tab-a'),
    ...endpoint('tab-a', 'version', 'base'),
    probe('tab-a', 'a1', 'first', { wires: [['a2']] }),
    probe('tab-a', 'a2', 'first', { account: 'account-a' }),
    tab('tab-b'),
    ...endpoint('tab-b', 'untouched', 'still here'),
    ...startCounter('tab-b', 'starts'),
    probe('tab-b', 'b1', 'first'),
    probe('tab-b', 'b2', 'first', { account: 'account-b' }),
    account('account-a'),
    account('account-b'),
  ];
}

/**
 * Deploys the base flows with credentials and waits until everyone runs them, the admin too: it answers a
 * deploy before it starts the nodes.
 *
 * @returns {Promise<import('./support/flows').FlowNode[]>} the flows as the editor has them afterwards
 */
async function deployBase() {
  versions += 1;
  const flows = change(baseFlows(), 'version-function', answerWith(`base ${versions}`));
  const withCredentials = [
    ...flows.filter(({ type }) => type !== 'probe-account'),
    account('account-a', { username: 'alice', password: `first of a ${versions}` }),
    account('account-b', { username: 'bob', password: 'first of b' }),
  ];
  await cluster.deploy(withCredentials, { type: 'full' });
  await cluster.untilAnswers('version', `base ${versions}`, { on: everyone() });
  await cluster.untilProbes(({ live }) => live.a2?.password === `first of a ${versions}`, {
    message: 'everyone runs the base flows',
    on: everyone(),
  });
  return flows;
}

/** @param {string} text */
function answerWith(text) {
  return { func: `msg.payload = ${JSON.stringify(text)};\nreturn msg;` };
}

test('a full deploy reaches every worker and restarts everything, as on the admin', async () => {
  const flows = await deployBase();
  const all = { a1: 1, a2: 1, b1: 1, b2: 1, 'account-a': 1, 'account-b': 1 };
  await assertStarts(everyone(), all, () =>
    cluster.deploy(change(flows, 'version-function', answerWith('full')), { type: 'full' }),
  );
  await cluster.untilAnswers('version', 'full');
});

test('a deploy of modified nodes restarts only these (every deploy restarts every node)', async () => {
  const flows = await deployBase();
  const changed = change(change(flows, 'a1', { value: 'second' }), 'version-function', answerWith('nodes'));
  const counts = await Promise.all(cluster.workers.map((worker) => worker.get('starts')));
  await assertStarts(everyone(), { a1: 1 }, () => cluster.deploy(changed, { type: 'nodes' }));
  await cluster.untilAnswers('version', 'nodes');
  await cluster.untilProbes(({ live }) => live.a1.value === 'second', { message: 'a1 is changed' });
  const countsAfter = await Promise.all(cluster.workers.map((worker) => worker.get('starts')));
  assert.deepEqual(
    countsAfter.map(({ text }) => text),
    counts.map(({ text }) => text),
    'On Start of an untouched function does not run again',
  );
});

test('a deploy of modified flows restarts what is wired to a change, and no more', async () => {
  const flows = await deployBase();
  const changed = change(change(flows, 'a1', { value: 'second' }), 'version-function', answerWith('flows'));
  await assertStarts(everyone(), { a1: 1, a2: 1 }, () => cluster.deploy(changed, { type: 'flows' }));
  await cluster.untilAnswers('version', 'flows');
});

test('nodes that are added, moved to a disabled tab or removed are so on every worker', async () => {
  const flows = await deployBase();
  const added = [...flows, probe('tab-a', 'a3', 'new')];
  await assertStarts(everyone(), { a3: 1 }, () => cluster.deploy(added, { type: 'nodes' }));
  const disabled = change(added, 'tab-a', { disabled: true });
  await cluster.deploy(disabled, { type: 'nodes' });
  const liveProbes = (/** @type {{live: object}} */ { live }) => Object.keys(live).sort().join();
  await cluster.untilProbes((report) => liveProbes(report) === 'account-a,account-b,b1,b2', {
    message: 'the disabled tab is closed',
  });
  const removed = added.filter(({ id }) => id !== 'a3' && id !== 'b1');
  await cluster.deploy(removed, { type: 'nodes' });
  await cluster.untilProbes((report) => liveProbes(report) === 'a1,a2,account-a,account-b,b2', {
    message: 'the tab is enabled again without the removed nodes',
  });
});

test('a restart of the flows from the editor restarts them on every worker', async () => {
  await deployBase();
  const all = { a1: 1, a2: 1, b1: 1, b2: 1, 'account-a': 1, 'account-b': 1 };
  await assertStarts(everyone(), all, () => cluster.deploy([], { type: 'reload' }));
});

test('a change of credentials only restarts the node and its users on every worker', async () => {
  const flows = await deployBase();
  const changed = change(flows, 'account-a', {
    credentials: { username: 'alice', password: 'second of a' },
  });
  await assertStarts(everyone(), { 'account-a': 1, a2: 1 }, () =>
    cluster.deploy(changed, { type: 'nodes' }),
  );
  await cluster.untilProbes(
    ({ live }) => live.a2.password === 'second of a' && live.b2.password === 'first of b',
    { message: 'the live node has the new password, the other its own' },
  );
});

test('a credential that is cleared is gone on every worker', async () => {
  const flows = await deployBase();
  const changed = change(flows, 'account-a', { credentials: { username: 'alice', password: '' } });
  await assertStarts(everyone(), { 'account-a': 1, a2: 1 }, () =>
    cluster.deploy(changed, { type: 'nodes' }),
  );
  await cluster.untilProbes(
    ({ live }) => live.a2.username === 'alice' && live.a2.password === undefined,
    { message: 'the live node has no password any more' },
  );
});

test('changed credentials in a full deploy reach every worker', async () => {
  const flows = await deployBase();
  await cluster.deploy(
    change(flows, 'account-b', { credentials: { username: 'bob', password: 'third of b' } }),
    { type: 'full' },
  );
  await cluster.untilProbes(({ live }) => live.b2?.password === 'third of b', {
    message: 'the live node has the new password',
  });
});

test('one flow that is added, updated and deleted over the API is so on every worker', async () => {
  await deployBase();
  /** @type {string} */
  let id = '';
  await assertStarts(everyone(), { c1: 1 }, async () => {
    const nodes = [probe('', 'c1', 'first'), ...endpoint('', 'added', 'added')];
    ({ id } = await cluster.admin.api.addFlow({ label: 'added', nodes, configs: [] }));
  });
  await cluster.untilAnswers('added', 'added');
  await assertStarts(everyone(), { c1: 1 }, () =>
    cluster.admin.api.updateFlow(id, {
      id,
      label: 'added',
      nodes: [probe(id, 'c1', 'second'), ...endpoint(id, 'added', 'updated')],
      configs: [],
    }),
  );
  await cluster.untilAnswers('added', 'updated');
  await assertStarts(everyone(), {}, () => cluster.admin.api.deleteFlow(id));
  await cluster.untilProbes(({ live }) => !('c1' in live), { message: 'the flow is gone' });
});

for (const type of /** @type {const} */ (['nodes', 'full'])) {
  test(`ten rapid ${type} deploys end at the newest and are not applied one by one (ten full reloads)`, async () => {
    const flows = [...(await deployBase()), probe('tab-b', 'slow', '0', { closeDelay: '${PROBE_CLOSE_DELAY}' })];
    await cluster.deploy(flows, { type: 'nodes' });
    await cluster.untilProbes(({ live }) => 'slow' in live, { message: 'the slow probe runs' });
    const startsBefore = await Promise.all(cluster.workers.map(async (worker) => (await worker.probes()).starts.slow));

    const numberBefore = await cluster.revisionNumber();

    for (let count = 1; count <= 10; count += 1) {
      await cluster.deploy(change(flows, 'slow', { value: String(count) }), { type });
    }
    assert.equal(await cluster.revisionNumber(), numberBefore + 10);
    await cluster.untilProbes(({ live }) => live.slow?.value === '10', {
      message: 'every worker runs the tenth deploy',
    });

    for (const [index, worker] of cluster.workers.entries()) {
      const { starts, closes } = await worker.probes();
      const applied = starts.slow - startsBefore[index];
      assert.ok(applied <= 6, `${worker.name} applied ${applied} of ten deploys`);
      assert.equal(starts.slow - closes.slow, 1, `${worker.name} has one live node, no orphan`);
    }
  });
}

test('flows that Node-RED refuses change nothing anywhere', async () => {
  await deployBase();
  const answer = `base ${versions}`;
  const revision = await cluster.revision();
  await assertStarts(everyone(), {}, async () => {
    for (const flows of [[null], { not: 'an array' }]) {
      const { status } = await cluster.admin.api.tryDeploy(/** @type {any} */ (flows));
      assert.equal(status, 400);
    }
  });
  assert.deepEqual(await cluster.revision(), revision);
  await cluster.untilAnswers('version', answer);
});

test('one changed node of 5,000 fails no request on an endpoint that did not change', async () => {
  const small = change(await deployBase(), 'version-function', answerWith(`big ${versions}`));
  const flows = [...small, tab('big'), ...manyNodes('big', 5_000)];
  await cluster.deploy(flows, { type: 'full' });
  await cluster.untilAnswers('version', `big ${versions}`, { timeout: 30_000, on: [cluster.admin, ...cluster.workers] });
  const size = async () => (await cluster.store.command('STRLEN', cluster.key('flows'))) > 1_000_000;
  assert.ok(await size(), 'the store holds the big flows');
  await cluster.untilProbes(({ live }) => 'b2' in live, { message: 'the big flows run', on: [cluster.admin, ...cluster.workers] });

  const changed = change(flows, 'version-function', answerWith('one of 5,000'));
  const { requests, failures } = await requestsDuring(
    cluster.workers,
    'untouched',
    'still here',
    () =>
      assertStarts(everyone(), {}, async () => {
        await cluster.deploy(changed, { type: 'nodes' });
        await cluster.untilAnswers('version', 'one of 5,000', { timeout: 30_000 });
      }),
  );
  assert.ok(requests > 0);
  assert.deepEqual(failures, []);
});
