'use strict';

/** From what the dialog of a config node says to connection options as in the `valkey` block. */

/** Where the store is in the compose files of most people. */
const DEFAULT_HOST = 'redis';

/** A value that Node-RED would have replaced, if there were such a variable. */
const VARIABLE = /^\$\{([^}]+)\}$/;

/**
 * @typedef {object} Fields
 * @property {string} [host]
 * @property {string | number} [port]
 * @property {string | number} [database]
 * @property {boolean} [tls]
 * @property {string} [ca]
 * @property {string} [cert]
 * @property {string} [servername]
 * @property {boolean} [rejectUnauthorized]
 * @property {string} [sentinels] `host:port`, separated by commas
 * @property {string} [sentinelName]
 * @property {boolean} [tlsSentinels]
 * @property {string} [clusterNodes] `host:port`, separated by commas
 */

/**
 * @typedef {object} Secrets
 * @property {string} [username]
 * @property {string} [password]
 * @property {string} [sentinelUsername]
 * @property {string} [sentinelPassword]
 * @property {string} [key]
 * @property {string} [passphrase]
 */

/** @type {Record<keyof Secrets, {type: 'text' | 'password'}>} */
const CREDENTIALS = {
  username: { type: 'text' },
  password: { type: 'password' },
  sentinelUsername: { type: 'text' },
  sentinelPassword: { type: 'password' },
  key: { type: 'password' },
  passphrase: { type: 'password' },
};

/**
 * @param {Fields} fields
 * @param {Secrets} secrets
 * @returns {Record<string, unknown>}
 */
function connectionOptions(fields, secrets) {
  refuseUnset({ ...fields, ...secrets });
  const sentinels = addresses(fields.sentinels);
  const cluster = addresses(fields.clusterNodes);
  const tls = present({
    ca: fields.ca,
    cert: fields.cert,
    key: secrets.key,
    passphrase: secrets.passphrase,
    servername: fields.servername,
    rejectUnauthorized: fields.rejectUnauthorized !== false,
  });
  const { username, password } = secrets;
  const common = {
    ...present({ username, password, db: fields.database }),
    ...(fields.tls ? { tls } : {}),
  };
  if (cluster.length > 0) {
    // Both at once are refused where connection options are read.
    return { cluster, ...(sentinels.length > 0 ? { sentinels } : {}), ...common };
  }
  if (sentinels.length === 0) {
    return { host: fields.host ?? DEFAULT_HOST, ...present({ port: fields.port }), ...common };
  }
  return {
    sentinels,
    ...present({
      name: fields.sentinelName,
      sentinelUsername: secrets.sentinelUsername,
      sentinelPassword: secrets.sentinelPassword,
    }),
    ...common,
    ...(fields.tlsSentinels ? { sentinelTLS: tls } : {}),
  };
}

/**
 * @param {string | undefined} list
 * @returns {string[]}
 */
function addresses(list) {
  return String(list ?? '').split(/[\s,]+/).filter((address) => address !== '');
}

/**
 * @param {Record<string, unknown>} options
 * @returns {Record<string, unknown>} those that are not left empty
 */
function present(options) {
  const given = Object.entries(options).filter(([, value]) => {
    const empty = value === undefined || value === null || (typeof value === 'string' && value.trim() === '');
    return !empty;
  });
  return Object.fromEntries(given);
}

/**
 * Node-RED leaves `${NAME}` as it is where there is no such variable; nobody means that text.
 *
 * @param {Record<string, unknown>} fields
 */
function refuseUnset(fields) {
  for (const [name, value] of Object.entries(fields)) {
    const variable = typeof value === 'string' ? VARIABLE.exec(value)?.[1] : undefined;
    if (variable !== undefined) {
      const problem = `the field ${name} takes its value from the environment variable ${variable}, which is not set`;
      throw Object.assign(new Error(`${problem}: set it, or type the value`), { code: 'NRC_CONFIG_INVALID' });
    }
  }
}

module.exports = { CREDENTIALS, connectionOptions, refuseUnset };
