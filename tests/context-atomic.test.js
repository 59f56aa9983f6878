'use strict';

/** Operations of several processes on one value: nothing is lost, whoever is first. */

const assert = require('node:assert/strict');
const path = require('node:path');
const { before, describe, test } = require('node:test');
const { startContextProcess, startContextProcesses } = require('./support/context-process');
const { ownPrefix } = require('./support/context-store');
const { fileScope } = require('./support/scope');
const { startStore } = require('./support/store');

const WORK = path.join(__dirname, 'support', 'context-work.js');
const PROCESSES = 4;
const COUNT = 10_000;

const scope = fileScope();
/** @type {import('./support/store').Store} */
let server;
before(async () => {
  server = await startStore();
  scope.after(() => server.release());
});

for (const enableCompression of [false, true]) {
  describe(`four processes, compression ${enableCompression ? 'on' : 'off'}`, () => {
    /** @type {import('./support/context-process').ContextProcess[]} */
    let processes;
    const keyPrefix = ownPrefix();
    before(async () => {
      const { host, port } = server;
      processes = await startContextProcesses(scope, PROCESSES, { work: WORK, config: { host, port, keyPrefix, enableCompression } });
    });

    /** @param {string} name */
    const stored = (name) => server.json(`${keyPrefix}context:global:${name}`);

    /**
     * @param {string} key
     * @param {unknown} expected
     */
    async function assertAllRead(key, expected) {
      for (const [index, one] of processes.entries()) {
        assert.deepEqual(await one.call('onStore', 'get', 'global', key), expected, `process ${index}`);
      }
    }

    test('10,000 increments of each come to the exact sum, and no two get the same result', async () => {
      const results = await Promise.all(processes.map((one) => one.call('increments', 'counter', COUNT)));
      assert.equal(await stored('counter'), PROCESSES * COUNT);
      assert.equal(new Set(results.flat()).size, PROCESSES * COUNT);
      for (const own of results) assert.deepEqual(own, [...own].sort((one, two) => one - two), 'the results of one process grow');
      await assertAllRead('counter', PROCESSES * COUNT);
    });

    test('10,000 increments of properties of one object lose none', async () => {
      const count = COUNT / PROCESSES;
      await processes[0].call('onStore', 'set', 'global', 'counters', { filler: 'x'.repeat(3_000), beside: [], of: [0, 0, 0, 0] });
      await Promise.all(processes.map((one, index) => one.call('increments', `counters.of[${index}]`, count)));
      const { of, beside } = await processes[1].call('onStore', 'get', 'global', 'counters');
      assert.deepEqual(of, Array.from({ length: PROCESSES }, () => count));
      assert.deepEqual(beside, []);
    });

    test('10,000 nested sets of different properties of one object lose none', async () => {
      const count = COUNT / PROCESSES;
      await processes[0].call('onStore', 'set', 'global', 'object', { list: [], filler: 'x'.repeat(1_500) });
      await Promise.all(processes.map((one, index) => one.call('nestedSets', 'object', `p${index}_`, count)));
      const value = await processes[3].call('onStore', 'get', 'global', 'object');
      assert.deepEqual(value.list, []);
      assert.equal(Object.keys(value).length, COUNT + 2);
      for (let index = 0; index < PROCESSES; index += 1) {
        for (let nth = 0; nth < count; nth += 1) assert.equal(value[`p${index}_${nth}`], nth);
      }
    });

    test('counters that are read and set without a callback, each by one process, in one object', async () => {
      const count = 500;
      await Promise.all(processes.map((one, index) => one.call('ownCounters', 'shared', `p${index}_`, count)));
      // A write of each with a callback: what was set before it has arrived.
      for (const one of processes) await one.call('onStore', 'set', 'global', 'mark', 1);
      const value = await processes[2].call('onStore', 'get', 'global', 'shared');
      assert.equal(Object.keys(value).length, PROCESSES * 10);
      for (const [name, number] of Object.entries(value)) assert.equal(number, count / 10, name);
    });

    test('what four processes append is all there, each process in its order', async () => {
      const count = 250;
      await Promise.all(processes.map((one, index) => one.call('appends', 'list', `p${index}`, count)));
      const list = await processes[0].call('onStore', 'get', 'global', 'list');
      assert.equal(list.length, PROCESSES * count);
      for (let index = 0; index < PROCESSES; index += 1) {
        const own = list.filter((/** @type {string} */ item) => item.startsWith(`p${index}-`));
        assert.deepEqual(own, Array.from({ length: count }, (_, nth) => `p${index}-${nth}`));
      }
    });

    test('compareAndSet lets exactly one of them through each time', async () => {
      const count = 150;
      const refused = await Promise.all(processes.map((one) => one.call('compareAndSetCounts', 'cas', count)));
      assert.deepEqual(await stored('cas'), { count: PROCESSES * count });
      assert.ok(refused.reduce((sum, one) => sum + one, 0) > 0, 'they met');
    });

    for (const [method, expected] of /** @type {const} */ ([['takes'], ['deletesIf', { token: true }]])) {
      test(`what is there once is taken once (${method})`, async () => {
        const keys = Array.from({ length: 100 }, (_, index) => `${method}${index}`);
        for (const key of keys) await processes[0].call('onStore', 'set', 'global', key, { token: true });
        const taken = await Promise.all(processes.map((one) => one.call(method, keys, expected)));
        assert.deepEqual(taken.flat().sort(), [...keys].sort());
        const left = await processes[0].call('onStore', 'keys', 'global');
        assert.deepEqual(left.filter((/** @type {string} */ name) => name.startsWith(method)), []);
      });
    }
  });
}

describe('one process', () => {
  /** @type {import('./support/context-process').ContextProcess} */
  let one;
  before(async () => {
    const { host, port } = server;
    one = await startContextProcess(scope, { work: WORK, config: { host, port, keyPrefix: ownPrefix() } });
  });

  /** @param {string} method @param {...any} given */
  const operate = (method, ...given) => one.call('onGlobal', method, ...given);
  /** @param {string} key @param {any} value */
  const set = (key, value) => one.call('onStore', 'set', 'global', key, value);
  /** @param {string} key */
  const get = (key) => one.call('onStore', 'get', 'global', key);

  test('increment counts from nothing, by any number, at any depth', async () => {
    assert.equal(await operate('increment', 'i'), 1);
    assert.equal(await operate('increment', 'i', 41), 42);
    assert.equal(await operate('increment', 'i', -0.5), 41.5);
    assert.equal(await operate('increment', 'nested.list[1].n', 2), 2);
    assert.deepEqual(await get('nested'), { list: [null, { n: 2 }] });
    assert.deepEqual(await get('i'), 41.5);
    await set('f', 0.1);
    assert.equal(await operate('increment', 'f', 0.2), 0.1 + 0.2);
    await set('f', 1e21);
    assert.equal(await operate('increment', 'f', 1), 1e21 + 1);
    await set('f', 2 ** 53);
    assert.equal(await operate('increment', 'f', 1), 2 ** 53 + 1);
    await set('f', 5e-324);
    assert.equal(await operate('increment', 'f', 5e-324), 1e-323);
    assert.deepEqual((await one.call('onStore', 'keys', 'global')).slice(0, 2), ['i', 'nested']);
  });

  test('increment refuses what is no number, and changes nothing', async () => {
    for (const value of ['1', true, null, [1], {}, new Date(0)]) {
      await set('no number', value).catch(() => {});
      await set('text', value);
      await assert.rejects(operate('increment', 'text'), { code: 'NRC_VALUE_INVALID' });
      assert.deepEqual(await get('text'), value);
    }
    await set('max', Number.MAX_VALUE);
    await assert.rejects(operate('increment', 'max', Number.MAX_VALUE), { code: 'NRC_VALUE_INVALID' });
    assert.equal(await get('max'), Number.MAX_VALUE);
    for (const by of [NaN, Infinity, '1', null, {}]) await assert.rejects(operate('increment', 'i', by), /increment|number/i);
    await assert.rejects(operate('increment', 'max.below'));
  });

  test('append makes a list, adds to one, keeps the last, and joins texts', async () => {
    assert.equal(await operate('append', 'a', { first: 1 }), 1);
    assert.equal(await operate('append', 'a', [2]), 2);
    assert.equal(await operate('append', 'a', null), 3);
    assert.deepEqual(await get('a'), [{ first: 1 }, [2], null]);
    assert.equal(await operate('append', 'a', 4, { limit: 2 }), 2);
    assert.deepEqual(await get('a'), [null, 4]);
    assert.equal(await operate('append', 'deep.list', 1, { limit: 3 }), 1);
    assert.deepEqual(await get('deep'), { list: [1] });
    await set('text', 'ä');
    assert.equal(await operate('append', 'text', '🦀'), 3, 'in UTF-16 units, as length in JavaScript');
    assert.equal(await get('text'), 'ä🦀');
    await set('text', '\ud83e');
    assert.equal(await operate('append', 'text', '\udd80'), 2);
    assert.equal(await get('text'), '🦀');
    await set('buffers', []);
    await operate('append', 'buffers', Buffer.from('x'));
    assert.deepEqual(await get('buffers'), [Buffer.from('x')]);
    for (const value of [1, true, null, {}, new Date(0)]) {
      await set('other', value);
      await assert.rejects(operate('append', 'other', 'x'), { code: 'NRC_VALUE_INVALID' });
      assert.deepEqual(await get('other'), value);
    }
    await set('text', 'x');
    await assert.rejects(operate('append', 'text', 1), { code: 'NRC_VALUE_INVALID' });
  });

  test('compareAndSet compares values, not texts', async () => {
    assert.equal(await operate('compareAndSet', 'c', 1, 2), false);
    assert.equal(await get('c'), undefined);
    assert.equal(await operate('compareAndSet', 'c', undefined, { a: 1, b: [1, null] }), true);
    assert.equal(await operate('compareAndSet', 'c', undefined, 1), false, 'it is there now');
    assert.equal(await operate('compareAndSet', 'c', { b: [1, null], a: 1 }, 'set'), true, 'the order of names does not count');
    assert.equal(await operate('compareAndSet', 'c', 'se', 1), false);
    assert.equal(await operate('compareAndSet', 'c', 'set', undefined), true, 'undefined deletes');
    assert.ok(!(await one.call('onStore', 'keys', 'global')).includes('c'));
    await server.command('SET', `${await prefix()}context:global:spelled`, '{"n":1e2,"s":"\\u0061","t":"a"}');
    assert.equal(await operate('compareAndSet', 'spelled', { t: 'a', s: 'a', n: 100 }, 5), true);
    assert.equal(await operate('compareAndSet', 'list[1].x', undefined, 1), true);
    assert.deepEqual(await get('list'), [null, { x: 1 }]);
    assert.equal(await operate('compareAndSet', 'list[0]', null, new Date(9)), true);
    assert.equal(await operate('compareAndSet', 'list[0]', new Date(9), Buffer.from('b')), true);
    assert.deepEqual(await get('list[0]'), Buffer.from('b'));
  });

  /** The prefix of this process, as its first key tells it. */
  async function prefix() {
    const [key] = await server.keys('*context:global:i');
    return key.slice(0, -'context:global:i'.length);
  }

  test('getAndSet gives what was there', async () => {
    assert.equal(await operate('getAndSet', 'g', { a: 1 }), undefined);
    assert.deepEqual(await operate('getAndSet', 'g', 2), { a: 1 });
    assert.equal(await operate('getAndSet', 'g', undefined), 2);
    assert.equal(await get('g'), undefined);
    assert.equal(await operate('getAndSet', 'deep.g', new Date(1)), undefined);
    assert.deepEqual(await operate('getAndSet', 'deep.g', null), new Date(1));
    assert.equal(await operate('getAndSet', 'deep.g', 1), null);
  });

  test('deleteIf deletes what is as expected', async () => {
    await set('d', { a: [1] });
    assert.equal(await operate('deleteIf', 'd', { a: [2] }), false);
    assert.equal(await operate('deleteIf', 'd.a[0]', 2), false);
    assert.equal(await operate('deleteIf', 'd.a[0]', 1), true);
    assert.deepEqual(await get('d'), { a: [] });
    assert.equal(await operate('deleteIf', 'd', { a: [] }), true);
    assert.equal(await operate('deleteIf', 'd', { a: [] }), false);
    assert.ok(!(await one.call('onStore', 'keys', 'global')).includes('d'));
  });

  test('expressions that cannot be and values that JSON cannot say are refused', async () => {
    await assert.rejects(operate('increment', 'a..b'), { code: 'INVALID_EXPR' });
    await assert.rejects(operate('append', 'a', 1n), { code: 'NRC_VALUE_INVALID' });
    await assert.rejects(operate('increment', ''));
  });

  test('an operation sees the sets that were issued before it, and sets see it', async () => {
    for (let round = 0; round < 50; round += 1) {
      assert.deepEqual(await one.call('interleaved', `inter${round}`), [11, 11, 12, { n: 13 }, 14]);
    }
  });

  test('$parent, other scopes and store names mean what they mean in get and set', async () => {
    assert.deepEqual(await one.call('scopes'), { parent: 1, flow: 1, node: 1, seen: [1, 1], named: 1, refused: 'NRC_INVALID_REQUEST' });
  });
});
