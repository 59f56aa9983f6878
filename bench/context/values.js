'use strict';

/** The values that are measured: a number, and objects as a flow keeps them, by the length of their JSON. */

const vm = require('node:vm');

/** The scope that all of them are in. */
const SCOPE = 'global';

/** @typedef {'number' | '1 KB' | '10 KB' | '100 KB'} Size */

/** @type {Record<Size, number>} bytes of JSON text; 0 for a bare number */
const BYTES = { number: 0, '1 KB': 1_000, '10 KB': 10_000, '100 KB': 100_000 };

/**
 * Parses in a context of its own, as that of a Function node is: its objects have other prototypes than ours.
 *
 * @type {(text: string) => unknown}
 */
const parseElsewhere = vm.runInNewContext('JSON.parse');

/**
 * @param {Size} size
 * @param {number} seed
 * @returns {unknown} the value as a Function node makes it
 */
function valueOfFlow(size, seed) {
  return parseElsewhere(JSON.stringify(valueOf(size, seed)));
}

/**
 * @param {Size} size
 * @param {number} seed values of different seeds differ
 * @returns {unknown}
 */
function valueOf(size, seed) {
  if (size === 'number') return seed;
  const value = { device: `boiler-${seed}`, updated: 1_763_800_000_000 + seed, readings: [reading(seed, 0)] };
  let length = JSON.stringify(value).length;
  for (;;) {
    const next = reading(seed, value.readings.length);
    length += JSON.stringify(next).length + 1;
    if (length > BYTES[size]) return value;
    value.readings.push(next);
  }
}

/**
 * @param {number} seed
 * @param {number} index
 */
function reading(seed, index) {
  return {
    sensor: `temperature-${index}`,
    value: 20 + Math.sin(seed + index),
    unit: 'celsius',
    at: 1_763_800_000_000 + index * 1_000,
    valid: index % 7 !== 0,
    tags: ['hall', 'north'],
    note: null,
  };
}

/**
 * @param {Size} size
 * @param {number} count
 * @returns {string[]} names of properties that hold values of that size
 */
function namesOf(size, count) {
  const kind = size.replace(' ', '');
  return Array.from({ length: count }, (_, index) => `value_${kind}_${index}`);
}

/**
 * @param {Size} size
 * @returns {number} how many readings a value of that size has
 */
function readingsOf(size) {
  return /** @type {{readings: object[]}} */ (valueOf(size, 0)).readings.length;
}

module.exports = { SCOPE, namesOf, readingsOf, valueOf, valueOfFlow };
