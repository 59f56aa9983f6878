'use strict';

/** Every command that a store is given, as its MONITOR shows them. */

const net = require('node:net');

/**
 * @typedef {object} Seen
 * @property {string} client address of who sent it; `lua` inside a script
 * @property {string[]} parts the command and its arguments
 */

/**
 * @param {import('./store').Store} store
 */
async function monitor(store) {
  const socket = net.connect({ path: store.socketPath });
  let text = '';
  /** @type {Seen[]} */
  const seen = [];
  let pending = store.password === undefined ? 1 : 2;
  await new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.setEncoding('utf8').on('data', (chunk) => {
      const lines = (text + chunk).split('\r\n');
      text = lines.pop() ?? '';
      for (const line of lines) {
        if (line.startsWith('+OK')) {
          pending -= 1;
          if (pending === 0) resolve(undefined);
        } else seen.push(parse(line));
      }
    });
    socket.write(store.password === undefined ? 'MONITOR\r\n' : `AUTH ${store.password}\r\nMONITOR\r\n`);
  });
  return {
    /** All commands so far. */
    seen,
    /**
     * @param {string} key
     * @returns {Seen[]} those that clients sent about this key
     */
    about: (key) => seen.filter(({ client, parts }) => client !== 'lua' && parts.includes(key)),
    close: () => socket.destroy(),
  };
}

/**
 * @param {string} line such as `+1700000000.123456 [0 127.0.0.1:50000] "get" "a"`
 * @returns {Seen}
 */
function parse(line) {
  const client = /\[\d+ ([^\]]+)\]/.exec(line)?.[1] ?? '';
  const parts = [...line.slice(line.indexOf(']')).matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, part]) => part);
  return { client, parts };
}

module.exports = { monitor };
