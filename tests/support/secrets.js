'use strict';

/**
 * Every secret that the tests of this process use, and the search for them in whatever an instance says:
 * its output, its files, its presence, its answers. What is registered here must never be found there.
 */

const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

/**
 * Files of a user directory that hold secrets because that is what they are for: the test's own settings,
 * Node-RED's encrypted credentials and its settings with the key to them, and the last good revision,
 * which an instance starts from without the store. Installed packages and flows are the test's own text.
 */
const MAY_HOLD_SECRETS = /^(settings\.js|flows.*\.json(\.backup)?|\.flows.*\.backup|\.config\..*json(\.backup)?|node_modules|last-good-revision(\.new)?|recorded\.jsonl|\.npm|\.npmrc)$/;

/** Larger files are no logs. Bytes. */
const LARGEST = 16 * 1024 * 1024;

/** Shorter ones are found in any text. Characters. */
const SHORTEST = 8;

/**
 * A word that each log has is found in each log. No value of a test that is one of these can show
 * anything: take another value.
 */
const TELLS_NOTHING = /^(password|credentials?|nodered|secret)$/i;

/** @typedef {{label: string, forms: string[]}} Secret */

/** @type {Map<string, Secret>} by value */
const registered = new Map();

/**
 * @param {string} value
 * @returns {string[]} the value as it may stand in a text
 */
function formsOf(value) {
  const json = JSON.stringify(value).slice(1, -1);
  const forms = [value, json, encodeURIComponent(value), encodeURI(value), new URLSearchParams({ '': value }).toString().slice(1)];
  const bytes = Buffer.from(value);
  // In base64 a value looks different at each of three places. At the ends it shares digits with its neighbours.
  for (const before of [0, 1, 2]) {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64').replace(/=+$/, '');
    const own = text.slice(before === 0 ? 0 : before + 1, (before + bytes.length) % 3 === 0 ? undefined : -1);
    forms.push(own, own.replaceAll('+', '-').replaceAll('/', '_'));
  }
  forms.push(bytes.toString('hex'));
  return [...new Set(forms)];
}

/**
 * From now on the value must not be seen. Texts that are no secret in any test, such as an empty one, are
 * not taken; those that are too short or too common to be told apart are refused.
 *
 * @template {string | undefined} T
 * @param {T} value
 * @param {string} label what it is, for the message of a test that finds it
 * @returns {T} the value
 */
function register(value, label) {
  if (value === undefined || value === '' || registered.has(value)) return value;
  if (value.length < SHORTEST || TELLS_NOTHING.test(value)) {
    throw new Error(`"${value}" (${label}) cannot be told from other words in a log: take a secret of at least ${SHORTEST} characters`);
  }
  registered.set(value, { label, forms: formsOf(value) });
  return value;
}

/**
 * The secrets of an environment: what a variable says that is named for one, or the file that it names.
 *
 * @param {Record<string, string | undefined>} environment
 */
function registerEnvironment(environment) {
  for (const [name, value] of Object.entries(environment)) {
    if (/_(PASSWORD|SECRET)$/.test(name)) register(value, `the secret in ${name}`);
    if (/_(PASSWORD|SECRET)_FILE$/.test(name) && value && fs.existsSync(value)) {
      register(fs.readFileSync(value, 'utf8').trim(), `the secret of ${name}`);
    }
  }
}

/**
 * @param {string} label
 * @returns {string} a new secret, registered
 */
function create(label) {
  return register(crypto.randomBytes(16).toString('hex'), label);
}

/** @param {string} line */
function masked(line) {
  let text = line;
  for (const { label, forms } of registered.values()) {
    for (const form of forms) text = text.replaceAll(form, `<${label}>`);
  }
  return text.length > 500 ? `${text.slice(0, 500)}...` : text;
}

/**
 * @param {string} text
 * @param {string} where it was found, for the message
 * @returns {string[]} a sentence for each line that has a secret, which does not show it
 */
function leaksIn(text, where) {
  /** @type {string[]} */
  const leaks = [];
  for (const { label, forms } of registered.values()) {
    for (const form of forms) {
      const at = text.indexOf(form);
      if (at === -1) continue;
      const start = text.lastIndexOf('\n', at) + 1;
      const end = text.indexOf('\n', at);
      leaks.push(`${where} shows ${label}: ${masked(text.slice(start, end === -1 ? undefined : end))}`);
      break;
    }
  }
  return leaks;
}

/**
 * @param {string} directory
 * @param {string} where
 * @returns {string[]} as leaksIn, of all files below it that are not there to hold secrets
 */
function leaksInFiles(directory, where) {
  if (!fs.existsSync(directory)) return [];
  return fs.readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const file = path.join(directory, entry.name);
    if (MAY_HOLD_SECRETS.test(entry.name)) return [];
    if (entry.isDirectory()) return leaksInFiles(file, where);
    if (!entry.isFile() || fs.statSync(file).size > LARGEST) return [];
    return leaksIn(fs.readFileSync(file, 'latin1'), `${where}, ${entry.name},`);
  });
}

/**
 * @param {string[]} leaks
 * @returns {void} throws when there are any
 */
function assertNone(leaks) {
  if (leaks.length > 0) throw new Error(`secrets are shown:\n${leaks.join('\n')}`);
}

module.exports = { assertNone, create, leaksIn, leaksInFiles, register, registerEnvironment };
