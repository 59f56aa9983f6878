'use strict';

/** One look at every feature that uses the store, for stores of any version and topology. */

const assert = require('node:assert/strict');
const { SHARED_CONTEXT, codeEndpoint, run } = require('./context-flows');
const { endpoint, tab } = require('./flows');
const { LED, ask, leaderNode } = require('./leader-flows');
const { INSTALLED, saying } = require('./package-cluster');
const { nodePackage } = require('./packages');
const { untilEqual } = require('./wait');

/** @typedef {import('./package-cluster').PackageCluster} PackageCluster */

/** What instances need in their settings. */
const FEATURE_SETTINGS = SHARED_CONTEXT;

/** A change is visible elsewhere after a network delay, with room for a busy machine. Milliseconds. */
const SOON = 10_000;

/**
 * The flows of a round: an answer of its own, a counter in the shared context, a leader.
 *
 * @param {string} version
 * @returns {import('./flows').FlowNode[]}
 */
function flowsOf(version) {
  return [
    tab('tab'),
    ...endpoint('tab', 'version', version),
    ...codeEndpoint('tab', 'count', "const n = (global.get('n') || 0) + 1; global.set('n', n); return n;"),
    ...codeEndpoint('tab', 'seen', "return global.get('n');"),
    ...leaderNode('tab', 'leader'),
  ];
}

/**
 * Deploys, and checks that the workers follow, share their context, have one leader, and that the library keeps.
 *
 * @param {PackageCluster} cluster with FEATURE_SETTINGS and two workers or more
 * @param {string} version another one each time
 * @returns {Promise<void>}
 */
async function assertAllFeatures(cluster, version) {
  await cluster.deploy(flowsOf(version));
  await cluster.untilAnswers('version', version, { timeout: SOON });
  await assertSharesContext(cluster);
  await assertHasOneLeader(cluster);
  const entry = `/library/local/flows/${version}`;
  await cluster.admin.api.expect('POST', entry, flowsOf(version));
  assert.deepEqual(await cluster.admin.api.expect('GET', entry), flowsOf(version));
}

/**
 * What one worker counts, each other one sees, also after it has read it before.
 *
 * @param {PackageCluster} cluster
 */
async function assertSharesContext({ workers: [first, ...others] }) {
  for (let round = 0; round < 3; round += 1) {
    const counted = await run(first, 'count');
    for (const other of others) {
      await untilEqual(() => run(other, 'seen'), counted, { message: `${other.name} sees ${counted}`, timeout: SOON });
    }
  }
}

/** @param {PackageCluster} cluster */
async function assertHasOneLeader({ workers }) {
  const leaders = async () => (await Promise.all(workers.map((worker) => ask(worker)))).filter(({ output }) => output === LED).length;
  await untilEqual(leaders, 1, { message: 'one worker leads', timeout: SOON });
}

/**
 * Installs a package on the admin, and checks that the workers get it.
 *
 * @param {PackageCluster} cluster
 * @param {string} name another one each time, as a new version of what runs restarts workers
 * @returns {Promise<void>}
 */
async function assertSharesPackages(cluster, name) {
  const module = `${name}-nodes`;
  cluster.registry.publish(nodePackage({ name: module, version: '1.0.0', types: [name] }));
  await cluster.install(module);
  const published = async () => (await cluster.packages())[module];
  await untilEqual(published, '1.0.0', { message: 'the admin has published', timeout: INSTALLED });
  await cluster.deploy([tab('tab'), ...saying(`says-${name}`, name)]);
  await cluster.untilSays(`says-${name}`, `${module}@1.0.0: hello`);
}

module.exports = { FEATURE_SETTINGS, assertAllFeatures, assertSharesPackages };
