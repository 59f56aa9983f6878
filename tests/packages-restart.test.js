'use strict';

/** Changes of packages that run: the workers restart one after the other, and somebody always answers. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { before, test } = require('node:test');
const { endpoint, probe } = require('./support/flows');
const { INSTALLED, dependenciesOf, keepRunning, saying, startPackageCluster, tab, treeVersionsOf } = require('./support/package-cluster');
const { askAgainAndAgain, assertAnswered, assertApart, assertOneAtATime } = require('./support/package-roll');
const { nodePackage, plainPackage } = require('./support/packages');
const { fileScope } = require('./support/scope');
const { until, untilEqual } = require('./support/wait');

/** How long the slow endpoint takes. Milliseconds. */
const SLOW = 2_000;

const scope = fileScope();
/** @type {import('./support/package-cluster').PackageCluster} */
let cluster;
/** @type {ReturnType<typeof keepRunning>['exits']} */
let exits;
before(async () => {
  cluster = await startPackageCluster(scope, { workers: 3 });
  ({ exits } = keepRunning(scope, cluster.workers));
});

/** @param {string} version of dice-nodes and of its dependency */
function publish(version) {
  cluster.registry.publish(plainPackage({ name: 'helper', version }));
  cluster.registry.publish(nodePackage({ name: 'dice-nodes', version, types: ['dice'], tells: ['helper'], dependencies: { helper: version } }));
  cluster.registry.publish(nodePackage({ name: 'coin-nodes', version, types: ['coin', 'cup'] }));
}

/** @param {string} version */
const dice = (version) => `dice-nodes@${version}: hello helper@${version}`;

/** An endpoint that takes its time to answer, and a node that takes its time to stop. */
function slowly() {
  const [incoming, node, outgoing] = endpoint('tab', 'slow', '');
  node.func = `msg.payload = 'slow';\nsetTimeout(() => node.send(msg), ${SLOW});\nreturn null;`;
  return [incoming, node, outgoing, probe('tab', 'slow-to-close', '', { closeDelay: 500 })];
}

/**
 * Does something for which all workers have to restart, and waits until that is over.
 *
 * @param {() => Promise<unknown>} action
 */
async function roll(action) {
  const first = exits.length;
  const number = await cluster.packagesRevision();
  await action();
  const message = 'all workers are back after a restart';
  await until(() => exits.length >= first + cluster.workers.length && exits.every(({ back }) => back > 0), { message, timeout: 2 * INSTALLED });
  const isFree = async () => (await cluster.store.json(cluster.key('restart-permit'))) === undefined;
  await until(isFree, { message: 'the permit is given back' });
  await cluster.untilPackages({ state: 'current', wanted: number + 1, running: number + 1, error: null });
  const spans = exits.slice(first).map(({ name, at, back }) => ({ name, from: at, to: back }));
  assert.deepEqual(spans.map(({ name }) => name).sort(), cluster.workers.map(({ name }) => name));
  assert.deepEqual(exits.map(({ code }) => code), exits.map(() => 0));
  assertApart(spans);
}

/**
 * The same while an endpoint of each worker is asked all the time, and a slow one too, on connections that are kept.
 *
 * @param {string} from version that runs
 * @param {string} to version that runs afterwards
 * @param {() => Promise<unknown>} action
 */
async function rollUnderLoad(from, to, action) {
  const quick = askAgainAndAgain(cluster.workers, 'dice');
  const slow = askAgainAndAgain(cluster.workers, 'slow', { keepAlive: true });
  try {
    await roll(action);
    await cluster.untilSays('dice', dice(to));
  } finally {
    await Promise.all([quick.stop(), slow.stop()]);
  }
  assertOneAtATime(quick.asks);
  assertAnswered(slow.asks, ['slow']);
  assertAnswered(quick.asks, [dice(from), dice(to)]);
  for (const worker of cluster.workers) {
    assert.equal(dependenciesOf(worker)['dice-nodes'], to);
    assert.match(worker.log(), /has the permit to restart and ends/);
  }
}

test('an upgrade restarts one worker at a time, and every request that was taken is answered', async () => {
  publish('1.0.0');
  await cluster.install('dice-nodes', '1.0.0');
  await cluster.install('coin-nodes', '1.0.0');
  await cluster.deploy([tab('tab'), ...saying('dice', 'dice'), ...slowly()]);
  await cluster.untilSays('dice', dice('1.0.0'));
  assert.deepEqual(exits, []);

  publish('1.1.0');
  await rollUnderLoad('1.0.0', '1.1.0', () => cluster.install('dice-nodes', '1.1.0'));
});

test('so does a downgrade, and a restart of the admin does not', async () => {
  const { length } = exits;
  const number = await cluster.packagesRevision();
  // Node-RED runs the former version until then, and refuses to install it.
  await cluster.admin.restart();
  await cluster.untilPackages({ state: 'current', running: number }, { on: [cluster.admin] });
  await cluster.untilPackages({ state: 'current', running: number });
  assert.equal(exits.length, length);

  await rollUnderLoad('1.1.0', '1.0.0', () => cluster.install('dice-nodes', '1.0.0'));
});

test('a node set that is disabled is unknown to the workers after a restart, and known without one once it is enabled', async () => {
  await roll(() => cluster.enable('coin-nodes/coin', false));
  await cluster.deploy([tab('tab'), ...saying('dice', 'dice'), ...saying('coin', 'coin'), ...saying('cup', 'cup')]);
  const missing = async () => Object.values(await cluster.presence()).map(({ revision }) => revision.missingTypes);
  await untilEqual(missing, [['coin'], ['coin'], ['coin']], { message: 'the type is missing', timeout: INSTALLED });

  const { length } = exits;
  await cluster.enable('coin-nodes/coin', true);
  await cluster.untilSays('coin', 'coin-nodes@1.0.0: hello');
  await cluster.untilSays('cup', 'coin-nodes@1.0.0: hello');
  await cluster.untilPackages({ state: 'current', running: await cluster.packagesRevision(), error: null });
  assert.equal(exits.length, length);
});

test('a package that is removed is gone from the workers after a restart, with its link and its line in package.json', async () => {
  await cluster.deploy([tab('tab'), ...saying('dice', 'dice')]);
  await cluster.untilProbes(() => true, { message: 'the workers answer' });
  await roll(() => cluster.remove('coin-nodes'));
  for (const worker of cluster.workers) {
    assert.deepEqual(dependenciesOf(worker), { 'dice-nodes': '1.0.0' });
    assert.deepEqual(fs.readdirSync(path.join(worker.userDir, 'node_modules')).filter((name) => !name.startsWith('.')), ['dice-nodes']);
    assert.deepEqual(treeVersionsOf(worker), { 'dice-nodes': '1.0.0', helper: '1.0.0' });
  }
  await cluster.deploy([tab('tab'), ...saying('dice', 'dice'), ...saying('cup', 'cup')]);
  const missing = async () => Object.values(await cluster.presence()).map(({ revision }) => revision.missingTypes);
  await untilEqual(missing, [['cup'], ['cup'], ['cup']], { message: 'the type is missing', timeout: INSTALLED });
  await cluster.deploy([tab('tab'), ...saying('dice', 'dice')]);
  await untilEqual(missing, [[], [], []], { message: 'nothing is missing' });
});

test("a worker with restartPolicy 'manual' runs the former version until somebody restarts it", async () => {
  const manual = await cluster.addWorker({ name: 'manual', valkey: { restartPolicy: 'manual' } });
  await manual.waitUntilReady();
  await cluster.untilSays('dice', dice('1.0.0'), [manual]);
  const pid = manual.pid();
  publish('1.2.0');
  await roll(() => cluster.install('dice-nodes', '1.2.0'));
  const number = await cluster.packagesRevision();
  await cluster.untilPackages({ state: 'restart-required', wanted: number, running: number - 1 }, { on: [manual] });
  await cluster.admin.waitForLog(/worker \S+ needs a restart for packages revision/);
  assert.equal((await manual.get('dice')).text, dice('1.0.0'));
  assert.equal(manual.pid(), pid);

  await manual.restart();
  await cluster.untilSays('dice', dice('1.2.0'), [manual]);
  await cluster.untilPackages({ state: 'current', running: await cluster.packagesRevision() }, { on: [manual] });
});
