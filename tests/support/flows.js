'use strict';

/**
 * Builders of flow configurations. No id may equal a value of another node, its
 * type included: Node-RED takes that for a reference, and restarts both together.
 */

const secrets = require('./secrets');

/** @typedef {{id: string, type: string, [property: string]: unknown}} FlowNode */

/**
 * @param {string} id
 * @param {object} [properties]
 * @returns {FlowNode}
 */
function tab(id, properties = {}) {
  return { id, type: 'tab', label: id, disabled: false, info: '', env: [], ...properties };
}

/**
 * An HTTP endpoint that answers with the text that a function node returns.
 *
 * @param {string} flow id of its tab
 * @param {string} path below httpNodeRoot; the ids of its three nodes begin with it
 * @param {string} answer
 * @param {{initialize?: string, expression?: string}} [options]
 *   initialize: the function's On Start; expression: JavaScript for the answer instead of a text
 * @returns {FlowNode[]}
 */
function endpoint(flow, path, answer, { initialize = '', expression } = {}) {
  const code = `msg.payload = ${expression ?? JSON.stringify(answer)};\nreturn msg;`;
  return [
    {
      id: `${path}-in`, type: 'http in', z: flow, name: '', url: `/${path}`, method: 'get',
      upload: false, x: 100, y: 100, wires: [[`${path}-function`]],
    },
    {
      id: `${path}-function`, type: 'function', z: flow, name: '', func: code, outputs: 1,
      timeout: 0, noerr: 0, initialize, finalize: '', libs: [], x: 300, y: 100,
      wires: [[`${path}-out`]],
    },
    {
      id: `${path}-out`, type: 'http response', z: flow, name: '', statusCode: '', headers: {},
      x: 500, y: 100, wires: [],
    },
  ];
}

/**
 * An endpoint that answers how often its function node was started in this process.
 *
 * @param {string} flow id of its tab
 * @param {string} path below httpNodeRoot
 * @returns {FlowNode[]}
 */
function startCounter(flow, path) {
  const name = JSON.stringify(`starts_of_${path.replace(/\W/g, '_')}`);
  return endpoint(flow, path, '', {
    initialize: `global.set(${name}, (global.get(${name}) || 0) + 1);`,
    expression: `String(global.get(${name}))`,
  });
}

/**
 * A node of the tests' palette: its starts, closes and value are reported by GET /probe.
 *
 * @param {string} flow id of its tab
 * @param {string} id
 * @param {string} value
 * @param {object} [properties] such as account, closeDelay (ms), type
 * @returns {FlowNode}
 */
function probe(flow, id, value, properties = {}) {
  return { id, type: 'probe', z: flow, name: '', value, x: 100, y: 300, wires: [[]], ...properties };
}

/**
 * A configuration node with credentials.
 *
 * @param {string} id
 * @param {{username?: string, password?: string}} [credentials] as the editor sends them when they
 *   were changed; absent when they were not
 * @returns {FlowNode}
 */
function account(id, credentials) {
  secrets.register(credentials?.password, 'a credential of a flow');
  return { id, type: 'probe-account', name: '', ...(credentials ? { credentials } : {}) };
}

/**
 * Many nodes on one tab, wired in a row.
 *
 * @param {string} flow id of their tab
 * @param {number} count
 * @returns {FlowNode[]}
 */
function manyNodes(flow, count) {
  return Array.from({ length: count }, (_, index) => ({
    id: `${flow}-node-${index}`, type: 'change', z: flow, name: `node ${index}`,
    rules: [{ t: 'set', p: 'payload', pt: 'msg', to: `value ${index}`, tot: 'str' }],
    action: '', property: '', from: '', to: '', reg: false,
    x: 100 + (index % 20) * 200, y: 500 + Math.floor(index / 20) * 60,
    wires: [index + 1 < count ? [`${flow}-node-${index + 1}`] : []],
  }));
}

/**
 * @template {{id: string}} T
 * @param {T[]} flows
 * @param {string} id
 * @param {object} changes
 * @returns {T[]} a copy in which one node is changed
 */
function change(flows, id, changes) {
  return flows.map((node) => (node.id === id ? { ...node, ...changes } : node));
}

module.exports = { account, change, endpoint, manyNodes, probe, startCounter, tab };
