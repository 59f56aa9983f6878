'use strict';

const fs = require('node:fs');
const path = require('node:path');

const { temporaryDirectory } = require('../../tests/support/directories.js');
const { startCommanded } = require('../support/commanded.js');

const FLOW_FILE = 'flows.json';

/** @typedef {import('./node-red.js').Blocked} Blocked */
/** @typedef {Awaited<ReturnType<typeof startAdmin>>} Admin */

/**
 * Starts a process with an admin in it.
 *
 * @param {import('../../tests/support/cluster.js').Scope} scope that ends it
 * @param {import('../../tests/support/store.js').Store} store
 * @param {string} keyPrefix
 * @param {{userDir: string}} [earlier] an admin whose flow file it finds on its disk; none when absent
 */
async function startAdmin(scope, store, keyPrefix, earlier) {
  const userDir = temporaryDirectory('event-loop');
  if (earlier) fs.copyFileSync(path.join(earlier.userDir, FLOW_FILE), path.join(userDir, FLOW_FILE));
  const { command, release } = startCommanded(scope, path.join(__dirname, 'node-red.js'), userDir);

  const settings = {
    flowFile: FLOW_FILE,
    credentialSecret: 'bench',
    valkey: { role: 'admin', host: store.host, port: store.port, keyPrefix },
  };
  /** @type {{load: Blocked}} */
  const { load } = await command('start', { settings, userDir });
  return {
    userDir,
    /** What loading the flows at the start did. */
    load,
    /** @type {(bytes: number) => Promise<{nodes: number, bytes: number}>} */
    generate: (bytes) => command('generate', { bytes }),
    /** @type {(name: string) => Promise<Blocked>} */
    save: (name) => command('save', { name }),
    /** @type {() => Promise<Blocked>} */
    receive: () => command('receive'),
    /** @type {() => Promise<{longest: number, took: number}>} */
    rest: () => command('rest'),
    release,
  };
}

module.exports = { startAdmin };
