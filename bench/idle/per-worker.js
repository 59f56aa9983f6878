'use strict';

/**
 * What each of the workers adds to the admin alone, a second.
 *
 * @param {import('./stand-still.js').Still} alone
 * @param {import('./stand-still.js').Still} together the same admin, and at least one worker
 */
function perWorker(alone, together) {
  const rate = (/** @type {(still: import('./stand-still.js').Still) => number} */ figure) => (
    (figure(together) / together.seconds - figure(alone) / alone.seconds) / together.workers
  );
  const amount = (/** @type {'links' | 'memory'} */ figure) => (together[figure] - alone[figure]) / together.workers;
  return {
    commands: rate(({ calls }) => Object.values(calls).reduce((sum, count) => sum + count, 0)),
    received: rate(({ received }) => received),
    sent: rate(({ sent }) => sent),
    cpu: rate(({ cpu }) => cpu),
    links: amount('links'),
    memory: amount('memory'),
  };
}

module.exports = { perWorker };
