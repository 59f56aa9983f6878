'use strict';

/** The search for secrets finds them, in whatever form, and says where without showing them. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { temporaryDirectory } = require('./support/directories');
const secrets = require('./support/secrets');

const SECRET = secrets.create('a planted secret');
const WITH_SIGNS = secrets.register('p@ss "word"/ü+%', 'a planted secret with signs');

for (const [form, text] of /** @type {Array<[string, string]>} */ ([
  ['as it is', `before ${SECRET} behind`],
  ['in an URL', `redis://user:${encodeURIComponent(WITH_SIGNS)}@host`],
  ['in JSON', JSON.stringify({ password: WITH_SIGNS })],
  ['in a form', new URLSearchParams({ password: WITH_SIGNS }).toString()],
  ['in base64', Buffer.from(SECRET).toString('base64')],
  ['in base64 behind one character', Buffer.from(`:${SECRET}`).toString('base64')],
  ['in base64 behind a user', Buffer.from(`me:${SECRET}\n`).toString('base64')],
  ['in base64 of a header', Buffer.from(`admin:${SECRET} and more`).toString('base64url')],
  ['in hexadecimal digits', Buffer.from(SECRET).toString('hex')],
])) {
  test(`a secret is found ${form}, and is not shown by whoever found it`, () => {
    const [leak, ...others] = secrets.leaksIn(`a line\n${text}\nanother line`, 'the log of x');
    assert.match(leak, /^the log of x shows a planted secret/);
    assert.deepEqual(others, []);
    assert.ok(!leak.includes(SECRET) && !leak.includes(WITH_SIGNS) && !leak.includes(text), leak);
    assert.ok(!leak.includes('another line'), 'only its line');
  });
}

test('a text without secrets is clean, and what no search could tell apart is no secret', () => {
  assert.deepEqual(secrets.leaksIn('a line\nand another', 'x'), []);
  assert.throws(() => secrets.register('short', 'x'), /at least 8/);
  assert.throws(() => secrets.register('password', 'x'), /cannot be told/);
});

test('a file that an instance wrote is searched, unless it is there to hold secrets', () => {
  const directory = temporaryDirectory('secrets');
  fs.mkdirSync(path.join(directory, 'deep'));
  for (const name of ['settings.js', 'flows_cred.json', '.config.runtime.json']) fs.writeFileSync(path.join(directory, name), SECRET);
  assert.deepEqual(secrets.leaksInFiles(directory, 'a file'), []);
  fs.writeFileSync(path.join(directory, 'deep', 'npm.log'), `token=${SECRET}`);
  assert.deepEqual(secrets.leaksInFiles(directory, 'a file'), ['a file, npm.log, shows a planted secret: token=<a planted secret>']);
});

test('an instance that prints one fails the test that it belongs to', async () => {
  /** @type {Array<() => Promise<void>>} */
  const cleanUps = [];
  const cluster = await startCluster({ after: (cleanUp) => cleanUps.push(cleanUp) }, {
    workers: 1,
    workerOptions: { source: `planted: console.log(${JSON.stringify(`connecting as user:${SECRET}`)})` },
  });
  assert.match(cluster.workers[0].log(), /connecting as/);
  await cluster.store.command('HSET', cluster.key('history'), '1', JSON.stringify({ user: SECRET }));
  const [cleanUp] = cleanUps;
  await assert.rejects(cleanUp(), ({ message }) => {
    assert.match(message, /the log of worker-1 shows a planted secret: .*connecting as user:<a planted secret>/);
    assert.match(message, /the key .*history shows a planted secret/);
    assert.ok(!message.includes(SECRET));
    return true;
  });
});
