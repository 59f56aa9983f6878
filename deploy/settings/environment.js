'use strict';

/** What the settings of both roles take from the environment. README.md lists the variables. */

const fs = require('node:fs');

/**
 * Reads a variable.
 *
 * @param {string} name
 * @returns {string | undefined} undefined when it is not set or empty
 */
function variable(name) {
  return process.env[name] || undefined;
}

/**
 * Reads a secret: the file that `<name>_FILE` names, as containers mount secrets, else the variable.
 *
 * @param {string} name
 * @returns {string | undefined}
 */
function secret(name) {
  const file = variable(`${name}_FILE`);
  return file ? fs.readFileSync(file, 'utf8').trim() : variable(name);
}

/**
 * Leaves out what is not set, so that defaults apply.
 *
 * @template {Record<string, unknown>} Options
 * @param {Options} options
 * @returns {Partial<Options>}
 */
function whereSet(options) {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  return /** @type {Partial<Options>} */ (Object.fromEntries(entries));
}

/** @returns where the store is and how to enter it, for the `valkey` block */
function connection() {
  return whereSet({
    url: secret('VALKEY_URL'),
    host: variable('VALKEY_HOST'),
    port: variable('VALKEY_PORT'),
    username: variable('VALKEY_USERNAME'),
    password: secret('VALKEY_PASSWORD'),
    keyPrefix: variable('VALKEY_KEY_PREFIX'),
  });
}

/** @returns what every instance sets alike */
function common() {
  return whereSet({
    uiPort: Number(variable('PORT') ?? 1880),
    flowFile: 'flows.json',
    // Encrypts the credentials; the cluster makes a secret of its own where none is set.
    credentialSecret: secret('NODE_RED_CREDENTIAL_SECRET'),
  });
}

module.exports = { common, connection, secret, variable, whereSet };
