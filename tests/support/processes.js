'use strict';

/**
 * Child processes of a test. Whatever happens to the test, none of them
 * outlives it.
 */

const { spawn } = require('node:child_process');

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set();

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.once(signal, () => process.exit(1));
}

/**
 * @typedef {object} Exit
 * @property {number | null} code exit code, null when a signal ended it
 * @property {NodeJS.Signals | null} signal
 */

/**
 * @typedef {object} Child
 * @property {number} pid
 * @property {Promise<Exit>} exited settles once the process is gone and its output is read
 * @property {() => boolean} isRunning
 * @property {(signal: NodeJS.Signals) => void} signal
 * @property {() => Promise<Exit>} kill SIGKILL, then waits
 */

/**
 * Starts a process and hands each piece of its output to a listener.
 *
 * @param {string} file
 * @param {string[]} args
 * @param {object} options
 * @param {string} options.cwd
 * @param {NodeJS.ProcessEnv} options.env the whole environment
 * @param {(text: string) => void} options.onOutput standard output and error, as they come
 * @returns {Child}
 */
function startProcess(file, args, { cwd, env, onOutput }) {
  const child = spawn(file, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  child.stdout.setEncoding('utf8').on('data', onOutput);
  child.stderr.setEncoding('utf8').on('data', onOutput);
  let ended = false;

  /** @type {Promise<Exit>} */
  const exited = new Promise((resolve) => {
    child.once('error', (error) => {
      running.delete(child);
      ended = true;
      onOutput(`${file} did not start: ${error.message}\n`);
      resolve({ code: null, signal: null });
    });
    child.once('exit', () => {
      running.delete(child);
      ended = true;
    });
    child.once('close', (code, signal) => resolve({ code, signal }));
  });

  return {
    pid: child.pid ?? -1,
    exited,
    isRunning: () => !ended,
    signal: (signal) => {
      child.kill(signal);
    },
    kill: () => {
      child.kill('SIGKILL');
      return exited;
    },
  };
}

module.exports = { startProcess };
