'use strict';

/** Does what packages need of Node-RED's own process, one thing after the other, as long as it lives. */

/**
 * @typedef {{kind: 'load', modules: {name: string, version: string}[], enable: string[]}} Load
 * @typedef {{kind: 'restart', reason: string}} Restart
 * @typedef {{kind: 'tell', text: string}} Tell
 * @typedef {{restart?: string[], failed?: string[]}} Outcome
 */

/**
 * @param {import('../types').Runtime} runtime
 * @param {import('../types').NativeCluster} cluster
 * @param {() => Promise<void>} restart ends the process in good order
 * @returns {Promise<void>} when the cluster is closed
 */
async function followPackages(runtime, cluster, restart) {
  for (;;) {
    const text = await cluster.nextPackagesJob();
    if (text === null) return;
    const job = /** @type {Load | Restart | Tell} */ (JSON.parse(text));
    /** @type {Outcome} */
    let outcome = {};
    if (job.kind === 'load') {
      outcome = await load(runtime, job);
    } else if (job.kind === 'tell') {
      tell(runtime, job.text);
    } else {
      await restart();
    }
    cluster.packagesJobDone(JSON.stringify(outcome));
  }
}

/**
 * Loads the modules that Node-RED has not loaded yet.
 *
 * @param {import('../types').Runtime} runtime
 * @param {Load} job
 * @returns {Promise<Outcome>}
 */
async function load(runtime, { modules, enable }) {
  const { log, events, settings } = runtime;
  const registry = /** @type {import('../types').Registry} */ (
    require(require.resolve('@node-red/registry', { paths: [settings.coreNodesDir] }))
  );
  /** @type {Required<Outcome>} */
  const outcome = { restart: [], failed: [] };
  for (const { name, version } of modules) {
    const known = registry.getModuleInfo(name);
    if (known) {
      if (known.version !== version) outcome.restart.push(`${name} (${known.version} instead of ${version})`);
      continue;
    }
    try {
      const { nodes, plugins = [] } = await registry.addModule(name);
      if (nodes.length > 0) events.emit('runtime-event', { id: 'node/added', retain: false, payload: nodes });
      if (plugins.length > 0) events.emit('runtime-event', { id: 'plugin/added', retain: false, payload: plugins });
      const faults = nodes.filter((set) => set.err).map((set) => `${set.name}: ${set.err}`);
      if (faults.length > 0) {
        outcome.failed.push(`${name} is installed, and Node-RED could not load all of it (${faults.join('; ')})`);
      } else {
        log.info(`[cluster] ${name} ${version} is installed and loaded`);
      }
    } catch (error) {
      const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
      const why = code === 'MODULE_NOT_FOUND'
        ? 'externalModules, nodesExcludes or nodesIncludes in settings.js of this instance, or the version of Node-RED that the module asks for'
        : message;
      outcome.failed.push(`${name} is installed, and Node-RED does not load it: ${why}`);
    }
  }
  for (const id of enable) {
    try {
      await runtime.nodes.enableNode(id);
    } catch (error) {
      outcome.failed.push(`${id} could not be enabled: ${/** @type {Error} */ (error).message}`);
    }
  }
  return outcome;
}

/**
 * Shows a notification to whoever has the editor open.
 *
 * @param {import('../types').Runtime} runtime
 * @param {string} text
 */
function tell(runtime, text) {
  const escaped = text.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`).replace(/\n/g, '<br>');
  runtime.events.emit('runtime-event', {
    id: 'cluster-packages',
    retain: false,
    payload: { type: 'warning', text: escaped, timeout: 30_000 },
  });
}

module.exports = { followPackages };
