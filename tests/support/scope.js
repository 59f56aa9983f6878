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
    for (const cleanUp of cleanUps.reverse()) await cleanUp();
  });
  return { after: (cleanUp) => cleanUps.push(cleanUp) };
}

module.exports = { fileScope };
