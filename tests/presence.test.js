'use strict';

/** Every instance tells who it is and which revision it wants and runs. */

const assert = require('node:assert/strict');
const os = require('node:os');
const { before, test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { endpoint, tab } = require('./support/flows');
const { DEFAULT_VERSION } = require('./support/instance');
const { fileScope } = require('./support/scope');
const { until, untilEqual } = require('./support/wait');

const scope = fileScope();
/** @type {import('./support/cluster').Cluster} */
let cluster;
before(async () => {
  cluster = await startCluster(scope);
});

const workerIds = async () => Object.keys(await cluster.presence()).sort();
const hostIds = (/** @type {number[]} */ numbers) => numbers.map((n) => `${os.hostname()}-${n}`);

test('every worker has a record with a leased id, its process and its versions', async () => {
  await untilEqual(workerIds, hostIds([1, 2]), { message: 'both workers are present' });
  const records = await cluster.presence();
  for (const worker of cluster.workers) {
    const record = Object.values(records).find(({ pid }) => pid === worker.pid());
    assert.ok(record, `a record has the pid of ${worker.name}`);
    assert.equal(record.role, 'worker');
    assert.equal(record.host, os.hostname());
    assert.match(record.nodeRed, new RegExp(`^v?${DEFAULT_VERSION}\\.`));
    assert.match(record.node, /^v?\d+\.\d+\.\d+/);
    assert.match(record.version, /^\d+\.\d+\.\d+/);
    assert.ok(Date.parse(record.started) <= Date.now() + 1_000, record.started);
    const ttl = await cluster.store.command('PTTL', cluster.key(`cluster:worker:${record.id}`));
    assert.ok(ttl > 0 && ttl <= 3_000, `its record lives ${ttl} ms more`);
  }
});

test('the admin is present too', async () => {
  await until(() => cluster.presenceOf(cluster.admin), { message: 'the admin is present' });
  assert.equal((await cluster.presenceOf(cluster.admin)).role, 'admin');
});

test('a worker reports the revision that it runs', async () => {
  await cluster.deploy([tab('tab'), ...endpoint('tab', 'version', 'reported')]);
  const number = await cluster.revisionNumber();
  await untilEqual(
    async () =>
      Object.values(await cluster.presence()).map(({ state, source, revision }) => [
        state, source, revision.wanted, revision.running, revision.error,
      ]),
    [['running', 'store', number, number, null], ['running', 'store', number, number, null]],
    { message: 'both workers report the revision' },
  );
});

test('a worker that died is gone after its time, and its id is given to the next', async () => {
  const [first] = cluster.workers;
  const { id } = await cluster.presenceOf(first);
  await first.kill();
  await until(async () => !(await workerIds()).includes(id), { message: 'its record is gone' });
  first.start();
  await untilEqual(workerIds, hostIds([1, 2]), { message: 'the smallest free id is taken' });
  assert.equal((await cluster.presenceOf(first)).id, id);
});
