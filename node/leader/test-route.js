'use strict';

/** The button "Test connection" of the dialog: tries what the dialog shows, saved or not. */

const { electionsOf } = require('./elections.js');
const { CREDENTIALS, connectionOptions } = require('./options.js');

/** What the editor sends for a password that is stored and was not typed anew. */
const UNCHANGED = '__PWRD__';

/** Longest request, in characters: a few certificates. */
const LONGEST = 256 * 1024;

/** @param {any} RED Node-RED's interface for nodes */
function serveTest(RED) {
  RED.httpAdmin.post(
    '/node-red-cluster/valkey-config/test',
    RED.auth.needsPermission('flows.write'),
    async (/** @type {any} */ request, /** @type {any} */ response) => {
      // A form of another site cannot send JSON.
      if (!request.is('json') || typeof request.body !== 'object' || Array.isArray(request.body)) {
        response.status(415).json({ code: 'NRC_INVALID_REQUEST', message: 'send JSON' });
        return;
      }
      if (JSON.stringify(request.body).length > LONGEST) {
        response.status(413).json({ code: 'NRC_INVALID_REQUEST', message: 'the fields are too long' });
        return;
      }
      response.type('json').send(await test(RED, request.body));
    },
  );
}

/**
 * @param {any} RED
 * @param {Record<string, unknown>} body the fields of the dialog, and the node's id
 * @returns {Promise<string>} JSON
 */
async function test(RED, body) {
  try {
    return await electionsOf(RED).test(optionsOfDialog(RED, body));
  } catch (error) {
    const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
    return JSON.stringify({ ok: false, store: '', steps: [], message, code: code ?? null });
  }
}

/**
 * @param {any} RED
 * @param {Record<string, unknown>} body
 */
function optionsOfDialog(RED, { id, ...body }) {
  const node = typeof id === 'string' ? RED.nodes.getNode(id) : null;
  const stored = (typeof id === 'string' && RED.nodes.getCredentials(id)) || {};
  // Beside the fields, or in an object of their own as Node-RED keeps them.
  const typed = { ...body, .../** @type {object | undefined} */ (body.credentials) };
  /** @param {unknown} value */
  const replaced = (value) => (typeof value === 'string' ? expanded(RED, value, node) : value);
  /** @type {Record<string, any>} */
  const secrets = {};
  for (const name of Object.keys(CREDENTIALS)) {
    const value = Object.hasOwn(typed, name) ? /** @type {Record<string, unknown>} */ (typed)[name] : UNCHANGED;
    secrets[name] = replaced(value === UNCHANGED ? stored[name] : value);
  }
  const fields = Object.fromEntries(Object.entries(body).map(([name, value]) => [name, replaced(value)]));
  return connectionOptions(fields, secrets);
}

/**
 * @param {any} RED
 * @param {string} value
 * @param {any} node
 * @returns {unknown} what Node-RED puts in place of `${NAME}`
 */
function expanded(RED, value, node) {
  const variable = /^\$\{([^}]+)\}$/.exec(value)?.[1];
  return variable === undefined ? value : RED.util.getSetting(node, variable) ?? value;
}

module.exports = { serveTest };
