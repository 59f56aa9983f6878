'use strict';

/**
 * What Node-RED expects of a context store. Each case runs on Node-RED's own memory store, as the proof
 * that it is what Node-RED does, and on ours; with callbacks and synchronously.
 */

const assert = require('node:assert/strict');
const path = require('node:path');
const { before, beforeEach, describe, test } = require('node:test');
const { startContextProcess } = require('./support/context-process');
const { CONTEXT, VARIANTS, memoryStore, openContext, ownPrefix, settled, waysOf } = require('./support/context-store');
const { fileScope } = require('./support/scope');
const { startStore } = require('./support/store');

/** @typedef {import('./support/context-store').ContextStore} ContextStore */
/** @typedef {import('./support/context-store').Way} Way */

const scope = fileScope();
/** @type {import('./support/store').Store} */
let server;
before(async () => {
  server = await startStore();
  scope.after(() => server.release());
});

/** @param {unknown} value */
const asJson = (value) => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));

/** Expressions that Node-RED refuses. */
const BAD_EXPRESSIONS = ['.a', 'a.', 'a..b', 'a[', 'a[0', 'a]', 'a b', 'a[x]', 'a[""]', "a['b]", 'a["b"c]', 'a[0x]', '[0]', 'a.-', '"a"b', 'a[msg.'];

/**
 * A case: it gets a fresh scope's name, and one of the two forms.
 * @type {Array<[string, (way: Way, name: string, store: ContextStore) => Promise<void>]>}
 */
const CASES = [
  ['what was never set is undefined', async (way, name) => {
    assert.equal(await way.get(name, 'unknown'), undefined);
    assert.equal(await way.get(name, 'unknown.below.it'), undefined);
    assert.equal(await way.get(name, 'unknown[0]["x.y"]'), undefined);
    assert.deepEqual(await way.get(name, ['unknown', 'other']), [undefined, undefined]);
    assert.deepEqual(await way.keys(name), []);
  }],
  ['every kind of JSON value comes back', async (way, name) => {
    const values = [0, 1, -1.5, 1e21, '', 'text', true, false, null, {}, [], [1, [2, [3]]], { a: { b: [null, { c: '' }] } }];
    for (const value of values) {
      await way.set(name, 'value', value);
      assert.deepEqual(await way.get(name, 'value'), value);
    }
  }],
  ['the last value that was set is the one that is read', async (way, name) => {
    for (const value of [1, 'two', { three: 3 }, [4]]) await way.set(name, 'value', value);
    assert.deepEqual(await way.get(name, 'value'), [4]);
  }],
  ['null is a value, and no absence', async (way, name) => {
    await way.set(name, 'nothing', null);
    assert.equal(await way.get(name, 'nothing'), null);
    assert.equal(await way.get(name, 'nothing.below'), undefined);
    assert.deepEqual(await way.keys(name), ['nothing']);
  }],
  ['undefined deletes', async (way, name) => {
    await way.set(name, 'a', 1);
    await way.set(name, 'b', 2);
    await way.set(name, 'a', undefined);
    await way.set(name, 'never there', undefined).catch((error) => assert.equal(error.code, 'INVALID_EXPR'));
    await way.set(name, 'never.there', undefined);
    assert.equal(await way.get(name, 'a'), undefined);
    assert.equal(await way.get(name, 'b'), 2);
    assert.deepEqual(await way.keys(name), ['b']);
    await way.set(name, 'a', 3);
    assert.equal(await way.get(name, 'a'), 3);
  }],
  ['a nested set makes the parents that are missing', async (way, name) => {
    await way.set(name, 'a.b.c', 1);
    await way.set(name, 'list[2].name', 'third');
    await way.set(name, 'dotted["x.y"]', 'quoted');
    await way.set(name, "dotted['it is']", 'with a space');
    await way.set(name, 'dotted["x.y z"][1]', 'replaced nothing');
    assert.deepEqual(await way.get(name, 'a'), { b: { c: 1 } });
    assert.deepEqual(asJson(await way.get(name, 'list')), [null, null, { name: 'third' }]);
    assert.deepEqual(asJson(await way.get(name, 'dotted')), {
      'x.y': 'quoted',
      'it is': 'with a space',
      'x.y z': [null, 'replaced nothing'],
    });
    assert.equal(await way.get(name, 'a.b.c'), 1);
    assert.equal(await way.get(name, 'a["b"].c'), 1);
    assert.equal(await way.get(name, 'dotted["x.y"]'), 'quoted');
    assert.equal(await way.get(name, 'list[2].name'), 'third');
    assert.deepEqual(await way.keys(name), ['a', 'list', 'dotted']);
  }],
  ['a nested set leaves what lies beside it', async (way, name) => {
    const value = { first: [], second: { deep: [1, { x: null }] }, third: 'z' };
    await way.set(name, 'value', value);
    await way.set(name, 'value.second.deep[1].x', 5);
    await way.set(name, 'value.fourth', {});
    await way.set(name, 'value.first[0]', 'in an empty list');
    const expected = { first: ['in an empty list'], second: { deep: [1, { x: 5 }] }, third: 'z', fourth: {} };
    assert.deepEqual(await way.get(name, 'value'), expected);
    assert.deepEqual(Object.keys(await way.get(name, 'value')), ['first', 'second', 'third', 'fourth']);
  }],
  ['nested reads reach what is there, and are undefined where it ends', async (way, name) => {
    await way.set(name, 'value', { list: [10, 20, { deep: true }], text: 'abc', empty: null, zero: 0 });
    assert.equal(await way.get(name, 'value.list[1]'), 20);
    assert.equal(await way.get(name, 'value.list.1'), 20);
    assert.equal(await way.get(name, 'value.list["1"]'), 20);
    assert.equal(await way.get(name, 'value.list[2].deep'), true);
    assert.equal(await way.get(name, 'value.list.length'), 3);
    assert.equal(await way.get(name, 'value.text.length'), 3);
    assert.equal(await way.get(name, 'value.text[1]'), 'b');
    for (const missing of ['value.list[3]', 'value.list[3].x', 'value.no', 'value.no.more', 'value.empty.x', 'value.zero.x', 'value.text.x']) {
      assert.equal(await way.get(name, missing), undefined, missing);
    }
  }],
  ['an object may have names that look like indexes', async (way, name) => {
    await way.set(name, 'value.a', 1);
    await way.set(name, 'value[7]', 'seven');
    await way.set(name, 'value.8.x', 'eight');
    assert.deepEqual(await way.get(name, 'value'), { 7: 'seven', 8: { x: 'eight' }, a: 1 });
    await way.set(name, 'value[7]', undefined);
    assert.deepEqual(await way.get(name, 'value'), { 8: { x: 'eight' }, a: 1 });
  }],
  ['a nested delete takes one property away', async (way, name) => {
    await way.set(name, 'value', { a: { b: 1, c: 2 }, d: 3 });
    await way.set(name, 'value.a.b', undefined);
    await way.set(name, 'value.a.none', undefined);
    await way.set(name, 'value.none.none', undefined);
    await way.set(name, 'value.d.below', undefined);
    assert.deepEqual(await way.get(name, 'value'), { a: { c: 2 }, d: 3 });
    await way.set(name, 'value.a.c', undefined);
    assert.deepEqual(await way.get(name, 'value'), { a: {}, d: 3 });
  }],
  ['a delete of an item closes the gap', async (way, name) => {
    await way.set(name, 'list', ['a', 'b', 'c', 'd']);
    await way.set(name, 'list[1]', undefined);
    await way.set(name, 'list[9]', undefined);
    assert.deepEqual(await way.get(name, 'list'), ['a', 'c', 'd']);
    await way.set(name, 'list[0]', undefined);
    await way.set(name, 'list[0]', undefined);
    await way.set(name, 'list[0]', undefined);
    assert.deepEqual(await way.get(name, 'list'), []);
  }],
  ['nothing is set below a value that is no object, and nobody is told', async (way, name) => {
    await way.set(name, 'number', 5);
    await way.set(name, 'number.below', 1);
    await way.set(name, 'value', { text: 'abc', list: [1] });
    await way.set(name, 'value.text.below.it', 1);
    await way.set(name, 'value.text[0]', 'z');
    await way.set(name, 'value.list.named', 1);
    assert.equal(await way.get(name, 'number'), 5);
    assert.deepEqual(asJson(await way.get(name, 'value')), { text: 'abc', list: [1] });
  }],
  ['several keys are read at once, in their order', async (way, name) => {
    await way.set(name, 'a', 1);
    await way.set(name, 'b.c', 2);
    assert.deepEqual(await way.get(name, ['b.c', 'none', 'a', 'b', 'a']), [2, undefined, 1, { c: 2 }, 1]);
    assert.deepEqual(await way.get(name, ['a']), [1]);
  }],
  ['several keys are set at once', async (way, name) => {
    await way.set(name, ['z', 'b.c', 'd', 'a'], [1, 2, { e: 3 }, 4]);
    assert.deepEqual(await way.get(name, ['z', 'b', 'd', 'a']), [1, { c: 2 }, { e: 3 }, 4]);
    assert.deepEqual(await way.keys(name), ['z', 'b', 'd', 'a']);
  }],
  ['a key without a value becomes null, a value without a key is left out', async (way, name) => {
    await way.set(name, ['a', 'b'], [1]);
    await way.set(name, ['c'], [3, 4, 5]);
    await way.set(name, ['d', 'e'], 'no list');
    await way.set(name, ['f', 'g'], []);
    assert.deepEqual(await way.get(name, ['a', 'b', 'c', 'd', 'e', 'f', 'g']), [1, null, 3, 'no list', null, null, null]);
  }],
  ['a list of values may hold undefined, which deletes', async (way, name) => {
    await way.set(name, ['a', 'b', 'c'], [1, 2, 3]);
    await way.set(name, ['a', 'c'], [undefined, undefined]);
    assert.deepEqual(await way.keys(name), ['b']);
  }],
  ['one key may be set several times in one list, the last one counts', async (way, name) => {
    await way.set(name, ['a', 'a.b', 'a.c', 'd', 'd'], [{}, 1, 2, 1, undefined]);
    assert.deepEqual(await way.get(name, 'a'), { b: 1, c: 2 });
    assert.deepEqual(await way.keys(name), ['a']);
  }],
  ['a list of keys that is one key long gives a list', async (way, name) => {
    await way.set(name, ['list'], [[1, 2]]);
    assert.deepEqual(await way.get(name, ['list']), [[1, 2]]);
  }],
  ['keys are the top-level names in the order in which they were first set', async (way, name) => {
    for (const key of ['zebra', 'apple.seed', 'mango[0]', 'Banana', '_x', '$y', 'ключ']) await way.set(name, key, 1);
    await way.set(name, 'apple', 'again');
    await way.set(name, 'zebra.more', 1);
    assert.deepEqual(await way.keys(name), ['zebra', 'apple', 'mango', 'Banana', '_x', '$y', 'ключ']);
    await way.set(name, 'apple', undefined);
    await way.set(name, 'apple', 'last now');
    assert.deepEqual(await way.keys(name), ['zebra', 'mango', 'Banana', '_x', '$y', 'ключ', 'apple']);
  }],
  ['scopes do not see each other', async (way, name) => {
    const scopes = [name, `${name}2`, `node:${name}`, `n:${name}`, `${name}:n`];
    for (const [index, one] of scopes.entries()) await way.set(one, `of${index}`, index);
    for (const [index, one] of scopes.entries()) {
      assert.deepEqual(await way.keys(one), [`of${index}`], one);
      assert.equal(await way.get(one, `of${index}`), index);
    }
  }],
  ['global has no keys named as its own methods', async (way, _name, store) => {
    await store.delete('global');
    for (const key of ['get', 'a', 'set', 'keys', 'b']) await way.set('global', key, 1);
    assert.deepEqual(await way.keys('global'), ['a', 'b']);
    await store.delete('global');
  }],
  ['delete empties one scope and no other', async (way, name, store) => {
    const others = [`${name}x`, `n:${name}`];
    for (const one of [name, ...others]) await way.set(one, ['a', 'b'], [1, { c: 2 }]);
    await store.delete(name);
    assert.deepEqual(await way.keys(name), []);
    assert.deepEqual(await way.get(name, ['a', 'b']), [undefined, undefined]);
    for (const one of others) assert.deepEqual(await way.get(one, ['a', 'b']), [1, { c: 2 }]);
    await store.delete(name);
    await store.delete(`never ${name}`);
    await way.set(name, 'c', 3);
    assert.deepEqual(await way.keys(name), ['c']);
  }],
  ['an expression that cannot be is refused with INVALID_EXPR and changes nothing', async (way, name) => {
    await way.set(name, 'a', { b: 1 });
    for (const bad of BAD_EXPRESSIONS) {
      const refusal = (/** @type {any} */ error) => error.code === 'INVALID_EXPR' && error instanceof Error;
      await assert.rejects(way.get(name, bad), refusal, `get ${bad}`);
      await assert.rejects(way.set(name, bad, 1), refusal, `set ${bad}`);
      await assert.rejects(way.get(name, ['a', bad]), refusal, `get of several with ${bad}`);
      await assert.rejects(way.set(name, [bad, 'a'], [1, 2]), refusal, `set of several with ${bad}`);
    }
    assert.deepEqual(await way.get(name, 'a'), { b: 1 });
    assert.deepEqual(await way.keys(name), ['a']);
  }],
];

/** @type {Array<[string, () => Promise<ContextStore>]>} */
const SUBJECTS = [
  ["Node-RED's memory store", async () => memoryStore()],
  ...VARIANTS.map(({ name, config }) => /** @type {[string, () => Promise<ContextStore>]} */ (
    [`ours, ${name}`, () => openContext(scope, server, config)]
  )),
];

let scopes = 0;
for (const [subject, open] of SUBJECTS) {
  describe(subject, () => {
    /** @type {ContextStore} */
    let store;
    before(async () => {
      store = await open();
    });
    for (const [name, run] of CASES) {
      for (const form of [0, 1]) {
        test(`${name} (${form === 0 ? 'with a callback' : 'synchronous'})`, () => {
          scopes += 1;
          return run(waysOf(store)[form], `scope${scopes}`, store);
        });
      }
    }
    test('both forms see what the other one wrote', async () => {
      const [callback, synchronous] = waysOf(store);
      for (let round = 0; round < 20; round += 1) {
        await callback.set('mixed', 'value', { round });
        assert.deepEqual(store.get('mixed', 'value'), { round });
        store.set('mixed', 'value.more', round);
        assert.equal(await callback.get('mixed', 'value.more'), round);
        store.set('mixed', `key${round}`, round);
        assert.equal((await callback.keys('mixed')).length, round + 2);
        await synchronous.set('mixed', 'value', undefined);
        assert.equal(await callback.get('mixed', 'value'), undefined);
        await synchronous.set('mixed', 'value', 'keeps the order of the keys simple');
      }
    });
    test('a callback gets (error, value, value, ...) and is called once', async () => {
      store.set('spread', ['a', 'b'], [1, 2]);
      /** @type {any[][]} */
      const calls = [];
      await new Promise((resolve) => {
        store.get('spread', ['a', 'none', 'b'], (/** @type {any[]} */ ...given) => resolve(calls.push(given)));
      });
      await new Promise((resolve) => {
        store.get('spread', ['a', 'b.'], (/** @type {any[]} */ ...given) => resolve(calls.push(given)));
      });
      await new Promise((resolve) => {
        store.keys('spread', (/** @type {any[]} */ ...given) => resolve(calls.push(given)));
      });
      await new Promise((resolve) => {
        store.set('spread', 'a', 1, (/** @type {any[]} */ ...given) => resolve(calls.push(given)));
      });
      const [several, refused, keys, set] = calls;
      assert.deepEqual(several.slice(1), [1, undefined, 2]);
      assert.ok(!several[0] && !keys[0] && !set[0]);
      assert.equal(refused[0].code, 'INVALID_EXPR');
      assert.deepEqual(keys[1], ['a', 'b']);
      await settled(store);
      assert.equal(calls.length, 4);
    });
    test('opening twice and closing twice, also at once, is allowed', async () => {
      const own = await open();
      await Promise.all([own.open(), own.open()]);
      own.set('scope', 'value', 1);
      await Promise.all([own.close(), own.close()]);
      await own.close();
    });
  });
}

describe('ours, where a shared store has to differ', () => {
  /** @type {Awaited<ReturnType<typeof openContext>>} */
  let store;
  beforeEach(async () => {
    store = await openContext(scope, server);
  });

  test('clean without the storage module deletes nothing: nobody knows the newest revision', async () => {
    for (const name of ['global', 'flow', 'node:flow']) store.set(name, 'value', 1);
    await Promise.all([store.clean([]), store.clean(['other'])]);
    for (const name of ['global', 'flow', 'node:flow']) assert.equal(store.get(name, 'value'), 1, name);
    const memory = memoryStore();
    for (const name of ['global', 'flow', 'node:flow']) memory.set(name, 'value', 1);
    await memory.clean(['node']);
    assert.deepEqual(['global', 'flow', 'node:flow'].map((name) => memory.get(name, 'value')), [1, undefined, 1]);
  });

  test('of several keys none is written if one cannot be', async () => {
    const [way] = waysOf(store);
    for (const bad of ['bad.', '', 'x'.repeat(2_000)]) {
      await assert.rejects(way.set('scope', ['a', bad, 'b'], [1, 2, 3]), bad);
      assert.throws(() => store.set('scope', ['a', bad, 'b'], [1, 2, 3]), bad);
    }
    await assert.rejects(way.set('scope', ['a', 'b'], [1, 1n]));
    assert.throws(() => store.set('scope', ['a', 'b'], [1, 1n]));
    assert.deepEqual(await way.keys('scope'), []);
  });

  test('a value that was read or set is a copy: changing it changes nothing', async () => {
    const mine = { list: [1], deep: { x: 1 } };
    store.set('scope', 'value', mine);
    mine.list.push(2);
    const read = store.get('scope', 'value');
    read.list.push(3);
    read.deep.x = 9;
    store.get('scope', 'value.deep').x = 8;
    assert.deepEqual(store.get('scope', 'value'), { list: [1], deep: { x: 1 } });
    assert.notEqual(store.get('scope', 'value'), store.get('scope', 'value'));
  });

  test('a value is taken as it was when set was called', async () => {
    const [way] = waysOf(store);
    const value = { n: 1 };
    const setting = way.set('scope', 'value', value);
    value.n = 2;
    await setting;
    assert.deepEqual(await way.get('scope', 'value'), { n: 1 });
  });

  test('a callback that is no function is refused', () => {
    for (const call of [
      () => store.get('scope', 'a', 'no function'),
      () => store.set('scope', 'a', 1, {}),
      () => store.keys('scope', 5),
    ]) assert.throws(call, /Callback must be a function/);
    assert.equal(store.get('scope', 'a'), undefined);
  });

  test('keys that are no text are refused, and the process goes on', async () => {
    const [way] = waysOf(store);
    for (const bad of /** @type {any[]} */ ([undefined, null, 5, {}, '', [''], [5], [undefined]])) {
      assert.throws(() => store.get('scope', bad));
      assert.throws(() => store.set('scope', bad, 1));
      await assert.rejects(way.get('scope', bad));
      await assert.rejects(way.set('scope', bad, 1));
    }
    assert.deepEqual(store.keys('scope'), []);
  });

  test('after its end every call says so', async () => {
    const [way, synchronous] = waysOf(store);
    await store.close();
    for (const form of [way, synchronous]) {
      await assert.rejects(form.get('scope', 'a'), { code: 'NRC_CLOSED' });
      await assert.rejects(form.set('scope', 'a', 1), { code: 'NRC_CLOSED' });
      await assert.rejects(form.keys('scope'), { code: 'NRC_CLOSED' });
    }
  });

  test('what was set without a callback is in the store after close', async () => {
    for (let index = 0; index < 2_000; index += 1) store.set('scope', `key${index}`, index);
    await store.close();
    assert.equal(await server.command('GET', store.key('context:flow:scope:key1999')), '1999');
    assert.equal(await server.command('ZCARD', store.key('context-names:flow:scope')), 2_000);
  });

  test('each scope has the keys that the contract promises', async () => {
    const [way] = waysOf(store);
    await way.set('global', 'a', { b: [1] });
    await way.set('flow1', 'a', 'x');
    await way.set('node1:flow1', 'a:b', null).catch((error) => assert.equal(error.code, 'INVALID_EXPR'));
    await way.set('node1:flow1', 'a', null);
    assert.equal(await server.command('GET', store.key('context:global:a')), '{"b":[1]}');
    assert.equal(await server.command('GET', store.key('context:flow:flow1:a')), '"x"');
    assert.equal(await server.command('GET', store.key('context:node:node1:flow1:a')), 'null');
  });

  test('its name is shown in the log of Node-RED', () => {
    const createStore = require(CONTEXT);
    assert.ok(Object.prototype.hasOwnProperty.call(createStore, 'toString'));
    assert.equal(String(createStore), 'node-red-cluster');
  });

  test('a callback that throws is called once, and disturbs no other', async (t) => {
    const { host, port } = server;
    const config = { host, port, keyPrefix: ownPrefix() };
    const work = path.join(__dirname, 'support', 'context-work.js');
    const child = await startContextProcess(t, { work, config });
    const report = await child.call('throwingCallbacks');
    assert.deepEqual(report.calls, Object.fromEntries(Object.keys(report.calls).map((name) => [name, 1])));
    assert.equal(report.uncaught, report.thrown - report.caught);
    assert.equal(report.others, 20, 'the callbacks beside it were called');
    assert.equal(report.after, 'still works');
    assert.deepEqual(await child.end(), { code: 0, signal: null });
  });
});
