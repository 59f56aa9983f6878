'use strict';

/** Tells the cluster what an admin's palette is: after npm changed it, and when a node set was switched. */

/** The events of Node-RED after which the palette is another one. */
const CHANGES = new Set(['node/added', 'node/removed', 'node/upgraded', 'node/enabled', 'node/disabled', 'plugin/added']);

/**
 * @param {import('../types').Runtime} runtime
 * @param {import('../types').NativeCluster} cluster
 */
function watchPalette(runtime, cluster) {
  const { hooks, events } = runtime;
  // The same hooks fire for the palette, for uploads and for modules of Function nodes.
  for (const hook of ['postInstall', 'postUninstall']) {
    hooks.add(`${hook}.node-red-cluster`, (/** @type {unknown} */ _event) => cluster.packagesChanged());
  }
  events.on('runtime-event', (/** @type {import('../types').RuntimeEvent} */ event) => {
    if (CHANGES.has(event.id)) tellPalette(runtime, cluster);
  });
}

/**
 * @param {import('../types').Runtime} runtime
 * @param {import('../types').NativeCluster} cluster
 */
function tellPalette(runtime, cluster) {
  const sets = runtime.nodes.getNodeList();
  const disabled = sets.filter((set) => set.enabled === false).map((set) => set.id);
  /** @type {Map<string, string[]>} */
  const types = new Map();
  for (const set of sets) {
    if (set.module) types.set(set.module, [...types.get(set.module) ?? [], ...set.types ?? []]);
  }
  types.delete('node-red');
  cluster.palette(JSON.stringify({ disabled, types: Object.fromEntries(types) }));
}

module.exports = { tellPalette, watchPalette };
