'use strict';

/** Copies of private values for flows: what a read costs where the value is an object. */

/** Levels that are copied by recursion; what another client wrote may be nested at any depth. */
const DEPTH = 500;

/**
 * How many properties an object of primitives may have to be spread. V8 keeps larger ones as dictionaries,
 * which are copied faster one by one.
 */
const SPREADABLE = 100;

/**
 * @param {any} value JSON data, Buffers and Dates
 * @returns {any} a copy that shares nothing with it
 */
function clone(value) {
  return typeof value === 'object' && value !== null ? cloneObject(value, 0) : value;
}

/**
 * @param {any} value an object
 * @param {number} depth
 * @returns {any}
 */
function cloneObject(value, depth) {
  if (depth === DEPTH) return cloneDeep(value);
  if (Array.isArray(value)) {
    const copy = value.slice();
    for (let index = 0; index < copy.length; index += 1) {
      const item = copy[index];
      if (typeof item === 'object' && item !== null) copy[index] = cloneObject(item, depth + 1);
    }
    return copy;
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return cloneLeaf(value);
  let count = 0;
  for (const name in value) {
    const item = value[name];
    count += 1;
    if (count > SPREADABLE || (typeof item === 'object' && item !== null)) return cloneEach(value, depth);
  }
  // Copies the shape at once, and an own `__proto__` as the property that it is.
  return { ...value };
}

/**
 * @param {any} value an object
 * @param {number} depth
 */
function cloneEach(value, depth) {
  /** @type {Record<string, unknown>} */
  const copy = {};
  for (const name in value) {
    const item = value[name];
    const own = typeof item === 'object' && item !== null ? cloneObject(item, depth + 1) : item;
    // Assigned, this name would set the prototype.
    if (name === '__proto__') Object.defineProperty(copy, name, { configurable: true, enumerable: true, value: own, writable: true });
    else copy[name] = own;
  }
  return copy;
}

/** @param {Buffer | Date} value */
function cloneLeaf(value) {
  return Buffer.isBuffer(value) ? Buffer.from(value) : new Date(value.getTime());
}

/**
 * The same without recursion.
 *
 * @param {any} value an object
 */
function cloneDeep(value) {
  const top = shallow(value);
  const open = [top];
  for (let copy = open.pop(); copy !== undefined; copy = open.pop()) {
    for (const name of Object.keys(copy)) {
      const item = copy[name];
      if (typeof item !== 'object' || item === null) continue;
      copy[name] = shallow(item);
      if (!Buffer.isBuffer(item)) open.push(copy[name]);
    }
  }
  return top;
}

/** @param {any} value an object */
function shallow(value) {
  if (Array.isArray(value)) return value.slice();
  return Object.getPrototypeOf(value) === Object.prototype ? { ...value } : cloneLeaf(value);
}

module.exports = { clone };
