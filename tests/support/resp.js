'use strict';

/**
 * A minimal client of the store's protocol (RESP2). Tests look at the store
 * with this, from outside, and not through the code under test.
 */

const net = require('node:net');

const LINE_END = Buffer.from('\r\n');

/** @typedef {Error | Buffer | number | null | Reply[]} Reply */

/**
 * Parses one reply.
 *
 * @param {Buffer} data
 * @param {number} start
 * @returns {{reply: any, end: number} | null} null when the reply is not complete yet
 */
function parseReply(data, start) {
  const lineEnd = data.indexOf(LINE_END, start);
  if (lineEnd === -1) return null;
  const kind = String.fromCharCode(data[start]);
  const line = data.toString('utf8', start + 1, lineEnd);
  const next = lineEnd + 2;
  switch (kind) {
    case '+':
      return { reply: Buffer.from(line), end: next };
    case '-':
      return { reply: new Error(line), end: next };
    case ':':
      return { reply: Number(line), end: next };
    case '$': {
      const length = Number(line);
      if (length === -1) return { reply: null, end: next };
      if (data.length < next + length + 2) return null;
      return { reply: data.subarray(next, next + length), end: next + length + 2 };
    }
    case '*': {
      const items = [];
      let end = next;
      for (let index = 0; index < Number(line); index += 1) {
        const item = parseReply(data, end);
        if (item === null) return null;
        items.push(item.reply);
        end = item.end;
      }
      return { reply: Number(line) === -1 ? null : items, end };
    }
    default:
      throw new Error(`not a RESP2 reply: ${data.toString('utf8', start, lineEnd)}`);
  }
}

/**
 * @param {Array<string | number | Buffer>} parts
 * @returns {Buffer}
 */
function encodeCommand(parts) {
  /** @type {Uint8Array[]} */
  const chunks = [Buffer.from(`*${parts.length}\r\n`)];
  for (const part of parts) {
    const bytes = Buffer.isBuffer(part) ? part : Buffer.from(String(part));
    chunks.push(Buffer.from(`$${bytes.length}\r\n`), bytes, LINE_END);
  }
  return Buffer.concat(chunks);
}

/**
 * @param {any} reply
 * @returns {any} the reply with every Buffer as text
 */
function asText(reply) {
  if (Buffer.isBuffer(reply)) return reply.toString('utf8');
  return Array.isArray(reply) ? reply.map(asText) : reply;
}

/**
 * @typedef {object} RespClient
 * @property {(...parts: Array<string | number | Buffer>) => Promise<any>} command
 *   reply with strings as text; an error reply rejects
 * @property {(...parts: Array<string | number | Buffer>) => Promise<any>} commandBytes
 *   the same with strings as Buffers
 * @property {() => boolean} isOpen
 * @property {() => void} close
 */

/**
 * Opens one connection.
 *
 * @param {object} target
 * @param {string} target.path unix socket
 * @param {string} [target.username]
 * @param {string} [target.password]
 * @param {(message: any[]) => void} [target.onPush] replies nobody asked for: pub/sub messages
 * @returns {Promise<RespClient>}
 */
async function connect({ path, username, password, onPush = () => {} }) {
  const socket = net.connect({ path });
  /** @type {Array<{resolve: (reply: any) => void, reject: (error: Error) => void}>} */
  const waiting = [];
  /** @type {Uint8Array[]} */
  let chunks = [];
  let open = true;

  /** @param {Error} error */
  function fail(error) {
    open = false;
    for (const waiter of waiting.splice(0)) waiter.reject(error);
  }
  /** @param {any} reply */
  function deliver(reply) {
    const isPush = Array.isArray(reply) && asText(reply[0]) === 'message';
    if (isPush) return onPush(asText(reply));
    const waiter = waiting.shift();
    if (reply instanceof Error) return waiter?.reject(reply);
    return waiter?.resolve(reply);
  }

  socket.on('data', (chunk) => {
    chunks.push(chunk);
    const data = Buffer.concat(chunks);
    let end = 0;
    for (let parsed = parseReply(data, 0); parsed !== null; parsed = parseReply(data, end)) {
      end = parsed.end;
      deliver(parsed.reply);
      if (end === data.length) break;
    }
    chunks = end === data.length ? [] : [data.subarray(end)];
  });
  socket.on('error', fail);
  socket.on('close', () => fail(new Error('the connection to the store was closed')));

  await new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });

  /** @param {Array<string | number | Buffer>} parts */
  function commandBytes(...parts) {
    if (!open) return Promise.reject(new Error('the connection to the store is closed'));
    return new Promise((resolve, reject) => {
      waiting.push({ resolve, reject });
      socket.write(encodeCommand(parts));
    });
  }
  /** @type {RespClient} */
  const client = {
    commandBytes,
    command: async (...parts) => asText(await commandBytes(...parts)),
    isOpen: () => open,
    close: () => {
      open = false;
      socket.destroy();
    },
  };
  if (password !== undefined) {
    await (username === undefined
      ? client.command('AUTH', password)
      : client.command('AUTH', username, password));
  }
  return client;
}

module.exports = { connect };
