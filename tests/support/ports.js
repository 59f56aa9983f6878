'use strict';

/**
 * Free TCP ports on 127.0.0.1. They are drawn below the range that the kernel
 * uses for outgoing connections, so that a port stays free while the process
 * that was started on it is down for a restart.
 */

const net = require('node:net');

const LOWEST = 12_000;
const HIGHEST = 31_999;
/**
 * Files of tests run in processes of their own at the same time. Each keeps a block of ports to itself, by listening on
 * its first one, so that it cannot be given a port whose owner is just starting. More than a file ever starts.
 */
const BLOCK = 250;

/** @type {Promise<number> | undefined} the first port of the block of this process */
let block;
/** How many ports of it were tried. */
let tried = 0;

/**
 * @param {number} port
 * @returns {Promise<net.Server | undefined>} listening; undefined where somebody else does
 */
function listen(port) {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

/** @returns {Promise<number>} the first port of a block that is this process's until it ends */
async function claimBlock() {
  for (;;) {
    const first = LOWEST + BLOCK * Math.floor((Math.random() * (HIGHEST + 1 - LOWEST)) / BLOCK);
    const server = await listen(first);
    if (!server) continue;
    server.unref();
    return first;
  }
}

/**
 * @returns {Promise<number>} a port that nobody listens on and that nobody was given before
 */
async function freePort() {
  for (;;) {
    tried += 1;
    if (tried >= BLOCK) {
      block = undefined;
      tried = 1;
    }
    // Before the wait, as several ask at once.
    const offset = tried;
    block ??= claimBlock();
    const port = (await block) + offset;
    const server = await listen(port);
    if (!server) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

module.exports = { freePort };
