'use strict';

/**
 * Express middleware for Node-RED's `httpNodeMiddleware`: each answer of an endpoint says in a header
 * how many nodes this process has closed so far. A restart of a node begins with its close.
 */

const HEADER = 'x-closed-nodes';

let closed = 0;
let watched = false;

/** Counts from now on. The class of all nodes is internal to the Node-RED that runs this. */
function watch() {
  watched = true;
  const { prototype } = /** @type {NodeJS.Module} */ (require.main).require('@node-red/runtime/lib/nodes/Node');
  const { close } = prototype;
  /**
   * @this {object}
   * @param {...unknown} parameters
   */
  prototype.close = function countedClose(...parameters) {
    closed += 1;
    return close.apply(this, parameters);
  };
}

/**
 * @param {unknown} _request
 * @param {import('node:http').ServerResponse} response
 * @param {() => void} next
 */
function closedNodes(_request, response, next) {
  if (!watched) watch();
  response.setHeader(HEADER, closed);
  next();
}

module.exports = { HEADER, closedNodes };
