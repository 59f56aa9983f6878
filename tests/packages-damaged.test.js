'use strict';

/**
 * Keys and messages of packages that are no longer what they should be: a worker goes on with what it has, and
 * they do not stand in the way of what the admin has next.
 */

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { test } = require('node:test');
const { startAttackedCluster } = require('./support/package-attacks');
const { until } = require('./support/wait');

const MEGABYTE = 1024 * 1024;

/** @param {string} code */
const cannotCompare = (code) => new RegExp(`\\[warn\\] \\[cluster\\] packages: .*packages-revision.*\\[${code}\\]; trying again`);

test('a head without a number is refused, and the next revision of the admin followed', async (t) => {
  const cluster = await startAttackedCluster(t);
  await cluster.assertUnmoved(async () => {
    const { number, id } = await cluster.store.hash(cluster.key('packages-revision'));
    await cluster.plantHead({ number: 'garbage', id: randomUUID() });
    await cluster.worker.waitForLog(cannotCompare('NRC_VALUE_DAMAGED'));
    await cluster.untilPackages({ state: 'failed' });
    await cluster.plantHead({ number, id });
    await cluster.untilPackages({ state: 'current', error: null });
    await cluster.plantHead({ number: 'garbage', id: randomUUID() });
    await cluster.untilPackages({ state: 'failed' });
  });
  await cluster.assertFollows('next');
});

test('a head of another type is refused, and the next revision of the admin followed once it is gone', async (t) => {
  const cluster = await startAttackedCluster(t);
  const { store, key } = cluster;
  await cluster.assertUnmoved(async () => {
    await store.command('SET', key('packages-revision'), 'garbage');
    await cluster.wake();
    await cluster.worker.waitForLog(cannotCompare('NRC_STORE_REPLY'));
  });
  await store.command('DEL', key('packages-revision'));
  await cluster.assertFollows('next');
});

test('content of another type is refused, and the next revision of the admin followed once it is gone', async (t) => {
  const cluster = await startAttackedCluster(t);
  const { store, key } = cluster;
  await cluster.assertUnmoved(async () => {
    await store.command('DEL', key('packages-content'));
    await store.command('LPUSH', key('packages-content'), 'garbage');
    const number = await cluster.packagesRevision() + 1;
    await cluster.plantHead({ number: String(number), id: randomUUID() });
    await cluster.untilPackages({ state: 'failed', wanted: number });
    const { error } = await cluster.packagesOf(cluster.worker);
    assert.match(error.message, /packages-content/);
  });
  await store.command('DEL', key('packages-content'));
  await cluster.assertFollows('next');
});

test('content that is gone, or of another revision, is refused, and the next revision of the admin followed', async (t) => {
  const cluster = await startAttackedCluster(t);
  const { store, key } = cluster;
  await cluster.assertUnmoved(async () => {
    const number = await cluster.packagesRevision() + 1;
    await cluster.plantHead({ number: String(number), id: randomUUID() });
    await cluster.untilPackages({ state: 'failed', wanted: number });
    assert.match((await cluster.packagesOf(cluster.worker)).error.message, /packages-content: it belongs to another revision/);
    await store.command('DEL', key('packages-content'));
    await cluster.plantHead({ number: String(number + 1), id: randomUUID() });
    await cluster.untilPackages({ state: 'failed', wanted: number + 1 });
    assert.match((await cluster.packagesOf(cluster.worker)).error.message, /packages-content: the list or the lock file is gone/);
  });
  await cluster.assertFollows('next');
});

test('content that the store lost is put back by the admin without a change', async (t) => {
  const cluster = await startAttackedCluster(t);
  await cluster.assertUnmoved(async () => {
    await cluster.store.command('DEL', cluster.key('packages-content'));
    await until(async () => 'list' in await cluster.store.hash(cluster.key('packages-content')), { message: 'the admin has put it back', timeout: 30_000 });
  });
  const fresh = await cluster.addWorker();
  await fresh.waitUntilReady();
  await cluster.untilSays('good', 'good-nodes@1.0.0: hello', [fresh]);
});

test('a revision with the highest number that there can be is not the last one', async (t) => {
  const cluster = await startAttackedCluster(t);
  await cluster.plant(cluster.published, { number: '18446744073709551615' });
  await cluster.untilPackages({ state: 'current', error: null });
  await cluster.assertFollows('next');
});

test('garbage on the channel is passed over', async (t) => {
  const cluster = await startAttackedCluster(t);
  const { number } = await cluster.store.hash(cluster.key('packages-revision'));
  const messages = [
    '', 'garbage', '[]', 'null', '{}', '"packages"', '{"packages":"x"}', '{"packages":-1}', '{"packages":1e99}', '{"packages":[1]}',
    '{"sync":"off"}', '{"permit":"free"}', '{"worker":"x"}', '{"worker":{}}', `{"worker":"${'x'.repeat(20 * MEGABYTE)}"}`,
    '['.repeat(MEGABYTE), Buffer.alloc(20 * MEGABYTE, 0xff), Buffer.from([0, 0xff, 0x1f, 0x8b]),
  ];
  await cluster.assertUnmoved(async () => {
    for (const message of messages) await cluster.store.command('PUBLISH', cluster.key('packages:updated'), message);
    // All that came before this one has been read then.
    await cluster.plantHead({ number: 'garbage' });
    await cluster.worker.waitForLog(cannotCompare('NRC_VALUE_DAMAGED'));
  });
  await cluster.plantHead({ number });
  await cluster.assertFollows('next');
});
