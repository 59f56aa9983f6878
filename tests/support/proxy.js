'use strict';

/** A TCP proxy in front of the store, to make link faults. */

const net = require('node:net');
const addresses = require('./addresses');
const { freePort } = require('./ports');

/**
 * @typedef {Awaited<ReturnType<typeof startProxy>>} Proxy
 */

/**
 * @param {number} targetPort on 127.0.0.1
 */
async function startProxy(targetPort) {
  const port = await freePort();
  addresses.registerWay(port, targetPort);
  /** @type {Set<net.Socket>} */
  const sockets = new Set();
  /** @type {'open' | 'cut' | 'held'} */
  let state = 'open';

  const server = net.createServer((client) => {
    if (state === 'cut') {
      client.resetAndDestroy();
      return;
    }
    const upstream = net.connect(targetPort, '127.0.0.1');
    for (const [socket, other] of [[client, upstream], [upstream, client]]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      // Not pipe(): that resumes a paused socket by itself once the other side drains.
      socket.on('data', (chunk) => other.write(chunk));
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    if (state === 'held') {
      client.pause();
      upstream.pause();
    }
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(undefined)));

  return {
    host: '127.0.0.1',
    port,
    /** Resets every connection and refuses new ones. */
    cut() {
      state = 'cut';
      for (const socket of sockets) socket.resetAndDestroy();
    },
    /** Nothing passes any more, and no end of the link is told: a half-open peer. */
    hold() {
      state = 'held';
      for (const socket of sockets) socket.pause();
    },
    /** Lets everything through again, what was held back included. */
    heal() {
      state = 'open';
      for (const socket of sockets) socket.resume();
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

module.exports = { startProxy };
