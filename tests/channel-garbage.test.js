'use strict';

/** Floods of random bytes on every channel, while flows run: nothing ends, grows or fills the log. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { before, test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { SHARED_CONTEXT, codeEndpoint, run } = require('./support/context-flows');
const { seededRandom } = require('./support/context-random');
const { endpoint, tab } = require('./support/flows');
const { leaderNode } = require('./support/leader-flows');
const { fileScope } = require('./support/scope');

/** Messages of one flood, on all channels together. */
const FLOOD = 6_000;
/** Beginnings that get a message further than its first byte. */
const beginnings = () => ['', '{', '{"revision":', '{"packages":1,"id":"', `{"lock":"${cluster.key('leader')}","`, '[', '"', '{"sync":"'];

const scope = fileScope();
/** @type {import('./support/cluster').Cluster} */
let cluster;

const ADD = codeEndpoint('tab', 'add', `
  return global.increment('count');
`);

/** @param {string} version */
const flows = (version) => [tab('tab'), ...endpoint('tab', 'version', version), ...ADD, ...leaderNode('tab', 'leader')];

before(async () => {
  cluster = await startCluster(scope, { workers: 1, source: SHARED_CONTEXT });
  await cluster.deploy(flows('1'));
  await cluster.untilAnswers('version', '1');
});

/**
 * @param {import('./support/context-random').Random} random
 * @returns {Buffer}
 */
function garbage(random) {
  const bytes = Uint8Array.from({ length: random.below(300) }, () => random.below(256));
  return Buffer.concat([Buffer.from(random.pick(beginnings())), bytes]);
}

/** @param {import('./support/context-random').Random} random */
async function flood(random) {
  const channels = ['flows:updated', 'packages:updated', 'elections', 'debug'].map(cluster.key);
  let counted = 0;
  for (let sent = 0; sent < FLOOD; sent += 200) {
    const messages = Array.from({ length: 200 }, (_, index) => {
      return cluster.store.command('PUBLISH', channels[index % channels.length], garbage(random));
    });
    await Promise.all(messages);
    // The flows go on in between.
    counted += 1;
    await run(cluster.workers[0], 'add');
  }
  return counted;
}

/** @param {import('./support/cluster').Instance} instance */
const memory = (instance) => {
  const status = fs.readFileSync(`/proc/${instance.pid()}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
};

test('a flood on every channel changes nothing, and leaves a handful of lines in the log', async (t) => {
  const random = seededRandom(t);
  const pids = cluster.instances.map((instance) => instance.pid());
  // The first one warms everything up.
  await flood(random);
  const linesBefore = cluster.instances.map((instance) => instance.log().split('\n').length);
  const memoryBefore = cluster.instances.map(memory);
  await flood(random);
  const third = await flood(random);
  assert.deepEqual(cluster.instances.map((instance) => instance.pid()), pids);
  cluster.instances.forEach((instance, index) => {
    const lines = instance.log().split('\n').length - linesBefore[index];
    assert.ok(lines <= 5, `${instance.name} wrote ${lines} lines:\n${instance.log().slice(-2_000)}`);
    const grown = memory(instance) - memoryBefore[index];
    assert.ok(grown < 64, `${instance.name} grew by ${grown.toFixed(0)} MiB`);
  });
  const count = await run(cluster.workers[0], 'add');
  assert.equal(count, 3 * third + 1);
  await cluster.deploy(flows('2'));
  await cluster.untilAnswers('version', '2');
});
