'use strict';

/** Flows with leader nodes, and what one asks them over HTTP. */

const { tab } = require('./flows');

/** @typedef {import('./flows').FlowNode} FlowNode */
/** @typedef {import('./instance').Instance} Instance */

/** A node that restarts never answers the request that met it: it is given up. Milliseconds. */
const ANSWER_LIMIT = 2_000;

/** The output that a message left by. */
const LED = 1;
const FOLLOWED = 2;

/**
 * @param {string} id
 * @param {string} url below httpNodeRoot
 * @param {string} flow
 * @param {string} target
 * @returns {FlowNode}
 */
const httpIn = (id, url, flow, target) => ({
  id, type: 'http in', z: flow, name: '', url: `/${url}`, method: 'get', x: 100, y: 100, wires: [[target]],
});

/**
 * A leader node; GET /ask/<id> sends a message through it, and recorders on its outputs answer.
 *
 * @param {string} flow id of its tab
 * @param {string} id of the leader node; the ids of the nodes around it begin with it
 * @param {object} [properties] of the leader node
 * @param {{slot?: number}} [options] slot: only ticks of the wall clock pass, see message-stamp. ms
 * @returns {FlowNode[]}
 */
function leaderNode(flow, id, properties = {}, { slot } = {}) {
  return [
    httpIn(`${id}-in`, `ask/${id}`, flow, slot === undefined ? `${id}-stamp` : id),
    { id: `${id}-stamp`, type: 'message-stamp', z: flow, name: '', slot: String(slot ?? ''), x: 200, y: 100, wires: [[id]] },
    {
      id, type: 'cluster-leader', z: flow, name: '', valkey: '', lockKey: 'nodered:leader', lockTTL: '3',
      x: 300, y: 100, wires: [[`${id}-led`], [`${id}-followed`]], ...properties,
    },
    { id: `${id}-led`, type: 'message-recorder', z: flow, name: '', x: 500, y: 100, wires: [[]] },
    { id: `${id}-followed`, type: 'message-recorder', z: flow, name: '', x: 500, y: 200, wires: [[]] },
  ];
}

/**
 * An Inject that sends messages to a leader node, again and again.
 *
 * @param {string} flow id of the tab
 * @param {string} id of the leader node
 * @param {number} interval ms
 * @returns {FlowNode[]}
 */
function ticks(flow, id, interval) {
  return [{
    id: `${id}-ticks`, type: 'inject', z: flow, name: '', props: [{ p: 'payload' }], payload: '', payloadType: 'date',
    repeat: String(interval / 1000), crontab: '', once: false, onceDelay: 0.1, topic: '', x: 100, y: 200, wires: [[`${id}-stamp`]],
  }];
}

/**
 * GET /burst/<id>?count=<n> sends that many messages through the leader node, in one turn.
 * GET /spin/<id>?ms=<n> lets the event loop hang, then sends a message through the leader node.
 *
 * @param {string} flow id of the tab
 * @param {string} id of the leader node
 * @returns {FlowNode[]}
 */
function loads(flow, id) {
  const code = {
    burst: `
      const count = Number(msg.payload.count);
      for (let index = 0; index < count; index += 1) node.send([{ payload: index }, null]);
      return [null, Object.assign(msg, { payload: 'sent' })];
    `,
    spin: `
      const end = Date.now() + Number(msg.payload.ms);
      while (Date.now() < end);
      return [msg, null];
    `,
  };
  return Object.entries(code).flatMap(([name, func]) => [
    httpIn(`${id}-${name}-in`, `${name}/${id}`, flow, `${id}-${name}`),
    {
      id: `${id}-${name}`, type: 'function', z: flow, name: '', func, outputs: 2, timeout: 0, noerr: 0, initialize: '',
      finalize: '', libs: [], x: 100, y: 300, wires: [[`${id}-stamp`], [`${id}-${name}-out`]],
    },
    { id: `${id}-${name}-out`, type: 'http response', z: flow, name: '', statusCode: '', headers: {}, x: 300, y: 300, wires: [] },
  ]);
}

/**
 * A release node; GET /release/<id> sends a message through it, and its output or a Catch node answers.
 *
 * @param {string} flow id of its tab
 * @param {string} id
 * @param {object} [properties]
 * @returns {FlowNode[]}
 */
function releaseNode(flow, id, properties = {}) {
  return [
    httpIn(`${id}-in`, `release/${id}`, flow, id),
    {
      id, type: 'release-cluster-leader', z: flow, name: '', valkey: '', lockKey: 'nodered:leader',
      x: 300, y: 400, wires: [[`${id}-released`]], ...properties,
    },
    { id: `${id}-released`, type: 'message-recorder', z: flow, name: '', x: 500, y: 400, wires: [[]] },
  ];
}

/**
 * @param {object} [properties] of the leader node
 * @returns {FlowNode[]} a tab with a leader node, a release node for the same lock, ticks and loads
 */
function leaderFlow(properties = {}) {
  const { lockKey, valkey } = /** @type {Record<string, unknown>} */ (properties);
  const same = Object.fromEntries(Object.entries({ lockKey, valkey }).filter(([, value]) => value !== undefined));
  return [
    tab('tab'),
    ...leaderNode('tab', 'leader', properties),
    ...ticks('tab', 'leader', 50),
    ...loads('tab', 'leader'),
    ...releaseNode('tab', 'release', same),
  ];
}

/**
 * @typedef {object} Answer
 * @property {number} output of the leader node by which the message left
 * @property {Record<string, any>} message what came out, without what belongs to the request
 */

/**
 * Sends a message through a leader node.
 *
 * @param {Instance} instance
 * @param {string} [id]
 * @param {string} [query]
 * @returns {Promise<Answer>}
 */
async function ask(instance, id = 'leader', query = '') {
  const { status, body, text } = await instance.get(`ask/${id}?${query}`, { timeout: ANSWER_LIMIT });
  if (status !== 200) throw new Error(`${instance.name} answered ${status}: ${text}`);
  return { output: body.node === `${id}-led` ? LED : FOLLOWED, message: body.message };
}

/**
 * Sends a message through a release node.
 *
 * @param {Instance} instance
 * @param {string} [id]
 * @returns {Promise<Record<string, any>>} the message that came out
 */
async function release(instance, id = 'release') {
  const { status, body, text } = await instance.get(`release/${id}`);
  if (status !== 200) throw new Error(`${instance.name} answered ${status}: ${text}`);
  return body.message;
}

module.exports = { FOLLOWED, LED, ask, leaderFlow, leaderNode, loads, release, releaseNode, ticks };
