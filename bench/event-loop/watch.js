'use strict';

/**
 * Watches the event loop from inside: a chain of immediates, one in each turn. The longest time between
 * two of them bounds what anything has blocked from above, to the precision of the clock.
 *
 * @returns {{stop: () => {longest: number, took: number}}} stop: ends it and gives, in milliseconds, the
 *   longest time, with the turn that calls it, and the time in all
 */
function watchLoop() {
  const since = performance.now();
  let longest = 0;
  let last = since;
  let watching = true;

  function see() {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }
  function turn() {
    if (!watching) return;
    see();
    setImmediate(turn);
  }
  setImmediate(turn);

  return {
    stop() {
      see();
      watching = false;
      return { longest, took: last - since };
    },
  };
}

module.exports = { watchLoop };
