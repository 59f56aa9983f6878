'use strict';

/** The status below a leader node. */

/** @type {Record<string, {fill: string, shape: string}>} */
const LOOKS = {
  leader: { fill: 'green', shape: 'dot' },
  released: { fill: 'green', shape: 'dot' },
  follower: { fill: 'yellow', shape: 'ring' },
  other: { fill: 'yellow', shape: 'ring' },
  none: { fill: 'grey', shape: 'ring' },
  error: { fill: 'red', shape: 'ring' },
};

/** What fits below a node; the whole sentence is in the log. */
const LONGEST = 60;

/**
 * Shows the states of a node, each only where it is another than the one before.
 *
 * @param {any} RED
 * @param {any} node
 */
function createStatus(RED, node) {
  let shown = '';
  return {
    /**
     * @param {string} state of the node's catalogue
     * @param {{host?: string | null, error?: {message: string, code?: string | null}}} [details]
     */
    show(state, { host, error } = {}) {
      const message = error && shortened(error);
      const text = RED._(`${node.type}.status.${state}`, { host: host ?? '', message: message ?? '' });
      if (shown === state + text) return;
      shown = state + text;
      node.status({ ...LOOKS[state], text });
    },
  };
}

/**
 * @param {{message: string, code?: string | null}} error
 * @returns {string}
 */
function shortened({ message, code }) {
  const beginning = message.length > LONGEST ? `${message.slice(0, LONGEST).trimEnd()}…` : message;
  return code ? `${beginning} [${code}]` : beginning;
}

module.exports = { createStatus };
