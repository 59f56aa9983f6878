'use strict';

/** A Node-RED process that is started with a settings file as a user has it, configured by its environment. */

const { createApi } = require('./api');
const { removeDirectory, temporaryDirectory } = require('./directories');
const { request } = require('./http');
const { freePort } = require('./ports');
const { startProcess } = require('./processes');
const secrets = require('./secrets');
const { until, untilEqual } = require('./wait');

/**
 * @typedef {object} Start
 * @property {string} red path of Node-RED's red.js
 * @property {string} settings path of the settings file
 * @property {Record<string, string | undefined>} env the environment, beside PORT
 */

/** @typedef {Awaited<ReturnType<typeof startWithSettings>>} Started */

/**
 * Starts it in a fresh user directory on a free port, given to it as PORT, and ends it with the scope.
 *
 * @param {{after: (cleanUp: () => Promise<void>) => void}} scope
 * @param {Start} start
 */
async function startWithSettings(scope, { red, settings, env }) {
  secrets.registerEnvironment(env);
  const port = await freePort();
  const userDir = temporaryDirectory('settings-file');
  const origin = `http://127.0.0.1:${port}`;
  let log = '';
  const child = startProcess(process.execPath, [red, '--userDir', userDir, '--settings', settings], {
    cwd: userDir,
    env: { ...env, PORT: String(port) },
    onOutput: (text) => {
      log += text;
    },
  });
  scope.after(async () => {
    await child.kill();
    const leaks = [...secrets.leaksIn(log, 'the log'), ...secrets.leaksInFiles(userDir, 'a file')];
    removeDirectory(userDir);
    secrets.assertNone(leaks);
  });

  return {
    port,
    api: createApi(`${origin}/admin`),
    log: () => log,
    /** @param {string} path */
    get: (path) => request(`${origin}${path}`, { timeout: 10_000 }),
    /** Waits until it answers HTTP, whatever it answers. */
    async untilListening() {
      const answersOrEnded = async () => !child.isRunning() || Boolean(await request(`${origin}/`));
      const message = `${settings} answers on port ${port}`;
      await until(answersOrEnded, { message, timeout: 30_000 }).catch((error) => {
        throw new Error(`${error.message}; its log was:\n${log}`);
      });
      if (!child.isRunning()) throw new Error(`${settings} ended before it answered:\n${log}`);
    },
    /**
     * Waits until an endpoint of the flows answers with a text.
     * @param {string} endpointPath
     * @param {string} text
     */
    async untilAnswers(endpointPath, text) {
      const answer = async () => (await request(`${origin}${endpointPath}`)).text;
      await untilEqual(answer, text, { message: `${settings} answers ${endpointPath}` }).catch((error) => {
        throw new Error(`${error.message}; its log was:\n${log}`);
      });
    },
    /** @returns {Promise<import('./processes').Exit>} SIGTERM, and waits */
    async stop() {
      child.signal('SIGTERM');
      return child.exited;
    },
    /** @returns {Promise<import('./processes').Exit>} once the process ends by itself */
    async untilEnded() {
      await until(() => !child.isRunning(), { message: `${settings} ends` }).catch((error) => {
        throw new Error(`${error.message}; its log was:\n${log}`);
      });
      return child.exited;
    },
  };
}

module.exports = { startWithSettings };
