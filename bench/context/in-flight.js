'use strict';

/** How often the clock is looked at, in operations. */
const CLOCK_EVERY = 16;

/**
 * Keeps a number of operations in flight for a time, then waits for the last of them. An operation may
 * end before its start returns.
 *
 * @param {number} width operations in flight
 * @param {number} milliseconds
 * @param {(index: number, done: (error?: Error | null) => void) => void} start
 * @returns {Promise<number>} operations that ended
 */
function keepInFlight(width, milliseconds, start) {
  return new Promise((resolve, reject) => {
    const until = performance.now() + milliseconds;
    let started = 0;
    let ended = 0;
    let open = true;
    let filling = false;

    function fill() {
      // An operation that has ended at once comes back here: the loop below goes on with it.
      if (filling) return;
      filling = true;
      while (open && started - ended < width) {
        if (started % CLOCK_EVERY === 0 && performance.now() >= until) {
          open = false;
          break;
        }
        started += 1;
        start(started, done);
      }
      filling = false;
      if (!open && started === ended) resolve(ended);
    }
    /** @param {Error | null} [error] */
    function done(error) {
      if (error) {
        open = false;
        reject(error);
        return;
      }
      ended += 1;
      fill();
    }
    fill();
  });
}

module.exports = { keepInFlight };
