'use strict';

/** All set-up of a clone: idempotent, without root, nothing written outside the repository but the caches of npm, cargo and pip. */

const { buildAddon } = require('./addon.js');
const { installDevelopmentDependencies, installNodeRed5 } = require('./npm-packages.js');
const { requireNode, requireNodeForTests } = require('./prerequisites.js');
const { provideSchemas } = require('./schemas.js');
const { provideStore } = require('./store.js');

/** Everything that `npm start` needs. */
function setUpForRunning() {
  requireNode();
  provideStore();
  installDevelopmentDependencies();
  buildAddon();
}

/** Everything that `npm test` needs, beyond what `npm start` does. */
function setUpForTesting() {
  requireNodeForTests();
  setUpForRunning();
  installNodeRed5();
  provideSchemas();
}

module.exports = { setUpForRunning, setUpForTesting };
