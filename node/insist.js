'use strict';

/** Goes on with what has to go on as long as the instance lives. */

const { setTimeout: delay } = require('node:timers/promises');

/** The first and the longest pause after a fault, in milliseconds. */
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 30_000;

/**
 * Takes one step after the other. One that fails, which only a fault of this program makes it do, is followed by
 * the next after a pause that grows while they fail.
 *
 * @param {string} what it is, for the log
 * @param {import('./types').Runtime['log']} log
 * @param {() => Promise<boolean>} step false: there is no other
 * @returns {Promise<void>}
 */
async function insist(what, log, step) {
  let pause = FIRST_PAUSE;
  for (;;) {
    try {
      if (!await step()) return;
      pause = FIRST_PAUSE;
    } catch (error) {
      const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
      // The native side has logged a fault with its place.
      if (code !== 'NRC_INTERNAL') log.error(`[cluster] ${what} failed: ${message}`);
      log.info(`[cluster] ${what} begins anew in ${pause} ms`);
      await delay(pause, undefined, { ref: false });
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
  }
}

module.exports = { insist };
