'use strict';

/**
 * Who logs in to a store of the tests as whom: by the lines of docs/operations.md, word for word but for
 * the prefix and the password, so that everything that the tests do is done with the rights that an
 * operator is told to give.
 */

const fs = require('node:fs');
const path = require('node:path');
const { ROOT } = require('./directories');
const secrets = require('./secrets');

/** @typedef {'nodered-admin' | 'nodered-worker' | 'nodered-leader'} User */

/**
 * @typedef {object} Reach what a user may get at beyond the lines of the document
 * @property {string} [prefix] of the cluster's keys; `nodered:` when absent
 * @property {string[]} [lockKeys] that are no part of the prefix, see "Access rules"
 */

/** @typedef {(major: number, minor: number) => boolean} Knows whether the server is of this version of Redis or later */

/** The prefix of the lines in the document, and of a cluster that sets none. */
const DEFAULT_PREFIX = 'nodered:';

/** @type {readonly User[]} */
const USERS = ['nodered-admin', 'nodered-worker', 'nodered-leader'];

/**
 * @param {User} user
 * @param {Knows} knows
 * @returns {string[]} the rules as they stand in docs/operations.md
 */
function documentedRules(user, knows) {
  const text = fs.readFileSync(path.join(ROOT, 'docs', 'operations.md'), 'utf8');
  const lines = text.split('\n').filter((line) => line.startsWith(`ACL SETUSER ${user} `));
  // The document has the lines of Redis 6 behind the others.
  const line = knows(7, 0) ? lines[0] : lines[1];
  if (!line) throw new Error(`docs/operations.md has no line "ACL SETUSER ${user} ..."`);
  const rules = line.split(/\s+/).slice('ACL SETUSER x'.split(' ').length);
  // There are rules for channels from 6.2 on, as the document says.
  return knows(6, 2) ? rules : rules.filter((rule) => !/^(resetchannels$|&)/.test(rule));
}

/** @param {string} prefix as an option, which may lack the final colon */
function wholePrefix(prefix) {
  return prefix.endsWith(':') ? prefix : `${prefix}:`;
}

/** @param {string} text to be found as it stands, in a pattern; rules cannot have spaces */
const escapeGlob = (text) => text.replace(/[\\*?[\]^]/g, '\\$&').replace(/\s/g, '?');

/**
 * Keeps the documented users of one store.
 *
 * @param {(user: string, rules: string[]) => Promise<unknown>} setUser
 * @param {Knows} knows
 */
function createAccess(setUser, knows) {
  const passwords = new Map(USERS.map((user) => [user, secrets.create(`the store's password of ${user}`)]));
  /** @type {Map<User, Set<string>>} all rules that a user has by now */
  const given = new Map();

  /**
   * Makes sure that a user has its documented rights below a prefix.
   *
   * @param {User} user
   * @param {Reach} [reach]
   * @returns {Promise<{username: User, password: string}>}
   */
  async function login(user, { prefix = DEFAULT_PREFIX, lockKeys = [] } = {}) {
    const password = /** @type {string} */ (passwords.get(user));
    const documented = documentedRules(user, knows).map((rule) =>
      rule.replace('PASSWORD', password).replaceAll(DEFAULT_PREFIX, escapeGlob(wholePrefix(prefix))));
    const rules = [...documented, ...lockKeys.map((key) => `~${escapeGlob(key)}*`)];
    const known = given.get(user);
    // A store of the tests may have several clusters: a later one only adds its own patterns.
    const added = known ? rules.filter((rule) => /^[~%&]/.test(rule) && !known.has(rule)) : rules;
    // Before anything is awaited: another login at the same time must not take this one's patterns back.
    given.set(user, new Set([...(known ?? []), ...added]));
    if (added.length > 0) await setUser(user, added);
    return { username: user, password };
  }

  return {
    login,
    /** @returns {string[][]} a name and its rules, to give them to the server at its next start */
    users: () => [...given].map(([user, rules]) => [user, ...rules]),
  };
}

module.exports = { DEFAULT_PREFIX, USERS, createAccess, documentedRules };
