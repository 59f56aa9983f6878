'use strict';

/**
 * Writes the `valkey` block of settings.js as JSON for the parser in Rust. What JSON cannot say is
 * written as an object with a `$type`, so that the parser can name it in an error.
 */

/**
 * @param {unknown} block
 * @returns {string} JSON text
 */
function describeBlock(block) {
  return JSON.stringify(describe(block, new Set())) ?? 'null';
}

/**
 * @param {unknown} value
 * @param {Set<object>} above the objects that contain this one, against cycles
 * @returns {unknown}
 */
function describe(value, above) {
  if (typeof value === 'function') return { $type: 'function' };
  if (typeof value === 'bigint' || typeof value === 'symbol') return { $type: 'other', name: typeof value };
  if (typeof value === 'number' && !Number.isFinite(value)) return { $type: 'number', text: String(value) };
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) return { $type: 'buffer', base64: Buffer.from(value).toString('base64') };
  if (above.has(value)) return { $type: 'other', name: 'a reference to itself' };
  const inside = new Set(above).add(value);
  if (Array.isArray(value)) return value.map((item) => describe(item, inside) ?? null);
  const prototype = Object.getPrototypeOf(value);
  // An object of another realm (settings loaded in a vm) has another Object.prototype.
  const plain = prototype === null || Object.getPrototypeOf(prototype) === null;
  if (!plain) return { $type: 'other', name: prototype.constructor?.name ?? 'object' };
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, describe(item, inside)]));
}

module.exports = { describeBlock };
