'use strict';

/** Loads the native addon that was built for this platform. */

const fs = require('node:fs');
const path = require('node:path');

/** @returns {string} the file name of the addon for the platform that runs this */
function addonFile() {
  const musl = process.platform === 'linux' && !usesGlibc() ? '-musl' : '';
  return `node-red-cluster.${process.platform}-${process.arch}${musl}.node`;
}

function usesGlibc() {
  // Spares the report a look at every network interface, which can take seconds.
  Object.assign(process.report, { excludeNetwork: true });
  const report = /** @type {{header: {glibcVersionRuntime?: string}}} */ (process.report.getReport());
  return Boolean(report.header.glibcVersionRuntime);
}

/** @returns {import('./types').Addon} */
function load() {
  const directory = path.join(__dirname, '..', 'native');
  const file = path.join(directory, addonFile());
  if (!fs.existsSync(file)) {
    const present = fs.existsSync(directory) ? fs.readdirSync(directory).join(', ') : '';
    throw new Error(
      `node-red-cluster has no native addon for this platform (${file} is missing; present: ${present || 'none'}). `
      + 'In a checkout run `npm run build`; otherwise install a package that was built for this platform.',
    );
  }
  return require(file);
}

module.exports = load();
