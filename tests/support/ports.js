'use strict';

/**
 * Free TCP ports on 127.0.0.1. They are drawn below the range that the kernel
 * uses for outgoing connections, so that a port stays free while the process
 * that was started on it is down for a restart.
 */

const net = require('node:net');

const LOWEST = 12_000;
const HIGHEST = 31_999;

/** @type {Set<number>} */
const given = new Set();

/**
 * @param {number} port
 * @returns {Promise<boolean>}
 */
function canListen(port) {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/**
 * @returns {Promise<number>} a port that nobody listens on and that this process has not given before
 */
async function freePort() {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (given.has(port)) continue;
    given.add(port);
    if (await canListen(port)) return port;
  }
}

module.exports = { freePort };
