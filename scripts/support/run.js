'use strict';

/** Running other programs: found on PATH, with the terminal of this one or with their output captured. */

const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { failed } = require('./stop.js');

const WINDOWS = process.platform === 'win32';
const FORWARDED_SIGNALS = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']);

/**
 * Looks a program up on PATH.
 *
 * @param {string} name without extension
 * @returns {string | undefined} absolute path of the first match
 */
function findOnPath(name) {
  const extensions = WINDOWS ? (process.env.PATHEXT ?? '.EXE;.CMD').split(';') : [''];
  for (const directory of (process.env.PATH ?? '').split(path.delimiter)) {
    for (const extension of extensions) {
      const candidate = path.resolve(directory, name + extension);
      if (directory && isExecutable(candidate)) return candidate;
    }
  }
  return undefined;
}

/**
 * @param {string} file
 * @returns {boolean}
 */
function isExecutable(file) {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

/**
 * Runs a program to its end with its output captured, for questions with a short answer.
 *
 * @param {string} command
 * @param {string[]} parameters
 * @returns {{succeeded: boolean, output: string}} both streams, in that order: stdout, stderr
 */
function ask(command, parameters) {
  const result = spawnSync(command, parameters, { encoding: 'utf8' });
  return { succeeded: result.status === 0, output: `${result.stdout ?? ''}${result.stderr ?? ''}`.trim() };
}

/**
 * Runs a step of set-up to its end on this terminal.
 *
 * @param {string} command
 * @param {string[]} parameters
 * @param {{cwd?: string, env?: NodeJS.ProcessEnv, purpose: string}} options `purpose` completes
 *   the sentence "Could not ..." when it fails
 * @returns {void}
 */
function runStep(command, parameters, { cwd, env, purpose }) {
  const result = spawnSync(command, parameters, { cwd, env, stdio: ['ignore', 2, 2] });
  if (result.error) throw failed(`Could not ${purpose}: ${result.error.message}.`);
  if (result.status !== 0) {
    throw failed(`Could not ${purpose}: ${command} ended with ${result.signal ?? result.status}; the reason stands above.`);
  }
}

/**
 * Runs npm, preferring the one that runs this script.
 *
 * @param {string[]} parameters
 * @param {{cwd: string, purpose: string}} options
 * @returns {void}
 */
function runNpm(parameters, options) {
  const npm = process.env.npm_execpath ?? '';
  if (path.basename(npm) === 'npm-cli.js') return runStep(process.execPath, [npm, ...parameters], options);
  if (WINDOWS) return runStep('cmd.exe', ['/d', '/s', '/c', 'npm', ...parameters], options);
  return runStep('npm', parameters, options);
}

/**
 * Runs a program on this terminal and passes the signals on that reach this process, so that
 * the program decides when both end.
 *
 * @param {string} command
 * @param {string[]} parameters
 * @param {{cwd?: string, env?: NodeJS.ProcessEnv, onOutput?: (chunk: Buffer) => void}} [options] `onOutput` sees
 *   what the program prints on stdout, too
 * @returns {Promise<number>} the exit code, also for a program that a signal ended
 */
function runToEnd(command, parameters, { onOutput, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, parameters, { ...options, stdio: ['inherit', onOutput ? 'pipe' : 'inherit', 'inherit'] });
    if (onOutput) child.stdout?.on('data', onOutput).pipe(process.stdout, { end: false });
    const forwards = FORWARDED_SIGNALS.map((signal) => ({ signal, forward: () => void child.kill(signal) }));
    for (const { signal, forward } of forwards) process.on(signal, forward);
    child.once('error', (error) => reject(failed(`Could not start ${command}: ${error.message}.`)));
    // What is read here has come whole only when the pipe is closed.
    child.once(onOutput ? 'close' : 'exit', (/** @type {number | null} */ code, /** @type {NodeJS.Signals | null} */ signal) => {
      for (const { signal: name, forward } of forwards) process.off(name, forward);
      // By convention a program that a signal ended has 128 and the signal's number as its code.
      resolve(code ?? 128 + os.constants.signals[signal ?? 'SIGKILL']);
    });
  });
}

module.exports = { ask, findOnPath, isExecutable, runNpm, runStep, runToEnd };
