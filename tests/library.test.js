'use strict';

/** The library answers exactly as Node-RED's own file storage does: the same requests, side by side. */

const assert = require('node:assert/strict');
const { before, test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { startReadyInstance } = require('./support/instance');
const { fileScope } = require('./support/scope');
const { until } = require('./support/wait');

const scope = fileScope();
/** @type {import('./support/cluster').Cluster} */
let cluster;
/** @type {import('./support/cluster').Instance} */
let plain;
before(async () => {
  cluster = await startCluster(scope, { workers: 0 });
  plain = await startReadyInstance({ role: 'plain' });
  scope.after(() => plain.release());
});

/**
 * @param {string} method
 * @param {string} path below /library/local/
 * @param {unknown} [body]
 */
async function assertSameAnswer(method, path, body) {
  const url = `/library/local/${path}`;
  const ask = async (/** @type {import('./support/cluster').Instance} */ instance) =>
    comparable(await instance.api.call(method, url, body));
  if (method === 'POST') {
    const [expected, actual] = [await ask(plain), await ask(cluster.admin)];
    assertAlike(actual, expected);
    return;
  }
  // The file storage answers a POST before it has written the file: a GET is asked until it has.
  await until(
    async () => {
      const [expected, actual] = [await ask(plain), await ask(cluster.admin)];
      assertAlike(actual, expected);
      return true;
    },
    { message: `${method} ${url} is answered alike`, timeout: 2_000 },
  );
}

/**
 * @param {import('./support/http').Answer} answer
 * @returns {{status: number, content: unknown}} a listing, a text, or an error with its code and message
 */
function comparable({ status, text, body }) {
  if (status >= 300) return { status, content: { code: body?.code, message: body?.message } };
  return { status, content: Array.isArray(body) ? body : text };
}

/**
 * @param {{status: number, content: any}} actual
 * @param {{status: number, content: any}} expected
 */
function assertAlike(actual, expected) {
  // An error of the file system names a path on a disk; of that, the status counts.
  if (/^E[A-Z]+$/.test(expected.content?.code)) assert.equal(actual.status, expected.status);
  else assert.deepEqual(actual, expected);
}

test('a library without entries', async () => {
  for (const type of ['functions', 'templates', 'flows']) {
    for (const path of ['', '/', '/unknown', '/unknown/', '/a/b/c']) {
      await assertSameAnswer('GET', `${type}${path}`);
    }
  }
});

test('entries with metadata, in folders, and their listings', async () => {
  const entries = {
    'b.js': { text: 'return b;', name: 'b', outputs: '1' },
    'a.js': { text: 'return a;\n// not: metadata\nreturn msg;' },
    'folder/inner.js': { text: 'return inner;', name: 'with\nline break and \\ backslash' },
    'folder/deeper/deepest.js': { text: 'return deepest;\n' },
    'ünïcode 🦀.js': { text: 'return "ä";', name: 'ö' },
    'empty.js': { text: '' },
    '.hidden.js': { text: 'hidden' },
    'a-folder.js/entry.js': { text: 'a folder that is called like a file' },
  };
  for (const [path, body] of Object.entries(entries)) {
    await assertSameAnswer('POST', `functions/${encodeURI(path)}`, { ...body });
  }
  for (const path of Object.keys(entries)) await assertSameAnswer('GET', `functions/${encodeURI(path)}`);
  for (const folder of ['', 'folder', 'folder/', 'folder/deeper', 'folder/deeper/', 'fold', 'folder/unknown/', 'a-folder.js']) {
    await assertSameAnswer('GET', `functions/${folder}`);
  }
  await assertSameAnswer('GET', 'templates/');
});

test('an entry that is overwritten', async () => {
  await assertSameAnswer('POST', 'templates/page.html', { text: 'first', name: 'first', format: 'html' });
  await assertSameAnswer('POST', 'templates/page.html', { text: 'second' });
  await assertSameAnswer('GET', 'templates/page.html');
  await assertSameAnswer('GET', 'templates/');
});

test('an entry below an entry is refused', async () => {
  await assertSameAnswer('POST', 'templates/leaf', { text: 'leaf' });
  await assertSameAnswer('GET', 'templates/leaf');
  await assertSameAnswer('POST', 'templates/leaf/child', { text: 'child' });
  await assertSameAnswer('GET', 'templates/leaf/child');
  await assertSameAnswer('GET', 'templates/leaf');
});

test('flows, whose file name may be left without .json', async () => {
  const nodes = [{ id: 'n1', type: 'comment', name: 'in the library', wires: [] }];
  for (const path of ['one', 'two.json', 'group/three', 'group/four.json']) {
    await assertSameAnswer('POST', `flows/${path}`, nodes);
  }
  for (const path of ['', 'one', 'one.json', 'two', 'two.json', 'group', 'group/', 'group/three', 'group/four.json', 'none', 'none.json']) {
    await assertSameAnswer('GET', `flows/${path}`);
  }
});

test('a path that leaves the library is refused', async () => {
  for (const path of ['..%2Fflows.json', 'folder/..%2F..%2Fx', '..%5Cx']) {
    await assertSameAnswer('GET', `functions/${path}`);
    await assertSameAnswer('POST', `functions/${path}`, { text: 'outside' });
  }
});

test('texts that begin with empty lines, or with lines that look like metadata', async () => {
  const texts = {
    'empty-lines.js': '\n\nafter empty lines',
    'like-metadata.js': '// looks: like metadata\nreturn msg;',
    'windows.js': '\r\nreturn msg;\r\n',
    'only-metadata.js': '// name: nothing else',
  };
  for (const [path, text] of Object.entries(texts)) {
    await assertSameAnswer('POST', `texts/${path}`, { text, name: 'text' });
    await assertSameAnswer('GET', `texts/${path}`);
  }
  await assertSameAnswer('GET', 'texts/');
});

test('an admin that restarts has its library', async () => {
  await cluster.admin.restart();
  await assertSameAnswer('GET', 'functions/');
  await assertSameAnswer('GET', 'functions/folder/inner.js');
});

test('names that mean something in JavaScript or to the store are names like others', async () => {
  for (const path of ['__proto__', 'constructor', 'star*.js', 'question?.js', 'bracket[a].js', 'colon:name.js']) {
    await assertSameAnswer('POST', `functions/odd/${encodeURIComponent(path)}`, { text: path });
    await assertSameAnswer('GET', `functions/odd/${encodeURIComponent(path)}`);
  }
  await assertSameAnswer('GET', 'functions/odd');
  await assertSameAnswer('GET', 'functions/odd/star*');
});
