'use strict';

/** A deploy is a revision in the store: flows, number, history and announcement. */

const assert = require('node:assert/strict');
const { before, test } = require('node:test');
const zlib = require('node:zlib');
const { startCluster } = require('./support/cluster');
const { account, endpoint, manyNodes, probe, tab } = require('./support/flows');
const { fileScope } = require('./support/scope');
const { holdsFor, until } = require('./support/wait');

const scope = fileScope();
/** @type {import('./support/cluster').Cluster} */
let cluster;
before(async () => {
  cluster = await startCluster(scope, { workers: 1 });
});

/** @param {string} version */
function flowsOf(version) {
  return [tab('tab'), ...endpoint('tab', 'version', version), probe('tab', 'watched', version)];
}

test('the store holds the flows exactly as they were deployed', async () => {
  const flows = flowsOf('as deployed ä 🦀 "quoted" 9007199254740993');
  await cluster.deploy(flows);
  assert.deepEqual(await cluster.store.json(cluster.key('flows')), flows);
});

for (const type of /** @type {const} */ (['full', 'nodes', 'flows'])) {
  test(`a ${type} deploy is announced with its revision, type and time`, async () => {
    const subscription = await cluster.store.subscribe(cluster.channel);
    const startedAt = Date.now();
    await cluster.deploy(flowsOf(`announced ${type}`), { type });
    const revision = await cluster.revision();
    await until(() => subscription.messages.length > 0, { message: 'the deploy is announced' });
    assert.equal(subscription.messages.length, 1);
    const message = JSON.parse(subscription.messages[0].text);
    assert.equal(message.revision, Number(revision.number));
    assert.equal(message.id, revision.id);
    assert.equal(message.type, type);
    assert.equal(message.state, 'start');
    const time = Date.parse(message.time);
    assert.ok(time >= startedAt - 1_000 && time <= Date.now() + 1_000, message.time);
    assert.equal(revision.type, type);
    assert.equal(revision.time, message.time);
    subscription.close();
  });
}

test('a reload from the editor is announced as a reload', async () => {
  const subscription = await cluster.store.subscribe(cluster.channel);
  await cluster.deploy([], { type: 'reload' });
  await until(() => subscription.messages.length > 0, { message: 'the reload is announced' });
  assert.equal(JSON.parse(subscription.messages[0].text).type, 'reload');
  subscription.close();
});

test('each deploy has the next number and an id of its own', async () => {
  const revisions = [];
  for (const version of ['one', 'two', 'three']) {
    await cluster.deploy(flowsOf(version));
    revisions.push(await cluster.revision());
  }
  const first = Number(revisions[0].number);
  assert.deepEqual(revisions.map(({ number }) => Number(number)), [first, first + 1, first + 2]);
  assert.equal(new Set(revisions.map(({ id }) => id)).size, 3);
  assert.equal(new Set(revisions.map(({ hash }) => hash)).size, 3);
});

test('a deploy while the one before it is still being started is the newest, and the last', async () => {
  const numberBefore = await cluster.revisionNumber();
  const rounds = 8;
  for (let round = 1; round <= rounds; round += 1) {
    for (const turn of ['first', 'second']) {
      await cluster.deploy([...flowsOf(`${turn} of round ${round}`), ...manyNodes('tab', 1_500)]);
    }
    await cluster.untilAnswers('version', `second of round ${round}`);
  }
  await holdsFor(async () => assert.equal(await cluster.revisionNumber(), numberBefore + 2 * rounds), 300);
  await cluster.untilAnswers('version', `second of round ${rounds}`);
});

test('a change of credentials only is a revision of its own, with the same flows', async () => {
  const flows = [...flowsOf('credentials'), account('account')];
  await cluster.deploy([...flowsOf('credentials'), account('account', { password: 'a-first-password' })]);
  const first = await cluster.revision();
  await cluster.deploy([...flowsOf('credentials'), account('account', { password: 'a-second-password' })], {
    type: 'nodes',
  });
  const second = await cluster.revision();
  assert.equal(Number(second.number), Number(first.number) + 1);
  assert.equal(second.hash, first.hash);
  assert.notEqual(second.credentialsHash, first.credentialsHash);
  assert.deepEqual(await cluster.store.json(cluster.key('flows')), flows);
});

test('the history keeps the last 50 revisions with their flows and credentials', async () => {
  for (let count = 1; count <= 52; count += 1) {
    await cluster.deploy(flowsOf(`deploy ${count}`), { type: 'nodes' });
  }
  const newest = await cluster.revisionNumber();
  const numbers = Array.from({ length: 50 }, (_, index) => newest - 49 + index);
  const ascending = (/** @type {string[]} */ keys) => keys.map(Number).sort((a, b) => a - b);

  const history = await cluster.store.hash(cluster.key('history'));
  assert.deepEqual(ascending(Object.keys(history)), numbers);
  const metadata = JSON.parse(history[newest]);
  assert.equal(metadata.type, 'nodes');
  assert.ok(Date.parse(metadata.time) <= Date.now() + 1_000);

  const contents = await cluster.store.command('HKEYS', cluster.key('history:content'));
  assert.deepEqual(ascending(contents), numbers);
  const content = await cluster.store.commandBytes('HGET', cluster.key('history:content'), newest - 10);
  const { flows, credentials } = JSON.parse(zlib.gunzipSync(content).toString());
  assert.deepEqual(flows, flowsOf('deploy 42'));
  assert.ok(credentials === null || typeof credentials === 'object');
  await cluster.untilAnswers('version', 'deploy 52');
});
