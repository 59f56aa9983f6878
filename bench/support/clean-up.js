'use strict';

/**
 * Runs something that starts processes, and ends them whatever happens.
 *
 * @template T
 * @param {(scope: import('../../tests/support/cluster.js').Scope) => Promise<T>} work
 * @returns {Promise<T>}
 */
async function withScope(work) {
  /** @type {Array<() => Promise<void>>} */
  const cleanUps = [];
  try {
    return await work({ after: (cleanUp) => cleanUps.push(cleanUp) });
  } finally {
    for (const cleanUp of cleanUps.reverse()) await cleanUp();
  }
}

module.exports = { withScope };
