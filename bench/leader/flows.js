'use strict';

/** The flows that the benches run: messages from a source to a sink, through what is measured. */

const { tab } = require('../../tests/support/flows.js');

/** @typedef {import('../../tests/support/flows.js').FlowNode} FlowNode */

/**
 * @typedef {object} Lock
 * @property {string} lockKey
 * @property {number} lockTTL seconds
 */

const FLOW = 'bench-flow';
const FUNCTION = 'msg.payload += 1;\nreturn msg;';

/** Ids of the nodes of a path. */
const sourceOf = (/** @type {string} */ path) => `${path}-source`;
const middleOf = (/** @type {string} */ path) => `${path}-middle`;

/**
 * @param {string} path the ids of its nodes begin with it
 * @param {FlowNode | undefined} middle what the messages go through; a wire where there is none
 * @param {{job?: boolean}} [options] job: with a Function node after it, as what only the leader is to do
 * @returns {FlowNode[]}
 */
function pathThrough(path, middle, { job = false } = {}) {
  const code = { type: 'function', func: FUNCTION, outputs: 1, timeout: 0, noerr: 0, initialize: '', finalize: '', libs: [] };
  const nodes = [
    { id: sourceOf(path), type: 'bench-source' },
    ...(middle ? [{ ...middle, id: middleOf(path) }] : []),
    ...(job ? [{ id: `${path}-job`, ...code }] : []),
    { id: `${path}-sink`, type: 'bench-sink' },
  ];
  return nodes.map((node, index) => {
    const next = index + 1 < nodes.length ? [nodes[index + 1].id] : undefined;
    const outputs = OUTPUTS[node.type] ?? 1;
    return {
      name: '', ...node, z: FLOW, x: 100 + index * 200, y: 100,
      wires: next ? Array.from({ length: outputs }, () => next) : [],
    };
  });
}

/** How many outputs, of those with more than one. @type {Record<string, number>} */
const OUTPUTS = { 'cluster-leader': 2, 'ask-store': 2, 'bench-pass-two': 2 };

/** What stands in the middle of a path; its id is that of the path. */
const pass = () => ({ id: '', type: 'bench-pass' });
const passTwo = () => ({ id: '', type: 'bench-pass-two' });
const clusterLeader = (/** @type {Lock} */ lock) => ({ id: '', type: 'cluster-leader', valkey: '', ...lock });
const releaseLeader = (/** @type {string} */ lockKey) => ({ id: '', type: 'release-cluster-leader', valkey: '', lockKey });

/**
 * @param {Lock} lock
 * @param {{host: string, port: number}} server
 */
const askStore = (lock, { host, port }) => ({ id: '', type: 'ask-store', host, port: String(port), ...lock });

/**
 * @param {FlowNode[][]} paths
 * @returns {FlowNode[]}
 */
const flowsOf = (...paths) => [tab(FLOW), ...paths.flat()];

module.exports = {
  askStore, clusterLeader, flowsOf, middleOf, pass, passTwo, pathThrough, releaseLeader, sourceOf,
};
