'use strict';

/** `npm run setup:servers`: stores of several versions for the tests, all or those named. */

const { NAMES, provideServers } = require('./setup/servers/index.js');
const { runMain, unusable } = require('./support/stop.js');

runMain(() => {
  const names = process.argv.slice(2);
  const unknown = names.find((name) => !NAMES.includes(name));
  if (unknown) throw unusable(`There is no server ${unknown}: choose from ${NAMES.join(', ')}.`);
  for (const { name, program } of provideServers(names.length > 0 ? names : NAMES)) console.log(`${name}\t${program}`);
  return 0;
});
