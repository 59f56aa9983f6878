'use strict';

/**
 * Modules of Function nodes on a worker. Node-RED would install those it does not find by itself, at whatever
 * version is the latest; here they come from the admin.
 */

const { builtinModules } = require('node:module');

/**
 * Lets Node-RED install no module of a Function node that the admin will bring.
 *
 * @param {import('../types').Runtime} runtime
 * @param {import('../types').NativeCluster} cluster
 */
function waitForModules(runtime, cluster) {
  runtime.hooks.add('preInstall.node-red-cluster', async (/** @type {{module: string, isUpgrade?: boolean}} */ event) => {
    // The palette's own installs say whether they are an upgrade, those for Function nodes do not.
    if ('isUpgrade' in event) return;
    const lacking = await cluster.lackingModules([event.module]);
    if (lacking.length > 0) {
      throw new Error(`${event.module} comes with the packages of the admin, and is not here yet; the flows start once it is`);
    }
  });
}

/**
 * @param {import('../types').FlowNode[]} flows
 * @returns {string[]} modules that Function nodes use, without what Node.js brings
 */
function modulesOf(flows) {
  const names = new Set();
  for (const { type, d: disabled, libs } of flows) {
    if (type !== 'function' || disabled || !Array.isArray(libs)) continue;
    for (const { module } of libs) {
      const name = nameOf(module);
      if (name !== null) names.add(name);
    }
  }
  return [...names];
}

/**
 * @param {unknown} module as it was typed: `lodash`, `lodash/fp`, `@scope/name@1.2.3`
 * @returns {string | null} the package that it is in
 */
function nameOf(module) {
  const [, name] = /^((?:@[^/]+\/)?[^/@]+)/.exec(typeof module === 'string' ? module : '') ?? [];
  if (!name || builtinModules.includes(name.replace(/^node:/, ''))) return null;
  return name;
}

module.exports = { modulesOf, waitForModules };
