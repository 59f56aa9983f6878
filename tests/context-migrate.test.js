'use strict';

/** `node-red-cluster migrate-context`, as an operator runs it on what the older package left. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const zlib = require('node:zlib');
const { ROOT, removeDirectory, temporaryDirectory } = require('./support/directories');
const { freePort } = require('./support/ports');
const { startProcess } = require('./support/processes');
const { startProxy } = require('./support/proxy');
const { startStore } = require('./support/store');
const { until } = require('./support/wait');

const PROGRAM = path.join(ROOT, 'bin', 'node-red-cluster.js');
const MANY = 30_000;

/** The variables that name a store; whoever runs these tests may have some. */
const STORE_VARIABLE = /^(VALKEY|REDIS)_/;

/**
 * @param {import('node:test').TestContext} t
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 */
function start(t, args, env = {}) {
  let output = '';
  const inherited = Object.entries(process.env).filter(([name]) => !STORE_VARIABLE.test(name));
  const program = startProcess(process.execPath, [PROGRAM, 'migrate-context', ...args], {
    cwd: ROOT,
    env: { ...Object.fromEntries(inherited), NO_COLOR: '1', ...env },
    onOutput: (text) => {
      output += text;
    },
  });
  t.after(() => program.kill());
  return { ...program, output: () => output };
}

/**
 * Runs the command to its end.
 *
 * @param {import('node:test').TestContext} t
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<{code: number | null, output: string}>}
 */
async function run(t, args, env) {
  const program = start(t, args, env);
  const { code } = await program.exited;
  return { code, output: program.output() };
}

/**
 * @param {import('node:test').TestContext} t
 * @param {import('./support/store').StoreOptions} [options]
 */
async function storeOf(t, options) {
  const store = await startStore(options);
  t.after(() => store.release());
  return store;
}

/**
 * @param {import('./support/store').Store} store
 * @param {number} port that leads to it
 * @returns {Promise<string>} with the login of an admin: the older keys are outside of what a worker may write
 */
async function urlOf(store, port) {
  const { username, password } = await store.login('nodered-admin');
  return `redis://${username}:${password}@127.0.0.1:${port}`;
}

/**
 * Values as the older package wrote them: JSON, above 1 KB with compression `gzip:` and base64 of gzip.
 *
 * @param {unknown} value
 * @param {{compression?: boolean}} [options]
 * @returns {string}
 */
function written(value, { compression = false } = {}) {
  const json = JSON.stringify(value);
  return compression && json.length > 1024 ? `gzip:${zlib.gzipSync(json).toString('base64')}` : json;
}

/**
 * @param {import('./support/store').Store} store
 * @returns {Promise<Array<[string, Buffer]>>} every key with the server's image of its value
 */
async function everything(store) {
  const keys = await store.keys('*');
  return Promise.all(keys.map(async (key) => /** @type {[string, Buffer]} */ ([key, await store.commandBytes('DUMP', key)])));
}

test('it shows what it would do, does it when told to, and then has nothing to do', async (t) => {
  const store = await storeOf(t);
  const long = { text: 'x'.repeat(5000) };
  const older = {
    'nodered:context:global:count': written(7),
    'nodered:nodered:context:global:config': written(long, { compression: true }),
    'nodered:context:flow:f1:list': written([]),
    'nodered:nodered:context:node:n1:f1:state': written({ a: [] }),
  };
  for (const [key, value] of Object.entries(older)) await store.command('SET', key, value);
  const { username, password } = await store.login('nodered-admin');
  const env = { VALKEY_HOST: store.host, VALKEY_PORT: String(store.port), VALKEY_USERNAME: username, VALKEY_PASSWORD: password };

  const before = await everything(store);
  const preview = await run(t, [], env);
  assert.equal(preview.code, 0, preview.output);
  assert.match(preview.output, /Nothing was changed.*--apply.*4 keys/);
  assert.deepEqual(await everything(store), before);

  const applied = await run(t, ['--apply'], env);
  assert.equal(applied.code, 0, applied.output);
  assert.match(applied.output, /Done for 4 keys/);
  assert.match(applied.output, /^global +1 +1 +0 +0 +0 +0$/m);
  assert.deepEqual(await store.keys('*'), [
    'nodered:context-names:flow:f1',
    'nodered:context-names:global',
    'nodered:context-names:node:n1:f1',
    'nodered:context-scopes',
    'nodered:context:flow:f1:list',
    'nodered:context:global:config',
    'nodered:context:global:count',
    'nodered:context:node:n1:f1:state',
  ]);
  assert.deepEqual(await store.command('ZRANGE', 'nodered:context-names:global', 0, -1), ['config', 'count']);
  assert.deepEqual((await store.command('SMEMBERS', 'nodered:context-scopes')).sort(), ['f1', 'global', 'n1:f1']);
  assert.equal(
    await store.command('GET', 'nodered:context:global:config'),
    older['nodered:nodered:context:global:config'],
  );

  const after = await everything(store);
  const again = await run(t, ['--apply'], env);
  assert.equal(again.code, 0, again.output);
  assert.match(again.output, /There is nothing to do/);
  assert.deepEqual(await everything(store), after);
});

test('what it cannot decide it names, leaves and tells by its exit code', async (t) => {
  const store = await storeOf(t);
  await store.command('SET', 'nodered:context:global:n', written(2));
  await store.command('SET', 'nodered:nodered:context:global:n', written(1));
  await store.command('SET', 'nodered:context:global:a[0]', written({ b: 's3cret' }));
  await store.command('SET', 'nodered:context:global:broken', '{"token":"s3cret"');
  await store.command('RPUSH', 'nodered:context:global:list', 's3cret');
  const url = await urlOf(store, store.port);

  const kept = await run(t, ['--apply', '--url', url]);
  assert.equal(kept.code, 3, kept.output);
  for (const key of ['nodered:context:global:n', 'a\\[0\\]', 'broken', 'list']) {
    assert.match(kept.output, new RegExp(`^! .*${key}`, 'm'));
  }
  assert.match(kept.output, /4 keys.*--overwrite/s);
  assert.doesNotMatch(kept.output, /s3cret/);
  assert.equal(await store.command('GET', 'nodered:context:global:n'), '2');

  const overwritten = await run(t, ['--apply', '--overwrite', '--url', url]);
  assert.equal(overwritten.code, 3, overwritten.output);
  assert.equal(await store.command('GET', 'nodered:context:global:n'), '1');
  assert.equal(await store.command('EXISTS', 'nodered:nodered:context:global:n'), 0);
});

test('it reads store and prefix from a settings.js, whatever else that does', async (t) => {
  const store = await storeOf(t, { password: 'p@ss/word' });
  await store.command('SET', 'app:app:context:global:a', written(1));
  await store.command('SET', 'nodered:context:global:a', written(1));
  const directory = temporaryDirectory('migrate');
  t.after(() => removeDirectory(directory));
  const settings = path.join(directory, 'settings.js');
  const block = { role: 'worker', host: store.host, port: store.port, password: 'p@ss/word', keyPrefix: 'app' };
  fs.writeFileSync(settings, [
    "console.log('{}');",
    'setInterval(() => {}, 1000);',
    `module.exports = { valkey: { ...${JSON.stringify(block)}, retryStrategy() {} } };`,
  ].join('\n'));

  const applied = await run(t, ['--apply', '--settings', settings]);
  assert.equal(applied.code, 0, applied.output);
  assert.doesNotMatch(applied.output, /p@ss/);
  assert.deepEqual(await store.keys('*'), [
    'app:context-names:global', 'app:context-scopes', 'app:context:global:a', 'nodered:context:global:a',
  ]);

  fs.writeFileSync(settings, 'module.exports = {};');
  const none = await run(t, ['--settings', settings]);
  assert.equal(none.code, 2);
  assert.match(none.output, /no `valkey` block/);
});

test('it says why it cannot begin, without a password', async (t) => {
  const store = await storeOf(t, { password: 'the right one' });
  const nobody = await freePort();
  for (const [args, expected] of /** @type {Array<[string[], RegExp]>} */ ([
    [['--url', `redis://:s3cret@127.0.0.1:${nobody}`], new RegExp(`127\\.0\\.0\\.1:${nobody}.*NRC_STORE_UNREACHABLE`)],
    [['--url', `redis://:s3cret@127.0.0.1:${store.port}`], /NRC_STORE_AUTHENTICATION/],
    [['--url', 'http://:s3cret@store'], /--url/],
    [['--prefix', 'a*'], /--prefix/],
    [['--settings', 'no-such-settings.js'], /no such file/],
    [['--settings', 'x.js', '--url', 'redis://x'], /--url/],
    [['--aply'], /--apply/],
  ])) {
    const { code, output } = await run(t, args);
    assert.equal(code, 2, output);
    assert.match(output, expected);
    assert.doesNotMatch(output, /s3cret/);
  }
});

test('interrupted in the middle, it goes on when it is run again', async (t) => {
  const store = await storeOf(t);
  const proxy = await startProxy(store.port);
  t.after(() => proxy.stop());
  const pairs = Array.from({ length: MANY }, (_, n) => [`nodered:nodered:context:global:k${n}`, written(n)]);
  await store.command('MSET', ...pairs.flat());
  const moved = () => store.command('ZCARD', 'nodered:context-names:global');

  const first = start(t, ['--apply', '--url', await urlOf(store, proxy.port)]);
  await until(async () => (await moved()) > 0, { message: 'something is moved', interval: 1 });
  proxy.hold();
  await until(
    () => {
      if (first.isRunning()) first.signal('SIGINT');
      return !first.isRunning();
    },
    // Signals that come sooner after each other count as one keypress.
    { message: 'it ends at once when told twice', interval: 350 },
  );
  assert.equal((await first.exited).code, 130, first.output());
  const count = await moved();
  assert.ok(count > 0 && count < MANY, `${count} were moved`);

  const second = await run(t, ['--apply', '--url', await urlOf(store, store.port)]);
  assert.equal(second.code, 0, second.output);
  assert.equal(await moved(), MANY);
  assert.deepEqual(await store.keys('nodered:nodered:*'), []);
  assert.equal(await store.command('GET', `nodered:context:global:k${MANY - 1}`), String(MANY - 1));
});
