'use strict';

/** A process with one context store in it, from outside. */

const path = require('node:path');

const { temporaryDirectory } = require('../../tests/support/directories.js');
const { startCommanded } = require('../support/commanded.js');

/** @typedef {import('../../tests/support/cluster.js').Scope} Scope */
/** @typedef {Omit<import('./stores.js').StoreOptions, 'directory'>} StoreOptions */
/** @typedef {Awaited<ReturnType<typeof startContender>>} Contender */

/**
 * @typedef {import('./tasks.js').Done & {cpu: number, thread: number}} Measured
 *   cpu: seconds that all threads of the process used; thread: seconds of the one that runs JavaScript
 */

/**
 * @param {Scope} scope that ends it
 * @param {string} store one of STORES
 * @param {StoreOptions} options
 * @param {{flags?: string[]}} [process] flags of Node.js
 */
async function startContender(scope, store, options, { flags = [] } = {}) {
  const directory = temporaryDirectory('bench-context');
  const file = path.join(__dirname, 'contender-process.js');
  const { command, release } = startCommanded(scope, file, directory, { flags, label: `${store}: ` });

  await command('open', { name: store, options: { ...options, directory } });
  return {
    /**
     * @param {string} task one of those of tasks.js
     * @param {object} parameters
     * @returns {Promise<Measured>}
     */
    measure: (task, parameters) => command('measure', { task, parameters }),
    /** Closes its store and ends it. */
    async end() {
      await command('close');
      await release();
    },
    release,
  };
}

module.exports = { startContender };
