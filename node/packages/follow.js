'use strict';

/** Does what packages need of Node-RED's own process, one thing after the other, as long as it lives. */

const { insist } = require('../insist.js');

/** How long a module may take to load, in milliseconds. */
const LOAD_LIMIT = 60_000;

/**
 * @typedef {{kind: 'load', modules: {name: string, version: string}[], enable: string[], disable: string[]}} Load
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
  await insist('what loads the packages of this instance', runtime.log, async () => {
    const text = await cluster.nextPackagesJob();
    if (text === null) return false;
    const job = /** @type {Load | Restart | Tell} */ (JSON.parse(text));
    /** @type {Outcome} */
    let outcome = {};
    try {
      outcome = await perform(runtime, job, restart);
    } catch (error) {
      runtime.log.error(`[cluster] packages: ${/** @type {Error} */ (error).stack}`);
    }
    cluster.packagesJobDone(JSON.stringify(outcome));
    return true;
  });
}

/**
 * @param {import('../types').Runtime} runtime
 * @param {Load | Restart | Tell} job
 * @param {() => Promise<void>} restart
 * @returns {Promise<Outcome>}
 */
async function perform(runtime, job, restart) {
  if (job.kind === 'load') return load(runtime, job);
  if (job.kind === 'tell') {
    tell(runtime, job.text);
  } else {
    await restart();
  }
  return {};
}

/**
 * Loads the modules that Node-RED has not loaded yet.
 *
 * @param {import('../types').Runtime} runtime
 * @param {Load} job
 * @returns {Promise<Outcome>}
 */
async function load(runtime, { modules, enable, disable }) {
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
      const added = await withLimit(registry.addModule(name));
      // Passed over: the lists in settings.js, or the version of Node-RED that the module asks for.
      if (!added) throw Object.assign(new Error(name), { code: 'MODULE_NOT_FOUND' });
      const { nodes, plugins = [] } = added;
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
  for (const [ids, change, word] of /** @type {const} */ ([[enable, runtime.nodes.enableNode, 'enabled'], [disable, runtime.nodes.disableNode, 'disabled']])) {
    for (const id of ids) {
      try {
        await change(id);
      } catch (error) {
        outcome.failed.push(`${id} could not be ${word}: ${/** @type {Error} */ (error).message}`);
      }
    }
  }
  return outcome;
}

/**
 * @template T
 * @param {Promise<T>} loading by a module, which may never be done
 * @returns {Promise<T>}
 */
async function withLimit(loading) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it was not done within ${LOAD_LIMIT / 1000} s`)), LOAD_LIMIT);
  });
  try {
    return /** @type {T} */ (await Promise.race([loading, late]));
  } finally {
    clearTimeout(timer);
  }
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
