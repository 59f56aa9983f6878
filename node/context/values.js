'use strict';

/**
 * Values of context as text for the store. Buffers and Dates are tagged strings in the text; all else comes back
 * exactly as `JSON.parse(JSON.stringify(value))` gives it.
 */

const { types } = require('node:util');

const MARK = '\u0001';
const DATE = `${MARK}Date:`;
const BUFFER = `${MARK}Buffer:`;
/** How JSON text spells a string that begins with the mark. */
const MARK_IN_TEXT = '"\\u0001';

/** Levels that a walk takes by recursion; deeper values take a slower way. */
const DEPTH = 500;

/** @param {string} message */
function invalid(message) {
  return Object.assign(new Error(message), { code: 'NRC_VALUE_INVALID' });
}

/**
 * @param {unknown} value not undefined
 * @returns {string} its text for the store
 */
function encode(value) {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) ? String(value) : 'null';
    case 'boolean':
      return value ? 'true' : 'false';
    case 'string':
      return JSON.stringify(tagString(value));
    default:
      return value !== null && typeof value === 'object' && isPlain(value, 0) ? JSON.stringify(value) : encodeWithCare(value);
  }
}

/**
 * @param {any} value an object
 * @param {number} depth
 * @returns {boolean} whether JSON.stringify alone makes the right text of it; false where that is not sure
 */
function isPlain(value, depth) {
  if (depth === DEPTH || value.toJSON !== undefined) return false;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) {
      if (!isPlainInside(value[index], depth)) return false;
    }
    return true;
  }
  const prototype = Object.getPrototypeOf(value);
  // Objects of Function nodes have another Object.prototype.
  if (prototype !== Object.prototype && prototype !== null && Object.getPrototypeOf(prototype) !== null) return false;
  for (const name in value) {
    if (!isPlainInside(value[name], depth)) return false;
  }
  return true;
}

/**
 * @param {any} item
 * @param {number} depth of what holds it
 */
function isPlainInside(item, depth) {
  switch (typeof item) {
    case 'string':
      return item.charCodeAt(0) !== 1;
    case 'object':
      return item === null || isPlain(item, depth + 1);
    case 'function':
    case 'bigint':
      return false;
    default:
      return true;
  }
}

/**
 * For values that JSON.stringify does not treat as a context should, and for those that it refuses.
 *
 * @param {unknown} value
 * @returns {string}
 */
function encodeWithCare(value) {
  let copy;
  try {
    copy = copyAny(value, '', { above: [], names: [] }, 0);
  } catch (error) {
    if (error !== TOO_DEEP) throw error;
    return encodeDeep(value);
  }
  if (copy === undefined) throw invalid('it has no form in JSON');
  return JSON.stringify(copy);
}

/**
 * @typedef {object} Walk
 * @property {unknown[]} above the objects that contain the one that is being copied
 * @property {(string | number)[]} names the way to it
 */

/** Thrown by the walk and caught by who started it. */
const TOO_DEEP = new Error('deeper than the walk goes');

/**
 * @param {any} given
 * @param {string | number} name where it stands in what holds it
 * @param {Walk} walk
 * @param {number} depth
 * @returns {unknown} what JSON.stringify makes the text of; undefined where JSON leaves it out
 */
function copyAny(given, name, walk, depth) {
  let value = given;
  if (typeof value === 'object' && value !== null) {
    if (types.isDate(value)) return tagDate(value);
    if (Buffer.isBuffer(value)) return tagBuffer(value);
  }
  if (value !== null && value !== undefined && typeof value !== 'string' && typeof value.toJSON === 'function') {
    value = value.toJSON(String(name));
  }
  switch (typeof value) {
    case 'string':
      return tagString(value);
    case 'number':
    case 'boolean':
    case 'undefined':
      return value;
    case 'symbol':
      return undefined;
    case 'bigint':
      throw invalid(`it contains a BigInt${at(walk, name)}`);
    case 'function':
      throw invalid(`it contains a function${at(walk, name)}`);
    default:
  }
  if (value === null) return null;
  if (depth >= DEPTH) throw TOO_DEEP;
  for (let level = 0; level < depth; level += 1) {
    if (walk.above[level] === value) throw invalid(`it contains itself${at(walk, name)}`);
  }
  walk.above[depth] = value;
  walk.names[depth] = name;
  const copy = Array.isArray(value) ? copyArray(value, walk, depth) : copyObject(value, walk, depth);
  walk.above.length = depth;
  walk.names.length = depth;
  return copy;
}

/**
 * @param {unknown[]} value
 * @param {Walk} walk
 * @param {number} depth
 */
function copyArray(value, walk, depth) {
  /** @type {unknown[]} */
  const copy = [];
  const { length } = value;
  for (let index = 0; index < length; index += 1) {
    const item = copyAny(value[index], index, walk, depth + 1);
    copy.push(item === undefined ? null : item);
  }
  return copy;
}

/**
 * @param {any} value
 * @param {Walk} walk
 * @param {number} depth
 */
function copyObject(value, walk, depth) {
  if (isBoxed(value)) return copyAny(unbox(value), walk.names[depth], walk, depth);
  /** @type {Record<string, unknown>} */
  const copy = {};
  for (const name of Object.keys(value)) {
    const item = copyAny(value[name], name, walk, depth + 1);
    if (item === undefined) continue;
    // Assigned, this name would set the prototype.
    if (name === '__proto__') define(copy, name, item);
    else copy[name] = item;
  }
  return copy;
}

/**
 * @param {any} value
 * @returns {boolean} whether it is an object around a primitive, as `new Number(1)` makes it
 */
function isBoxed(value) {
  return Object.getPrototypeOf(value) !== Object.prototype && types.isBoxedPrimitive(value);
}

/**
 * @param {any} boxed
 * @returns {unknown} what JSON takes it for
 */
function unbox(boxed) {
  if (types.isNumberObject(boxed)) return Number(boxed);
  if (types.isStringObject(boxed)) return String(boxed);
  return boxed.valueOf();
}

/** @param {Date} date */
function tagDate(date) {
  const time = Date.prototype.getTime.call(date);
  return Number.isNaN(time) ? null : DATE + new Date(time).toISOString();
}

/** @param {Buffer} buffer */
function tagBuffer(buffer) {
  return BUFFER + buffer.toString('base64');
}

/**
 * @param {object} object
 * @param {string} name
 * @param {unknown} value
 */
function define(object, name, value) {
  Object.defineProperty(object, name, { configurable: true, enumerable: true, value, writable: true });
}

/**
 * @param {Walk} walk
 * @param {string | number} last
 * @returns {string} the place inside the value, as part of a sentence
 */
function at(walk, last) {
  // The first name is that of the whole value, which has none.
  const names = [...walk.names, last].slice(1);
  if (names.length === 0) return '';
  const place = names.reduce((/** @type {string} */ before, name) => {
    if (typeof name === 'number') return `${before}[${name}]`;
    if (!/^[\w$]+$/.test(name)) return `${before}[${JSON.stringify(name)}]`;
    return before ? `${before}.${name}` : name;
  }, '');
  return ` at ${place}`;
}

/** @param {string} text */
function tagString(text) {
  return text.charCodeAt(0) === 1 ? MARK + text : text;
}

/**
 * The way of values that are nested deeper than the walk goes: as deep as JSON.stringify goes itself.
 *
 * @param {unknown} value
 * @returns {string}
 */
function encodeDeep(value) {
  /** @type {string | undefined} */
  let text;
  try {
    text = JSON.stringify(value, replaceDeep);
  } catch (error) {
    if (error instanceof RangeError) throw invalid('it is nested too deeply');
    if (error instanceof TypeError && /circular/.test(error.message)) throw invalid('it contains itself');
    throw error;
  }
  if (text === undefined) throw invalid('it has no form in JSON');
  return text;
}

/**
 * @this {any} the object that holds the property
 * @param {string} name
 * @param {unknown} value what `toJSON` has already been applied to
 */
function replaceDeep(name, value) {
  const held = this[name];
  if (types.isDate(held)) return tagDate(held);
  if (Buffer.isBuffer(held)) return tagBuffer(held);
  if (typeof value === 'bigint') throw invalid('it contains a BigInt');
  if (typeof value === 'function') throw invalid('it contains a function');
  if (types.isStringObject(value)) return tagString(String(value));
  return typeof value === 'string' ? tagString(value) : value;
}

/**
 * @param {string} scope
 * @param {string} name
 * @param {string} text JSON as it is in the store
 * @returns {any} a value that nobody else holds
 * @throws with code NRC_VALUE_DAMAGED what names the property
 */
function decodeStored(scope, name, text) {
  try {
    return decode(text);
  } catch {
    // The reason that JSON.parse gives quotes from the value, which has no place in a log.
    throw Object.assign(
      new Error(`context \`${name}\` of ${scope}: what is stored is not JSON; set the whole property anew, or correct it in the store`),
      { code: 'NRC_VALUE_DAMAGED' },
    );
  }
}

/**
 * @param {string} text JSON
 * @returns {any} a value that nobody else holds
 */
function decode(text) {
  const value = JSON.parse(text);
  return text.includes(MARK_IN_TEXT) ? untag(value) : value;
}

/**
 * Turns tagged strings back, without recursion: what another client wrote may be nested at any depth.
 *
 * @param {unknown} parsed changed in place
 */
function untag(parsed) {
  if (typeof parsed === 'string') return untagString(parsed);
  const open = [parsed];
  for (let holder = open.pop(); holder !== undefined; holder = open.pop()) {
    if (typeof holder !== 'object' || holder === null) continue;
    for (const [name, item] of Object.entries(holder)) {
      if (typeof item === 'string') {
        if (item.charCodeAt(0) === 1) define(holder, name, untagString(item));
      } else if (typeof item === 'object' && item !== null) {
        open.push(item);
      }
    }
  }
  return parsed;
}

/** @param {string} text */
function untagString(text) {
  if (text.startsWith(MARK + MARK)) return text.slice(1);
  if (text.startsWith(BUFFER)) return Buffer.from(text.slice(BUFFER.length), 'base64');
  if (text.startsWith(DATE)) {
    const date = new Date(text.slice(DATE.length));
    if (!Number.isNaN(date.getTime())) return date;
  }
  // Written by someone who knows nothing of tags.
  return text;
}

module.exports = { decode, decodeStored, define, encode };
