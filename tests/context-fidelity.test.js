'use strict';

/** What is stored comes back exactly, and what cannot be stored is refused by name. */

const assert = require('node:assert/strict');
const { before, describe, test } = require('node:test');
const zlib = require('node:zlib');
const { CASES, seededRandom } = require('./support/context-random');
const { VARIANTS, openContext, settled, waysOf } = require('./support/context-store');
const { fileScope } = require('./support/scope');
const { startStore } = require('./support/store');
const { until } = require('./support/wait');

const scope = fileScope();
/** @type {import('./support/store').Store} */
let server;
before(async () => {
  server = await startStore();
  scope.after(() => server.release());
});

/** JSON as another program may have written it, which JSON.stringify never prints. */
const FOREIGN = [
  '1e5', '1E5', '1E+5', '-0', '-0.0', '0.10', '123456789012345678901234567890', '9007199254740993', '1e400', '-1e-400',
  '"\\u00e4\\/"', '"\\ud83d\\ude00"', '"\\ud800"', '[ 1 ,\n\t2 ]', '{ "b" : 1 , "a" : { } }', '{"a":1,"a":2}',
  '{"__proto__":{"x":1},"constructor":2}', ' null ', '"é"', '"\u2028"', '{"":{"":[]}}', '[[[[[[]]]]]]', '{"10":"x","9":"y"}',
];

/** @param {unknown} value */
const asJson = (value) => JSON.parse(JSON.stringify(value));

/**
 * Equal in type, order, sign of zero and prototype, as JSON.parse gives it.
 *
 * @param {unknown} actual
 * @param {unknown} expected
 * @param {string} message
 */
function assertExactly(actual, expected, message) {
  assert.deepStrictEqual(actual, expected, message);
  assert.equal(JSON.stringify(actual), JSON.stringify(expected), message);
}

for (const { name: variant, config } of VARIANTS) {
  describe(variant, () => {
    /** @type {Awaited<ReturnType<typeof openContext>>} */
    let store;
    /** Another connection with a near cache of its own. @type {typeof store} */
    let other;
    before(async () => {
      store = await openContext(scope, server, config);
      other = await openContext(scope, server, { ...store.config, connectionName: 'other' });
    });

    /**
     * @param {string} key
     * @param {unknown} expected
     */
    async function assertReadsEverywhere(key, expected) {
      const [way] = waysOf(store);
      assertExactly(await way.get('global', key), expected, `${key}, by a callback`);
      assertExactly(store.get('global', key), expected, `${key}, at once`);
      await settled(store);
      // A change is visible elsewhere one network delay later.
      await until(async () => {
        assertExactly(await waysOf(other)[0].get('global', key), expected, `${key}, by another store`);
        assertExactly(other.get('global', key), expected, `${key}, at once by another store`);
        return true;
      }, { message: `${key} is read by another store`, timeout: 2_000, interval: 2 });
    }

    test('random values come back as JSON.parse(JSON.stringify()) gives them, also after nested sets', async (t) => {
      const random = seededRandom(t);
      const [way] = waysOf(store);
      for (let count = 0; count < 150 * CASES; count += 1) {
        const value = random.json(6) ?? null;
        const key = `random${count % 7}`;
        if (random.chance(0.5)) store.set('global', key, value);
        else await way.set('global', key, value);
        await assertReadsEverywhere(key, asJson(value));

        const holder = asJson({ before: value, target: { list: [value, 1] }, after: value });
        const inner = random.json(4) ?? null;
        store.set('global', key, holder);
        if (random.chance(0.5)) store.set('global', `${key}.target.list[0]`, inner);
        else await way.set('global', `${key}.target.list[0]`, inner);
        const expected = { ...holder, target: { list: [asJson(inner), 1] } };
        await assertReadsEverywhere(key, expected);
        assertExactly(store.get('global', `${key}.target.list[0]`), asJson(inner), 'the nested value');
      }
    });

    test('what another program wrote is read as JSON.parse reads it, and stays as it was written', async () => {
      const [way] = waysOf(store);
      for (const [index, text] of FOREIGN.entries()) {
        const key = `foreign${index}`;
        await server.command('SET', store.key(`context:global:${key}`), text);
        await assertReadsEverywhere(key, JSON.parse(text));
        await server.command('SET', store.key(`context:global:${key}`), `{"kept": ${text},"n":0 }`);
        await until(() => store.get('global', `${key}.n`) === 0, { message: 'the change is heard of', timeout: 2_000, interval: 2 });
        await way.set('global', `${key}.n`, 1);
        await way.set('global', `${key}.added`, [true]);
        const stored = await storedText(`context:global:${key}`);
        assert.ok(stored.includes(`"kept": ${text}`) || stored.includes(`"kept":${text}`), `${stored} keeps ${text}`);
        const parsed = JSON.parse(`{"kept": ${text}, "n": 1, "added": [true]}`);
        await assertReadsEverywhere(key, parsed);
      }
    });

    /** @param {string} name */
    async function storedText(name) {
      const bytes = await server.commandBytes('GET', store.key(name));
      return (bytes[0] === 0x1f ? zlib.gunzipSync(bytes) : bytes).toString('utf8');
    }

    test('texts of 5 MB and objects that hold them', async () => {
      const [way] = waysOf(store);
      const text = 'ä"\\\n🦀 5 MB '.repeat(400_000);
      assert.ok(Buffer.byteLength(text) > 5_000_000);
      await way.set('global', 'large', text);
      await assertReadsEverywhere('large', text);
      await way.set('global', 'large', { text, n: 0 });
      store.set('global', 'large.n', 1);
      await way.set('global', 'large.list[1]', 'x');
      await assertReadsEverywhere('large', { text, n: 1, list: [null, 'x'] });
      await way.set('global', 'large', undefined);
    });

    test('values that are deep', async () => {
      const [way] = waysOf(store);
      /** @type {any} */
      let value = 'the bottom';
      for (let depth = 0; depth < 1_000; depth += 1) value = depth % 2 ? [value] : { value };
      await way.set('global', 'deep', { value, n: 0 });
      await way.set('global', 'deep.n', 1);
      await assertReadsEverywhere('deep', { value, n: 1 });
    });

    test('a value too deep for JSON.stringify is refused or kept, and the process goes on', async () => {
      const [way] = waysOf(store);
      /** @type {any} */
      let value = 0;
      for (let depth = 0; depth < 20_000; depth += 1) value = [value];
      const outcome = await way.set('global', 'too_deep', value).catch((error) => error);
      if (outcome) assert.match(outcome.message, /too deep|deep/);
      await way.set('global', 'after', 1);
      assert.equal(store.get('global', 'after'), 1);
    });

    test('Buffers and Dates come back as such, at any depth, and after nested sets', async () => {
      const [way] = waysOf(store);
      const bytes = Buffer.from([0, 1, 2, 250, 255]);
      const value = { bytes, empty: Buffer.alloc(0), list: [new Date(0), { at: new Date(8.64e15), of: bytes }], n: 0 };
      for (const root of [bytes, new Date(1234567890123)]) {
        await way.set('global', 'root', root);
        await assertReadsEverywhere('root', root);
      }
      await way.set('global', 'value', value);
      await assertEqualEverywhere('value', value);
      await way.set('global', 'value.n', new Date(5));
      await way.set('global', 'value.list[0]', Buffer.from('text'));
      await assertEqualEverywhere('value', { ...value, n: new Date(5), list: [Buffer.from('text'), value.list[1]] });
      assert.ok(store.get('global', 'value.list[1].at') instanceof Date);
      assert.ok(Buffer.isBuffer(other.get('global', 'value.list[1].of')));
      const first = store.get('global', 'value');
      first.bytes[0] = 99;
      first.n.setTime(77);
      assert.deepEqual(store.get('global', 'value.bytes'), bytes, 'each read has bytes of its own');
      assert.deepEqual(store.get('global', 'value.n'), new Date(5));
      await way.set('global', 'invalid', { date: new Date(NaN) });
      await assertReadsEverywhere('invalid', { date: null });
    });

    /**
     * @param {string} key
     * @param {unknown} expected
     */
    async function assertEqualEverywhere(key, expected) {
      const [way] = waysOf(store);
      assert.deepStrictEqual(await way.get('global', key), expected);
      assert.deepStrictEqual(store.get('global', key), expected);
      await settled(store);
      await until(() => {
        assert.deepStrictEqual(other.get('global', key), expected);
        return true;
      }, { message: `${key} is read by another store`, timeout: 2_000, interval: 2 });
    }

    test('texts that look like ours for a Buffer or a Date stay texts', async () => {
      const texts = ['\u0001Date:2020-01-01T00:00:00.000Z', '\u0001Buffer:AAAA', '\u0001', '\u0001\u0001Date:x', '"\u0001Date:1"', '\\u0001Date:1'];
      await waysOf(store)[0].set('global', 'texts', { texts, [texts[0]]: texts[1] });
      await assertReadsEverywhere('texts', { texts, [texts[0]]: texts[1] });
      store.set('global', 'texts.texts[0]', texts[1]);
      await assertReadsEverywhere('texts.texts', [texts[1], ...texts.slice(1)]);
      for (const text of texts) {
        store.set('global', 'text', text);
        await assertReadsEverywhere('text', text);
      }
    });

    test('other types are stored as JSON.stringify prints them', async () => {
      class Point {
        constructor() {
          this.x = 1;
        }
      }
      const value = {
        point: new Point(), map: new Map([[1, 2]]), set: new Set([1]), expression: /x/g, error: new Error('lost'),
        boxed: [Object(1), Object('s'), Object(true)], none: undefined, symbol: Symbol('s'), numbers: [NaN, Infinity, -0],
        own: { toJSON: () => ({ by: 'toJSON' }) }, floats: new Float32Array([1, 2]), bare: Object.create(null), holes: [, 1], // eslint-disable-line no-sparse-arrays
      };
      await waysOf(store)[0].set('global', 'types', value);
      await assertReadsEverywhere('types', asJson(value));
    });

    test('what JSON cannot say is refused with the name of its key, and nothing is written', async () => {
      const [way] = waysOf(store);
      /** @type {any} */
      const circle = { inner: { list: [] } };
      circle.inner.list.push(circle);
      store.set('global', 'safe', { kept: true });
      /** @type {Array<[any, RegExp?]>} */
      const impossible = [[circle], [1n], [{ a: [{ big: 1n }] }, /a\[0\]\.big/], [() => 1], [{ call() {} }, /call/]];
      for (const [value, place] of impossible) {
        for (const key of ['safe', 'safe.inner.thing', 'fresh']) {
          const refusal = (/** @type {any} */ error) => {
            assert.equal(error.code, 'NRC_VALUE_INVALID', error.message);
            assert.ok(error.message.includes(key.split('.')[0]) && error.message.includes('global'), error.message);
            if (place) assert.match(error.message, place);
            return true;
          };
          assert.throws(() => store.set('global', key, value), refusal);
          await assert.rejects(way.set('global', key, value), refusal);
          await assert.rejects(way.set('global', ['fresh', key], [1, value]), refusal);
        }
      }
      await assertReadsEverywhere('safe', { kept: true });
      await assertReadsEverywhere('fresh', undefined);
    });

    test('a getter or a toJSON that throws is an error of the caller, not of the process', async () => {
      const [way] = waysOf(store);
      const trap = {
        get trap() {
          throw new Error('sprung');
        },
      };
      const refusing = {
        toJSON() {
          throw new Error('sprung');
        },
      };
      for (const value of [trap, refusing, [refusing]]) {
        assert.throws(() => store.set('global', 'trap', value), /sprung/);
        await assert.rejects(way.set('global', 'trap', value), /sprung/);
      }
      assert.equal(store.get('global', 'trap'), undefined);
    });

    test('values of the older package are read and changed: plain JSON, and gzip in base64', async () => {
      const [way] = waysOf(store);
      const value = { list: [], object: {}, big: 'x'.repeat(2_000), n: 0.1 };
      const text = JSON.stringify(value);
      const forms = [text, `gzip:${zlib.gzipSync(text).toString('base64')}`];
      for (const [index, form] of forms.entries()) {
        await server.command('SET', store.key(`context:global:old${index}`), form);
        await assertReadsEverywhere(`old${index}`, value);
        await way.set('global', `old${index}.n`, 2);
        await way.set('global', `old${index}.list[0]`, {});
        await assertReadsEverywhere(`old${index}`, { ...value, n: 2, list: [{}] });
        assert.ok((await way.keys('global')).includes(`old${index}`), 'it is found by keys once it was written');
      }
    });

    test('what is stored and is not JSON is an error that names the key, and can be written over', async () => {
      const [way] = waysOf(store);
      for (const [index, damaged] of ['{"a":', 'plain text', 'gzip:no base64!', 'gzip:AAAA', '', '{"a":1}}', '\u001f\u008bx'].entries()) {
        const key = `damaged${index}`;
        await server.command('SET', store.key(`context:global:${key}`), damaged);
        const refusal = (/** @type {any} */ error) => error.code === 'NRC_VALUE_DAMAGED' && error.message.includes(key);
        await assert.rejects(way.get('global', key), refusal, damaged);
        assert.throws(() => store.get('global', key), refusal, damaged);
        await assert.rejects(way.set('global', `${key}.a`, 1), refusal, damaged);
        assert.equal(await server.command('GET', store.key(`context:global:${key}`)), damaged, 'it was left as it was');
        await way.set('global', key, { a: 1 });
        await assertReadsEverywhere(key, { a: 1 });
      }
    });

    test('a key of another type is no value, is left as it is by a nested set, and disturbs no other key', async () => {
      const [way] = waysOf(store);
      await server.command('RPUSH', store.key('context:global:strange'), 'x');
      const outcomes = await Promise.allSettled([
        way.set('global', 'strange.below', 1),
        way.set('global', 'beside', 1),
        way.set('global', 'under.it', 2),
        way.get('global', ['beside', 'none']),
      ]);
      assert.equal(outcomes[0].status, 'rejected');
      assert.equal(/** @type {any} */ (outcomes[0]).reason.code, 'NRC_STORE_REPLY');
      assert.deepEqual(outcomes.slice(1).map(({ status }) => status), ['fulfilled', 'fulfilled', 'fulfilled']);
      assert.deepEqual(await way.get('global', ['beside', 'under']), [1, { it: 2 }]);
      assert.equal(await way.get('global', 'strange').catch(() => undefined), undefined);
      assert.equal(await server.command('TYPE', store.key('context:global:strange')), 'list');
      await way.set('global', 'strange', 'written over');
      assert.equal(await way.get('global', 'strange'), 'written over');
    });

    test('__proto__, constructor and prototype are names like others, and reach no prototype', async () => {
      const [way] = waysOf(store);
      for (const name of ['__proto__', 'constructor', 'prototype']) {
        assert.equal(await way.get('global', name), undefined, name);
        await way.set('global', 'victim', {});
        assert.equal(store.get('global', `victim.${name}`), undefined, name);
        assert.equal(store.get('global', `victim.${name}.toString`), undefined, name);
        await way.set('global', `victim.${name}.polluted`, 'yes');
        store.set('global', `${name}.polluted`, 'yes');
        store.set('global', `victim.list[0].${name}.${name}.polluted`, 'yes');
        assert.equal(store.get('global', `victim.${name}.polluted`), 'yes', name);
        await assertReadsEverywhere(`${name}.polluted`, 'yes');
        const victim = store.get('global', 'victim');
        assert.deepEqual(Object.keys(victim), [name, 'list']);
        assert.equal(Object.getPrototypeOf(victim), Object.prototype);
        await server.command('SET', store.key('context:global:stored'), `{"${name}":{"polluted":"yes"},"a":[{"${name}":{"polluted":"yes"}}]}`);
        await until(() => store.get('global', 'stored') !== undefined, { message: 'the foreign value is seen', timeout: 2_000, interval: 2 });
        const stored = store.get('global', 'stored');
        assert.deepEqual(Object.keys(stored), [name, 'a']);
        assert.equal(Object.getPrototypeOf(stored.a[0]), Object.prototype);
        await way.set('global', ['stored', name, 'victim'], [undefined, undefined, undefined]);
        assert.deepEqual((await way.keys('global')).filter((key) => key === name), []);
      }
      for (const untouched of [{}, [], () => {}, 'text', 1]) assert.equal(/** @type {any} */ (untouched).polluted, undefined);
      assert.equal(store.get('global', 'victim.toString'), undefined, 'only own properties are read');
      assert.equal(store.get('global', 'hasOwnProperty'), undefined);
    });

    test('scopes with the names of prototypes are scopes like others', async () => {
      const [way] = waysOf(store);
      for (const name of ['__proto__', 'constructor', 'toString']) {
        assert.deepEqual(await way.keys(name), []);
        store.set(name, 'polluted', 'yes');
        assert.deepEqual(await way.keys(name), ['polluted']);
        await store.delete(name);
        assert.equal(await way.get(name, 'polluted'), undefined);
      }
      assert.equal(/** @type {any} */ ({}).polluted, undefined);
    });
  });
}
