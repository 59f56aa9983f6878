'use strict';

/** TLS in front of a store, with a certificate that is made at run time. */

const crypto = require('node:crypto');
const net = require('node:net');
const tls = require('node:tls');
const addresses = require('./addresses');
const { freePort } = require('./ports');

/** The tags of DER that a certificate needs. */
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const OBJECT = 0x06;
const UTF8_STRING = 0x0c;
const UTC_TIME = 0x17;
const SEQUENCE = 0x30;
const SET = 0x31;
/** A field that is told by its number. */
const context = (/** @type {number} */ number, { constructed = false } = {}) => (constructed ? 0xa0 : 0x80) + number;

/**
 * @param {number} tag
 * @param {...Uint8Array} contents
 * @returns {Buffer}
 */
function der(tag, ...contents) {
  const content = Buffer.concat(contents);
  const { length } = content;
  // DER takes the shortest form only.
  const long = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  const size = length < 0x80 ? [length] : long;
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

/** @param {string} dotted */
function object(dotted) {
  const [first, second, ...rest] = dotted.split('.').map(Number);
  const bytes = rest.flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let left = arc >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80);
    return groups;
  });
  return der(OBJECT, Buffer.from([first * 40 + second, ...bytes]));
}

/** @param {Date} date */
const time = (date) => der(UTC_TIME, Buffer.from(`${date.toISOString().replace(/\D/g, '').slice(2, 14)}Z`));

/**
 * Makes a self-signed certificate for `localhost` and 127.0.0.1, valid from yesterday until tomorrow.
 *
 * @returns {{key: string, certificate: string}} PEM
 */
function selfSigned() {
  const { privateKey, publicKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const day = 24 * 60 * 60 * 1000;
  const algorithm = der(SEQUENCE, object('1.2.840.10045.4.3.2'));
  const commonName = der(SEQUENCE, object('2.5.4.3'), der(UTF8_STRING, Buffer.from('localhost')));
  const name = der(SEQUENCE, der(SET, commonName));
  const validity = der(SEQUENCE, time(new Date(Date.now() - day)), time(new Date(Date.now() + day)));
  const names = der(SEQUENCE, der(context(2), Buffer.from('localhost')), der(context(7), Buffer.from([127, 0, 0, 1])));
  const extension = der(SEQUENCE, object('2.5.29.17'), der(OCTET_STRING, names));
  const body = der(
    SEQUENCE,
    der(context(0, { constructed: true }), der(INTEGER, Buffer.from([2]))),
    der(INTEGER, Buffer.concat([Buffer.from([1]), crypto.randomBytes(8)])),
    algorithm,
    name,
    validity,
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(context(3, { constructed: true }), der(SEQUENCE, extension)),
  );
  const signature = crypto.sign('sha256', body, privateKey);
  const certificate = der(SEQUENCE, body, algorithm, der(BIT_STRING, Buffer.from([0]), signature));
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
  return {
    key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    certificate: ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n'),
  };
}

/**
 * @param {number} targetPort of the store on 127.0.0.1
 */
async function startTlsFront(targetPort) {
  const port = await freePort();
  addresses.registerWay(port, targetPort);
  const { key, certificate } = selfSigned();
  /** @type {Set<net.Socket>} */
  const sockets = new Set();
  const server = tls.createServer({ key, cert: certificate }, (client) => {
    const upstream = net.connect(targetPort, '127.0.0.1');
    for (const [socket, other] of [[client, upstream], [upstream, client]]) {
      sockets.add(socket);
      socket.on('data', (chunk) => other.write(chunk));
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  });
  // Whoever refuses the certificate hangs up in the middle of the handshake.
  server.on('tlsClientError', () => {});
  await new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(undefined)));
  return {
    host: '127.0.0.1',
    port,
    /** PEM; it is its own authority. */
    certificate,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

module.exports = { startTlsFront };
