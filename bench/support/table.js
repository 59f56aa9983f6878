'use strict';

/**
 * @param {string[][]} rows the first one is the heading; the first column is aligned left
 * @returns {string}
 */
function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const lines = rows.map((row) => row
    .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column])))
    .join('   ')
    .trimEnd());
  return lines.join('\n');
}

module.exports = { table };
