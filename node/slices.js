'use strict';

/**
 * Flows cross to and from Rust as slices, each parsed or printed in a turn of the event loop of its own,
 * so that flows of any size never hold it up.
 */

const { setImmediate: nextTurn } = require('node:timers/promises');

/** About how many characters are printed in one turn; Rust cuts as large slices for parsing. */
const SLICE_LENGTH = 64 * 1024;

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
 * Node-RED hands over an array of its own, which it replaces and never changes, so it may be printed
 * over several turns.
 *
 * @param {import('./types').FlowNode[]} flows
 * @param {{pretty?: boolean}} [options] pretty: indented by four, as Node-RED's flow file may be
 * @returns {Promise<Buffer[]>} together the UTF-8 of JSON.stringify(flows)
 */
async function printFlows(flows, { pretty = false } = {}) {
  if (flows.length === 0) return [Buffer.from('[]')];
  const [open, separator, close] = pretty ? ['[\n    ', ',\n    ', '\n]'] : ['[', ',', ']'];
  const slices = [];
  let slice = open;
  for (const [index, node] of flows.entries()) {
    if (index > 0) slice += separator;
    // Line ends occur between values only: within a text they are escaped.
    slice += pretty ? JSON.stringify(node, null, 4).replaceAll('\n', '\n    ') : JSON.stringify(node);
    if (slice.length >= SLICE_LENGTH) {
      slices.push(Buffer.from(slice));
      slice = '';
      await nextTurn();
    }
  }
  slices.push(Buffer.from(slice + close));
  return slices;
}

module.exports = { parseFlows, printFlows };
