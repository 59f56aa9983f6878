'use strict';

/** A panic in Rust never ends Node.js: whoever waits gets an error, the log has one line, and the part goes on. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { before, test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { SHARED_CONTEXT, codeEndpoint, run } = require('./support/context-flows');
const { debugAddon } = require('./support/debug-addon');
const { temporaryDirectory } = require('./support/directories');
const { endpoint, tab } = require('./support/flows');
const { LED, ask, leaderNode } = require('./support/leader-flows');
const { fileScope } = require('./support/scope');
const { until } = require('./support/wait');

const FAULT = /a fault of node-red-cluster, please report it: .*\[NRC_INTERNAL\]/g;

const directory = temporaryDirectory('faults');
const faultOf = (/** @type {string} */ name) => path.join(directory, name);

const scope = fileScope();
/** @type {import('./support/cluster').Cluster} */
let cluster;
let version = 0;

const SET = codeEndpoint('tab', 'set', `
  await new Promise((resolve, reject) => global.set('x', query.value, (error) => (error ? reject(error) : resolve())));
  return 'written';
`);
const GET = codeEndpoint('tab', 'get', `
  return new Promise((resolve, reject) => global.get('y', (error, value) => (error ? reject(error) : resolve(value ?? null))));
`);

before(async () => {
  const addon = debugAddon();
  cluster = await startCluster(scope, {
    workers: 1,
    source: SHARED_CONTEXT,
    // What is kept needs no read of the store, and so no task of the context.
    valkey: { nearCache: false },
    adminOptions: { env: { ...addon, NODE_RED_CLUSTER_TEST_FAULT: faultOf('admin') } },
    workerOptions: { env: { ...addon, NODE_RED_CLUSTER_TEST_FAULT: faultOf('worker') } },
  });
  await deploy();
});

/** Deploys another version and waits until the worker runs it. */
async function deploy() {
  version += 1;
  await cluster.deploy([
    tab('tab'), ...endpoint('tab', 'version', String(version)), ...SET, ...GET, ...leaderNode('tab', 'leader'),
  ]);
  await cluster.untilAnswers('version', String(version));
}

/** @param {import('./support/cluster').Instance} instance */
const faultsOf = (instance) => instance.log().match(FAULT) ?? [];

/**
 * Has an instance panic at a place, once it comes by there; the panic is one line in its log.
 *
 * @template [T=void]
 * @param {import('./support/cluster').Instance} instance
 * @param {string} place
 * @param {() => Promise<T>} [pass] what makes it come by there
 * @returns {Promise<T>} what that gave
 */
async function panic(instance, place, pass) {
  const faults = faultsOf(instance).length;
  const file = faultOf(instance.role);
  fs.writeFileSync(`${file}.new`, place);
  fs.renameSync(`${file}.new`, file);
  const outcome = /** @type {T} */ (await pass?.());
  await until(() => !fs.existsSync(file) && faultsOf(instance).length > faults, {
    message: `${instance.name} panics at ${place}`,
    timeout: 30_000,
  });
  const lines = faultsOf(instance).slice(faults);
  assert.equal(lines.length, 1, instance.log());
  assert.match(lines[0], /\(crates\/core\/src\/[\w/]+\.rs:\d+:\d+\)/, 'the line says where');
  assert.ok(instance.isRunning(), `${instance.name} lives`);
  return outcome;
}

/**
 * @param {() => Promise<unknown>} request
 * @returns {Promise<Error & {code?: string}>}
 */
const failure = (request) => request().then(() => assert.fail('it must fail'), (error) => error);

const worker = () => cluster.workers[0];

test('a call of JavaScript that panics throws an error with a code, and the next one succeeds', async () => {
  const error = await panic(worker(), 'context set', () => failure(() => run(worker(), 'set', { value: 1 })));
  assert.equal(error.code, 'NRC_INTERNAL');
  assert.match(error.message, /report it/);
  assert.equal(await run(worker(), 'set', { value: 2 }), 'written');
});

test('an operation that panics rejects its promise, and the next one succeeds', async () => {
  const { admin } = cluster;
  const answer = await panic(admin, 'library entry', () => admin.api.call('GET', '/library/local/functions/'));
  assert.equal(answer.status, 400);
  assert.match(answer.text, /NRC_INTERNAL/);
  assert.equal((await admin.api.call('GET', '/library/local/functions/')).status, 200);
});

test('what follows the deploys goes on with the next one after a panic', async () => {
  await panic(worker(), 'follower', deploy);
  await deploy();
});

test('a deploy whose end panics is applied again', async () => {
  await panic(worker(), 'end of an apply', deploy);
  const wanted = version;
  await until(async () => (await running()) === await newest(), { message: `revision of ${wanted} is shown as running` });
  await deploy();
});

test('presence keeps its place over a panic', async () => {
  const members = await cluster.store.command('SMEMBERS', cluster.key('cluster:members'));
  await panic(worker(), 'presence');
  // Changed by the deploy, and so written anew.
  await deploy();
  await until(async () => (await running()) === await newest(), { message: 'the new revision is in the record' });
  assert.deepEqual((await cluster.store.command('SMEMBERS', cluster.key('cluster:members'))).sort(), members.sort());
});

for (const [place, path_] of /** @type {const} */ ([['context writer', 'set'], ['context reader', 'get']])) {
  test(`the ${place} answers whoever waits with the panic, and goes on`, async () => {
    const error = await panic(worker(), place, () => failure(() => run(worker(), path_, { value: 3 })));
    assert.equal(error.code, 'NRC_INTERNAL');
    await run(worker(), path_, { value: 4 });
  });
}

test('an elector that panics stands again, and somebody leads', async () => {
  const leaders = async () => {
    const answers = await Promise.all(cluster.instances.map((one) => ask(one)));
    return answers.filter(({ output }) => output === LED).length;
  };
  await until(async () => await leaders() === 1, { message: 'one leads', timeout: 30_000 });
  for (const instance of cluster.instances) await panic(instance, 'elector');
  await until(async () => await leaders() === 1, { message: 'one leads again', timeout: 60_000 });
});

test('what keeps the packages begins anew after a panic', async () => {
  for (const instance of cluster.instances) {
    const from = instance.log().length;
    await panic(instance, 'packages');
    await instance.waitForLog(/what keeps the packages of this instance begins anew/, { from });
  }
});

for (const place of ['link', 'subscriber']) {
  test(`the ${place} of an instance connects anew after a panic`, async () => {
    await panic(worker(), place);
    assert.equal(await run(worker(), 'set', { value: 5 }), 'written');
    await deploy();
  });
}

/** @returns {Promise<number>} the number of the revision that the worker shows as running */
async function running() {
  const members = await cluster.store.command('SMEMBERS', cluster.key('cluster:members'));
  const place = members.map(String).find((/** @type {string} */ name) => name.startsWith('worker:'));
  const record = await cluster.store.command('GET', cluster.key(`cluster:worker:${place?.split(':')[1]}`));
  return JSON.parse(String(record)).revision.running;
}

/** @returns {Promise<number>} the number of the newest revision */
async function newest() {
  return Number(await cluster.store.command('HGET', cluster.key('revision'), 'number'));
}
