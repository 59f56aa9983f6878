'use strict';

/**
 * A real Valkey or Redis server that a test owns. Unless the test says who may log in, these are the users
 * of docs/operations.md (`access.js`), and nobody gets in without a login.
 */

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { createAccess } = require('./access');
const addresses = require('./addresses');
const { ROOT, removeDirectory, temporaryDirectory } = require('./directories');
const { freePort } = require('./ports');
const { startProcess } = require('./processes');
const resp = require('./resp');
const secrets = require('./secrets');
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
 * @property {boolean} [open] whoever comes may do everything, without a password
 * @property {string} [password] of the default user, with which the test's own instances log in
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
async function startStore({ open = false, password: given, users = [], config = [] } = {}) {
  const hasDocumentedUsers = !open && given === undefined && users.length === 0;
  const password = given ?? (hasDocumentedUsers ? secrets.create('the password of the test at its store') : undefined);
  secrets.register(given, 'the password of the store');
  const directory = temporaryDirectory('store');
  const port = await freePort();
  const socketPath = path.join(directory, 'store.sock');
  const dataDirectory = path.join(directory, 'data');
  let log = '';
  let frozen = false;
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
    // From the first moment on: whoever comes back after a restart finds its user.
    // Rules for channels came with 6.2; before, everybody may use all.
    const knowsChannels = serverKnows(6, 2);
    const isKnown = (/** @type {string} */ rule) => knowsChannels || !/^&|channels$/.test(rule);
    const all = [...users.map((user) => user.split(' ')), ...access.users()];
    for (const rules of all) args.push('--user', ...rules.filter(isKnown));
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
  }

  /** @param {NodeJS.Signals} signal */
  async function end(signal) {
    frozen = false;
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

  const access = createAccess(
    // A server that is down is given its users when it starts.
    async (user, rules) => (child?.isRunning() ? (await openClient()).command('ACL', 'SETUSER', user, ...rules) : undefined),
    serverKnows,
  );
  await start();

  const store = {
    host: '127.0.0.1',
    port,
    socketPath,
    /** Of the test itself, for what has to log in as nobody else: a replica. */
    password,
    /** Whether instances log in as the users of docs/operations.md. */
    hasDocumentedUsers,
    /** Lets a documented user in, and says how it logs in. */
    login: access.login,
    /**
     * Who is logged in now, beside the test itself.
     * @returns {Promise<string[]>} names, each once, sorted
     */
    async loggedIn() {
      const list = String(await (await openClient()).command('CLIENT', 'LIST'));
      const clients = list.trim().split('\n').filter((line) => !/ cmd=(client\|list|client|NULL) /.test(line) && !/ addr=\S*:0 /.test(line));
      return [...new Set(clients.map((line) => / user=(\S+)/.exec(line)?.[1] ?? ''))].sort();
    },
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
    pause() {
      frozen = true;
      child?.signal('SIGSTOP');
    },
    resume() {
      frozen = false;
      child?.signal('SIGCONT');
    },
    isRunning: () => Boolean(child?.isRunning()) && !frozen,
    /** Resumes or starts the server if a test that failed has left it otherwise. */
    async recover() {
      frozen = false;
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
  addresses.register(store, port, socketPath);
  return store;
}

module.exports = { findServer, serverKnows, startStore };
