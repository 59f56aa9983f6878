'use strict';

/** What failed in the output of a suite, picked out so that it can be said again at the very end, where everybody looks. */

const { StringDecoder } = require('node:string_decoder');
const { stripVTControlCharacters } = require('node:util');

/** The lines with which cargo and Node.js begin to tell of failures, and the one with which cargo ends. */
const BEGINS = /^(failures:|✖ failing tests:)$/;
const ENDS = /^test result:/;
/** Frames of a stack that belong to nobody who could mend it. */
const FRAME = /^\s+(\d+: |at (.*\(|async .*)?(\/rustc\/|.*\/\.cargo\/|node:internal))/;
/** Of a suite only the first of its lines about failures are kept: enough for a few, and not a second log of many. */
const MOST_LINES = 200;

/**
 * @typedef {{take: (chunk: Buffer) => void, lines: () => string[]}} Failures
 */

/** @returns {Failures} takes the output of a suite in pieces, and has the lines that tell what failed in it */
function collectFailures() {
  const decoder = new StringDecoder('utf8');
  /** @type {string[]} */
  const kept = [];
  let rest = '';
  let within = false;
  /** @param {string} line */
  const read = (line) => {
    const plain = stripVTControlCharacters(line).trimEnd();
    if (BEGINS.test(plain)) within = true;
    else if (ENDS.test(plain)) within = false;
    else if (within && plain !== '' && !FRAME.test(plain)) kept.push(plain);
  };
  return {
    take(chunk) {
      const lines = (rest + decoder.write(chunk)).split('\n');
      rest = lines.pop() ?? '';
      lines.forEach(read);
    },
    lines: () => (kept.length <= MOST_LINES ? kept : [...kept.slice(0, MOST_LINES), `… and ${kept.length - MOST_LINES} lines more, above`]),
  };
}

module.exports = { collectFailures };
