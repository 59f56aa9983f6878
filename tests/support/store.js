'use strict';

/** A real Valkey or Redis server that a test owns. */

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { ROOT, removeDirectory, temporaryDirectory } = require('./directories');
const { freePort } = require('./ports');
const { startProcess } = require('./processes');
const resp = require('./resp');
const { until } = require('./wait');

/**
 * Finds the server as the development tools do: the environment variable
 * NODE_RED_CLUSTER_STORE, valkey-server or redis-server on PATH, else the one
 * that set-up brought.
 *
 * @returns {string} path of the server's binary
 */
function findServer() {
  const named = process.env.NODE_RED_CLUSTER_STORE;
  if (named) return named;
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  const candidates = ['valkey-server', 'redis-server'].flatMap((name) =>
    folders.map((folder) => path.join(folder, name)),
  );
  candidates.push(path.join(ROOT, '.cache', 'store', 'valkey-server'));
  const found = candidates.find((candidate) => fs.existsSync(candidate));
  if (!found) {
    throw new Error('no valkey-server or redis-server found: run `npm run setup` first');
  }
  return found;
}

/**
 * @param {number} major
 * @param {number} minor
 * @returns {boolean} whether the server is as new as this version of Redis, and so knows what came with it
 */
function serverKnows(major, minor) {
  const version = /v=(\d+)\.(\d+)/.exec(execFileSync(findServer(), ['--version'], { encoding: 'utf8' }));
  const [have, haveMinor] = (version ?? []).slice(1).map(Number);
  return have > major || (have === major && haveMinor >= minor);
}

/**
 * @typedef {object} Subscription
 * @property {Array<{channel: string, text: string}>} messages all that came so far
 * @property {() => void} close
 */

/**
 * @typedef {object} StoreOptions
 * @property {string} [password] of the default user
 * @property {string[]} [users] a name and its ACL rules, such as `admin on >secret ~* &* +@all`
 * @property {string[]} [config] more arguments of the server
 */

/**
 * @typedef {Awaited<ReturnType<typeof startStore>>} Store
 */

/**
 * Starts a server with its own directory, TCP port and unix socket.
 *
 * @param {StoreOptions} [options]
 */
async function startStore({ password, users = [], config = [] } = {}) {
  const directory = temporaryDirectory('store');
  const port = await freePort();
  const socketPath = path.join(directory, 'store.sock');
  const dataDirectory = path.join(directory, 'data');
  let log = '';
  /** @type {import('./processes').Child | undefined} */
  let child;
  /** @type {resp.RespClient | undefined} */
  let client;
  /** @type {Set<resp.RespClient>} */
  const subscribers = new Set();

  /** @param {(message: any[]) => void} [onPush] */
  function connect(onPush) {
    return resp.connect({ path: socketPath, password, onPush });
  }

  async function start() {
    fs.mkdirSync(dataDirectory, { recursive: true });
    const args = ['--bind', '127.0.0.1', '--port', String(port)];
    args.push('--unixsocket', socketPath, '--dir', dataDirectory);
    args.push('--appendonly', 'yes', '--appendfsync', 'always', '--save', '');
    // A server of the tests takes part in no long shutdown and no start-up delay.
    args.push('--repl-diskless-sync', 'no');
    if (serverKnows(7, 0)) args.push('--shutdown-timeout', '0');
    if (password !== undefined) args.push('--requirepass', password);
    args.push(...config);
    const started = startProcess(findServer(), args, {
      cwd: directory,
      env: process.env,
      onOutput: (text) => {
        log += text;
      },
    });
    child = started;
    await until(
      async () => {
        if (!started.isRunning()) return true;
        client?.close();
        client = await connect();
        return (await client.command('PING')) === 'PONG';
      },
      { message: 'the store answers PING' },
    );
    if (!started.isRunning()) throw new Error(`the store did not start:\n${log}`);
    // Rules for channels came with 6.2; before, everybody may use all.
    const isKnown = (/** @type {string} */ rule) => serverKnows(6, 2) || !/^&|channels$/.test(rule);
    for (const user of users) await client?.command('ACL', 'SETUSER', ...user.split(' ').filter(isKnown));
  }

  /** @param {NodeJS.Signals} signal */
  async function end(signal) {
    client?.close();
    for (const subscriber of subscribers) subscriber.close();
    subscribers.clear();
    child?.signal('SIGCONT');
    child?.signal(signal);
    await child?.exited;
  }

  async function openClient() {
    if (!client?.isOpen()) client = await connect();
    return client;
  }

  await start();

  return {
    host: '127.0.0.1',
    port,
    socketPath,
    /** Starts the server again on the same port, with the data it had. */
    start,
    /** Ends the server in order; its data stays. */
    stop: () => end('SIGTERM'),
    /** Ends the server at once; its data stays. */
    kill: () => end('SIGKILL'),
    /**
     * Ends the server and starts it again.
     * @param {{empty?: boolean}} [options] empty: without the data it had
     */
    async restart({ empty = false } = {}) {
      await end('SIGTERM');
      if (empty) fs.rmSync(dataDirectory, { recursive: true, force: true });
      await start();
    },
    /** The server hangs: connections stay open, nothing is answered. */
    pause: () => child?.signal('SIGSTOP'),
    resume: () => child?.signal('SIGCONT'),
    /** Resumes or starts the server if a test that failed has left it otherwise. */
    async recover() {
      child?.signal('SIGCONT');
      if (!child?.isRunning()) await start();
    },
    /**
     * @param {...(string | number | Buffer)} parts
     * @returns {Promise<any>} the reply, strings as text
     */
    async command(...parts) {
      return (await openClient()).command(...parts);
    },
    /**
     * @param {...(string | number | Buffer)} parts
     * @returns {Promise<any>} the reply, strings as Buffers
     */
    async commandBytes(...parts) {
      return (await openClient()).commandBytes(...parts);
    },
    /**
     * @param {string} key of a string that holds JSON
     * @returns {Promise<any>} undefined when the key does not exist
     */
    async json(key) {
      const text = await (await openClient()).command('GET', key);
      return text === null ? undefined : JSON.parse(text);
    },
    /**
     * @param {string} key of a hash
     * @returns {Promise<Record<string, string>>} empty when the key does not exist
     */
    async hash(key) {
      const flat = await (await openClient()).command('HGETALL', key);
      /** @type {Record<string, string>} */
      const fields = {};
      for (let index = 0; index < flat.length; index += 2) fields[flat[index]] = flat[index + 1];
      return fields;
    },
    /**
     * @param {string} pattern
     * @returns {Promise<string[]>} the keys that match, sorted
     */
    async keys(pattern) {
      return (await (await openClient()).command('KEYS', pattern)).sort();
    },
    /**
     * @param {string} username
     * @param {string} userPassword
     * @returns {Promise<resp.RespClient>} a connection of its own, which the caller closes
     */
    connectAs: (username, userPassword) => resp.connect({ path: socketPath, username, password: userPassword }),
    /**
     * Listens to channels on a connection of its own.
     * @param {...string} channels
     * @returns {Promise<Subscription>}
     */
    async subscribe(...channels) {
      /** @type {Array<{channel: string, text: string}>} */
      const messages = [];
      const subscriber = await connect(([, channel, text]) => messages.push({ channel, text }));
      subscribers.add(subscriber);
      for (const channel of channels) await subscriber.command('SUBSCRIBE', channel);
      return { messages, close: () => subscriber.close() };
    },
    /**
     * Cuts connections on the server's side.
     * @param {'pubsub' | 'normal'} type
     * @returns {Promise<number>} how many were cut
     */
    async killClients(type) {
      return (await openClient()).command('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes');
    },
    /** Ends the server and removes its data. */
    async release() {
      await end('SIGKILL');
      removeDirectory(directory);
    },
  };
}

module.exports = { findServer, serverKnows, startStore };
