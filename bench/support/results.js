'use strict';

/** Results that are kept: a text to read and the figures behind it, by date. */

const fs = require('node:fs');
const path = require('node:path');

const { ROOT } = require('../../tests/support/directories.js');

/**
 * @param {string} name of the bench
 * @param {string} text
 * @param {object} figures
 * @returns {string} path of the text from the root of the repository
 */
function save(name, text, figures) {
  const folder = path.join('bench', 'results');
  const base = path.join(folder, `${new Date().toISOString().slice(0, 10)}-${name}`);
  fs.mkdirSync(path.join(ROOT, folder), { recursive: true });
  fs.writeFileSync(path.join(ROOT, `${base}.txt`), text);
  fs.writeFileSync(path.join(ROOT, `${base}.json`), `${JSON.stringify(figures, null, 2)}\n`);
  return `${base}.txt`;
}

module.exports = { save };
