'use strict';

/** What set-up cannot bring itself. Each thing missing is named in one sentence with what to type. */

const fs = require('node:fs');
const path = require('node:path');

const { ROOT } = require('../support/paths.js');
const { ask, findOnPath } = require('../support/run.js');
const { unusable } = require('../support/stop.js');

/** The linters and the test runner need it; running needs only what the package itself does. */
const OLDEST_NODE_FOR_TESTS = '20.19.0';
const INSTALL_RUST = "type `curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh` or see https://rustup.rs";

/**
 * @typedef {{command: string, parameters: string[]}} Program
 */

/** Requires a Node.js that the package runs on. */
function requireNode() {
  requireNodeVersion(readManifest().engines.node.replace('>=', ''), 'run this package');
}

/** Requires a Node.js that the tests and linters run on. */
function requireNodeForTests() {
  requireNodeVersion(OLDEST_NODE_FOR_TESTS, 'test this package');
}

/**
 * @param {string} wanted
 * @param {string} purpose
 * @returns {void}
 */
function requireNodeVersion(wanted, purpose) {
  if (!isOlder(process.versions.node, wanted)) return;
  throw unusable(`Node.js ${process.versions.node} is too old to ${purpose}: install ${wanted} or newer from https://nodejs.org.`);
}

/** Requires cargo with a compiler that is new enough, and a linker for it. */
function requireRust() {
  if (!findOnPath('cargo')) {
    throw unusable(`cargo was not found, and the addon is built with it: ${INSTALL_RUST}.`);
  }
  const wanted = oldestRust();
  const version = /^rustc (\d+\.\d+\.\d+)/.exec(ask('rustc', ['--version']).output)?.[1];
  if (!version) throw unusable(`cargo was found but rustc does not run: ${INSTALL_RUST}.`);
  if (isOlder(version, wanted)) {
    throw unusable(`Rust ${version} is too old to build the addon, which needs ${wanted}: type \`rustup update\`, or ${INSTALL_RUST}.`);
  }
  if (process.platform !== 'win32' && !process.env.CC && !findOnPath('cc')) {
    throw unusable(`A C compiler and linker (cc) was not found, and cargo needs one: ${installCompiler()}.`);
  }
}

/**
 * Finds Python and its pip, which fetch wheels from PyPI.
 *
 * @param {string} purpose completes the sentence "Python's pip was not found, and it is needed to ..."
 * @param {string} instead what the user can do without pip, as the end of a sentence
 * @returns {{python: string, pip: Program}}
 */
function requirePip(purpose, instead) {
  const python = ['python3', 'python'].find((name) => findOnPath(name) && ask(name, ['-c', 'import zipfile']).succeeded);
  const candidates = [
    ...(python ? [{ command: python, parameters: ['-m', 'pip'] }] : []),
    { command: 'pip3', parameters: [] },
    { command: 'pip', parameters: [] },
  ];
  const pip = candidates.find(
    ({ command, parameters }) => findOnPath(command) && ask(command, [...parameters, '--version']).succeeded,
  );
  if (!python || !pip) {
    throw unusable(`Python's pip was not found, and it is needed to ${purpose}: ${installPip()}, ${instead}.`);
  }
  return { python, pip };
}

/** @returns {string} what to type for a C compiler on this platform */
function installCompiler() {
  if (process.platform === 'darwin') return 'type `xcode-select --install`';
  if (findOnPath('apk')) return 'type `apk add build-base`';
  if (findOnPath('dnf')) return 'type `sudo dnf install gcc`';
  return 'type `sudo apt-get install build-essential`, or install the compiler of your system';
}

/** @returns {string} what to type for pip on this platform */
function installPip() {
  if (process.platform === 'darwin') return 'type `brew install python`';
  if (findOnPath('apk')) return 'type `apk add py3-pip`';
  if (findOnPath('dnf')) return 'type `sudo dnf install python3-pip`';
  if (findOnPath('apt-get')) return 'type `sudo apt-get install python3-pip`';
  return 'install Python from https://www.python.org';
}

/** @returns {{engines: {node: string}}} the package's own `package.json` */
function readManifest() {
  return JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
}

/** @returns {string} the oldest compiler, as the workspace states it */
function oldestRust() {
  const manifest = fs.readFileSync(path.join(ROOT, 'Cargo.toml'), 'utf8');
  const version = /^rust-version\s*=\s*"([\d.]+)"/m.exec(manifest)?.[1];
  if (!version) throw new Error('Cargo.toml states no rust-version');
  return version;
}

/**
 * @param {string} version
 * @param {string} wanted
 * @returns {boolean} whether `version` is below `wanted`; missing parts count as 0
 */
function isOlder(version, wanted) {
  const have = version.split('.').map(Number);
  const need = wanted.split('.').map(Number);
  for (const [index, part] of need.entries()) {
    const difference = (have[index] ?? 0) - part;
    if (difference !== 0) return difference < 0;
  }
  return false;
}

module.exports = { requireNode, requireNodeForTests, requirePip, requireRust };
