'use strict';

/** `npm run build`: the release addon for this machine, in `native/`. */

const path = require('node:path');

const { buildAddon } = require('./setup/addon.js');
const { ROOT } = require('./support/paths.js');
const { runMain } = require('./support/stop.js');

runMain(() => {
  console.error(`Built ${path.relative(ROOT, buildAddon())}`);
  return 0;
});
