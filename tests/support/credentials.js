'use strict';

/** Node-RED's own encryption of credentials, to look into what the store holds. */

const crypto = require('node:crypto');

/**
 * @param {string} secret the credential secret
 * @param {{$: string}} encrypted 32 hexadecimal digits of the initial vector, then base64
 * @returns {any} credentials by node id; throws when the secret is not the right one
 */
function decrypt(secret, { $: text }) {
  const key = crypto.createHash('sha256').update(secret).digest();
  const vector = Buffer.from(text.slice(0, 32), 'hex');
  const decipher = crypto.createDecipheriv('aes-256-ctr', key, vector);
  return JSON.parse(decipher.update(text.slice(32), 'base64', 'utf8') + decipher.final('utf8'));
}

/**
 * @param {string} secret the credential secret
 * @param {object} credentials by node id
 * @returns {{$: string}}
 */
function encrypt(secret, credentials) {
  const key = crypto.createHash('sha256').update(secret).digest();
  const vector = crypto.randomBytes(16);
  const cipher = crypto.createCipheriv('aes-256-ctr', key, vector);
  const text = cipher.update(JSON.stringify(credentials), 'utf8', 'base64') + cipher.final('base64');
  return { $: vector.toString('hex') + text };
}

module.exports = { decrypt, encrypt };
