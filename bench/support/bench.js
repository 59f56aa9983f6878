'use strict';

/**
 * What a bench is told on the command line.
 *
 * @typedef {object} Options
 * @property {boolean} quick only to see that it works
 * @property {number} [seconds] of a run, instead of the bench's own
 * @property {number[]} [instances]
 * @property {number} [rate] operations a second
 */

/**
 * @param {string} name of an option
 * @param {string} text
 * @returns {number} more than 0
 */
function readNumber(name, text) {
  const number = Number(text);
  if (!(Number.isFinite(number) && number > 0)) throw new Error(`--${name} needs a number above 0, not ${JSON.stringify(text)}.`);
  return number;
}

/**
 * @param {{quick?: boolean, seconds?: string, instances?: string, rate?: string}} values as typed
 * @returns {Options}
 */
function readOptions({ quick = false, seconds, instances, rate }) {
  /** @type {Options} */
  const options = { quick };
  if (seconds !== undefined) options.seconds = readNumber('seconds', seconds);
  if (instances !== undefined) options.instances = instances.split(',').map((text) => readNumber('instances', text));
  if (rate !== undefined) options.rate = readNumber('rate', rate);
  return options;
}

module.exports = { readOptions };
