'use strict';

/**
 * Random values for property-based tests. A run is repeated by its seed, which each test prints:
 * `CONTEXT_SEED=<seed>`; `CONTEXT_CASES=<factor>` multiplies how many cases are tried.
 */

/** @typedef {ReturnType<typeof createRandom>} Random */

/** How many times more cases than usual are tried. */
const CASES = Number(process.env.CONTEXT_CASES ?? 1);

/**
 * @param {{diagnostic: (message: string) => void}} t the test, which shows the seed
 * @returns {Random}
 */
function seededRandom(t) {
  const seed = process.env.CONTEXT_SEED ? Number(process.env.CONTEXT_SEED) : Date.now() % 0x7fffffff;
  t.diagnostic(`CONTEXT_SEED=${seed}`);
  return createRandom(seed);
}

/** Numbers at the edges of what JSON and doubles can say; -0 is here to show that it becomes 0. */
const NUMBERS = [
  0, -0, 1, -1, 0.1, 0.1 + 0.2, 1e21, 1e-7, 5e-324, -5e-324, Number.MAX_VALUE, Number.MIN_VALUE,
  2 ** 53 - 1, 2 ** 53, 2 ** 53 + 2, -(2 ** 53), 123456789.12345679, 1e20, 0.000001, 4294967295, NaN, Infinity,
];

const STRINGS = [
  '', ' ', 'a', 'ä', '漢字', '🦀', '\u0000', '\u0001', '\u0001Date:2020-01-01T00:00:00.000Z', '\u0001Buffer:AAAA',
  '\u0001\u0001', '"quoted"', '\\', '\\u0001', '"\\u0001', '\n\r\t', '\ud800', '\udc00', 'x\ud83d', '\udc00\ud800', '\u2028\u2029',
  '__proto__', 'null', '{"a":1}', '[]', 'gzip:', 'gzip:H4sI', '\ufeff', '\u007f',
];

const NAMES = ['a', 'b', 'x y', 'x.y', '0', '1', '01', '', 'ключ', '"', "'", '\u0001', '\ud800', '__proto__', 'constructor', 'length'];

/** @param {number} seed */
function createRandom(seed) {
  let state = seed >>> 0;

  /** @returns {number} in [0, 1): the generator mulberry32 */
  function next() {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }
  /** @param {number} bound */
  const below = (bound) => Math.floor(next() * bound);
  /**
   * @template T
   * @param {readonly T[]} choices
   * @returns {T}
   */
  const pick = (choices) => choices[below(choices.length)];
  /** @param {number} probability */
  const chance = (probability) => next() < probability;

  function number() {
    if (chance(0.5)) return pick(NUMBERS);
    if (chance(0.5)) return below(1000) - 500;
    // Any double at all, drawn by its bits.
    const bits = new DataView(new ArrayBuffer(8));
    bits.setUint32(0, below(2 ** 32));
    bits.setUint32(4, below(2 ** 32));
    return bits.getFloat64(0);
  }

  function string() {
    if (chance(0.6)) return pick(STRINGS);
    return Array.from({ length: below(20) }, () => String.fromCharCode(below(0x10000))).join('');
  }

  /** @param {number} depth */
  function container(depth) {
    const size = below(5);
    if (chance(0.4)) return Array.from({ length: size }, () => json(depth - 1));
    /** @type {Record<string, unknown>} */
    const object = {};
    for (let index = 0; index < size; index += 1) {
      const name = chance(0.8) ? pick(NAMES) : string();
      // A plain assignment to __proto__ would set the prototype.
      Object.defineProperty(object, name, { value: json(depth - 1), enumerable: true, configurable: true, writable: true });
    }
    return object;
  }

  /**
   * @param {number} [depth] how deep it may nest
   * @returns {any} a value that JSON.stringify takes, undefined inside included
   */
  function json(depth = 4) {
    if (depth > 0 && chance(0.6)) return container(depth);
    return pick([number, number, string, string, () => true, () => false, () => null, () => undefined])();
  }

  return { next, below, pick, chance, number, string, json };
}

module.exports = { CASES, createRandom, seededRandom };
