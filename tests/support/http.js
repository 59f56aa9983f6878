'use strict';

/** One HTTP request on a connection of its own, so that no idle connection hides a restart. */

/**
 * @typedef {object} Answer
 * @property {number} status
 * @property {string} text
 * @property {any} body the text parsed as JSON, undefined when it is none
 */

/**
 * @param {string} url
 * @param {object} [options]
 * @param {string} [options.method]
 * @param {Record<string, string>} [options.headers]
 * @param {unknown} [options.body] sent as JSON
 * @param {number} [options.timeout] ms
 * @returns {Promise<Answer>}
 */
async function request(url, { method = 'GET', headers = {}, body, timeout = 30_000 } = {}) {
  const response = await fetch(url, {
    method,
    headers: {
      connection: 'close',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(timeout),
  });
  const text = await response.text();
  return { status: response.status, text, body: parse(text) };
}

/**
 * @param {string} text
 * @returns {any}
 */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

module.exports = { request };
