'use strict';

/** What happens at the limits: of sizes, of patience, of memory, of the store itself. */

const assert = require('node:assert/strict');
const { monitorEventLoopDelay } = require('node:perf_hooks');
const path = require('node:path');
const { before, beforeEach, describe, test } = require('node:test');
const { startContextProcess } = require('./support/context-process');
const { openContext, ownPrefix, waysOf } = require('./support/context-store');
const { startProxy } = require('./support/proxy');
const { fileScope } = require('./support/scope');
const { startStore } = require('./support/store');
const { delay, until } = require('./support/wait');

const WORK = path.join(__dirname, 'support', 'context-work.js');

/** A call that fails at once takes less than this, in milliseconds, also on a busy machine. */
const AT_ONCE = 50;

const scope = fileScope();
/** @type {import('./support/store').Store} */
let server;
before(async () => {
  server = await startStore();
  scope.after(() => server.release());
});
beforeEach(async () => {
  await server.recover();
  await server.command('CONFIG', 'SET', 'maxmemory', '0');
});

/**
 * @param {() => unknown} call
 * @returns {{error: any, value: any, took: number}}
 */
function attempt(call) {
  const startedAt = performance.now();
  try {
    const value = call();
    return { error: undefined, value, took: performance.now() - startedAt };
  } catch (error) {
    return { error, value: undefined, took: performance.now() - startedAt };
  }
}

describe('sizes', () => {
  test('a value over maxValueBytes is refused by both forms, with key, size and limit', async (t) => {
    const store = await openContext(t, server, { maxValueBytes: 10_000 });
    const [way] = waysOf(store);
    const fits = 'x'.repeat(9_998);
    await way.set('global', 'value', fits);
    const refusal = (/** @type {any} */ error) => {
      assert.equal(error.code, 'NRC_VALUE_TOO_LARGE', error.message);
      for (const part of ['value', '10001', '10000']) assert.ok(error.message.replace(/[ ,_']/g, '').includes(part), error.message);
      return true;
    };
    await assert.rejects(way.set('global', 'value', `${fits}x`), refusal);
    assert.throws(() => store.set('global', 'value', `${fits}x`), refusal);
    await assert.rejects(way.set('global', ['other', 'value'], [1, `${fits}x`]), refusal);
    assert.equal(store.get('global', 'value'), fits);
    assert.deepEqual(store.keys('global'), ['value']);
  });

  test('a value that grows over the limit by a nested set or an operation is refused, and stays', async (t) => {
    const { host, port } = server;
    const keyPrefix = ownPrefix();
    const one = await startContextProcess(t, { work: WORK, config: { host, port, keyPrefix, maxValueBytes: 10_000 } });
    const value = { text: 'x'.repeat(9_900), list: [] };
    await one.call('onStore', 'set', 'global', 'value', value);
    for (const key of ['value.more', 'value.list[9999]']) {
      await assert.rejects(one.call('onStore', 'set', 'global', key, 'y'.repeat(200)), { code: 'NRC_VALUE_TOO_LARGE' }, key);
    }
    for (const key of ['value.list[4294967294]', 'value.list[2000000000].x', 'fresh[4000000000]']) {
      await assert.rejects(one.call('onStore', 'set', 'global', key, 1), { code: /^NRC_(VALUE_TOO_LARGE|VALUE_INVALID|INVALID_REQUEST)$/ }, key);
    }
    await assert.rejects(one.call('onGlobal', 'append', 'value.list', 'y'.repeat(200)), { code: 'NRC_VALUE_TOO_LARGE' });
    await one.call('onStoreNow', 'set', 'global', 'value.more', 'y'.repeat(200)).catch((error) => assert.equal(error.code, 'NRC_VALUE_TOO_LARGE'));
    await one.call('onStore', 'set', 'global', 'mark', 1);
    assert.deepEqual(await one.call('onStore', 'get', 'global', 'value'), value);
    assert.deepEqual(await one.call('onStoreNow', 'get', 'global', 'value'), value, 'what was refused is not read back');
  });

  test('the limit is 64 MiB where none is set, and one over it does not end the process', async (t) => {
    const store = await openContext(t, server);
    const [way] = waysOf(store);
    const large = 'x'.repeat(64 * 1024 * 1024 - 2);
    await assert.rejects(way.set('global', 'large', `${large}x`), { code: 'NRC_VALUE_TOO_LARGE' });
    await way.set('global', 'large', large);
    assert.equal((await way.get('global', 'large')).length, large.length);
    await way.set('global', 'large', undefined);
  });

  test('a key has 1 to 1,024 bytes', async (t) => {
    const store = await openContext(t, server);
    const [way] = waysOf(store);
    for (const key of ['k'.repeat(1_024), 'é'.repeat(512), '🦀'.repeat(256), `a${'.b'.repeat(2_000)}`]) {
      await way.set('global', key, 1);
      assert.equal(store.get('global', key), 1);
    }
    for (const key of ['k'.repeat(1_025), 'é'.repeat(513), `${'k'.repeat(1_025)}.x`, 'lone\ud800']) {
      const refusal = { code: 'NRC_INVALID_REQUEST' };
      await assert.rejects(way.set('global', key, 1), refusal);
      await assert.rejects(way.get('global', key), refusal);
      assert.throws(() => store.set('global', key, 1), refusal);
      assert.throws(() => store.get('global', key), refusal);
    }
    for (const call of [() => store.get('global', ''), () => store.set('global', '', 1)]) assert.throws(call, /INVALID_EXPR|zero-length|empty/i);
  });

  test('the near cache keeps to its bytes', async (t) => {
    const store = await openContext(t, server, { nearCache: { enabled: true, maxBytes: 1024 * 1024 } });
    const stats = /** @type {any} */ (store).stats;
    const [way] = waysOf(store);
    for (let index = 0; index < 400; index += 1) await way.set('global', `key${index}`, { index, filler: 'x'.repeat(10_000) });
    for (let index = 0; index < 400; index += 1) assert.equal((await way.get('global', `key${index}`)).index, index);
    for (let index = 0; index < 400; index += 1) assert.equal(store.get('global', `key${index}.index`), index);
    const counters = JSON.parse(JSON.stringify(stats.call(store)));
    const bytes = find(counters, 'bytes');
    assert.ok(bytes > 100_000 && bytes <= 1024 * 1024, JSON.stringify(counters));
    assert.ok(find(counters, 'evictions') > 0, JSON.stringify(counters));
  });
});

/**
 * @param {any} counters possibly nested
 * @param {string} name
 * @returns {number}
 */
function find(counters, name) {
  for (const [key, value] of Object.entries(counters)) {
    if (key === name) return /** @type {number} */ (value);
    if (typeof value === 'object' && value !== null) {
      const found = find(value, name);
      if (found !== undefined) return found;
    }
  }
  return /** @type {any} */ (undefined);
}

describe('a store that hangs', () => {
  test('a synchronous read that has to ask waits no longer than timeout, and works again afterwards', async (t) => {
    const store = await openContext(t, server, { timeout: 400 });
    await waysOf(store)[0].set('global', 'value', 1);
    server.pause();
    const { error, took } = attempt(() => store.get('global', 'never_fetched'));
    assert.equal(error?.code, 'NRC_STORE_UNREACHABLE', String(error));
    assert.ok(took >= 300 && took < 700, `${took} ms`);
    const keys = attempt(() => store.keys('scope'));
    assert.ok(keys.error && keys.took < 700, `${keys.took} ms`);
    server.resume();
    await until(() => attempt(() => store.get('global', 'value')).value === 1, { message: 'reads work again' });
  });

  test('a call with a callback gets an error after timeout, and exactly one answer', async (t) => {
    const store = await openContext(t, server, { timeout: 400 });
    server.pause();
    let answers = 0;
    const startedAt = performance.now();
    const error = await new Promise((resolve) => {
      store.get('global', 'never_fetched', (/** @type {any} */ failure) => {
        answers += 1;
        resolve(failure);
      });
    });
    const took = performance.now() - startedAt;
    assert.equal(/** @type {any} */ (error)?.code, 'NRC_STORE_UNREACHABLE');
    assert.ok(took >= 300 && took < 1_500, `${took} ms`);
    server.resume();
    await until(() => waysOf(store)[0].get('global', 'never_fetched').then(() => true), { message: 'reads work again' });
    assert.equal(answers, 1);
  });

  test('calls with callbacks and synchronous sets never hold the event loop up', async (t) => {
    const store = await openContext(t, server, { timeout: 1_000, nearCache: { enabled: false } });
    const [way] = waysOf(store);
    await way.set('global', 'value', { list: [1] });
    server.pause();
    const blocked = monitorEventLoopDelay({ resolution: 5 });
    blocked.enable();
    const outcomes = [];
    for (let round = 0; round < 20; round += 1) {
      for (let index = 0; index < 50; index += 1) {
        outcomes.push(way.get('global', `value${index}`), way.set('global', `key${index}`, index), way.keys(`scope${index}`));
        outcomes.push(way.set('global', `value.list[${index}]`, index));
        store.set('global', `now${index}`, index);
      }
      await delay(10);
    }
    const ended = await Promise.allSettled(outcomes);
    blocked.disable();
    server.resume();
    assert.equal(ended.length, 4_000);
    t.diagnostic(`longest block ${(blocked.max / 1e6).toFixed(1)} ms, 99.9 % ${(blocked.percentile(99.9) / 1e6).toFixed(1)} ms`);
    assert.ok(blocked.max < 200e6, `the event loop was held up for ${blocked.max / 1e6} ms`);
  });
});

describe('a store that is down', () => {
  test('a synchronous read fails at once while the link is known to be down', async (t) => {
    const store = await openContext(t, server, { timeout: 3_000 });
    await waysOf(store)[0].set('global', 'value', 1);
    assert.equal(store.get('global', 'value'), 1);
    await server.stop();
    await until(() => attempt(() => store.get('global', 'value')).took < AT_ONCE && attempt(() => store.get('global', 'value')).error, {
      message: 'reads fail at once',
      timeout: 10_000,
    });
    for (const key of ['value', 'unknown', 'value.below']) {
      const { error, took } = attempt(() => store.get('global', key));
      assert.equal(error?.code, 'NRC_STORE_UNREACHABLE', key);
      assert.ok(took < AT_ONCE, `${key}: ${took} ms`);
      assert.ok(error.message.includes(String(server.port)) || error.message.includes('127.0.0.1'), `it says which store: ${error.message}`);
    }
    assert.ok(attempt(() => store.keys('global')).error);
    await server.start();
    await until(() => attempt(() => store.get('global', 'value')).value === 1, { message: 'reads work again' });
  });

  test('with offlineReads last-known a synchronous read gives what was known last', async (t) => {
    const store = await openContext(t, server, { offlineReads: 'last-known', timeout: 2_000 });
    const [way] = waysOf(store);
    await way.set('global', 'value', { a: [1] });
    await way.set('global', 'gone', 1);
    await way.set('global', 'gone', undefined);
    assert.deepEqual(store.get('global', ['value.a[0]', 'gone']), [1, undefined]);
    assert.deepEqual(store.keys('global'), ['value']);
    await server.stop();
    await until(() => attempt(() => store.get('global', 'unknown')).took < AT_ONCE && attempt(() => store.get('global', 'unknown')).error, {
      message: 'the link is known to be down',
      timeout: 10_000,
    });
    assert.deepEqual(store.get('global', 'value'), { a: [1] });
    assert.equal(store.get('global', 'value.a[0]'), 1);
    assert.equal(store.get('global', 'gone'), undefined);
    assert.equal(attempt(() => store.get('global', 'unknown')).error?.code, 'NRC_STORE_UNREACHABLE');
    store.set('global', 'value', 'set meanwhile');
    assert.equal(store.get('global', 'value'), 'set meanwhile');
    await server.start();
    await until(async () => (await server.json(store.key('context:global:value'))) === 'set meanwhile', { message: 'the set arrives' });
    const other = await openContext(t, server, { ...store.config, connectionName: 'other' });
    await waysOf(other)[0].set('global', 'value', 'by another');
    await until(() => store.get('global', 'value') === 'by another', { message: 'the newest value is read again', timeout: 5_000 });
  });

  test('what is set meanwhile is read at once, and arrives in order when the store is back', async (t) => {
    const store = await openContext(t, server, { timeout: 20_000 });
    await waysOf(store)[0].set('global', 'value', 0);
    await server.stop();
    /** @type {Promise<void>[]} */
    const sets = [];
    for (let index = 1; index <= 1_000; index += 1) {
      store.set('global', 'value', index);
      store.set('global', `key${index}`, index);
      if (index % 100 === 0) sets.push(waysOf(store)[0].set('global', 'counted', index));
    }
    assert.deepEqual(store.get('global', ['value', 'key1000']), [1_000, 1_000]);
    await server.start();
    await Promise.all(sets);
    assert.equal(await server.command('GET', store.key('context:global:value')), '1000');
    assert.equal(await server.command('GET', store.key('context:global:counted')), '1000');
    assert.equal(await server.command('ZCARD', store.key('context-names:global')), 1_002);
  });

  test('a set that cannot be delivered within timeout gives its callback an error', async (t) => {
    const store = await openContext(t, server, { timeout: 500 });
    await waysOf(store)[0].set('global', 'value', 'before');
    await server.stop();
    await assert.rejects(waysOf(store)[0].set('global', 'value', 'after'), (/** @type {any} */ error) => /^NRC_(STORE_UNREACHABLE|OUTCOME_UNKNOWN)$/.test(error.code));
    await server.start();
    await until(() => attempt(() => store.get('global', 'value')).error === undefined, { message: 'reads work again' });
    assert.equal(store.get('global', 'value'), JSON.parse(await server.command('GET', store.key('context:global:value'))), 'nothing is read that the store does not have');
  });
});

describe('too many writes wait', () => {
  test('beyond maxPendingWrites a synchronous set throws, callbacks wait, and nothing that was taken is lost', async (t) => {
    const store = await openContext(t, server, { maxPendingWrites: 100, timeout: 20_000 });
    const [way] = waysOf(store);
    await way.set('global', 'value', 0);
    server.pause();
    let taken = 0;
    let refused;
    for (; taken < 10_000 && !refused; taken += 1) refused = attempt(() => store.set('global', `key${taken}`, taken)).error;
    assert.equal(refused?.code, 'NRC_TOO_MANY_PENDING_WRITES');
    assert.match(refused.message, /100/);
    taken -= 1;
    assert.ok(taken >= 50 && taken <= 1_000, `${taken} were taken`);
    assert.equal(store.get('global', `key${taken - 1}`), taken - 1, 'what was taken is read');
    let answered = 0;
    const waiting = Array.from({ length: 300 }, (_, index) => way.set('global', `waits${index}`, index).then(() => (answered += 1)));
    await delay(200);
    assert.equal(answered, 0, 'callbacks wait');
    server.resume();
    await Promise.all(waiting);
    assert.equal(await server.command('GET', store.key(`context:global:key${taken - 1}`)), String(taken - 1));
    assert.equal(await server.command('GET', store.key('context:global:waits299')), '299');
    assert.equal(await server.command('EXISTS', store.key(`context:global:key${taken}`)), 0, 'what was refused is not written');
    store.set('global', 'again', 1);
    await way.set('global', 'again', 2);
  });

  test('beyond maxPendingBytes too', async (t) => {
    const store = await openContext(t, server, { maxPendingBytes: 1024 * 1024, timeout: 20_000 });
    const [way] = waysOf(store);
    await way.set('global', 'value', 0);
    server.pause();
    const filler = 'x'.repeat(100_000);
    let taken = 0;
    let refused;
    for (; taken < 1_000 && !refused; taken += 1) refused = attempt(() => store.set('global', `key${taken}`, filler)).error;
    assert.equal(refused?.code, 'NRC_TOO_MANY_PENDING_WRITES');
    assert.ok(taken <= 25, `${taken} of 100 kB were taken`);
    server.resume();
    await way.set('global', 'value', 1);
  });
});

describe('a store that refuses', () => {
  test('out of memory: writes say so, reads go on, and it heals', async (t) => {
    const store = await openContext(t, server, { timeout: 1_000 });
    const [way] = waysOf(store);
    await way.set('global', 'value', 'before');
    await server.command('CONFIG', 'SET', 'maxmemory', '1');
    await assert.rejects(way.set('global', 'value', 'after'), { code: 'NRC_STORE_OUT_OF_MEMORY' });
    await assert.rejects(way.set('global', 'value.nested', 'after').then(() => way.set('global', 'fresh.nested', 1)), { code: 'NRC_STORE_OUT_OF_MEMORY' });
    assert.equal(await way.get('global', 'value'), 'before');
    assert.equal(store.get('global', 'value'), 'before');
    store.set('global', 'value', 'lost');
    await until(() => store.get('global', 'value') === 'before', { message: 'what could not be written is not read for long' });
    assert.ok(find(JSON.parse(JSON.stringify(/** @type {any} */ (store).stats())), 'writeErrors') > 0, 'it is counted');
    await server.command('CONFIG', 'SET', 'maxmemory', '0');
    await way.set('global', 'value', 'after');
    assert.equal(await server.command('GET', store.key('context:global:value')), '"after"');
  });

  test('a replica is read, and a write says that it takes none', async (t) => {
    const replica = await startStore({ config: ['--replicaof', server.host, String(server.port), '--masterauth', String(server.password)] });
    t.after(() => replica.release());
    const main = await openContext(t, server);
    await waysOf(main)[0].set('global', 'value', 1);
    const copied = async () => (await replica.command('GET', main.key('context:global:value'))) === '1';
    await until(copied, { message: 'the replica has it' });
    const store = await openContext(t, replica, { keyPrefix: main.config.keyPrefix, timeout: 1_000 });
    assert.equal(store.get('global', 'value'), 1);
    await assert.rejects(waysOf(store)[0].set('global', 'value', 2), { code: 'NRC_STORE_READ_ONLY' });
    assert.equal(await waysOf(store)[0].get('global', 'value'), 1);
    await waysOf(main)[0].set('global', 'value', 3);
    await until(() => store.get('global', 'value') === 3, { message: 'the change is heard of through the replica', timeout: 5_000 });
  });

  test('a user who may not write gets an error that says so', async (t) => {
    const guarded = await startStore({ users: ['reader on >secret ~* &* +@all -@write'] });
    t.after(() => guarded.release());
    const store = await openContext(t, guarded, { username: 'reader', password: 'secret', timeout: 1_000 });
    await assert.rejects(waysOf(store)[0].set('global', 'value', 1), (/** @type {any} */ error) => {
      assert.equal(error.code, 'NRC_STORE_PERMISSION');
      assert.ok(!error.message.includes('secret'));
      return true;
    });
    assert.equal(await waysOf(store)[0].get('global', 'value'), undefined);
  });

  test('where CLIENT TRACKING is forbidden there is no near cache, and everything works', async (t) => {
    const guarded = await startStore({ users: ['plain on >secret ~* &* +@all -client|tracking'] });
    t.after(() => guarded.release());
    const login = { username: 'plain', password: 'secret' };
    const store = await openContext(t, guarded, login);
    const other = await openContext(t, guarded, { ...login, keyPrefix: store.config.keyPrefix, connectionName: 'other' });
    for (let index = 0; index < 50; index += 1) {
      store.set('global', 'value', index);
      assert.equal(store.get('global', 'value'), index);
      await waysOf(store)[0].set('global', 'mark', index);
      assert.equal(other.get('global', 'value'), index);
    }
  });
});

describe('a half-open link', () => {
  test('is noticed within seconds: nothing old is read any longer', async (t) => {
    const proxy = await startProxy(server.port);
    t.after(() => proxy.stop());
    const store = await openContext(t, proxy, { timeout: 300 });
    const other = await openContext(t, server, { keyPrefix: store.config.keyPrefix });
    await waysOf(store)[0].set('global', 'value', 'old');
    assert.equal(store.get('global', 'value'), 'old');
    proxy.hold();
    const heldAt = Date.now();
    await waysOf(other)[0].set('global', 'value', 'new');
    await until(() => attempt(() => store.get('global', 'value')).value !== 'old', {
      message: 'the old value is read no longer',
      timeout: 8_000,
    });
    t.diagnostic(`the old value was read for ${Date.now() - heldAt} ms`);
    proxy.cut();
    proxy.heal();
    // Not at once: a read that blocks this process would block the proxy too.
    const fetched = async () => (await waysOf(store)[0].get('global', 'value')) === 'new';
    await until(fetched, { message: 'the new value is read' });
  });

  test('an entry is older than maxAge for no one', async (t) => {
    const store = await openContext(t, server, { nearCache: { enabled: true, maxAge: 1_000 } });
    const [way] = waysOf(store);
    await way.set('global', 'value', 1);
    const misses = () => find(JSON.parse(JSON.stringify(/** @type {any} */ (store).stats())), 'misses');
    assert.equal(await way.get('global', 'value'), 1);
    const missesBefore = misses();
    await until(async () => {
      await way.get('global', 'value');
      return misses() > missesBefore;
    }, { message: 'it is fetched again', timeout: 6_000 });
  });
});
