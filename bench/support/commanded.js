'use strict';

/** A process that is told what to do, one command at a time, and ends with the bench. */

const { fork } = require('node:child_process');

const { removeDirectory } = require('../../tests/support/directories.js');

/**
 * @param {import('../../tests/support/cluster.js').Scope} scope that ends it
 * @param {string} file what it runs: it answers each message `{name, parameters}` with one, `{error}` if it failed
 * @param {string} directory that is removed with it
 * @param {{flags?: string[], label?: string}} [options] flags of Node.js; what stands before errors
 */
function startCommanded(scope, file, directory, { flags = [], label = '' } = {}) {
  const child = fork(file, { execArgv: flags, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
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
    if (answer.error) throw new Error(`${label}${name} ${JSON.stringify(parameters)} failed: ${answer.error}\n${log}`);
    return answer;
  }

  return { command, release };
}

module.exports = { startCommanded };
