'use strict';

/**
 * Flows cross to and from Rust in a way that never holds up the event loop: they arrive as slices,
 * each parsed in a turn of its own, and leave as bytes, copied in another turn than they were printed.
 */

const { setImmediate: nextTurn } = require('node:timers/promises');

/**
 * @param {Buffer[]} slices JSON arrays of nodes, in order
 * @returns {Promise<import('./types').FlowNode[]>}
 */
async function parseFlows(slices) {
  /** @type {import('./types').FlowNode[]} */
  const flows = [];
  for (const slice of slices) {
    for (const node of JSON.parse(slice.toString('utf8'))) flows.push(node);
    await nextTurn();
  }
  return flows;
}

/**
 * Prints the flows at once, because the array is Node-RED's live one.
 *
 * @param {import('./types').FlowNode[]} flows
 * @returns {Promise<Buffer>} UTF-8 of JSON.stringify(flows)
 */
async function printFlows(flows) {
  const text = JSON.stringify(flows);
  await nextTurn();
  return Buffer.from(text);
}

module.exports = { parseFlows, printFlows };
