'use strict';

const { after } = require('node:test');

/**
 * A scope for what all tests of a file share, where a test's own context cannot
 * be used. To be called at the top of the file.
 *
 * @returns {{after: (cleanUp: () => Promise<void>) => void}}
 */
function fileScope() {
  /** @type {Array<() => Promise<void>>} */
  const cleanUps = [];
  after(async () => {
    /** @type {unknown[]} */
    const errors = [];
    // One that fails, as where a secret was shown, leaves the others their turn.
    for (const cleanUp of cleanUps.reverse()) await Promise.resolve().then(cleanUp).catch((error) => errors.push(error));
    if (errors.length > 0) throw errors[0];
  });
  return { after: (cleanUp) => cleanUps.push(cleanUp) };
}

module.exports = { fileScope };
