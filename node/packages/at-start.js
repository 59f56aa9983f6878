'use strict';

/** What a worker's Node-RED finds in its settings about the palette that it is going to load. */

/**
 * @typedef {object} AtStart
 * @property {string[]} disable ids of node sets, `<module>/<set>`
 * @property {string[]} enable ids of node sets that were disabled for the cluster before
 * @property {string[]} forget modules that are gone
 */

/**
 * @typedef {Record<string, {name: string, nodes: Record<string, {enabled?: boolean, [name: string]: unknown}>, [name: string]: unknown}>} Modules
 */

/**
 * @param {Record<string, unknown>} settings as Node-RED stored them, changed in place
 * @param {AtStart} atStart
 */
function adjustPalette(settings, { disable, enable, forget }) {
  const modules = /** @type {Modules} */ (settings.nodes ?? {});
  // Node-RED may install anew what its settings name and it does not find.
  for (const name of forget) delete modules[name];
  for (const id of enable) {
    const set = find(modules, id);
    if (set) set.enabled = true;
  }
  for (const id of disable) {
    const { module, set } = parts(id);
    if (!Object.hasOwn(modules, module)) modules[module] = { name: module, nodes: {} };
    const { nodes } = modules[module];
    const known = Object.hasOwn(nodes, set) ? nodes[set] : { name: set, module, types: [] };
    nodes[set] = { ...known, enabled: false };
  }
  if (disable.length > 0) {
    // Without it Node-RED takes the settings for those of its first versions.
    modules['node-red'] ??= { name: 'node-red', nodes: {} };
    settings.nodes = modules;
  }
}

/**
 * @param {Modules} modules
 * @param {string} id
 */
function find(modules, id) {
  const { module, set } = parts(id);
  const nodes = Object.hasOwn(modules, module) ? modules[module].nodes : {};
  return Object.hasOwn(nodes, set) ? nodes[set] : undefined;
}

/** @param {string} id */
function parts(id) {
  const at = id.lastIndexOf('/');
  return { module: id.slice(0, at), set: id.slice(at + 1) };
}

module.exports = { adjustPalette };
