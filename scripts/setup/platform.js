'use strict';

/** Which binary fits this machine. `node/` picks the addon by the same name. */

/**
 * @returns {boolean} whether Node.js runs on musl, as on Alpine Linux
 */
function isMusl() {
  if (process.platform !== 'linux') return false;
  // Spares the report a look at every network interface, which can take seconds.
  Object.assign(process.report, { excludeNetwork: true });
  const report = /** @type {{header: {glibcVersionRuntime?: string}}} */ (process.report.getReport());
  return !report.header.glibcVersionRuntime;
}

/**
 * @returns {string} the file name of the addon for this machine
 */
function addonFileName() {
  return `node-red-cluster.${process.platform}-${process.arch}${isMusl() ? '-musl' : ''}.node`;
}

module.exports = { addonFileName, isMusl };
