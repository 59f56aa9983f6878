'use strict';

/** A process with one context store in it, from outside. */

const { fork } = require('node:child_process');
const path = require('node:path');

const { removeDirectory, temporaryDirectory } = require('../../tests/support/directories.js');

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
  const child = fork(path.join(__dirname, 'contender-process.js'), { execArgv: flags, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text) => {
      log += text;
    });
  }
  const ended = new Promise((resolve) => child.once('close', resolve));
  async function release() {
    child.kill('SIGKILL');
    await ended;
    removeDirectory(directory);
  }
  scope.after(release);

  /**
   * @param {string} name
   * @param {object} [parameters]
   * @returns {Promise<any>}
   */
  async function command(name, parameters = {}) {
    const answered = new Promise((resolve) => {
      child.once('message', resolve);
      ended.then(() => resolve({ error: 'the process ended' }));
    });
    child.send({ name, parameters });
    const answer = await answered;
    if (answer.error) throw new Error(`${store}: ${name} ${JSON.stringify(parameters)} failed: ${answer.error}\n${log}`);
    return answer;
  }

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
