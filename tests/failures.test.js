'use strict';

/** What failed in a suite is said again at the end of `npm test`. */

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { collectFailures } = require('../scripts/support/failures');

/** @param {string} output @param {number} size of the pieces in which it comes, in bytes */
function failuresIn(output, size) {
  const failures = collectFailures();
  const bytes = Buffer.from(output);
  for (let from = 0; from < bytes.length; from += size) failures.take(bytes.subarray(from, from + size));
  return failures.lines();
}

const CARGO = 'test a ... ok\ntest b ... FAILED\n\nfailures:\n\n---- b stdout ----\n  0: panic\n             at ./tests/b.rs:1:2\n\nfailures:\n    b\n\ntest result: FAILED. 1 passed\ntest c ... ok\n';
const NODE = '✔ one (1 ms)\n✖ two (1 ms)\n\u001b[31m✖ failing tests:\u001b[39m\n\n✖ two (1 ms)\n  Error: no\n      at node:internal/process:1:2\n      at two (/tests/two.test.js:1:2)\n';

for (const size of [1, 7, 10_000]) {
  test(`the failures of cargo and of Node.js are found in pieces of ${size} bytes`, () => {
    assert.deepEqual(failuresIn(CARGO, size), ['---- b stdout ----', '             at ./tests/b.rs:1:2', '    b']);
    assert.deepEqual(failuresIn(NODE, size), ['✖ two (1 ms)', '  Error: no', '      at two (/tests/two.test.js:1:2)']);
  });
}

test('of very many lines the first are said again, and how many more there are', () => {
  const lines = failuresIn(`✖ failing tests:\n${'✖ one\n'.repeat(250)}`, 64);
  assert.deepEqual([lines.length, lines.at(-1)], [201, '… and 50 lines more, above']);
});
