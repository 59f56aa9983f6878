'use strict';

/** The `valkey` block: every way to name a store, and what is said of a mistake. */

const assert = require('node:assert/strict');
const { before, test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { endpoint, tab } = require('./support/flows');
const { startInstance, startReadyInstance } = require('./support/instance');
const { fileScope } = require('./support/scope');
const { startStore } = require('./support/store');
const { until } = require('./support/wait');

const PASSWORD = 'p@ss/w:rd of the store';

const scope = fileScope();
/** A store with a password and a second user. @type {import('./support/store').Store} */
let store;
before(async () => {
  store = await startStore({
    password: PASSWORD,
    users: ['operator on >operators-password ~* &* +@all'],
  });
  scope.after(() => store.release());
});

/** @param {string} version */
const flowsOf = (version) => [tab('tab'), ...endpoint('tab', 'version', version)];

/**
 * @param {import('node:test').TestContext} t
 * @param {Partial<import('./support/instance').InstanceOptions>} options
 */
async function startAdmin(t, options) {
  const admin = await startReadyInstance({ role: 'admin', ...options });
  t.after(() => admin.release());
  return admin;
}

/**
 * @param {import('node:test').TestContext} t
 * @param {Partial<import('./support/instance').InstanceOptions>} options
 */
async function startFailing(t, options) {
  const instance = await startInstance({ role: 'admin', ...options });
  t.after(() => instance.release());
  assert.deepEqual(await instance.waitForExit(), { code: 1, signal: null }, instance.log());
  return instance;
}

const encoded = encodeURIComponent(PASSWORD);

/** @type {Record<string, (prefix: string) => Partial<import('./support/instance').InstanceOptions>>} */
const CONNECTIONS = {
  'host, port and password': (keyPrefix) => ({
    valkey: { host: '127.0.0.1', port: store.port, password: PASSWORD, keyPrefix },
  }),
  'username and password of an ACL user': (keyPrefix) => ({
    valkey: {
      host: '127.0.0.1', port: store.port, username: 'operator', password: 'operators-password', keyPrefix,
    },
  }),
  'the path of a unix socket': (keyPrefix) => ({
    valkey: { path: store.socketPath, password: PASSWORD, keyPrefix },
  }),
  'a redis:// URL': (keyPrefix) => ({
    valkey: { url: `redis://:${encoded}@127.0.0.1:${store.port}`, keyPrefix },
  }),
  'a valkey:// URL with a user': (keyPrefix) => ({
    valkey: { url: `valkey://operator:operators-password@127.0.0.1:${store.port}/0`, keyPrefix },
  }),
  'environment variables': (keyPrefix) => ({
    valkey: { keyPrefix },
    env: { VALKEY_HOST: '127.0.0.1', VALKEY_PORT: String(store.port), VALKEY_PASSWORD: PASSWORD },
  }),
  'a URL in the environment': (keyPrefix) => ({
    valkey: { keyPrefix },
    env: { REDIS_URL: `redis://:${encoded}@127.0.0.1:${store.port}` },
  }),
};

for (const [index, [name, optionsOf]] of Object.entries(CONNECTIONS).entries()) {
  test(`the store is found by ${name}`, async (t) => {
    const prefix = `connection-${index}:`;
    const admin = await startAdmin(t, optionsOf(prefix));
    await admin.api.deploy(flowsOf(name));
    assert.deepEqual(await store.json(`${prefix}flows`), flowsOf(name));
    assert.ok(!admin.log().includes(PASSWORD) && !admin.log().includes('operators-password'));
  });
}

for (const [name, valkey] of Object.entries({
  'the option db': () => ({ host: '127.0.0.1', port: store.port, password: PASSWORD, db: 3 }),
  'a URL': () => ({ url: `redis://:${encoded}@127.0.0.1:${store.port}/3` }),
})) {
  test(`the database is chosen by ${name}`, async (t) => {
    const keyPrefix = `database-by-${name.replaceAll(' ', '-')}:`;
    const admin = await startAdmin(t, { valkey: { ...valkey(), keyPrefix } });
    await admin.api.deploy(flowsOf(name));
    assert.deepEqual(await store.keys(`${keyPrefix}*`), [], 'nothing is in database 0');
    await store.command('SELECT', 3);
    const flows = await store.json(`${keyPrefix}flows`);
    await store.command('SELECT', 0);
    assert.deepEqual(flows, flowsOf(name));
  });
}

test('two clusters on one store with prefixes of their own see nothing of each other', async (t) => {
  const shared = await startStore();
  t.after(() => shared.release());
  const options = (/** @type {string} */ keyPrefix) => ({ store: shared, workers: 1, valkey: { keyPrefix } });
  // The missing final colon is added.
  const [one, two] = await Promise.all([startCluster(t, options('one')), startCluster(t, options('two:'))]);
  const channels = await shared.subscribe('one:flows:updated', 'two:flows:updated', 'nodered:flows:updated');
  await one.deploy(flowsOf('of one'));
  await one.untilAnswers('version', 'of one');
  await two.deploy(flowsOf('of two'));
  await two.untilAnswers('version', 'of two');
  await one.untilAnswers('version', 'of one');

  await until(() => channels.messages.length >= 2, { message: 'both deploys are announced' });
  assert.deepEqual(
    channels.messages.map(({ channel }) => channel),
    ['one:flows:updated', 'two:flows:updated'],
  );
  const strays = (await shared.keys('*')).filter((key) => !/^(one|two):/.test(key));
  assert.deepEqual(strays, []);
  assert.deepEqual(await shared.json('one:flows'), flowsOf('of one'));
  assert.deepEqual(await shared.json('two:flows'), flowsOf('of two'));
});

test('an updateChannel of its own is where deploys are announced and followed', async (t) => {
  const cluster = await startCluster(t, {
    store,
    workers: 1,
    valkey: { password: PASSWORD, updateChannel: 'my:own:channel' },
  });
  const channel = await store.subscribe('my:own:channel');
  await cluster.deploy(flowsOf('elsewhere'));
  await cluster.untilAnswers('version', 'elsewhere');
  await until(() => channel.messages.length === 1, { message: 'the deploy is announced there' });
});

test('the default prefix is nodered:', async (t) => {
  const own = await startStore();
  t.after(() => own.release());
  const admin = await startAdmin(t, { valkey: { host: own.host, port: own.port } });
  const channel = await own.subscribe('nodered:flows:updated');
  await admin.api.deploy(flowsOf('default'));
  await until(() => channel.messages.length === 1, { message: 'the deploy is announced' });
  assert.deepEqual(await own.json('nodered:flows'), flowsOf('default'));
  const strays = (await own.keys('*')).filter((key) => !key.startsWith('nodered:'));
  assert.deepEqual(strays, []);
});

for (const [name, role] of Object.entries({ wrong: 'master', missing: undefined })) {
  test(`a ${name} role ends the process with a message that names it`, async (t) => {
    const instance = await startFailing(t, {
      valkey: { host: store.host, port: store.port, password: PASSWORD, role },
    });
    assert.match(instance.log(), /role/);
    assert.match(instance.log(), /'?admin'?.*'?worker'?/s);
    if (role) assert.ok(instance.log().includes(role));
  });
}

test('a wrong password ends the process with a message that does not show it', async (t) => {
  const instance = await startFailing(t, {
    valkey: { host: store.host, port: store.port, password: 'a-wrong-password' },
  });
  assert.match(instance.log(), /password/i);
  assert.match(instance.log(), /NRC_[A-Z_]+/);
  assert.ok(!instance.log().includes('a-wrong-password'));
});

test('a missing password ends the process with a message', async (t) => {
  const instance = await startFailing(t, {
    role: 'worker',
    valkey: { host: store.host, port: store.port },
  });
  assert.match(instance.log(), /password|authenticat/i);
});

for (const [name, valkey, pattern] of /** @type {Array<[string, object, RegExp]>} */ ([
  ['a port out of range', { port: 70_000 }, /port/],
  ['a timeout that is no number', { timeout: 'soon' }, /timeout/],
  ['a heartbeat that outlives its own lifetime',
    { clusterMonitoring: { heartbeatInterval: 5_000, heartbeatTTL: 1_000 } }, /heartbeatTTL/],
])) {
  test(`${name} ends the process with a message that names the option`, async (t) => {
    const instance = await startFailing(t, { valkey: { host: store.host, password: PASSWORD, ...valkey } });
    assert.match(instance.log(), pattern);
  });
}

test('a misspelt option is warned of, with the nearest right name', async (t) => {
  const admin = await startAdmin(t, {
    valkey: { host: store.host, port: store.port, password: PASSWORD, keyprefix: 'misspelt:' },
  });
  assert.match(admin.log(), /\[warn\].*keyprefix.*keyPrefix/);
});

test('options of ioredis that mean nothing here do not disturb, functions included', async (t) => {
  const prefix = 'pasted:';
  const admin = await startAdmin(t, {
    source: `valkey: {
      role: 'admin', host: '127.0.0.1', port: ${store.port}, password: ${JSON.stringify(PASSWORD)},
      keyPrefix: '${prefix}', lazyConnect: true, maxRetriesPerRequest: null, enableReadyCheck: true,
      retryStrategy: (times) => Math.min(times * 50, 2000), reconnectOnError: () => true,
    }`,
  });
  await admin.api.deploy(flowsOf('pasted'));
  assert.deepEqual(await store.json(`${prefix}flows`), flowsOf('pasted'));
  assert.equal(admin.log().match(/\[warn\].*retryStrategy/g)?.length, 1);
});
