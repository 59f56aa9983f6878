'use strict';

/**
 * The faults of the older package's context, each as a test that says what holds instead. Faults that
 * another file shows in more depth are here in their shortest form.
 */

const assert = require('node:assert/strict');
const { before, beforeEach, describe, test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { SHARED_CONTEXT, codeEndpoint, run } = require('./support/context-flows');
const { openContext, settled, waysOf } = require('./support/context-store');
const { endpoint, tab } = require('./support/flows');
const { fileScope } = require('./support/scope');
const { startStore } = require('./support/store');
const { until, untilEqual } = require('./support/wait');

const scope = fileScope();
/** @type {import('./support/store').Store} */
let server;
before(async () => {
  server = await startStore();
  scope.after(() => server.release());
});

describe('in one process', () => {
  /** @type {Awaited<ReturnType<typeof openContext>>} */
  let store;
  /** @type {import('./support/context-store').Way} */
  let way;
  beforeEach(async () => {
    await server.recover();
    store = await openContext(scope, server);
    [way] = waysOf(store);
  });

  test('Context: get of several keys calls back with one array', async () => {
    store.set('global', ['a', 'b'], [1, [2]]);
    const given = await new Promise((resolve) => store.get('global', ['a', 'b', 'c'], (/** @type {any[]} */ ...all) => resolve(all)));
    assert.equal(given[0] ?? undefined, undefined);
    assert.deepEqual(given.slice(1), [1, [2], undefined]);
  });

  test('Context: set of several throws', async () => {
    await way.set('global', ['a', 'b.c'], [1, 2]);
    assert.deepEqual(await way.get('global', ['a', 'b']), [1, { c: 2 }]);
  });

  test('Context: set of undefined breaks the key for good', async () => {
    await way.set('global', 'a', 1);
    await way.set('global', 'a', undefined);
    assert.equal(await way.get('global', 'a'), undefined);
    assert.equal(await server.command('EXISTS', store.key('context:global:a')), 0);
    await way.set('global', 'a', 2);
    assert.equal(await way.get('global', 'a'), 2);
  });

  for (const enableCompression of [false, true]) {
    test(`Context: nested sets turn [] into {}, change numbers, make objects of arrays, lose the order of keys${enableCompression ? ', and always fail on a compressed value' : ''}`, async () => {
      const own = await openContext(scope, server, { enableCompression });
      const value = {
        z: [], a: {}, list: [1, [2]], large: 9007199254740991, sum: 0.1 + 0.2, exact: 123456789.12345679, filler: 'x'.repeat(enableCompression ? 5_000 : 5), target: 0,
      };
      await waysOf(own)[0].set('global', 'value', value);
      await waysOf(own)[0].set('global', 'value.target', 1);
      await waysOf(own)[0].set('global', 'value.list[1][0]', 3);
      const other = await openContext(scope, server, { keyPrefix: own.config.keyPrefix, connectionName: 'other' });
      for (const reader of [own, other]) {
        const read = await waysOf(reader)[0].get('global', 'value');
        assert.equal(JSON.stringify(read), JSON.stringify({ ...value, list: [1, [3]], target: 1 }));
      }
      const bytes = await server.commandBytes('GET', own.key('context:global:value'));
      assert.equal(bytes.subarray(0, 2).equals(Buffer.from([0x1f, 0x8b])), enableCompression);
    });
  }

  test('Context: with compression, set(big) then set(small) ends as big, and a read after a write is stale', async () => {
    const own = await openContext(scope, server, { enableCompression: true });
    const big = 'compress me '.repeat(100_000);
    for (let round = 0; round < 20; round += 1) {
      const first = waysOf(own)[0].set('global', 'value', big);
      const second = waysOf(own)[0].set('global', 'value', `small ${round}`);
      assert.equal(own.get('global', 'value'), `small ${round}`);
      await Promise.all([first, second]);
      assert.equal(await server.command('GET', own.key('context:global:value')), JSON.stringify(`small ${round}`));
      const reading = waysOf(own)[0].set('global', 'value', big).then(() => waysOf(own)[0].get('global', 'value'));
      assert.equal(await reading, big);
    }
  });

  test('Context: a[0].b and a["x.y"] write stray keys and report success', async () => {
    await way.set('global', 'a[0].b', 1);
    await way.set('global', 'c["x.y"]', 2);
    assert.deepEqual(await way.get('global', ['a', 'c', 'a[0].b', 'c["x.y"]']), [[{ b: 1 }], { 'x.y': 2 }, 1, 2]);
    const keys = (await server.keys(store.key('context:*'))).map((key) => key.slice(store.config.keyPrefix.length));
    assert.deepEqual(keys, ['context:global:a', 'context:global:c']);
  });

  test('Context: keyPrefix is applied twice, after which keys() is empty and delete() deletes nothing', async () => {
    const own = await openContext(scope, server, { keyPrefix: 'once-only' });
    await waysOf(own)[0].set('global', 'a', 1);
    await waysOf(own)[0].set('flow', 'b', 2);
    assert.deepEqual(await server.keys('*once-only*:context:*'), ['once-only:context:flow:flow:b', 'once-only:context:global:a']);
    assert.deepEqual(await waysOf(own)[0].keys('global'), ['a']);
    await own.delete('global');
    await own.delete('flow');
    assert.deepEqual(await server.keys('*once-only*:context:*'), []);
    assert.deepEqual(await waysOf(own)[0].keys('global'), []);
  });

  test('Context: keys() of a scope lists keys of longer scopes', async () => {
    const scopes = ['f', 'ff', 'f:f', 'n:f', 'n:ff', 'f:n'];
    for (const name of scopes) await way.set(name, `of_${name.replace(':', '_')}`, 1);
    for (const name of scopes) assert.deepEqual(await way.keys(name), [`of_${name.replace(':', '_')}`]);
    await store.delete('f');
    for (const name of scopes.slice(1)) assert.equal((await way.keys(name)).length, 1, name);
  });

  test('Context: KEYS blocks the server at every deploy (neither KEYS nor SCAN is ever sent)', async () => {
    await server.command('CONFIG', 'RESETSTAT');
    const own = await openContext(scope, server);
    for (let index = 0; index < 20; index += 1) own.set(`scope${index % 3}`, `key${index}`, index);
    await waysOf(own)[0].keys('scope0');
    await own.delete('scope1');
    await own.clean(['scope0']);
    await waysOf(own)[0].get('scope0', ['key0', 'key3.x']);
    await own.close();
    const sent = await commandsSent();
    assert.ok(sent.includes('zadd'), sent.join(' '));
    assert.deepEqual(sent.filter((name) => ['keys', 'scan', 'sscan', 'zscan', 'hscan', 'flushdb', 'flushall'].includes(name)), []);
  });

  async function commandsSent() {
    const statistics = await server.command('INFO', 'commandstats');
    return [...statistics.matchAll(/cmdstat_([^:|]+)/g)].map(([, name]) => name.toLowerCase());
  }

  test('Context: delete of 200,000 keys overflows the stack (and does not hold the server up)', async (t) => {
    // Written as the store keeps them: names beside the values.
    const script = `
      for i = 1, 10000 do
        local name = 'key' .. (tonumber(ARGV[1]) * 10000 + i)
        redis.call('SET', KEYS[1] .. name, '1')
        redis.call('ZADD', KEYS[2], i, name)
      end
      redis.call('SADD', KEYS[3], 'crowded')`;
    const keys = [store.key('context:flow:crowded:'), store.key('context-names:flow:crowded'), store.key('context-scopes')];
    for (let batch = 0; batch < 20; batch += 1) await server.command('EVAL', script, 3, ...keys, batch);
    assert.equal((await way.keys('crowded')).length, 200_000);
    await way.set('beside', 'a', 1);
    await server.command('CONFIG', 'RESETSTAT');
    await store.delete('crowded');
    assert.equal(await server.command('ZCARD', keys[1]), 0);
    assert.deepEqual(await way.keys('crowded'), []);
    assert.equal(await way.get('crowded', 'key7'), undefined);
    assert.equal(await way.get('beside', 'a'), 1);
    assert.deepEqual((await server.keys(store.key('context:flow:*'))), [store.key('context:flow:beside:a')]);
    const statistics = await server.command('INFO', 'commandstats');
    /** @param {string} name @returns {{calls: number, each: number}} */
    const of = (name) => {
      const [, calls, each] = new RegExp(`cmdstat_${name}:calls=(\\d+),.*?usec_per_call=([\\d.]+)`).exec(statistics) ?? [];
      return { calls: Number(calls), each: Number(each) };
    };
    assert.ok(of('unlink').calls >= 200_000, statistics);
    // In steps of some hundred keys; how long one takes is a matter of the machine.
    assert.ok(of('evalsha').calls >= 400, `${of('evalsha').calls} steps`);
    t.diagnostic(`a step: ${of('evalsha').each} us`);
  });

  test('Context: timeout is never used', async () => {
    const own = await openContext(scope, server, { timeout: 300 });
    server.pause();
    const startedAt = Date.now();
    await assert.rejects(waysOf(own)[0].get('global', 'anything'), { code: 'NRC_STORE_UNREACHABLE' });
    assert.throws(() => own.get('global', 'anything_else'));
    assert.ok(Date.now() - startedAt < 2_000);
    server.resume();
    await until(() => waysOf(own)[0].get('global', 'anything').then(() => true), { message: 'it works again' });
  });

  test('Context: synchronous get returns undefined in silence', async () => {
    await way.set('global', 'a', { b: 1 });
    const cold = await openContext(scope, server, { keyPrefix: store.config.keyPrefix, connectionName: 'cold' });
    assert.equal(cold.get('global', 'a.b'), 1);
    assert.deepEqual(cold.keys('global'), ['a']);
    store.set('global', 'a.b', 2);
    assert.equal(store.get('global', 'a.b'), 2);
    await settled(store);
    await until(() => cold.get('global', 'a.b') === 2, { message: 'the change is seen', timeout: 2_000 });
  });

  test('Context: password, db and url never reach the client', async () => {
    const guarded = await startStore({ password: 'p@ss word', users: ['flows on >other ~* &* +@all'] });
    scope.after(() => guarded.release());
    const address = `${guarded.host}:${guarded.port}`;
    const ways = [
      { host: guarded.host, port: guarded.port, password: 'p@ss word', db: 3 },
      { host: guarded.host, port: guarded.port, username: 'flows', password: 'other', db: 3 },
      { host: undefined, port: undefined, url: `valkey://flows:other@${address}/3` },
      { host: undefined, port: undefined, path: guarded.socketPath, password: 'p@ss word', db: 3 },
    ];
    for (const [index, config] of ways.entries()) {
      const own = await openContext(scope, guarded, { keyPrefix: 'reached', ...config });
      await waysOf(own)[0].set('global', `by${index}`, index);
      assert.deepEqual(await waysOf(own)[0].keys('global'), Array.from({ length: index + 1 }, (_, nth) => `by${nth}`));
    }
    assert.deepEqual(await guarded.keys('reached*'), [], 'nothing is in database 0');
  });
});

describe('in a cluster', () => {
  /** @type {import('./support/cluster').Cluster} */
  let cluster;
  before(async () => {
    cluster = await startCluster(scope, {
      store: await passwordStore(),
      source: SHARED_CONTEXT,
      valkey: { password: 'a secret', keyPrefix: 'faults' },
    });
  });

  async function passwordStore() {
    const store = await startStore({ password: 'a secret' });
    scope.after(() => store.release());
    return store;
  }

  test('Storage: the context store does not read the shared block', async () => {
    await cluster.deploy([tab('tab'), ...endpoint('tab', 'version', 'block'), ...codeEndpoint('tab', 'set', "global.set('by_block', 1); return global.get('by_block');")]);
    await cluster.untilAnswers('version', 'block');
    assert.equal(await run(cluster.workers[0], 'set'), 1);
    await untilEqual(() => cluster.store.command('GET', 'faults:context:global:by_block'), '1', { message: 'it is where the block says' });
  });

  test('Context: the documented increment example loses half the counts of two workers', async () => {
    await cluster.deploy([
      tab('tab'),
      ...endpoint('tab', 'version', 'counting'),
      ...codeEndpoint('tab', 'count', "for (let index = 0; index < 1000; index += 1) await global.increment('counted');"),
    ]);
    await cluster.untilAnswers('version', 'counting', { on: cluster.instances });
    await Promise.all(cluster.instances.map((instance) => run(instance, 'count')));
    assert.equal(await cluster.store.command('GET', 'faults:context:global:counted'), '3000');
  });

  test('Context: clean() never deletes anything', async () => {
    const node = {
      id: 'gone', type: 'function', z: 'tab', name: '', func: '', outputs: 0, timeout: 0, noerr: 0, initialize: "context.set('a', 1);", finalize: '', libs: [], x: 100, y: 100, wires: [],
    };
    await cluster.deploy([tab('tab'), ...endpoint('tab', 'version', 'with the node'), node]);
    await untilEqual(() => cluster.store.keys('faults:context:node:gone:*').then((keys) => keys.length), 1, { message: 'it is stored' });
    await cluster.untilAnswers('version', 'with the node', { on: cluster.instances });
    await cluster.deploy([tab('tab'), ...endpoint('tab', 'version', 'without it')]);
    await untilEqual(() => cluster.store.keys('faults:context*gone*').then((keys) => keys.length), 0, { message: 'it is deleted' });
  });

  test('Context: KEYS blocks the server at every deploy (a deploy, restarts and cleans send neither KEYS nor SCAN)', async () => {
    await cluster.store.command('CONFIG', 'RESETSTAT');
    await cluster.deploy([tab('tab'), ...endpoint('tab', 'version', 'no scans')]);
    await cluster.untilAnswers('version', 'no scans', { on: cluster.instances });
    await cluster.workers[0].restart();
    await cluster.untilAnswers('version', 'no scans');
    const statistics = await cluster.store.command('INFO', 'commandstats');
    const sent = [...statistics.matchAll(/cmdstat_([^:|]+)/g)].map(([, name]) => name.toLowerCase());
    assert.deepEqual(sent.filter((name) => ['keys', 'scan', 'sscan', 'zscan', 'hscan'].includes(name)), []);
  });

  test('Context: a second close makes SIGTERM exit with 1', async () => {
    const [, worker] = cluster.workers;
    worker.signal('SIGTERM');
    assert.deepEqual(await worker.waitForExit({ timeout: 15_000 }), { code: 0, signal: null }, worker.log());
    assert.ok(!/uncaught|unhandled|is closed/i.test(worker.log()), worker.log());
  });
});
