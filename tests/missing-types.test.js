'use strict';

/** Flows with a node type that a worker does not have yet. */

const assert = require('node:assert/strict');
const { before, test } = require('node:test');
const { PROMPTLY, startCluster } = require('./support/cluster');
const { change, endpoint, probe, tab } = require('./support/flows');
const { fileScope } = require('./support/scope');
const { assertStarts } = require('./support/starts');
const { until } = require('./support/wait');

const scope = fileScope();
/** @type {import('./support/cluster').Cluster} */
let cluster;
before(async () => {
  // The admin knows all types of these tests from the start, the workers none.
  cluster = await startCluster(scope, {
    adminOptions: { env: { PROBE_TYPES: 'late-one,late-two,late-three' } },
  });
});

/**
 * @param {string} version
 * @param {string} [lateType]
 */
function flowsOf(version, lateType) {
  const late = lateType ? [probe('tab', 'late', version, { type: lateType })] : [];
  return [
    tab('tab'),
    ...endpoint('tab', 'version', version),
    ...endpoint('tab', 'untouched', 'still here'),
    ...late,
  ];
}

/** @param {string[]} types */
function untilReportedMissing(types) {
  return until(
    async () => {
      const records = Object.values(await cluster.presence());
      const reported = records.map(({ revision }) => revision.missingTypes.join());
      return reported.length === cluster.workers.length && reported.every((own) => own === types.join());
    },
    { message: `every worker reports as missing: ${types.join() || 'nothing'}` },
  );
}

test('a type that is missing is reported, and its flows run as newly deployed once it is there', async () => {
  await cluster.deploy(flowsOf('v1'));
  await cluster.untilAnswers('version', 'v1');

  await cluster.deploy(flowsOf('v2', 'late-one'), { type: 'nodes' });
  await untilReportedMissing(['late-one']);
  await cluster.untilAnswers('untouched', 'still here');
  await cluster.deploy([...flowsOf('v3', 'late-one'), ...endpoint('tab', 'added', 'new')], {
    type: 'nodes',
  });
  const number = await cluster.revisionNumber();
  await until(
    async () =>
      Object.values(await cluster.presence()).every(({ revision }) => revision.wanted === number),
    { message: 'every worker wants the newest deploy' },
  );

  for (const worker of cluster.workers) await worker.registerType('late-one');
  await cluster.untilAnswers('version', 'v3', { timeout: PROMPTLY });
  await cluster.untilAnswers('added', 'new');
  await cluster.untilProbes(({ live }) => live.late?.value === 'v3', { message: 'the late node runs' });
  await untilReportedMissing([]);
  for (const worker of cluster.workers) {
    const { starts, closes } = await worker.probes();
    assert.equal(starts.late - (closes.late ?? 0), 1, 'one live node, no orphan');
  }
});

test('after a missing type, a deploy of modified nodes restarts only these again', async () => {
  await cluster.deploy(flowsOf('w1', 'late-two'), { type: 'full' });
  await untilReportedMissing(['late-two']);
  for (const worker of cluster.workers) await worker.registerType('late-two');
  await cluster.untilProbes(({ live }) => live.late?.value === 'w1', { message: 'the late node runs' });
  const flows = [...flowsOf('w1', 'late-two'), probe('tab', 'other', 'first')];
  await cluster.deploy(flows, { type: 'nodes' });
  await cluster.untilProbes(({ live }) => 'other' in live, { message: 'the other node runs' });
  await assertStarts(cluster.workers, { other: 1 }, () =>
    cluster.deploy(change(flows, 'other', { value: 'second' }), { type: 'nodes' }),
  );
});

test('a deploy without the missing type ends the trouble', async () => {
  await cluster.deploy(flowsOf('x1', 'late-three'), { type: 'full' });
  await untilReportedMissing(['late-three']);
  await cluster.deploy(flowsOf('x2'), { type: 'nodes' });
  await cluster.untilAnswers('version', 'x2');
  await untilReportedMissing([]);
});
