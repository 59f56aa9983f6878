'use strict';

/** The access rules that docs/operations.md recommends: enough for each role, and no more. */

const assert = require('node:assert/strict');
const { before, test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { endpoint, tab } = require('./support/flows');
const { connect } = require('./support/resp');
const { fileScope } = require('./support/scope');
const createContext = require('../node/context.js');

const scope = fileScope();
/** @type {import('./support/cluster').Cluster} */
let cluster;
before(async () => {
  // As every cluster of the tests: its instances log in as the users of the document.
  cluster = await startCluster(scope);
});

test('under the documented rules deploys reach the workers, and everyone is present', async () => {
  await cluster.deploy([tab('tab'), ...endpoint('tab', 'version', 'one')]);
  await cluster.untilAnswers('version', 'one');
  assert.equal((await cluster.store.command('SMEMBERS', cluster.key('cluster:members'))).length, 3);
  for (const instance of cluster.instances) {
    assert.doesNotMatch(instance.log(), /NRC_STORE_PERMISSION|NOPERM/);
  }
});

test('without a login nobody gets in, so that no instance can do without one', async () => {
  assert.deepEqual(await cluster.store.loggedIn(), ['nodered-admin', 'nodered-worker']);
  const stranger = await connect({ path: cluster.store.socketPath });
  await assert.rejects(stranger.command('PING'), /NOAUTH/);
  stranger.close();
});

test('under the documented rules a worker writes neither flows nor credentials nor settings', async () => {
  const { username, password } = await cluster.store.login('nodered-worker', { prefix: cluster.prefix });
  const worker = await cluster.store.connectAs(username, password);
  for (const name of ['flows', 'credentials', 'settings', 'revision', 'secret', 'history']) {
    await assert.rejects(worker.command('SET', cluster.key(name), 'x'), /NOPERM/, name);
    await assert.rejects(worker.command('DEL', cluster.key(name)), /NOPERM/, name);
  }
  await assert.rejects(worker.command('FLUSHALL'), /NOPERM/);
  worker.close();
});

test('under the documented rules both roles may do what the link to the store and the context need', async () => {
  const value = cluster.key('context:global:a');
  const names = cluster.key('context-names:global');
  const scopes = cluster.key('context-scopes');
  const needed = [
    ['CLIENT', 'TRACKING', 'ON', 'BCAST', 'PREFIX', cluster.key('context:'), 'NOLOOP'],
    ['CLIENT', 'ID'],
    ['CLIENT', 'INFO'],
    ['CLIENT', 'SETNAME', 'x'],
    ['CLIENT', 'KILL', 'ID', '1', 'ADDR', '127.0.0.1:1'],
    ['INFO', 'server'],
    ['TIME'],
    ['PING'],
    ['GET', value],
    ['MGET', value, value],
    ['GETRANGE', value, '0', '10'],
    ['STRLEN', value],
    ['SET', value, '1'],
    ['DEL', value],
    ['UNLINK', value],
    ['ZADD', names, 'NX', '1', 'a'],
    ['ZREM', names, 'a'],
    ['ZRANGE', names, '0', '-1'],
    ['ZPOPMIN', names, '100'],
    ['SADD', scopes, 'global'],
    ['SREM', scopes, 'global'],
    ['SMEMBERS', scopes],
    ['MULTI'],
    ['EXEC'],
    ['SET', cluster.key('context-receipt:a'), 'x'],
    ['EVAL', 'return 1', '4', cluster.key('context-receipt:a'), scopes, value, names],
    ['EVAL', 'return 1', '2', names, scopes],
    ['EVAL', 'return 1', '3', cluster.key('leader'), cluster.key('leader:election'), cluster.key('election-memory')],
    ['TYPE', cluster.key('leader')],
    ['PTTL', cluster.key('leader')],
    ['SET', cluster.key('leader'), 'x', 'PX', '1000'],
    ['DEL', cluster.key('leader')],
    ['HMGET', cluster.key('leader:election'), 'token'],
    ['HSET', cluster.key('leader:election'), 'token', '1'],
    ['SET', cluster.key('election-memory'), 'x', 'NX'],
    ['PUBLISH', cluster.key('elections'), 'x'],
    ['SUBSCRIBE', cluster.key('elections')],
    ['EVALSHA', '0000000000000000000000000000000000000000', '2', value, names],
  ];
  for (const user of ['nodered-admin', 'nodered-worker']) {
    for (const command of needed) {
      assert.equal(await cluster.store.command('ACL', 'DRYRUN', user, ...command), 'OK', `${user}: ${command}`);
    }
  }
});

test('under the documented rules nobody gets at other clients, other keys or the server', async () => {
  const forbidden = [
    ['CLIENT', 'LIST'],
    ['CLIENT', 'PAUSE', '1'],
    ['CONFIG', 'GET', '*'],
    ['FLUSHALL'],
    ['KEYS', '*'],
    ['SHUTDOWN'],
    ['GET', 'other:context:global:a'],
  ];
  for (const user of ['nodered-admin', 'nodered-worker']) {
    for (const command of forbidden) {
      const said = await cluster.store.command('ACL', 'DRYRUN', user, ...command);
      assert.match(said, /has no permissions/, `${user}: ${command}`);
    }
  }
});

test('under the documented rules a worker can do everything to the context', async (t) => {
  const login = await cluster.store.login('nodered-worker', { prefix: cluster.prefix });
  const context = createContext({
    host: '127.0.0.1', port: cluster.store.port, ...login, keyPrefix: cluster.prefix,
  });
  await context.open();
  t.after(() => context.close());
  context.set('flow', 'whole', 1);
  context.set('flow', 'part.of[1]', 2);
  assert.deepEqual(context.get('flow', ['whole', 'part']), [1, { of: [null, 2] }]);
  await new Promise((resolve, reject) => {
    context.set('flow', 'part.more', 3, (/** @type {any} */ error) => (error ? reject(error) : resolve(undefined)));
  });
  assert.deepEqual(context.keys('flow'), ['whole', 'part']);
  await context.delete('flow');
  assert.deepEqual(context.keys('flow'), []);
});
