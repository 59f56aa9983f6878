'use strict';

/** User settings and sessions: shared by the admins, left alone by the workers. */

const assert = require('node:assert/strict');
const { before, test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { removeDirectory } = require('./support/directories');
const { endpoint, tab } = require('./support/flows');
const { fileScope } = require('./support/scope');
const { until } = require('./support/wait');

/** Lifetime of sessions in the store, in seconds. */
const SESSION_TTL = 600;

/** Editor users without a password file. */
const ADMIN_AUTH = `adminAuth: {
  type: 'credentials',
  users: async (username) => ({ username, permissions: '*' }),
  authenticate: async (username, password) =>
    password === 'open sesame' ? { username, permissions: '*' } : null,
}`;

const scope = fileScope();
/** @type {import('./support/cluster').Cluster} */
let cluster;
/** @type {import('./support/api').Api} */
let api;
/** @type {string} */
let token;
before(async () => {
  cluster = await startCluster(scope, {
    workers: 1,
    valkey: { sessionTTL: SESSION_TTL },
    adminOptions: { source: ADMIN_AUTH },
  });
  token = await cluster.admin.api.login('alice', 'open sesame');
  api = cluster.admin.api.withToken(token);
});

test('user settings are in the store, and an admin that lost its disk has them', async () => {
  await api.saveUserSettings({ view: { 'view-grid-size': 45 }, dialog: { ä: 'ünïcode 🦀' } });
  await until(async () => JSON.stringify(await cluster.store.json(cluster.key('settings')))?.includes('ünïcode 🦀'), {
    message: 'the settings are stored',
  });
  await cluster.admin.stop();
  removeDirectory(cluster.admin.userDir);
  cluster.admin.start();
  await cluster.admin.waitUntilReady();
  const settings = await api.userSettings();
  assert.equal(settings.view['view-grid-size'], 45);
  assert.equal(settings.dialog.ä, 'ünïcode 🦀');
});

test('a worker never writes the shared settings, sessions or flows (a worker overwrites the settings)', async () => {
  await api.deploy([tab('tab'), ...endpoint('tab', 'version', 'shared')]);
  await cluster.untilAnswers('version', 'shared');
  for (const name of ['settings', 'flows', 'credentials']) {
    await cluster.assertUnchanged(name, async () => {
      const worker = await cluster.addWorker({ name: `worker beside ${name}` });
      await worker.waitUntilReady();
      await cluster.untilAnswers('version', 'shared', { on: [worker] });
      await worker.restart();
      await cluster.untilAnswers('version', 'shared', { on: [worker] });
      await worker.stop();
    });
  }
});

test('a session survives a restart of the admin, and has a lifetime in the store', async () => {
  const ttl = await cluster.store.command('TTL', cluster.key('sessions'));
  assert.ok(ttl > 0 && ttl <= SESSION_TTL, `the sessions live ${ttl} s`);
  await cluster.admin.restart();
  assert.equal((await api.call('GET', '/flows')).status, 200);
  assert.equal((await cluster.admin.api.call('GET', '/flows')).status, 401);
});

test('a session on one admin is one on the other', async () => {
  const second = await cluster.addAdmin({ name: 'second admin' });
  await second.waitUntilReady();
  assert.equal((await second.api.withToken(token).call('GET', '/flows')).status, 200);
  await second.stop();
});

test('a session that is revoked stays so after a restart', async () => {
  const bob = await cluster.admin.api.login('bob', 'open sesame');
  const bobsApi = cluster.admin.api.withToken(bob);
  assert.equal((await bobsApi.call('GET', '/flows')).status, 200);
  await bobsApi.expect('POST', '/auth/revoke', { token: bob });
  await cluster.admin.restart();
  assert.equal((await bobsApi.call('GET', '/flows')).status, 401);
  assert.equal((await api.call('GET', '/flows')).status, 200, 'the session of another stays');
});

test('a deploy is announced and recorded with the user who made it', async () => {
  const subscription = await cluster.store.subscribe(cluster.channel);
  await api.deploy([tab('tab'), ...endpoint('tab', 'version', 'by alice')]);
  await until(() => subscription.messages.length > 0, { message: 'the deploy is announced' });
  assert.equal(JSON.parse(subscription.messages[0].text).user, 'alice');
  assert.equal((await cluster.revision()).user, 'alice');
  const history = await cluster.store.hash(cluster.key('history'));
  assert.equal(JSON.parse(history[await cluster.revisionNumber()]).user, 'alice');
  subscription.close();
});
