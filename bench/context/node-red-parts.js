'use strict';

/** What the benches take from the Node-RED of the development dependencies. */

const path = require('node:path');

/** @param {string} file below `node_modules/@node-red` */
function part(file) {
  return require(path.join(__dirname, '..', '..', 'node_modules', '@node-red', file));
}

/**
 * @typedef {import('./stores.js').ContextStore} ContextStore
 * @type {(config: object) => ContextStore}
 */
const memoryStore = part('runtime/lib/nodes/context/memory.js');

/** @type {(config: {dir: string, flushInterval: number}) => ContextStore} */
const fileStore = part('runtime/lib/nodes/context/localfilesystem.js');

/** @type {(expression: string) => Array<string | number>} */
const propertyPath = part('util/lib/util.js').normalisePropertyExpression;

module.exports = { fileStore, memoryStore, propertyPath };
