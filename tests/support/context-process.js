'use strict';

/** A process of its own that uses the context store, told by the test what to do. */

const { fork } = require('node:child_process');
const path = require('node:path');
const { withLogin } = require('./addresses');
const secrets = require('./secrets');
// Its clean-up at the end of the test process is needed here too.
require('./processes');

/** @typedef {Awaited<ReturnType<typeof startContextProcess>>} ContextProcess */

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/**
 * @param {{after: (cleanUp: () => Promise<void>) => void}} scope
 * @param {object} options
 * @param {string} options.work path of a module whose functions take a session, then their arguments
 * @param {import('./context-store').ContextConfig} options.config
 */
async function startContextProcess(scope, { work, config }) {
  const whole = await withLogin(config, 'nodered-worker');
  const child = fork(path.join(__dirname, 'context-child.js'), [work, JSON.stringify(whole)], {
    serialization: 'advanced',
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^(REDIS|VALKEY)_|^NODE_TEST_CONTEXT$/.test(key))),
  });
  running.add(child);
  let log = '';
  for (const output of [child.stdout, child.stderr]) {
    output?.setEncoding('utf8').on('data', (text) => {
      log += text;
    });
  }
  /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void}>} */
  const waiting = new Map();
  let calls = 0;
  /** @type {Promise<{code: number | null, signal: string | null}>} */
  const exited = new Promise((resolve) => {
    child.once('exit', (code, signal) => {
      running.delete(child);
      for (const { reject } of waiting.values()) reject(new Error(`the process ended (${code ?? signal}):\n${log}`));
      resolve({ code, signal });
    });
  });
  child.on('message', (/** @type {any} */ { id, error, value }) => {
    const waiter = waiting.get(id);
    waiting.delete(id);
    if (error) waiter?.reject(Object.assign(new Error(error.message), { code: error.code }));
    else waiter?.resolve(value);
  });
  scope.after(async () => {
    if (running.has(child)) {
      child.kill('SIGCONT');
      child.kill('SIGKILL');
      await exited;
    }
    secrets.assertNone(secrets.leaksIn(log, `the output of process ${child.pid}`));
  });

  /**
   * @param {string} name of a function of the work module
   * @param {...any} given
   * @returns {Promise<any>}
   */
  function call(name, ...given) {
    calls += 1;
    const id = calls;
    return new Promise((resolve, reject) => {
      if (!running.has(child)) return reject(new Error(`the process has ended:\n${log}`));
      waiting.set(id, { resolve, reject });
      return child.send({ id, name, given });
    });
  }

  await call('ready');
  return {
    pid: /** @type {number} */ (child.pid),
    call,
    exited,
    log: () => log,
    pause: () => child.kill('SIGSTOP'),
    resume: () => child.kill('SIGCONT'),
    /** Closes the store and ends by itself, as nothing keeps the process alive. */
    async end() {
      await call('end');
      return exited;
    },
  };
}

/**
 * Several processes on one prefix.
 *
 * @param {{after: (cleanUp: () => Promise<void>) => void}} scope
 * @param {number} count
 * @param {{work: string, config: import('./context-store').ContextConfig}} options
 */
function startContextProcesses(scope, count, options) {
  return Promise.all(Array.from({ length: count }, () => startContextProcess(scope, options)));
}

module.exports = { startContextProcess, startContextProcesses };
