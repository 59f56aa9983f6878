'use strict';

/** `crates/bench`: light instances in processes of their own, which tell what happens in lines of JSON. */

const { spawn, spawnSync } = require('node:child_process');
const readline = require('node:readline');

const { ROOT } = require('../../tests/support/directories.js');
const { failed } = require('../../scripts/support/stop.js');

const PACKAGE = 'node-red-cluster-bench';

/**
 * Builds the program, as optimised as what is shipped; a quick run is content with what is built sooner.
 *
 * @param {{quick: boolean}} options
 * @returns {string} its path
 */
function buildLightInstances({ quick }) {
  const parameters = ['build', '--locked', '--package', PACKAGE, '--message-format', 'json-render-diagnostics'];
  if (!quick) parameters.push('--release');
  const { status, stdout, error } = spawnSync('cargo', parameters, {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (error || status !== 0) throw failed(`Could not build the light instances: ${error?.message ?? 'cargo says why above'}.`);
  for (const line of stdout.split('\n').filter(Boolean)) {
    const message = JSON.parse(line);
    if (message.reason === 'compiler-artifact' && message.target.name === PACKAGE && message.executable) return message.executable;
  }
  throw failed(`Could not build the light instances: cargo made no program of ${PACKAGE}.`);
}

/**
 * Starts the program.
 *
 * @param {import('../../tests/support/cluster.js').Scope} scope that ends it
 * @param {string} program its path
 * @param {string} command of it
 * @param {Record<string, string | number>} options of that
 */
function startLightInstances(scope, program, command, options) {
  const parameters = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const child = spawn(program, [command, ...parameters], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();

  /** Ends it; it ends by itself with its input. */
  async function release() {
    child.stdin.end();
    await ended;
  }
  scope.after(async () => {
    child.kill('SIGKILL');
    await ended;
  });

  return {
    pid: child.pid,
    release,
    /**
     * @param {string} event that comes next
     * @returns {Promise<any>} all that is told with it
     */
    async until(event) {
      const { value, done } = await lines.next();
      const told = done ? undefined : JSON.parse(value);
      if (told?.event !== event) throw new Error(`the light instances ended, or said ${value}, before ${event}`);
      return told;
    },
  };
}

module.exports = { buildLightInstances, startLightInstances };
