'use strict';

/** The node `cluster-context`: what it does in flows, and what the editor shows of it. */

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { before, test } = require('node:test');
const { promisify } = require('node:util');
const { startCluster } = require('./support/cluster');
const { ROOT, temporaryDirectory } = require('./support/directories');
const { endpoint, tab } = require('./support/flows');
const { request } = require('./support/http');
const { startInstance } = require('./support/instance');
const { fileScope } = require('./support/scope');
const { until, untilEqual } = require('./support/wait');

/** @typedef {import('./support/instance').Instance} Instance */
/** @typedef {import('./support/flows').FlowNode} FlowNode */

const OPERATIONS = ['increment', 'append', 'compareAndSet', 'getAndSet', 'deleteIf'];
const LANGUAGES = ['en-US', 'de'];

/** The shared store is the default; one that knows no operations stands beside it. */
const CONTEXT_STORAGE = `contextStorage: {
  default: { module: require(${JSON.stringify(path.join(ROOT, 'node', 'context.js'))}) },
  plain: { module: 'memory' },
}`;

/**
 * An endpoint that performs an operation with what is posted to it, and answers what was posted with
 * the operation's result beside it; an error is answered by a Catch node.
 *
 * @param {string} name of the endpoint
 * @param {object} properties of the node
 * @returns {FlowNode[]}
 */
function operation(name, properties) {
  return [
    {
      id: `${name}-in`, type: 'http in', z: 'tab', name: '', url: `/${name}`, method: 'post', upload: false,
      x: 100, y: 100, wires: [[`${name}-operation`]],
    },
    {
      id: `${name}-operation`, type: 'cluster-context', z: 'tab', name: '', operation: 'increment',
      key: 'key', keyType: 'global', value: 'payload.value', valueType: 'msg', expected: 'payload.expected',
      expectedType: 'msg', limit: '', property: 'payload.result', x: 300, y: 100, wires: [['answer']],
      ...properties,
    },
  ];
}

const FLOWS = [
  tab('tab'),
  ...operation('increment', { key: 'counter' }),
  ...operation('increment-constant', { key: 'counter', value: '2.5', valueType: 'num' }),
  ...operation('append', { operation: 'append', key: 'list', limit: '3' }),
  ...operation('compare-and-set', { operation: 'compareAndSet', key: 'state' }),
  ...operation('claim', { operation: 'compareAndSet', key: 'holder', expectedType: 'absent' }),
  ...operation('get-and-set', { operation: 'getAndSet', key: 'state' }),
  ...operation('remove', { operation: 'getAndSet', key: 'state', valueType: 'absent' }),
  ...operation('delete-if', { operation: 'deleteIf', key: 'holder' }),
  ...operation('by-topic', { key: 'users[msg.payload.topic].visits', value: '1', valueType: 'num' }),
  ...operation('in-flow', { key: 'counter', keyType: 'flow', value: '10', valueType: 'num' }),
  ...operation('computed', { key: 'computed', value: '$sum(payload.prices) * $globalContext("factor")', valueType: 'jsonata' }),
  ...operation('from-context', { key: 'computed', value: 'factor', valueType: 'global' }),
  ...operation('other-store', { key: '#:(plain)::counter', value: '1', valueType: 'num' }),
  ...operation('bad-expression', { key: 'counter', value: '$sum(', valueType: 'jsonata' }),
  ...operation('unknown', { operation: 'decrement' }),
  ...operation('no-room', { key: 'no-room', value: '1', valueType: 'num', property: 'payload.text.result' }),
  ...endpoint('tab', 'read', '', {
    expression: `JSON.stringify({
      state: global.get('state'), list: global.get('list'), flow: flow.get('counter'), global: global.get('counter'),
      users: global.get('users'),
    })`,
  }),
  ...endpoint('tab', 'prepare', '', { expression: "(global.set('factor', 2), global.set('text', 'a text'), 'ready')" }),
  { id: 'answer', type: 'http response', z: 'tab', name: '', statusCode: '', headers: {}, x: 500, y: 100, wires: [] },
  { id: 'caught', type: 'catch', z: 'tab', name: '', scope: null, uncaught: false, x: 100, y: 200, wires: [['describe']] },
  {
    id: 'describe', type: 'function', z: 'tab', name: '', outputs: 1, timeout: 0, noerr: 0, initialize: '', finalize: '', libs: [],
    func: 'msg.statusCode = 500;\nmsg.payload = { message: msg.error.message, code: msg.error.code, posted: msg.payload };\nreturn msg;',
    x: 300, y: 200, wires: [['answer']],
  },
];

const scope = fileScope();
/** @type {import('./support/cluster').Cluster} */
let cluster;

before(async () => {
  cluster = await startCluster(scope, { source: CONTEXT_STORAGE });
  await cluster.deploy(FLOWS);
  await cluster.untilAnswers('prepare', 'ready');
});

/**
 * @param {string} name of the endpoint
 * @param {object} [posted]
 * @param {Instance} [on]
 */
function post(name, posted = {}, on = cluster.workers[0]) {
  return request(`${on.nodeUrl}/${name}`, { method: 'POST', body: posted });
}

/**
 * @param {string} name of the endpoint
 * @param {object} [posted]
 * @param {Instance} [on]
 * @returns {Promise<any>} the operation's result
 */
async function result(name, posted = {}, on = cluster.workers[0]) {
  const answer = await post(name, posted, on);
  assert.equal(answer.status, 200, answer.text);
  return answer.body.result;
}

/**
 * @param {string} name of the endpoint
 * @param {object} [posted]
 * @returns {Promise<{message: string, code?: string, posted: any}>} what the Catch node was told
 */
async function failure(name, posted = {}) {
  const answer = await post(name, posted);
  assert.equal(answer.status, 500, answer.text);
  return answer.body;
}

/**
 * @param {Instance} [on]
 * @returns {Promise<any>} what a Function node reads
 */
const read = async (on = cluster.workers[1]) => (await on.get('read')).body;

/**
 * Waits until a Function node of another instance than the writer's reads it: its near cache hears of it a moment later.
 *
 * @param {string} name
 * @param {unknown} value
 */
const untilRead = (name, value) => untilEqual(async () => (await read())[name], value, { message: `${name} is read` });

test('increment adds to a number and gives the new one, on every instance', async () => {
  const [first, second] = cluster.workers;
  const start = await result('increment', { value: 0 }, first);
  assert.equal(await result('increment', { value: 5 }, first), start + 5);
  assert.equal(await result('increment', { value: -2 }, second), start + 3);
  assert.equal(await result('increment-constant', {}, first), start + 5.5);
  await untilRead('global', start + 5.5);
});

test('append gives the new length, keeps as many elements as it is told, and takes objects as they are', async () => {
  const elements = ['a', { deep: [1, null] }, ['b'], 'c'];
  const lengths = [];
  for (const value of elements) lengths.push(await result('append', { value }));
  assert.deepEqual(lengths, [1, 2, 3, 3]);
  await untilRead('list', elements.slice(1));
});

test('compare and set sets what is as expected, compared in depth', async () => {
  await result('get-and-set', { value: { phase: 'idle', since: [1] } });
  assert.equal(await result('compare-and-set', { expected: { phase: 'idle' }, value: 'wrong' }), false);
  assert.equal(await result('compare-and-set', { expected: { phase: 'idle', since: [1] }, value: 'busy' }), true);
  await untilRead('state', 'busy');
});

test('of two that expect a key to be absent one gets it, and delete if gives it free for the next', async () => {
  const claims = () => Promise.all(cluster.workers.map((worker) => result('claim', { value: worker.name }, worker)));
  for (let round = 0; round < 5; round += 1) {
    const won = await claims();
    assert.deepEqual([...won].sort(), [false, true], 'one of the two');
    const holder = cluster.workers[won.indexOf(true)].name;
    assert.equal(await result('delete-if', { expected: 'nobody' }), false);
    assert.equal(await result('delete-if', { expected: holder }), true);
  }
});

test('get and set gives the value before, and no property where there was none', async () => {
  await result('remove');
  assert.deepEqual((await post('get-and-set', { value: 'new' })).body, { value: 'new' });
  assert.equal(await result('get-and-set', { value: 'newer' }), 'new');
  assert.equal(await result('remove'), 'newer');
  await until(async () => !('state' in (await read())), { message: 'there is no property' });
});

test('the key may hold properties of the message, as in the Change node', async () => {
  const topics = ['anna', 'bert', 'anna', 'a.b'];
  for (const topic of topics) await result('by-topic', { topic });
  await untilRead('users', { anna: { visits: 2 }, bert: { visits: 1 }, 'a.b': { visits: 1 } });
});

test('flow context is apart from global context', async () => {
  const { global } = await read();
  assert.equal(await result('in-flow'), 10);
  assert.equal(await result('in-flow', {}, cluster.workers[1]), 20);
  await untilRead('flow', 20);
  assert.equal((await read()).global, global);
});

test('values come from JSONata and from context', async () => {
  const start = await result('from-context');
  assert.equal(await result('computed', { prices: [1, 2, 3] }), start + 12);
});

test('two workers that count together lose nothing and give no number twice', async () => {
  const start = await result('increment', { value: 0 });
  const requests = cluster.workers.flatMap((worker) => Array.from({ length: 100 }, () => worker));
  const numbers = await Promise.all(requests.map((worker) => result('increment', { value: 1 }, worker)));
  const expected = numbers.map((_, index) => start + index + 1);
  assert.deepEqual(numbers.sort((left, right) => left - right), expected);
});

test('an error reaches the Catch node with its code and the message as it was, and changes nothing', async () => {
  await result('get-and-set', { value: 'busy' });
  await untilRead('state', 'busy');
  const untouched = await read();
  for (const [name, posted, message] of /** @type {Array<[string, object, RegExp]>} */ ([
    ['increment', { value: 'three' }, /number/],
    ['increment', {}, /no value/],
    ['append', {}, /no value/],
    ['by-topic', {}, /topic|expression/i],
    ['bad-expression', {}, /JSONata expression fails: \w/],
    ['computed', { prices: 'none' }, /JSONata expression fails: \w/],
    ['unknown', {}, /no operation "decrement"/],
  ])) {
    const caught = await failure(name, posted);
    assert.match(caught.message, message, name);
    assert.deepEqual(caught.posted, posted, `${name} leaves the message as it was`);
  }
  assert.equal((await failure('increment', { value: 'three' })).code, 'NRC_VALUE_INVALID');
  assert.deepEqual(await read(), untouched);
});

test('a store without atomic operations is named in the error', async () => {
  const { message } = await failure('other-store');
  assert.match(message, /"plain" has no atomic operations/);
});

test('a result that does not fit into the message is a warning, and the message goes on', async () => {
  const logged = cluster.workers[0].log().length;
  assert.deepEqual((await post('no-room', { text: 'a text' })).body, { text: 'a text' });
  await cluster.workers[0].waitForLog(/does not fit into msg\.payload\.text\.result/, { from: logged });
});

test('the editor gets the node with its help, its texts and its icon, in English and in German', async () => {
  const { admin } = cluster;
  for (const [language, summary] of [['en-US', 'Changes a value of the shared context'], ['de', 'Ändert einen Wert']]) {
    const html = (await admin.api.call('GET', '/nodes', undefined, { accept: 'text/html', 'accept-language': language })).text;
    assert.ok(html.includes('data-template-name="cluster-context"'), 'the dialog');
    assert.ok(html.includes('data-help-name="cluster-context"'), 'the help');
    assert.ok(html.includes(summary), `the help in ${language}`);
    const catalogue = await admin.api.expect('GET', `/locales/node-red-cluster/cluster-context?lng=${language}`);
    assert.deepEqual(catalogue, readCatalogue(language));
  }
  const icon = await admin.api.call('GET', '/icons/node-red-cluster/cluster-context.svg');
  assert.match(icon.text, /^<svg/);
});

test('every text is there in every language', () => {
  const [english, ...others] = LANGUAGES.map((language) => Object.keys(flatten(readCatalogue(language))));
  for (const other of others) assert.deepEqual(other, english);
  const used = fs.readFileSync(path.join(ROOT, 'node', 'nodes', 'cluster-context.html'), 'utf8').matchAll(/"(?:\[\w+\])?(cluster-context(?:\.\w+)+)"/g);
  const missing = [...used].map(([, key]) => key).filter((key) => !key.endsWith('.svg') && !english.includes(key));
  assert.deepEqual(missing, []);
  for (const name of OPERATIONS) {
    for (const group of ['operation', 'summary']) assert.ok(english.includes(`cluster-context.${group}.${name}`), name);
  }
});

test('the editor gets the declarations that complete the operations in Function nodes', async () => {
  const { text } = await cluster.admin.api.call('GET', '/plugins', undefined, { accept: 'text/html' });
  assert.ok(text.includes('id="node-red-cluster-declarations"'));
  for (const name of OPERATIONS) assert.match(text, new RegExp(`function ${name}\\(key: string`), name);
});

test('the example imports and runs, and shows every operation', async () => {
  const example = JSON.parse(fs.readFileSync(path.join(ROOT, 'examples', 'cluster-context.json'), 'utf8'));
  const shown = example.filter((/** @type {FlowNode} */ { type }) => type === 'cluster-context');
  assert.deepEqual(shown.map((/** @type {FlowNode} */ node) => node.operation).sort(), [...OPERATIONS].sort());
  const listed = await cluster.admin.api.expect('GET', '/library/examples/flows/');
  assert.ok(JSON.stringify(listed).includes('node-red-cluster'), 'the import dialog lists it');

  await cluster.deploy([...FLOWS, ...example]);
  const press = async (/** @type {string} */ name) => {
    const { id } = example.find((/** @type {FlowNode} */ node) => node.name === name);
    // A deploy is answered before its nodes are started.
    const pressed = async () => (await cluster.admin.api.call('POST', `/inject/${id}`, {})).status === 200;
    await until(pressed, { message: `"${name}" can be pressed` });
  };
  const context = async (/** @type {string} */ key) => {
    const { body } = await cluster.admin.api.call('GET', `/context/global/${key}?store=default`);
    return JSON.parse(body.msg);
  };
  const step = async (/** @type {string} */ name, /** @type {string} */ key, /** @type {(value: any) => boolean} */ holds) => {
    await press(name);
    await until(async () => holds(await context(key)), { message: `"${name}" changes ${key}` });
  };
  await step('a visit to the shop', 'visits', (visits) => visits.shop === 1);
  await step('a visit to the shop', 'visits', (visits) => visits.shop === 2);
  await step('something happens', 'latest', (latest) => latest.length === 1);
  await step('collect', 'latest', (latest) => latest.length === 0);
  await step('take the job', 'job', (job) => job.holder === 'me');
  await step('give it back', 'job', (job) => !('holder' in job));
});

test('a Node-RED that has the package in its user directory finds the node', async (t) => {
  const userDir = temporaryDirectory('installed');
  fs.mkdirSync(path.join(userDir, 'node_modules'));
  fs.symlinkSync(ROOT, path.join(userDir, 'node_modules', 'node-red-cluster'), 'junction');
  const settings = { nodesDir: path.join(ROOT, 'tests', 'support', 'nodes') };
  const instance = await startInstance({ role: 'plain', userDir, settings });
  t.after(() => instance.release());
  await instance.waitUntilReady();
  const sets = await instance.api.expect('GET', '/nodes', undefined, { accept: 'application/json' });
  const own = sets.filter((/** @type {{module: string}} */ set) => set.module === 'node-red-cluster');
  const found = own.find((/** @type {any} */ { name }) => name === 'cluster-context');
  assert.deepEqual([found?.types, found?.enabled, found?.err], [['cluster-context'], true, undefined]);
});

test('the npm package holds the node with all that belongs to it', async () => {
  const { stdout } = await promisify(execFile)('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: ROOT });
  const packed = JSON.parse(stdout)[0].files.map((/** @type {{path: string}} */ file) => file.path);
  const texts = LANGUAGES.flatMap((language) => ['html', 'json'].map((kind) => `node/nodes/locales/${language}/cluster-context.${kind}`));
  const files = ['js', 'html'].map((kind) => `node/nodes/cluster-context.${kind}`);
  const others = ['node/nodes/icons/cluster-context.svg', 'node/editor/cluster.html', 'examples/cluster-context.json'];
  for (const file of [...files, ...texts, ...others]) assert.ok(packed.includes(file), file);
});

/**
 * @param {string} language
 * @returns {any}
 */
function readCatalogue(language) {
  return JSON.parse(fs.readFileSync(path.join(ROOT, 'node', 'nodes', 'locales', language, 'cluster-context.json'), 'utf8'));
}

/**
 * @param {Record<string, any>} texts
 * @param {string} [prefix]
 * @returns {Record<string, string>} by their full keys, sorted
 */
function flatten(texts, prefix = '') {
  const entries = Object.keys(texts).sort().flatMap((key) => {
    const value = texts[key];
    return typeof value === 'string' ? [[prefix + key, value]] : Object.entries(flatten(value, `${prefix}${key}.`));
  });
  return Object.fromEntries(entries);
}
