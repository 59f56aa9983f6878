'use strict';

/** The places of this repository that the scripts know of. */

const path = require('node:path');

const ROOT = path.resolve(__dirname, '..', '..');

module.exports = {
  /** The root of the repository, which is the npm package. */
  ROOT,
  /** What set-up fetches, outside git. */
  CACHE: path.join(ROOT, '.cache'),
  /** Where `npm run build` puts the addon. */
  NATIVE: path.join(ROOT, 'native'),
  /** The store that set-up fetches where the machine has none. */
  FETCHED_STORE: path.join(ROOT, '.cache', 'store', 'valkey-server'),
  /** Servers of several versions for the tests, each in a folder by its name. */
  SERVERS: path.join(ROOT, '.cache', 'servers'),
  /** Node-RED 5 and its Node.js, for the tests. */
  NODE_RED_5: path.join(ROOT, '.cache', 'node-red-5'),
  /** The JSON schemas that the files in `deploy/` are checked against. */
  SCHEMAS: path.join(ROOT, '.cache', 'schemas'),
};
