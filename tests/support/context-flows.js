'use strict';

/** Flows and settings that use the shared context. */

const { CONTEXT_FILE } = require('./context-store');
const { endpoint } = require('./flows');

/** @typedef {import('./flows').FlowNode} FlowNode */
/** @typedef {import('./cluster').Instance} Instance */

/** Settings as a user writes them: the shared context is the default, the memory store is beside it. */
const SHARED_CONTEXT = contextSettings('{ default: { module: SHARED }, memory: { module: "memory" } }');

/**
 * @param {string} stores JavaScript for `contextStorage`, in which SHARED is our module
 * @returns {string} the inside of an object literal, for `source` of an instance
 */
function contextSettings(stores) {
  return `contextStorage: ((SHARED) => (${stores}))(require(${JSON.stringify(CONTEXT_FILE)})),`;
}

/**
 * An endpoint whose Function node runs code and answers what it returns, as JSON: `{value}` or `{error}`.
 *
 * @param {string} flow id of its tab, or of another container
 * @param {string} path
 * @param {string} code the body of an async function; `query` is the query of the request
 * @returns {FlowNode[]}
 */
function codeEndpoint(flow, path, code) {
  const expression = `await (async () => {
    const query = msg.req.query;
    try {
      const value = await (async () => { ${code} })();
      return JSON.stringify({ value });
    } catch (error) {
      return JSON.stringify({ error: error.message, code: error.code });
    }
  })()`;
  return endpoint(flow, path, '', { expression });
}

/**
 * An endpoint with other nodes between its request and its response.
 *
 * @param {string} flow id of its tab
 * @param {string} path
 * @param {Array<Record<string, unknown> & {type: string}>} between wired in a row
 * @returns {FlowNode[]}
 */
function chainEndpoint(flow, path, between) {
  const [request, , response] = endpoint(flow, path, '');
  const ids = between.map((_, index) => `${path}-step-${index}`);
  const next = [...ids, response.id];
  return [
    { ...request, wires: [[next[0]]] },
    ...between.map((node, index) => ({ id: ids[index], z: flow, name: '', x: 200, y: 200, wires: [[next[index + 1]]], ...node })),
    response,
  ];
}

/**
 * @param {Instance} instance
 * @param {string} path
 * @param {Record<string, string | number>} [query]
 * @returns {Promise<any>} what the code returned; throws what it threw
 */
async function run(instance, path, query = {}) {
  const parameters = Object.entries(query).map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
  const { status, body, text } = await instance.get(`${path}?${parameters}`, { timeout: 30_000 });
  if (status !== 200 || typeof body !== 'object') throw new Error(`/${path} on ${instance.name} answered ${status}: ${text}`);
  if (body.error !== undefined) throw Object.assign(new Error(body.error), { code: body.code });
  return body.value;
}

module.exports = { SHARED_CONTEXT, chainEndpoint, codeEndpoint, contextSettings, run };
