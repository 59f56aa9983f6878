'use strict';

/** `npm run setup`: everything that running and testing need. */

const { setUpForTesting } = require('./setup/index.js');
const { runMain } = require('./support/stop.js');

runMain(() => {
  setUpForTesting();
  console.error('Everything is set up: `npm start` runs a cluster, `npm test` tests it.');
  return 0;
});
