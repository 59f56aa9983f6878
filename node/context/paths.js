'use strict';

/**
 * Property expressions below a root, on private values. What is written here agrees with what Rust writes
 * into the text: Node-RED's `setObjectProperty`, with what JSON cannot hold left out.
 */

const { define } = require('./values.js');

/**
 * @typedef {object} Path
 * @property {string} root the top-level property, the unit of storage
 * @property {(string | number)[]} rest
 */

/** How many expressions are remembered; flows that build them from data would otherwise fill the memory. */
const REMEMBERED = 20_000;

/** A single name that Node-RED takes as it is, so that no parser needs to look at it. */
const PLAIN_NAME = /^[A-Za-z_$][\w$]{0,255}$/;

/** Has no form in UTF-8, and would silently become another key. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Further than this an array is not padded; Rust says so in an error. */
const LONGEST_PADDING = 1_000_000;

/** What `write` answers where only the store can tell what becomes of the value. */
const UNKNOWN = Symbol('unknown');

/** @type {(string | number)[]} */
const NOTHING = [];

/**
 * @param {(expression: string) => string} parse answers JSON, throws with a code
 * @returns {(expression: string) => Path}
 */
function createParser(parse) {
  /** @type {Map<string, Path>} */
  const remembered = new Map();
  /**
   * @param {string} expression
   * @returns {Path}
   */
  function parseNew(expression) {
    if (typeof expression !== 'string') {
      throw Object.assign(new Error('Invalid property expression: it is not a string'), { code: 'INVALID_EXPR' });
    }
    if (LONE_SURROGATE.test(expression)) {
      throw Object.assign(new Error(`the key ${JSON.stringify(expression)} is not well-formed Unicode`), { code: 'NRC_INVALID_REQUEST' });
    }
    const [root, ...rest] = PLAIN_NAME.test(expression) ? [expression] : JSON.parse(parse(expression));
    const path = { root, rest: rest.length === 0 ? NOTHING : rest };
    if (remembered.size >= REMEMBERED) remembered.clear();
    remembered.set(expression, path);
    return path;
  }
  return (expression) => remembered.get(expression) ?? parseNew(expression);
}

/**
 * @param {any} value
 * @param {(string | number)[]} rest
 * @returns {any} what is there, not a copy; undefined where nothing is
 */
function read(value, rest) {
  let current = value;
  for (let level = 0; level < rest.length; level += 1) {
    if (current === undefined || current === null) return undefined;
    const name = rest[level];
    if (Object.hasOwn(current, name)) current = current[name];
    else if (name === 'length' && Buffer.isBuffer(current)) current = current.length;
    else return undefined;
  }
  return current;
}

/**
 * Sets or (undefined) deletes a property below a root.
 *
 * @param {any} root undefined where there is none; changed in place
 * @param {(string | number)[]} rest not empty
 * @param {unknown} value becomes part of the root
 * @returns {any} the new root, undefined where there is none now, or UNKNOWN
 */
function write(root, rest, value) {
  if (value === undefined) {
    erase(root, rest);
    return root;
  }
  const top = root === undefined ? containerFor(rest[0]) : root;
  let holder = top;
  for (let level = 0; level < rest.length; level += 1) {
    if (!isContainer(holder)) return root;
    const name = nameIn(holder, rest[level]);
    if (name === undefined) return root;
    if (Array.isArray(holder) && !pad(holder, Number(name))) return UNKNOWN;
    if (level === rest.length - 1) {
      put(holder, name, value);
    } else if (!Object.hasOwn(holder, name)) {
      put(holder, name, containerFor(rest[level + 1]));
    }
    holder = holder[name];
  }
  return top;
}

/**
 * @param {any} root
 * @param {(string | number)[]} rest
 */
function erase(root, rest) {
  let holder = root;
  for (let level = 0; level < rest.length; level += 1) {
    if (!isContainer(holder)) return;
    const name = nameIn(holder, rest[level]);
    if (name === undefined || !Object.hasOwn(holder, name)) return;
    if (level < rest.length - 1) holder = holder[name];
    else if (!Array.isArray(holder)) delete holder[name];
    else if (typeof rest[level] === 'number') holder.splice(Number(name), 1);
    // `delete` leaves a hole, which is null in JSON.
    else holder[Number(name)] = null;
  }
}

/** @param {string | number} name the first below it */
function containerFor(name) {
  return typeof name === 'string' ? {} : [];
}

/**
 * @param {any} value
 * @returns {boolean} whether it can have properties in JSON
 */
function isContainer(value) {
  return Array.isArray(value) || (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype);
}

/**
 * @param {any} holder
 * @param {string | number} name
 * @returns {string | number | undefined} undefined: an array in JSON has no property of this name
 */
function nameIn(holder, name) {
  if (!Array.isArray(holder) || typeof name === 'number') return name;
  return /^(0|[1-9]\d{0,9})$/.test(name) && Number(name) < 4_294_967_295 ? Number(name) : undefined;
}

/**
 * @param {unknown[]} array
 * @param {number} index everything before it is there afterwards
 * @returns {boolean} false where it would be too much
 */
function pad(array, index) {
  if (index - array.length > LONGEST_PADDING) return false;
  while (array.length < index) array.push(null);
  return true;
}

/**
 * @param {any} holder
 * @param {string | number} name
 * @param {unknown} value
 */
function put(holder, name, value) {
  if (name === '__proto__') define(holder, name, value);
  else holder[name] = value;
}

module.exports = { UNKNOWN, createParser, read, write };
