'use strict';

/** The shared context in real Node-REDs: what ordinary flows and core nodes see of it. */

const assert = require('node:assert/strict');
const { before, beforeEach, describe, test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { SHARED_CONTEXT, chainEndpoint, codeEndpoint, contextSettings, run } = require('./support/context-flows');
const { endpoint, probe, tab } = require('./support/flows');
const { startInstance, startReadyInstance } = require('./support/instance');
const { fileScope } = require('./support/scope');
const { startStore } = require('./support/store');
const { holdsFor, until, untilEqual } = require('./support/wait');

/** A change is visible elsewhere after a network delay; more than this on a busy machine is a fault. Milliseconds. */
const SOON = 3_000;

const scope = fileScope();

describe('a cluster with two workers', () => {
  /** @type {import('./support/cluster').Cluster} */
  let cluster;
  /** @type {import('./support/cluster').Instance} */
  let one;
  /** @type {import('./support/cluster').Instance} */
  let two;
  before(async () => {
    cluster = await startCluster(scope, {
      source: `${SHARED_CONTEXT} functionGlobalContext: { seeded: { by: 'settings' }, answer: () => 42, os: require('os') },`,
    });
    [one, two] = cluster.workers;
  });

  let deploys = 0;
  /** @param {object[]} flows */
  async function deploy(flows) {
    deploys += 1;
    const version = `deploy ${deploys}`;
    await cluster.deploy([tab('tab'), ...endpoint('tab', 'version', version), ...flows]);
    await cluster.untilAnswers('version', version, { on: cluster.instances });
  }

  const ACCESS = [
    ...codeEndpoint('tab', 'get', "return ({ global, flow, context })[query.scope || 'global'].get(query.key);"),
    ...codeEndpoint('tab', 'set', "({ global, flow, context })[query.scope || 'global'].set(query.key, query.json === undefined ? undefined : JSON.parse(query.json));"),
    ...codeEndpoint('tab', 'keys', "return ({ global, flow, context })[query.scope || 'global'].keys();"),
  ];

  test('an ordinary Function node counts across workers, synchronously', async () => {
    await deploy([
      ...codeEndpoint('tab', 'count', `
        const n = (global.get('n') || 0) + 1;
        global.set('n', n);
        return [n, global.get('n')];
      `),
      ...codeEndpoint('tab', 'seen', "return global.get('n');"),
    ]);
    for (let round = 0; round < 10; round += 1) {
      assert.deepEqual(await run(one, 'count'), [2 * round + 1, 2 * round + 1]);
      await untilSeen(two, 2 * round + 1);
      assert.deepEqual(await run(two, 'count'), [2 * round + 2, 2 * round + 2]);
      await untilSeen(one, 2 * round + 2);
    }
    assert.equal(await cluster.store.json(cluster.key('context:global:n')), 20);

    /** @param {import('./support/cluster').Instance} instance @param {number} n */
    async function untilSeen(instance, n) {
      // The answer came when the set was issued; it is in the store one delay later, and seen elsewhere one more later.
      await untilEqual(() => cluster.store.json(cluster.key('context:global:n')), n, { message: `${n} is stored`, timeout: SOON });
      await untilEqual(() => run(instance, 'seen'), n, { message: `${instance.name} sees ${n}`, timeout: SOON });
    }
  });

  test('global, flow and node scopes are shared, each under its key', async () => {
    await deploy(ACCESS);
    for (const [name, stored] of [['global', 'global:shared'], ['flow', 'flow:tab:shared'], ['context', 'node:set-function:tab:shared']]) {
      await run(one, 'set', { scope: name, key: 'shared.list[1]', json: JSON.stringify({ of: name }) });
      await untilEqual(() => cluster.store.json(cluster.key(`context:${stored}`)), { list: [null, { of: name }] }, { message: `${name} is stored`, timeout: SOON });
    }
    for (const name of ['global', 'flow']) {
      await untilEqual(() => run(two, 'get', { scope: name, key: 'shared' }), { list: [null, { of: name }] }, { message: `${name} is read`, timeout: SOON });
      await untilEqual(async () => (await run(two, 'keys', { scope: name })).includes('shared'), true, { message: `${name} lists it`, timeout: SOON });
    }
    assert.equal(await run(two, 'get', { scope: 'context', key: 'shared' }), undefined, 'another node has a context of its own');
  });

  test('null, undefined, arrays of keys, callbacks and errors are as Node-RED has them', async () => {
    await deploy([
      ...codeEndpoint('tab', 'several', `
        global.set(['s1', 's2.x', 's3'], [1, [2], null]);
        const now = global.get(['s1', 's2', 's3', 's4']).map(String);
        const spread = await new Promise((resolve) => global.get(['s1', 's3'], (...given) => resolve(given)));
        global.set('s1');
        return [now, spread, global.get('s1') === undefined, global.keys().filter((key) => /^s\\d/.test(key))];
      `),
      ...codeEndpoint('tab', 'invalid', "global.get('a..b');"),
      ...codeEndpoint('tab', 'circular', 'const a = {}; a.a = a; global.set("circle", a);'),
      ...codeEndpoint('tab', 'realm', "global.set('r', { date: new Date(5), bytes: Buffer.from('x'), list: [1] }); const r = global.get('r'); return [r.date.getTime(), r.bytes.toString(), Array.isArray(r.list), r.date instanceof Date];"),
    ]);
    assert.deepEqual(await run(one, 'several'), [['1', '[object Object]', 'null', 'undefined'], [null, 1, null], true, ['s2', 's3']]);
    await assert.rejects(run(one, 'invalid'), { code: 'INVALID_EXPR' });
    await assert.rejects(run(one, 'circular'), { code: 'NRC_VALUE_INVALID', message: /circle/ });
    assert.deepEqual((await run(one, 'realm')).slice(0, 3), [5, 'x', true]);
  });

  test('atomic operations are methods of global, flow and context, with a promise and with a callback', async () => {
    await deploy([
      ...codeEndpoint('tab', 'operations', `
        const viaCallback = (name, ...given) => new Promise((resolve, reject) => (
          global[name](...given, (error, result) => (error ? reject(error) : resolve(result)))
        ));
        return [
          await global.increment('ops.n'), await viaCallback('increment', 'ops.n', 5), await flow.increment('ops'),
          await context.increment('ops'), await context.flow.increment('ops'), await context.global.append('ops.list', 'x'),
          await viaCallback('append', 'ops.list', 'y', { limit: 1 }), await global.compareAndSet('ops.n', 6, 7),
          await viaCallback('getAndSet', 'ops.n', 'last'), await global.deleteIf('ops', { n: 'last', list: ['y'] }),
        ];
      `),
      ...codeEndpoint('tab', 'add', "return global.increment('added', Number(query.by));"),
    ]);
    assert.deepEqual(await run(one, 'operations'), [1, 6, 1, 1, 2, 1, 1, true, 7, true]);
    const results = await Promise.all(Array.from({ length: 100 }, (_, index) => run([one, two][index % 2], 'add', { by: 2 })));
    assert.deepEqual(results.sort((first, second) => first - second), Array.from({ length: 100 }, (_, index) => 2 * index + 2));
  });

  test('seeds of functionGlobalContext are found, and a stored value goes before them', async () => {
    await deploy([
      ...ACCESS,
      ...codeEndpoint('tab', 'seeds', "return [global.get('seeded.by'), global.get('answer')(), typeof global.get('os').hostname(), global.get(['none', 'seeded'])];"),
      ...codeEndpoint('tab', 'seeds-later', "return await new Promise((resolve) => global.get(['seeded', 'none'], (error, ...values) => resolve(values)));"),
    ]);
    assert.deepEqual(await run(one, 'seeds'), ['settings', 42, 'string', [null, { by: 'settings' }]]);
    assert.deepEqual(await run(two, 'seeds-later'), [{ by: 'settings' }, null]);
    assert.ok((await run(one, 'keys')).includes('seeded'));
    await run(one, 'set', { key: 'seeded', json: '{"by":"a flow"}' });
    await untilEqual(() => run(two, 'get', { key: 'seeded.by' }), 'a flow', { message: 'the stored value is read', timeout: SOON });
    await run(one, 'set', { key: 'seeded' });
    await untilEqual(() => run(two, 'get', { key: 'seeded.by' }), 'settings', { message: 'the seed is read again', timeout: SOON });
  });

  test('seeds and functions in them work while the store is away', async () => {
    await deploy([...ACCESS, ...codeEndpoint('tab', 'only-seeds', "try { return global.get('answer')(); } catch (error) { return error.code; }")]);
    assert.equal(await run(one, 'only-seeds'), 42);
    await cluster.store.stop();
    try {
      await untilEqual(() => run(one, 'get', { key: 'unseeded' }).catch(({ code }) => code), 'NRC_STORE_UNREACHABLE', { message: 'the store is known to be away', timeout: 2 * SOON });
      assert.equal(await run(one, 'only-seeds'), 42);
    } finally {
      await cluster.store.start();
    }
    await untilEqual(() => run(one, 'get', { key: 'unseeded' }).catch(({ code }) => code), undefined, { message: 'the store is back', timeout: 2 * SOON });
  });

  test('$parent and subflows reach the scopes that Node-RED means', async () => {
    const subflow = [
      { id: 'sub', type: 'subflow', name: 'sub', info: '', in: [{ x: 40, y: 40, wires: [{ id: 'sub-function' }] }], out: [{ x: 300, y: 40, wires: [{ id: 'sub-function', port: 0 }] }], env: [] },
      {
        id: 'sub-function', type: 'function', z: 'sub', name: '', outputs: 1, timeout: 0, noerr: 0, initialize: '', finalize: '', libs: [], x: 100, y: 40, wires: [[]],
        func: `
          flow.set('own', (flow.get('own') || 0) + 1);
          flow.set('$parent.above', (flow.get('$parent.above') || 0) + 10);
          context.set('node', (context.get('node') || 0) + 100);
          msg.payload = JSON.stringify({ value: [flow.get('own'), flow.get('$parent.above'), context.get('node')] });
          return msg;
        `,
      },
    ];
    await deploy([
      ...ACCESS,
      ...subflow,
      ...chainEndpoint('tab', 'first', [{ type: 'subflow:sub', env: [] }]),
      ...chainEndpoint('tab', 'second', [{ type: 'subflow:sub', env: [] }]),
    ]);
    assert.deepEqual(await run(one, 'first'), [1, 10, 100]);
    await untilEqual(() => cluster.store.json(cluster.key('context:flow:tab:above')), 10, { message: 'it is stored', timeout: SOON });
    assert.equal(await cluster.store.json(cluster.key('context:flow:first-step-0:own')), 1);
    assert.deepEqual(await run(two, 'second'), [1, 20, 100]);
    await untilEqual(() => cluster.store.json(cluster.key('context:flow:tab:above')), 20, { message: 'it is stored', timeout: SOON });
    await untilEqual(() => run(one, 'get', { scope: 'flow', key: 'above' }), 20, { message: 'the other one has heard of it', timeout: SOON });
    assert.deepEqual(await run(one, 'first'), [2, 30, 200]);
    const nodeKeys = (await cluster.store.keys(cluster.key('context:node:sub-function:*'))).map((key) => key.slice(cluster.prefix.length));
    assert.deepEqual(nodeKeys, ['context:node:sub-function:first-step-0:node', 'context:node:sub-function:second-step-0:node']);
  });

  test('core nodes: Change, Switch, Template, Inject and JSONata', async () => {
    const change = (/** @type {object[]} */ rules) => ({ type: 'change', rules, action: '', property: '', from: '', to: '', reg: false });
    await deploy([
      ...ACCESS,
      ...chainEndpoint('tab', 'change', [
        change([
          { t: 'set', p: 'core.number', pt: 'global', to: '7', tot: 'num' },
          { t: 'set', p: 'core["by name"][0]', pt: 'global', to: 'path', tot: 'str' },
          { t: 'set', p: 'core.moved', pt: 'global', to: 'x', tot: 'str' },
        ]),
        change([{ t: 'move', p: 'core.moved', pt: 'global', to: 'arrived', tot: 'flow' }]),
        change([{ t: 'change', p: 'core.number', pt: 'global', from: '7', fromt: 'num', to: '8', tot: 'num' }]),
        change([
          { t: 'set', p: 'topic', pt: 'msg', to: 'number', tot: 'str' },
          { t: 'set', p: 'payload.number', pt: 'msg', to: 'core[msg.topic]', tot: 'global' },
          { t: 'set', p: 'payload.path', pt: 'msg', to: 'core["by name"][0]', tot: 'global' },
          { t: 'set', p: 'payload.moved', pt: 'msg', to: 'core.moved', tot: 'global' },
          { t: 'set', p: 'payload.arrived', pt: 'msg', to: 'arrived', tot: 'flow' },
          { t: 'set', p: 'payload.jsonata', pt: 'msg', to: '$globalContext("core.number") + 1', tot: 'jsonata' },
          { t: 'delete', p: 'arrived', pt: 'flow' },
        ]),
        change([{ t: 'set', p: 'payload.gone', pt: 'msg', to: '$exists($flowContext("arrived"))', tot: 'jsonata' }]),
      ]),
      ...chainEndpoint('tab', 'template', [{ type: 'template', field: 'payload', fieldType: 'msg', format: 'handlebars', syntax: 'mustache', template: '{{global.core.number}} {{flow.none}}{{global.core.none}}', output: 'str' }]),
      ...chainEndpoint('tab', 'switch', [
        { type: 'switch', property: 'core.number', propertyType: 'global', rules: [{ t: 'eq', v: '8', vt: 'num' }], checkall: 'true', repair: false, outputs: 1 },
        change([{ t: 'set', p: 'payload', pt: 'msg', to: 'eight', tot: 'str' }]),
      ]),
      {
        id: 'inject', type: 'inject', z: 'tab', name: '', props: [{ p: 'payload', v: 'core.number', vt: 'global' }], repeat: '', crontab: '', once: false,
        onceDelay: 0.1, topic: '', x: 100, y: 400, wires: [['injected']],
      },
      { id: 'injected', z: 'tab', name: '', x: 300, y: 400, wires: [[]], ...change([{ t: 'set', p: 'injected', pt: 'global', to: 'payload', tot: 'msg' }]) },
    ]);
    const { body } = await one.get('change');
    assert.deepEqual(body, { number: 8, path: 'path', arrived: 'x', jsonata: 9, gone: false });
    assert.equal((await two.get('template')).text, '8 ');
    assert.equal((await two.get('switch')).text, 'eight');
    await cluster.admin.api.expect('POST', '/inject/inject', {});
    await untilEqual(() => run(one, 'get', { key: 'injected' }), 8, { message: 'what was injected is read', timeout: SOON });
  });

  test("the editor's context sidebar shows, refreshes and deletes", async () => {
    await deploy(ACCESS);
    await run(one, 'set', { key: 'seen', json: '{"list":[1,null]}' });
    await run(one, 'set', { key: 'nothing', json: 'null' });
    await untilEqual(() => run(cluster.admin, 'get', { key: 'nothing' }), null, { message: 'the admin reads it', timeout: SOON });
    const { api } = cluster.admin;
    await until(async () => {
      const all = await api.expect('GET', '/context/global');
      assert.deepEqual(JSON.parse(all.default.seen.msg), { list: [1, null] });
      return true;
    }, { message: 'the sidebar shows it', timeout: SOON });
    const all = await api.expect('GET', '/context/global');
    assert.equal(all.default.nothing.format, 'null');
    assert.deepEqual(Object.keys(all), ['default', 'memory']);
    assert.equal(JSON.parse((await api.expect('GET', '/context/global/seen?store=default')).msg).list.length, 2);
    assert.equal((await api.call('GET', '/context/global?keysOnly=true')).status, 200);
    assert.equal((await api.call('DELETE', '/context/global/seen?store=default')).status, 204);
    await untilEqual(() => run(two, 'keys').then((keys) => keys.includes('seen')), false, { message: 'a worker no longer has it', timeout: SOON });
    await run(one, 'set', { scope: 'flow', key: 'of_flow', json: '5' });
    await untilEqual(async () => (await api.expect('GET', '/context/flow/tab')).default?.of_flow?.msg, '5', { message: "the sidebar shows the flow's", timeout: SOON });
    await cluster.store.command('SET', cluster.key('context:node:get-function:tab:of_node'), '6');
    assert.equal((await api.expect('GET', '/context/node/get-function/of_node?store=default')).msg, '6');
  });

  test('a worker that ends and one that starts find what was set', async () => {
    await deploy(ACCESS);
    await run(one, 'set', { key: 'survives', json: '{"a":[1]}' });
    await one.restart();
    await cluster.untilAnswers('version', `deploy ${deploys}`);
    assert.deepEqual(await run(one, 'get', { key: 'survives' }), { a: [1] });
    await cluster.store.restart();
    await until(async () => assert.deepEqual(await run(two, 'get', { key: 'survives' }), { a: [1] }) ?? true, { message: 'it is there after a restart of the store' });
  });

  test('SIGTERM writes what was set without a callback, and the process ends with 0', async () => {
    await deploy([
      ...ACCESS,
      ...codeEndpoint('tab', 'many', "for (let index = 0; index < 3000; index += 1) global.set('flushed' + index, { index });"),
    ]);
    const worker = await cluster.addWorker({ name: 'leaving worker' });
    await worker.waitUntilReady();
    await cluster.untilAnswers('version', `deploy ${deploys}`, { on: [worker] });
    cluster.store.pause();
    await run(worker, 'many');
    worker.signal('SIGTERM');
    await holdsFor(() => assert.ok(worker.isRunning(), 'it waits for the store'), 300);
    cluster.store.resume();
    assert.deepEqual(await worker.waitForExit({ timeout: 15_000 }), { code: 0, signal: null }, worker.log());
    assert.ok(!/uncaught|unhandled/i.test(worker.log()), worker.log());
    assert.equal(await cluster.store.command('GET', cluster.key('context:global:flushed2999')), '{"index":2999}');
    const names = await cluster.store.command('ZRANGE', cluster.key('context-names:global'), 0, -1);
    assert.equal(names.filter((/** @type {string} */ name) => name.startsWith('flushed')).length, 3_000);
  });
});

describe('clean', () => {
  /** @type {import('./support/cluster').Cluster} */
  let cluster;
  before(async () => {
    cluster = await startCluster(scope, { source: SHARED_CONTEXT, adminOptions: { env: { PROBE_TYPES: 'late' } } });
  });
  beforeEach(async () => {
    for (const one of cluster.instances) one.resume();
  });

  let versions = 0;
  /**
   * @param {string[]} ids of Function nodes that count their starts in their own context and in their tab's
   * @param {{slow?: string, late?: boolean}} [options]
   */
  function flowsOf(ids, { slow, late } = {}) {
    versions += 1;
    const nodes = ids.flatMap((id) => [
      tab(`tab-${id}`),
      {
        id, type: 'function', z: `tab-${id}`, name: '', func: '', outputs: 0, timeout: 0, noerr: 0, finalize: '', libs: [], x: 100, y: 100, wires: [],
        initialize: "context.set('value', 1); flow.set('value', 1);",
      },
    ]);
    return [
      tab('tab'),
      ...endpoint('tab', 'version', `version ${versions}`),
      ...nodes,
      ...(slow ? [probe('tab', 'slow', slow, { closeDelay: '1500' })] : []),
      ...(late ? [probe('tab', 'late-node', 'x', { type: 'late' })] : []),
    ];
  }
  const untilNewest = (on = cluster.workers) => cluster.untilAnswers('version', `version ${versions}`, { on });

  /** @param {string} id */
  const stored = async (id) => (await cluster.store.keys(cluster.key(`context:*${id}*`))).length;
  /** @param {string} id @param {number} count */
  const untilStored = (id, count) => untilEqual(() => stored(id), count, { message: `${count} values of ${id} are stored`, timeout: 10_000 });
  /** @param {string} id @param {number} count @param {number} duration */
  const staysStored = (id, count, duration) => holdsFor(async () => assert.equal(await stored(id), count, id), duration);

  test('a deploy that removes a node and its tab removes their scopes, and no other', async () => {
    await cluster.deploy(flowsOf(['kept', 'removed', 'removed2']));
    await untilNewest(cluster.instances);
    await untilStored('removed2', 2);
    await cluster.store.command('SET', cluster.key('context:global:untouched'), '1');
    await cluster.deploy(flowsOf(['kept', 'removed2']));
    await untilNewest(cluster.instances);
    await untilStored('node:removed:', 0);
    await untilStored('flow:tab-removed:', 0);
    await staysStored('kept', 2, 500);
    await staysStored('removed2', 2, 0);
    assert.equal(await cluster.store.command('EXISTS', cluster.key('context:global:untouched')), 1);
    assert.deepEqual(await cluster.store.keys(cluster.key('context-names:*removed:*')), []);
  });

  test('a node that is put back keeps what was set since, whoever is late with the removal', async () => {
    const [first, second] = cluster.workers;
    await cluster.deploy(flowsOf(['comes']));
    await untilNewest(cluster.instances);
    await untilStored('comes', 2);
    await second.pause();
    await cluster.deploy(flowsOf([]));
    await untilNewest([cluster.admin, first]);
    await untilStored('comes', 0);
    await cluster.deploy(flowsOf(['comes']));
    await untilNewest([cluster.admin, first]);
    await untilStored('comes', 2);
    second.resume();
    await untilNewest();
    await staysStored('comes', 2, 1_000);
  });

  test('a worker that is stopped in the middle of a deploy, and goes on after the next one, deletes nothing of it', async () => {
    const [first, second] = cluster.workers;
    await cluster.deploy(flowsOf([], { slow: 'one' }));
    await untilNewest(cluster.instances);
    const closesBefore = (await second.probes()).closes.slow ?? 0;
    // Everybody takes 1.5 s to close the slow node; then Node-RED tells the context what is left.
    const deploying = cluster.deploy(flowsOf([], { slow: 'two' }), { type: 'nodes' });
    await until(async () => ((await second.probes()).closes.slow ?? 0) > closesBefore, { message: 'the second worker closes the slow node' });
    await second.pause();
    await deploying;
    await untilNewest([cluster.admin, first]);
    await cluster.deploy(flowsOf(['added'], { slow: 'two' }), { type: 'nodes' });
    await untilNewest([cluster.admin, first]);
    await untilStored('added', 2);
    second.resume();
    await untilNewest();
    await staysStored('added', 2, 1_000);
  });

  test('a worker that lacks a node type, and so keeps an older deploy, deletes nothing of the newest', async () => {
    await cluster.deploy(flowsOf(['base']));
    await untilNewest(cluster.instances);
    const behind = `version ${versions}`;
    await cluster.deploy(flowsOf(['base', 'newest'], { late: true }));
    await untilNewest([cluster.admin]);
    await untilStored('newest', 2);
    await cluster.untilAnswers('version', behind);
    await cluster.workers[0].restart();
    await staysStored('newest', 2, 1_000);
    for (const worker of cluster.workers) await worker.registerType('late');
    await untilNewest();
    await staysStored('newest', 2, 500);
  });
});

describe('stores side by side', () => {
  test('memory as the default and the cluster beside it', async (t) => {
    const cluster = await startCluster(t, {
      source: contextSettings("{ default: 'fast', fast: { module: 'memory' }, cluster: { module: SHARED }, other: { module: SHARED, config: { keyPrefix: 'beside' } } }"),
    });
    // A second prefix in one process, which its user has to be allowed.
    await cluster.store.login('nodered-worker', { prefix: 'beside' });
    await cluster.store.login('nodered-admin', { prefix: 'beside' });
    await cluster.deploy([
      tab('tab'),
      ...codeEndpoint('tab', 'set', `
        global.set('v', 'in memory of ' + query.of); global.set('v', 'shared', 'cluster'); global.set('v', 'other prefix', 'other');
        return [global.get('v'), global.get('v', 'cluster'), global.get('#:(other)::v'), global.keys('cluster'), global.keys()];
      `),
      ...codeEndpoint('tab', 'get', "return [global.get('v'), global.get('v', 'cluster'), global.get('v', 'other')];"),
      ...codeEndpoint('tab', 'refused', "return global.increment('v');"),
      ...codeEndpoint('tab', 'named', "return [await global.increment('n', 1, 'cluster'), await global.increment('#:(other)::n')];"),
    ]);
    const [one, two] = cluster.workers;
    await cluster.untilAnswers('get', '{"value":[null,null,null]}');
    assert.deepEqual(await run(one, 'set', { of: 'one' }), ['in memory of one', 'shared', 'other prefix', ['v'], ['v']]);
    await untilEqual(() => run(two, 'get'), [null, 'shared', 'other prefix'], { message: 'only the shared ones are shared', timeout: SOON });
    assert.equal(await cluster.store.command('GET', 'beside:context:global:v'), '"other prefix"');
    await assert.rejects(run(one, 'refused'), /no atomic operations/);
    assert.deepEqual(await run(one, 'named'), [1, 1]);
    await cluster.store.command('DEL', 'beside:context:global:v');
  });

  test('the context uses the connections that are there: a process has as many with it as without', async (t) => {
    /** @param {string} [source] */
    async function connections(source) {
      const cluster = await startCluster(t, { workers: 1, source });
      await cluster.deploy([tab('tab'), ...codeEndpoint('tab', 'touch', "global.set('a', 1); return global.get('a');")]);
      await until(async () => (await run(cluster.workers[0], 'touch')) === 1, { message: 'the flow runs' });
      const lines = (await cluster.store.command('CLIENT', 'LIST')).trim().split('\n');
      // The test's own connection has no name.
      return lines.map((/** @type {string} */ line) => / name=(\S*)/.exec(line)?.[1]).filter(Boolean).sort();
    }
    const without = await connections();
    const withContext = await connections(SHARED_CONTEXT);
    assert.ok(without.length > 0);
    assert.deepEqual(withContext, without);
  });
});

describe('without the storage module', () => {
  /** @type {import('./support/store').Store} */
  let store;
  before(async () => {
    store = await startStore({ password: 'a secret' });
    scope.after(() => store.release());
  });

  const FLOWS = [
    tab('tab'),
    ...codeEndpoint('tab', 'set', "global.set('alone', JSON.parse(query.json)); return global.get('alone');"),
    ...codeEndpoint('tab', 'get', "return global.get('alone');"),
    ...codeEndpoint('tab', 'add', "return global.increment('sum');"),
  ];

  /** @param {Partial<import('./support/instance').InstanceOptions>} options */
  async function start(options) {
    const instance = await startReadyInstance({ role: 'plain', ...options });
    scope.after(() => instance.release());
    await instance.api.deploy(FLOWS);
    await until(async () => (await instance.get('get')).status === 200, { message: 'the flows run' });
    return instance;
  }

  test('it is configured by its own config, or by the environment', async () => {
    const address = { host: store.host, port: store.port, password: 'a secret', keyPrefix: 'alone' };
    const configured = await start({ name: 'configured', source: contextSettings(`{ default: { module: SHARED, config: ${JSON.stringify(address)} } }`) });
    const byEnvironment = await start({
      name: 'by environment',
      source: contextSettings("{ default: { module: SHARED, config: { keyPrefix: 'alone' } } }"),
      env: { VALKEY_URL: `valkey://:${encodeURIComponent('a secret')}@${store.host}:${store.port}` },
    });
    assert.deepEqual(await run(configured, 'set', { json: '{"a":[1]}' }), { a: [1] });
    await untilEqual(() => run(byEnvironment, 'get'), { a: [1] }, { message: 'the other one reads it', timeout: SOON });
    assert.equal(await run(byEnvironment, 'add'), 1);
    assert.equal(await run(configured, 'add'), 2);
    for (const instance of [configured, byEnvironment]) {
      assert.ok(!instance.log().includes('a secret'), 'the password is not logged');
      assert.match(instance.log(), /node-red-cluster/);
      assert.deepEqual(await instance.stop(), { code: 0, signal: null }, instance.log());
    }
  });

  test('nodes that are removed keep their context: nobody knows whether others have them', async () => {
    const address = { host: store.host, port: store.port, password: 'a secret', keyPrefix: 'not-cleaned' };
    const instance = await start({ source: contextSettings(`{ default: { module: SHARED, config: ${JSON.stringify(address)} } }`) });
    await store.command('SET', 'not-cleaned:context:flow:gone:a', '1');
    await instance.api.deploy(FLOWS.slice(0, 4));
    await holdsFor(async () => assert.equal(await store.command('EXISTS', 'not-cleaned:context:flow:gone:a'), 1), 500);
    await instance.stop();
  });

  test('a configuration that cannot work ends the process and says why', async () => {
    const instance = await startReadyInstance({
      role: 'plain',
      name: 'misconfigured',
      source: contextSettings("{ default: { module: SHARED, config: { host: 'localhost', port: 'no port' } } }"),
    }).catch((error) => error);
    assert.ok(instance instanceof Error);
    assert.match(instance.message, /port/);
    assert.match(instance.message, /ended before it was ready|NRC_CONFIG_INVALID/);
  });

  test('a store that is not there yet is waited for, and its address is in the log', async () => {
    const late = await startStore();
    scope.after(() => late.release());
    const { username, password } = await late.login('nodered-worker');
    await late.stop();
    const instance = await startInstance({
      role: 'plain', name: 'early',
      source: contextSettings(`{ default: { module: SHARED, config: { host: '${late.host}', port: ${late.port}, username: '${username}', password: '${password}' } } }`),
    });
    scope.after(() => instance.release());
    await instance.waitForLog(new RegExp(`127\\.0\\.0\\.1:${late.port}`));
    await late.start();
    await instance.waitUntilReady();
  });
});
