'use strict';

/**
 * The parts of the context store that need no store: values as text and back, copies of them, and property
 * expressions on them. Random cases repeat with `CONTEXT_SEED`, which failures print.
 */

const assert = require('node:assert/strict');
const { test } = require('node:test');
const vm = require('node:vm');

const { clone } = require('../node/context/clone.js');
const paths = require('../node/context/paths.js');
const { decode, encode } = require('../node/context/values.js');
const { util } = /** @type {any} */ (require('@node-red/util'));

const SEED = Number(process.env.CONTEXT_SEED ?? Date.now() % 1e9);
const CASES = 10_000;

/** @typedef {() => number} Random */

/**
 * @param {number} seed
 * @returns {Random} the same numbers in [0, 1) for the same seed: mulberry32
 */
function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * @template T
 * @param {Random} random
 * @param {T[]} choices
 * @returns {T}
 */
function pick(random, choices) {
  return choices[Math.floor(random() * choices.length)];
}

const NUMBERS = [0, -0, 1, -1, 0.1 + 0.2, 1e21, 5e-324, 2 ** 53 + 2, Number.MAX_VALUE, NaN, Infinity, -Infinity, 1e-7];
const STRINGS = ['', 'a', 'Grüße', '\ud800', 'x\udc00', '😀', '\u0000', '\u0001', '\u0001Date:2020-01-01T00:00:00.000Z', '\u0001\u0001', '"\\u0001', '\\', '\u2028', '__proto__'];
const NAMES = ['a', 'b', '__proto__', 'constructor', 'prototype', 'toString', '0', '1', '10', '-1', 'length', 'x.y', '', '\u0001', 'é'];

/** What JSON changes, leaves out, or finds by `toJSON`. */
const STRANGE = [
  undefined, Symbol('s'), new Map([[1, 2]]), new Set([1]), Object(1), Object('\u0001boxed'), Object(false), /x/,
  { toJSON: () => ({ from: 'toJSON' }) }, { toJSON: (/** @type {string} */ name) => `under ${name}` },
  { toJSON: () => undefined }, new Uint8Array([1, 2]), new (class Point { x = 1; })(), new URL('http://a.b/'),
  { get read() { return 1; } }, Object.defineProperty({}, 'hidden', { value: 1 }), new Error('no own properties'),
  vm.runInNewContext('({ list: [1, { a: new Date(NaN) }] })'),
];

/**
 * @param {Random} random
 * @param {number} depth
 * @param {boolean} strange also what JSON changes or leaves out
 * @returns {any}
 */
function randomValue(random, depth, strange) {
  const kind = random();
  if (depth > 0 && kind < 0.3) {
    const list = Array.from({ length: Math.floor(random() * 5) }, () => randomValue(random, depth - 1, strange));
    if (strange && random() < 0.1) list[list.length + 2] = 1;
    return list;
  }
  if (depth > 0 && kind < 0.6) {
    const object = strange && random() < 0.1 ? Object.create(null) : {};
    for (let count = Math.floor(random() * 5); count > 0; count -= 1) {
      const value = randomValue(random, depth - 1, strange);
      Object.defineProperty(object, pick(random, NAMES), { configurable: true, enumerable: true, value, writable: true });
    }
    return object;
  }
  if (strange && kind < 0.7) return pick(random, STRANGE);
  return pick(random, [() => pick(random, NUMBERS), () => pick(random, STRINGS), () => random() < 0.5, () => null, () => random() * 1e6])();
}

/** @param {(random: Random, number: number) => void} check */
function forRandomCases(check) {
  for (let number = 0; number < CASES; number += 1) {
    const seed = SEED + number;
    try {
      check(randomFrom(seed), number);
    } catch (error) {
      throw new Error(`with CONTEXT_SEED=${seed}, its first case`, { cause: error });
    }
  }
}

/**
 * @param {unknown} value
 * @returns {any} what plain JSON makes of it
 */
function throughJson(value) {
  return JSON.parse(JSON.stringify(value));
}

/** Compares also the order of names, own `__proto__`, -0 and prototypes. */
function assertSame(/** @type {any} */ actual, /** @type {any} */ expected) {
  assert.equal(JSON.stringify(actual), JSON.stringify(expected));
  assert.deepStrictEqual(actual, expected);
}

test('a value comes back exactly as plain JSON gives it', () => {
  forRandomCases((random) => {
    const value = randomValue(random, 4, true);
    if (JSON.stringify(value) === undefined) {
      if (value !== undefined) assert.throws(() => encode(value), { code: 'NRC_VALUE_INVALID' });
      return;
    }
    assertSame(decode(encode(value)), throughJson(value));
  });
});

test('Buffers and Dates survive at any place, and strings that look like them stay strings', () => {
  const value = {
    date: new Date(1e12),
    list: [Buffer.from([0, 255, 1]), [new Date(-62198755200000)], Buffer.alloc(0)],
    strings: ['\u0001', '\u0001\u0001Date:x', '\u0001Buffer:AA==', 'plain', '"\\u0001'],
    ['__proto__']: new Date(0),
    inside: vm.runInNewContext('[new Date(5)]'),
  };
  const back = decode(encode(value));
  assert.deepStrictEqual(back.date, value.date);
  assert.ok(Buffer.isBuffer(back.list[0]));
  assert.deepStrictEqual(back.list, value.list);
  assert.deepStrictEqual(back.strings, value.strings);
  assert.equal(back.inside[0].getTime(), 5);
  assert.deepStrictEqual(decode(encode(new Date(7))), new Date(7));
  assert.deepStrictEqual(decode(encode(Buffer.from('x'))), Buffer.from('x'));
  assert.equal(decode(encode(new Date(NaN))), null);
  assert.deepStrictEqual(decode(encode({ at: new Date(NaN) })), { at: null });
});

test('a tag that this package never wrote is left alone', () => {
  for (const text of ['"\\u0001Date:yesterday"', '"\\u0001Map:"', '"\\u0001"']) assert.equal(decode(text), JSON.parse(text));
});

test('what JSON cannot say is refused with its place', () => {
  /** @type {any} */
  const circle = { list: [{}] };
  circle.list[0].back = circle;
  /** @type {[any, RegExp][]} */
  const cases = [
    [circle, /contains itself at list\[0\]\.back$/],
    [{ a: [{ 'b c': () => 1 }] }, /a function at a\[0\]\["b c"\]$/],
    [{ a: { b: 1n } }, /a BigInt at a\.b$/],
    [{ date: new Date(0), made: class {} }, /a function at made$/],
    [() => 1, /a function$/],
    [1n, /a BigInt$/],
    [Symbol('s'), /no form in JSON/],
  ];
  for (const [value, message] of cases) assert.throws(() => encode(value), { code: 'NRC_VALUE_INVALID', message });
});

test('the same object at two places is no circle', () => {
  const shared = { n: 1 };
  assertSame(decode(encode({ a: shared, b: [shared, new Date(0), shared] })), { a: shared, b: [shared, new Date(0), shared] });
});

test('deep values are stored as far as JSON.stringify goes, then refused, and read at any depth', () => {
  const nested = (/** @type {number} */ levels, /** @type {any} */ innermost) => {
    let value = innermost;
    for (let level = 0; level < levels; level += 1) value = level % 2 ? { a: value } : [value];
    return value;
  };
  const innermost = (/** @type {any} */ value) => {
    let current = value;
    while (typeof current === 'object' && Object.keys(current).length > 0) current = Array.isArray(current) ? current[0] : current.a;
    return current;
  };
  assert.equal(encode(nested(1_000, 1)), JSON.stringify(nested(1_000, 1)));
  assert.equal(innermost(decode(encode(nested(1_000, '\u0001x')))), '\u0001x');
  assert.throws(() => encode(nested(100_000, 1)), { code: 'NRC_VALUE_INVALID', message: /nested too deeply/ });
  assert.throws(() => encode(nested(1_000, () => 1)), { code: 'NRC_VALUE_INVALID', message: /function/ });
  const circle = nested(1_000, {});
  innermost(circle).a = circle;
  assert.throws(() => encode(circle), { code: 'NRC_VALUE_INVALID', message: /contains itself/ });
  const text = `${'['.repeat(100_000)}"\\u0001\\u0001deep"${']'.repeat(100_000)}`;
  assert.equal(innermost(clone(decode(text))), '\u0001deep');
});

test('a copy is equal and shares nothing', () => {
  forRandomCases((random) => {
    const value = decode(encode([randomValue(random, 5, false), new Date(1), Buffer.from('b')]));
    const before = encode(value);
    const copy = clone(value);
    assertSame(copy, value);
    spoil(copy);
    assert.equal(encode(value), before);
  });
  const large = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`k${index}`, index % 7 ? index : { index }]));
  assertSame(clone(large), large);
});

/** Changes everything in a value. */
function spoil(/** @type {any} */ value) {
  if (Buffer.isBuffer(value)) value.fill(1);
  else if (value instanceof Date) value.setTime(2);
  else if (typeof value === 'object' && value !== null) {
    for (const name of Object.keys(value)) spoil(value[name]);
    for (const name of Object.keys(value)) delete value[name];
  }
}

test('no value and no path reaches a prototype', () => {
  const value = decode('{"__proto__":{"bad":1},"constructor":{"prototype":{"bad":1}},"a":{"__proto__":{"bad":[{}]}}}');
  for (const copy of [value, clone(value), decode(encode(value))]) {
    assert.equal(copy.bad, undefined);
    assert.equal(Object.getPrototypeOf(copy), Object.prototype);
    assert.ok(Object.hasOwn(copy, '__proto__'));
    assert.ok(Object.hasOwn(copy.a, '__proto__'));
  }
  for (const rest of [['__proto__', 'bad'], ['constructor', 'prototype', 'bad'], ['x', '__proto__', 'bad']]) {
    const root = paths.write({}, rest, 1);
    assert.equal(/** @type {any} */ ({}).bad, undefined);
    assert.equal(Object.getPrototypeOf(root), Object.prototype);
    assert.equal(paths.read(root, rest), 1);
    assert.equal(paths.read({}, rest.slice(0, -1)), undefined);
    paths.write({}, rest, undefined);
  }
});

/**
 * @param {Random} random
 * @returns {string} a property expression below `root`
 */
function randomExpression(random) {
  let expression = 'root';
  for (let count = Math.floor(random() * 4); count > 0; count -= 1) {
    expression += pick(random, ['.a', '.b', '[0]', '[1]', '[3]', '["0"]', '["x.y"]', '["1"]', "['a']", '.b']);
  }
  return expression;
}

/**
 * Whether Node-RED would make of this value what JSON cannot hold, or fail: there the package has rules of its own.
 *
 * @param {any} root
 * @param {(string | number)[]} rest
 */
function leavesJson(root, rest) {
  let holder = root;
  for (const name of rest) {
    if (Array.isArray(holder) && typeof name === 'string' && !/^\d+$/.test(name)) return true;
    if (typeof holder !== 'object' || holder === null) return holder !== undefined;
    holder = holder[name];
  }
  return false;
}

test('nested sets and deletes do to a value what Node-RED does, as far as JSON can hold it', () => {
  const parse = paths.createParser((expression) => JSON.stringify(util.normalisePropertyExpression(expression)));
  let compared = 0;
  forRandomCases((random) => {
    const absent = random() < 0.1;
    const start = absent ? undefined : decode(encode(randomDocument(random, 4)));
    const expression = randomExpression(random);
    const { root, rest } = parse(expression);
    assert.equal(root, 'root');
    if (rest.length === 0) return;
    const value = random() < 0.3 ? undefined : randomDocument(random, 2);
    const outside = leavesJson(start, rest);
    const theirs = absent ? {} : { root: clone(start) };
    const ours = paths.write(clone(start), rest, clone(value));
    if (outside) {
      assertSame(ours, start);
      return;
    }
    util.setObjectProperty(theirs, expression, value);
    const expected = throughJson(theirs).root;
    assertSame(ours, expected);
    if (value !== undefined) assertSame(paths.read(ours, rest), value);
    compared += 1;
  });
  assert.ok(compared > CASES / 4, `${compared} compared`);
});

/**
 * @param {Random} random
 * @param {number} depth
 * @returns {any} of few names, so that expressions meet something
 */
function randomDocument(random, depth) {
  if (depth === 0 || random() < 0.3) return pick(random, [null, 1, 'text', true]);
  if (random() < 0.5) return Array.from({ length: Math.floor(random() * 4) }, () => randomDocument(random, depth - 1));
  return Object.fromEntries(['a', 'b', '0', 'x.y'].filter(() => random() < 0.6).map((name) => [name, randomDocument(random, depth - 1)]));
}

test('reads see own properties, and lengths, and nothing below what is not there', () => {
  const value = { list: [1, { a: 'text' }], none: null, buffer: Buffer.from('abc') };
  /** @type {[(string | number)[], unknown][]} */
  const cases = [
    [['list', 'length'], 2], [['list', 1, 'a', 'length'], 4], [['list', 1, 'a', 0], 't'], [['list', '0'], 1],
    [['buffer', 'length'], 3], [['buffer', 0], 97], [['none', 'a'], undefined], [['none'], null],
    [['missing', 'a', 'b'], undefined], [['list', 'push'], undefined], [['toString'], undefined], [['__proto__'], undefined],
  ];
  for (const [rest, expected] of cases) assert.equal(paths.read(value, rest), expected);
});

test('an index that would need an endless array is left to the store to refuse', () => {
  assert.equal(paths.write({ list: [] }, ['list', 4_000_000_000], 1), paths.UNKNOWN);
});

test('expressions are parsed once', () => {
  let calls = 0;
  const parse = paths.createParser((expression) => {
    calls += 1;
    return JSON.stringify(util.normalisePropertyExpression(expression));
  });
  for (let round = 0; round < 3; round += 1) {
    assert.deepStrictEqual(parse('plain_name'), { root: 'plain_name', rest: [] });
    assert.deepStrictEqual(parse('a.b[0]["x.y"]'), { root: 'a', rest: ['b', 0, 'x.y'] });
  }
  assert.equal(calls, 1, 'and a plain name not even once');
  assert.throws(() => parse('a..b'), { code: 'INVALID_EXPR' });
  assert.throws(() => parse(/** @type {any} */ (5)), { code: 'INVALID_EXPR' });
  assert.throws(() => parse('a\ud800'), { code: 'NRC_INVALID_REQUEST' });
  assert.equal(parse('😀').root, '😀');
});
