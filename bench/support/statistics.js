'use strict';

/**
 * @typedef {object} Spread
 * @property {number} median
 * @property {number} lowest
 * @property {number} highest
 */

/**
 * @param {number[]} values at least one
 * @returns {Spread}
 */
function spread(values) {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length / 2;
  const median = sorted.length % 2 === 1
    ? sorted[Math.floor(middle)]
    : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, lowest: sorted[0], highest: sorted[sorted.length - 1] };
}

/**
 * @param {number[]} values at least one
 * @param {number} [digits] after the point
 * @returns {string} the median, and the lowest and the highest in brackets
 */
function describeSpread(values, digits = 0) {
  const { median, lowest, highest } = spread(values);
  const show = (/** @type {number} */ value) => value.toLocaleString('en', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  return `${show(median)} (${show(lowest)} to ${show(highest)})`;
}

module.exports = { describeSpread, spread };
