'use strict';

/** `npm start`: set-up, then a cluster on this machine. Arguments after `--` go to `node-red-cluster up`. */

const path = require('node:path');

const { setUpForRunning } = require('./setup/index.js');
const { ROOT } = require('./support/paths.js');
const { runToEnd } = require('./support/run.js');
const { runMain } = require('./support/stop.js');

runMain(() => {
  setUpForRunning();
  return runToEnd(process.execPath, [path.join(ROOT, 'bin', 'node-red-cluster.js'), 'up', ...process.argv.slice(2)]);
});
