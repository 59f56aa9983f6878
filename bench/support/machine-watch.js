'use strict';

/** How busy the machine is, whoever keeps it so. */

const os = require('node:os');
const { setTimeout: delay } = require('node:timers/promises');

/** @typedef {{busy: number, all: number}} Times milliseconds of all cores together */

/** @returns {Times} since the machine started */
function machineTimes() {
  let all = 0;
  let idle = 0;
  for (const { times } of os.cpus()) {
    all += Object.values(times).reduce((sum, time) => sum + time, 0);
    idle += times.idle;
  }
  return { busy: all - idle, all };
}

/**
 * @param {Times} before
 * @param {Times} after
 * @returns {number} cores that were busy, on average
 */
function busyCores(before, after) {
  return (after.busy - before.busy) / (after.all - before.all) * os.cpus().length;
}

/**
 * Says what else runs here: to be called before anything is started.
 *
 * @param {number} milliseconds
 * @returns {Promise<number>} cores that were busy meanwhile
 */
async function busyWith(milliseconds) {
  const before = machineTimes();
  await delay(milliseconds);
  return busyCores(before, machineTimes());
}

module.exports = { busyCores, busyWith, machineTimes };
