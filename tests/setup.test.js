'use strict';

/** What the npm commands say on a machine that lacks something. */

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { ROOT, temporaryDirectory } = require('./support/directories');

/**
 * Copies what a clone has before any set-up, as far as the scripts look at it.
 *
 * @param {{engines?: string}} [changes] engines: the oldest Node.js that the package states
 * @returns {string} its folder
 */
function freshClone({ engines } = {}) {
  const clone = temporaryDirectory('clone');
  fs.cpSync(path.join(ROOT, 'scripts'), path.join(clone, 'scripts'), { recursive: true });
  fs.cpSync(path.join(ROOT, 'Cargo.toml'), path.join(clone, 'Cargo.toml'));
  const manifest = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  if (engines) manifest.engines.node = engines;
  fs.writeFileSync(path.join(clone, 'package.json'), JSON.stringify(manifest));
  return clone;
}

/**
 * Runs a script on a machine where only the named programs are found.
 *
 * @param {string} clone
 * @param {string} script
 * @param {{programs?: Record<string, string>, env?: Record<string, string>, parameters?: string[]}} [machine]
 *   programs: by name, what each does as a shell script
 */
function runScript(clone, script, { programs = {}, env = {}, parameters = [] } = {}) {
  const PATH = temporaryDirectory('programs');
  for (const [name, source] of Object.entries(programs)) {
    fs.writeFileSync(path.join(PATH, name), `#!/bin/sh\n${source}\n`, { mode: 0o755 });
  }
  const result = spawnSync(process.execPath, [path.join(clone, 'scripts', script), ...parameters], {
    cwd: clone,
    env: { PATH, HOME: clone, ...env },
    encoding: 'utf8',
  });
  return { code: result.status, message: result.stderr.trim() };
}

/**
 * @param {{code: number | null, message: string}} result
 * @param {RegExp} pattern
 */
function assertNamed({ code, message }, pattern) {
  assert.match(message, pattern);
  assert.equal(message.split('\n').length, 1, `one sentence, no stack trace: ${message}`);
  assert.equal(code, 2);
}

const RUST = { cargo: 'exit 0', rustc: 'echo "rustc 1.99.0 (of this test)"' };

test('a Node.js that is too old is named', () => {
  const result = runScript(freshClone({ engines: '>=99.1' }), 'start.js');
  assertNamed(result, /^Node\.js \S+ is too old .*: install 99\.1 or newer from https:/);
});

test('a missing store is named where pip is missing too', () => {
  for (const script of ['start.js', 'test.js', 'setup.js']) {
    assertNamed(runScript(freshClone(), script), /^Python's pip was not found, .*fetch a Valkey server.*: .* install /);
  }
});

test('a store that is set and does not exist is named', () => {
  const result = runScript(freshClone(), 'start.js', { env: { NODE_RED_CLUSTER_STORE: '/nowhere/valkey-server' } });
  assertNamed(result, /^NODE_RED_CLUSTER_STORE names \/nowhere\/valkey-server, .*: set it /);
});

test('a missing cargo is named', () => {
  assertNamed(runScript(freshClone(), 'build.js'), /^cargo was not found, .*: type `curl .*rustup/);
});

test('a Rust that is too old is named', () => {
  const programs = { ...RUST, rustc: 'echo "rustc 1.63.0 (of this test)"' };
  assertNamed(runScript(freshClone(), 'build.js', { programs }), /^Rust 1\.63\.0 is too old .*: type `rustup update`/);
});

test('a missing linker is named', { skip: process.platform === 'win32' }, () => {
  assertNamed(runScript(freshClone(), 'build.js', { programs: RUST }), /^A C compiler and linker \(cc\) was not found, .*: type `/);
});

test('a build that makes no addon fails', () => {
  const { code, message } = runScript(freshClone(), 'build.js', { programs: { ...RUST, cc: 'exit 0' } });
  assert.match(message, /^Could not build the addon: /);
  assert.equal(code, 1);
});

test('a choice of tests that does not exist is named', () => {
  assertNamed(runScript(ROOT, 'test.js', { parameters: ['--only', 'everything'] }), /^There is no suite everything: choose from rust, /);
});
