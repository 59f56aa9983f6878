'use strict';

/** The examples of the leader nodes: they import, run as they are, and do what they say. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { before, test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { ROOT } = require('./support/directories');
const { change, endpoint } = require('./support/flows');
const { request } = require('./support/http');
const { fileScope } = require('./support/scope');
const { startStore } = require('./support/store');
const { until } = require('./support/wait');

/** @typedef {import('./support/instance').Instance} Instance */
/** @typedef {import('./support/flows').FlowNode & {name: string, wires: string[][]}} ExampleNode */

const ONCE = 'run a job once';
const SEVERAL = 'several jobs on several leaders';
const HAND_OVER = 'hand over before maintenance';
const STALE = 'refuse a stale leader';

const HOST = os.hostname();
/** The first election in a store takes one TTL, here the default of 10 s. Milliseconds. */
const FIRST_ELECTION = 30_000;

const CONTEXT_STORAGE = `contextStorage: {
  default: { module: require(${JSON.stringify(path.join(ROOT, 'node', 'context.js'))}) },
}`;

const scope = fileScope();
/** @type {import('./support/cluster').Cluster} */
let cluster;
/** @type {import('./support/store').Store} */
let otherStore;

before(async () => {
  // The example has no login for its own store.
  otherStore = await startStore({ open: true });
  scope.after(() => otherStore.release());
  cluster = await startCluster(scope, {
    // The examples' own keys, as in a cluster with the prefix that is set where none is.
    lockKeys: ['backup', 'cleanup', 'maintenance', 'meter', 'report'].map((job) => `nodered:${job}-job`),
    source: CONTEXT_STORAGE,
    // The example with a store of its own takes the host from here.
    adminOptions: { env: { VALKEY_HOST: otherStore.host } },
    workerOptions: { env: { VALKEY_HOST: otherStore.host } },
  });
});

/**
 * @param {string} name
 * @returns {ExampleNode[]}
 */
function example(name) {
  return JSON.parse(fs.readFileSync(path.join(ROOT, 'examples', `${name}.json`), 'utf8'));
}

/**
 * @param {ExampleNode[]} flows
 * @param {string} repeat seconds between two ticks; empty: none ticks
 * @returns {ExampleNode[]} the same, with every Inject node that repeats in another rhythm
 */
function ticking(flows, repeat) {
  return flows.map((node) => (node.type === 'inject' && node.repeat ? { ...node, repeat, once: false } : node));
}

/**
 * @param {ExampleNode[]} flows
 * @param {string} type
 * @param {string} [name]
 */
function find(flows, type, name) {
  const found = flows.find((node) => node.type === type && (name === undefined || node.name === name));
  assert.ok(found, `${type} ${name ?? ''}`);
  return found;
}

/**
 * Lets a request in at one node, and answers it with what leaves some outputs.
 *
 * @param {ExampleNode[]} flows
 * @param {string} url
 * @param {ExampleNode} first node that gets the request
 * @param {Array<[node: ExampleNode, output: number]>} last
 * @returns {ExampleNode[]}
 */
function withRequest(flows, url, first, last) {
  const { id: z } = find(flows, 'tab');
  const answer = `${url}-answer`;
  const common = { z, name: '', x: 100, y: 700 };
  const answered = (/** @type {ExampleNode} */ { id }, /** @type {number} */ at) =>
    last.some(([node, output]) => node.id === id && output === at);
  return [
    ...flows.map((node) => (node.wires
      ? { ...node, wires: node.wires.map((targets, at) => (answered(node, at) ? [...targets, answer] : targets)) }
      : node)),
    { id: `${url}-in`, type: 'http in', url: `/${url}`, method: 'post', upload: false, wires: [[first.id]], ...common },
    { id: answer, type: 'http response', statusCode: '', headers: {}, wires: [], ...common },
  ];
}

/**
 * @param {Instance} instance
 * @param {string} method
 * @param {string} url below httpNodeRoot
 * @param {object} [body]
 */
const call = (instance, method, url, body) => request(`${instance.nodeUrl}/${url}`, { method, body });

/**
 * @param {string} url that answers who leads
 * @param {Instance[]} among
 * @returns {Promise<{leader: Instance, followers: Instance[], token: number}>} when all of them say so
 */
function untilOneLeads(url, among = cluster.workers) {
  return until(async () => {
    const answers = await Promise.all(among.map(async (one) => (await one.get(url, { timeout: 500 })).body));
    const index = answers.findIndex(({ isLeader }) => isLeader === true);
    const token = answers[index]?.leaderToken;
    const agreed = answers.filter(({ isLeader }) => isLeader).length === 1
      && answers.every(({ leaderHost, leaderToken }) => leaderHost === HOST && leaderToken === token);
    return agreed ? { leader: among[index], followers: among.filter((_, at) => at !== index), token } : undefined;
  }, { message: `one leads by /${url}`, timeout: FIRST_ELECTION });
}

test('the import dialog lists them, and they show every node of this package', async () => {
  const folder = '/library/examples/flows/node-red-cluster/';
  const listed = await cluster.admin.api.expect('GET', folder);
  const titles = listed.map((/** @type {{fn: string}} */ { fn }) => fn);
  for (const name of [ONCE, SEVERAL, HAND_OVER, STALE]) {
    assert.ok(titles.includes(name), JSON.stringify(listed));
    const imported = await cluster.admin.api.expect('GET', `${folder}${encodeURIComponent(name)}`);
    assert.deepEqual(imported, example(name), name);
  }
  const files = fs.readdirSync(path.join(ROOT, 'examples')).map((file) => path.parse(file).name);
  const shown = new Set(files.flatMap(example).map(({ type }) => type));
  const own = Object.keys(require('../package.json')['node-red'].nodes);
  assert.deepEqual(own.filter((type) => !shown.has(type)), []);
});

test('run a job once: each tick runs on one of three, and goes on when that one stops', async () => {
  const flows = example(ONCE);
  const leader = find(flows, 'cluster-leader');
  const job = find(flows, 'function', 'the job');
  // The job answers its count, any other instance what it got.
  await cluster.deploy(withRequest(ticking(flows, ''), 'tick', leader, [[job, 0], [leader, 1]]));
  const first = await untilOneLeads('run-once');

  let runs = 0;
  const tick = async (/** @type {Instance[]} */ on) => {
    const answers = await Promise.all(on.map(async (one) => (await call(one, 'POST', 'tick', {})).body));
    runs += 1;
    const done = answers.filter((answer) => answer.runs !== undefined);
    assert.deepEqual(done.map((answer) => answer.runs), [runs], 'one did the job');
  };
  for (let round = 0; round < 5; round += 1) await tick(cluster.instances);

  await first.leader.stop();
  const second = await untilOneLeads('run-once', first.followers);
  assert.ok(second.token > first.token, `${second.token} after ${first.token}`);
  for (let round = 0; round < 5; round += 1) await tick([cluster.admin, second.leader]);
  first.leader.start();
  await first.leader.waitUntilReady();

  await cluster.deploy(ticking(flows, '0.1'));
  await until(async () => (await first.leader.get('run-once', { timeout: 500 })).body.runs > runs + 5, { message: 'it ticks by itself' });
});

test('several jobs: each has a leader, and the lock is in the store that its node names', async () => {
  const flows = example(SEVERAL);
  const config = find(flows, 'valkey-config');
  await cluster.deploy(change(flows, config.id, { port: String(otherStore.port) }));
  const jobs = ['backup', 'report', 'cleanup'];
  await until(async () => {
    const answers = await Promise.all(cluster.instances.map(async (one) => (await one.get('leaders', { timeout: 500 })).body));
    return jobs.every((job) => answers.filter((answer) => answer[job].isLeader).length === 1
      && new Set(answers.map((answer) => answer[job].leaderToken)).size === 1);
  }, { message: 'all agree on one leader for each job', timeout: FIRST_ELECTION });
  const locksIn = async (/** @type {import('./support/store').Store} */ store) => {
    const kept = await Promise.all(jobs.map((job) => store.command('EXISTS', `nodered:${job}-job`)));
    return jobs.filter((_, index) => kept[index] === 1);
  };
  assert.deepEqual(await locksIn(cluster.store), ['backup', 'report']);
  assert.deepEqual(await locksIn(otherStore), ['cleanup']);
});

test('hand over: the one that is asked gives up, and another goes on', async () => {
  await cluster.deploy(example(HAND_OVER));
  const lockKey = 'nodered:maintenance-job';
  const first = await untilOneLeads('maintenance');
  const asked = await call(first.followers[0], 'POST', 'maintenance');
  assert.deepEqual(asked.body, { lockReleased: false, lockKey, currentLeader: HOST });

  const answer = await call(first.leader, 'POST', 'maintenance');
  assert.deepEqual(answer.body, { lockReleased: true, releasedBy: HOST, lockKey });
  const second = await untilOneLeads('maintenance');
  assert.notEqual(second.leader, first.leader);
  assert.ok(second.token > first.token, `${second.token} after ${first.token}`);
});

test('refuse a stale leader: the resource takes no token lower than one before', async () => {
  const flows = example(STALE);
  const [one, other] = cluster.workers;
  const tab = find(flows, 'tab');
  const RESOURCE_URL = { name: 'RESOURCE_URL', value: `${one.nodeUrl}/meter`, type: 'str' };
  const accepted = find(flows, 'switch');
  const here = withRequest(change(flows, tab.id, { env: [RESOURCE_URL] }), 'stale', find(flows, 'function', 'an old token'), [
    [accepted, 0], [accepted, 1],
  ]);
  await cluster.deploy(ticking(here, ''));
  const put = (/** @type {Instance} */ on, /** @type {unknown} */ token, value = `of ${token}`) => call(on, 'PUT', 'meter', { value, token });
  const held = async (on = one) => (await on.get('meter', { timeout: 500 })).body;
  await until(async () => typeof (await held(one)) === 'object' && typeof (await held(other)) === 'object', { message: 'it is deployed' });

  assert.equal((await put(one, 'five')).status, 400);
  assert.deepEqual([(await put(one, 5)).status, (await put(one, 5, 'again')).status], [200, 200]);
  for (const instance of [one, other]) {
    const refused = await put(instance, 4);
    assert.deepEqual([refused.status, refused.body], [409, { error: 'a newer leader was here', token: 4, newest: 5 }]);
    assert.deepEqual(await held(instance), { value: 'again', token: 5 });
  }
  // All at once, on two instances: what is left is of the highest token.
  const tokens = Array.from({ length: 20 }, (_, index) => 6 + index);
  await Promise.all(tokens.map((token) => put(token % 2 === 0 ? one : other, token)));
  await until(async () => (await held()).token === 25, { message: 'the highest token is kept' });
  assert.deepEqual(await held(), { value: 'of 25', token: 25 });

  await cluster.deploy([...ticking(here, '0.1'), ...endpoint(tab.id, 'ticking', 'yes')]);
  await cluster.untilAnswers('ticking', 'yes');
  const { token } = await until(async () => {
    const now = await held();
    return now.token > 25 && now;
  }, { message: 'the leader is accepted' });
  const stale = await call(other, 'POST', 'stale', {});
  assert.deepEqual([stale.status, stale.body.token], [409, 1]);
  assert.equal((await held()).token, token);
});
