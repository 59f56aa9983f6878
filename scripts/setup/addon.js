'use strict';

/** The native addon: cargo decides whether there is anything to build, and a changed result is put in place at once. */

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const { NATIVE, ROOT } = require('../support/paths.js');
const { failed } = require('../support/stop.js');
const { addonFileName, isMusl } = require('./platform.js');
const { requireRust } = require('./prerequisites.js');

const PACKAGE = 'node-red-cluster-addon';

/**
 * Builds the release addon and puts it where the package loads it from.
 *
 * @returns {string} path of the addon
 */
function buildAddon() {
  requireRust();
  const target = path.join(NATIVE, addonFileName());
  putInPlace(compile(), target);
  return target;
}

/**
 * @returns {string} path of the library that cargo built, or had built before
 */
function compile() {
  const parameters = ['build', '--release', '--locked', '--package', PACKAGE, '--message-format', 'json-render-diagnostics'];
  const result = spawnSync('cargo', parameters, {
    cwd: ROOT,
    env: buildEnvironment(),
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (result.error) throw failed(`Could not build the addon: ${result.error.message}.`);
  if (result.status !== 0) throw failed('Could not build the addon: cargo says why above.');
  const library = libraryIn(result.stdout);
  if (!library) throw failed(`Could not build the addon: cargo made no library of ${PACKAGE}.`);
  return library;
}

/**
 * @returns {NodeJS.ProcessEnv}
 */
function buildEnvironment() {
  if (!isMusl()) return process.env;
  // On musl rustc links the C library statically by default, and a static library cannot be loaded.
  return { ...process.env, RUSTFLAGS: `${process.env.RUSTFLAGS ?? ''} -C target-feature=-crt-static`.trim() };
}

/**
 * Finds the library in cargo's messages, which know the target directory wherever it was configured.
 *
 * @param {string} messages one JSON object a line
 * @returns {string | undefined}
 */
function libraryIn(messages) {
  const name = PACKAGE.replaceAll('-', '_');
  for (const line of messages.split('\n').filter(Boolean)) {
    const message = JSON.parse(line);
    if (message.reason === 'compiler-artifact' && message.target.name === name && message.target.kind.includes('cdylib')) {
      return message.filenames.find((/** @type {string} */ file) => /\.(so|dylib|dll)$/.test(file));
    }
  }
  return undefined;
}

/**
 * Copies by renaming, so that a process that has the old file loaded keeps it whole.
 *
 * @param {string} source
 * @param {string} target
 * @returns {void}
 */
function putInPlace(source, target) {
  if (fs.existsSync(target) && fs.readFileSync(source).equals(fs.readFileSync(target))) return;
  fs.mkdirSync(path.dirname(target), { recursive: true });
  const staging = `${target}.${process.pid}`;
  try {
    fs.copyFileSync(source, staging);
    fs.renameSync(staging, target);
  } finally {
    fs.rmSync(staging, { force: true });
  }
}

module.exports = { buildAddon };
