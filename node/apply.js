'use strict';

/** Applies a revision to the Node-RED that runs here, as the editor deployed it. */

const { modulesOf } = require('./packages/modules.js');
const { watchDeploy } = require('./runtime-events.js');
const { parseFlows } = require('./slices.js');

/** Node types that are structure, not code. */
const STRUCTURE = new Set(['tab', 'subflow', 'group']);

/**
 * @param {import('./types').Runtime} runtime
 * @param {(names: string[]) => Promise<string[]>} [findLackingModules] which modules of Function nodes have yet
 *   to come; none on an admin, where they come from
 */
function createApplier(runtime, findLackingModules) {
  let applying = false;
  // Node-RED saves what it applies, in the turn of the event loop in which it is asked to. Any save
  // after that one, also while the nodes are still being started, is somebody's deploy.
  let savePending = false;

  /**
   * @param {import('./types').Job} job
   * @returns {Promise<import('./types').JobOutcome>}
   */
  async function apply(job) {
    const flows = await parseFlows(job.flows ?? []);
    // Node-RED would stop what changed and start nothing; what runs is better left running.
    const missing = findMissingTypes(runtime, flows);
    if (findLackingModules) missing.push(...await findLackingModules(modulesOf(flows)));
    if (missing.length > 0) return { missingTypes: missing };
    const credentials = /** @type {import('./types').Credentials} */ (JSON.parse(job.credentials ?? '{}'));
    markChangedCredentials(runtime, flows, credentials);
    const state = job.state ?? 'start';
    const watch = watchDeploy(runtime.events);
    applying = true;
    try {
      // Flows that are to stop must stop whole: a deploy would stop only what changed.
      await setState(state, { act: state === 'stop' });
      const user = job.user === undefined ? undefined : { username: job.user };
      const type = job.type === 'reload' ? 'full' : job.type ?? 'full';
      savePending = true;
      const revision = await runtime.flows.setFlows(flows, credentials, type, false, false, user);
      if (revision === undefined) return { error: 'Node-RED could not stop the flows that ran; see its log' };
      const outcome = await watch.finished();
      if (outcome.error) return { error: outcome.error };
    } finally {
      applying = false;
      savePending = false;
      watch.stop();
    }
    await setState(state, { act: true });
    return { applied: true };
  }

  /**
   * Starts or stops the flows, and remembers it in Node-RED's settings, which its deploys obey.
   *
   * @param {'start' | 'stop'} state
   * @param {{act: boolean}} options whether to act on it now
   */
  async function setState(state, { act }) {
    // In settings.js the operator decides for this instance alone.
    const fixed = Object.prototype.hasOwnProperty.call(runtime.settings, 'runtimeFlowState');
    if (fixed) return;
    if (state === 'stop' || runtime.settings.get('runtimeFlowState') === 'stop') {
      await runtime.settings.set('runtimeFlowState', state);
    }
    const runs = runtime.flows.state() === 'start';
    if (!act || runs === (state === 'start')) return;
    if (state === 'start') {
      await runtime.flows.startFlows('full');
    } else {
      await runtime.flows.stopFlows('full');
    }
  }

  return {
    apply,
    /** @returns {boolean} whether a revision of the cluster is being applied */
    isApplying: () => applying,
    /** @returns {boolean} whether the next save is Node-RED's of the revision that is being applied */
    expectsSave: () => savePending,
    /** @returns {boolean} the same; it is used up */
    takeSave: () => {
      const expected = savePending;
      savePending = false;
      return expected;
    },
    /** @param {'start' | 'stop'} state */
    setState: (state) => setState(state, { act: true }),
  };
}

/**
 * @param {import('./types').Runtime} runtime
 * @param {import('./types').FlowNode[]} flows
 * @returns {string[]} node types in use that are not installed, as Node-RED would find them
 */
function findMissingTypes(runtime, flows) {
  const subflows = new Set(flows.filter((node) => node.type === 'subflow').map((node) => `subflow:${node.id}`));
  const types = new Set(flows.map((node) => node.type).filter((type) => !STRUCTURE.has(type)));
  return [...types].filter((type) => (
    type.startsWith('subflow:') ? !subflows.has(type) : !runtime.nodes.getType(type)
  ));
}

/**
 * A change of credentials alone gives Node-RED no difference to act on. A node that carries a
 * `credentials` property counts as changed, and Node-RED takes the property off again. Credentials that
 * vanished are replaced by none.
 *
 * @param {import('./types').Runtime} runtime
 * @param {import('./types').FlowNode[]} flows changed in place
 * @param {import('./types').Credentials} credentials changed in place
 */
function markChangedCredentials(runtime, flows, credentials) {
  for (const node of flows) {
    const now = runtime.nodes.getCredentials(node.id);
    const given = Object.hasOwn(credentials, node.id);
    // Most nodes have none, before and after.
    if (now === undefined && !given) continue;
    const next = given ? credentials[node.id] : {};
    if (JSON.stringify(now ?? {}) !== JSON.stringify(next)) {
      credentials[node.id] = next;
      node.credentials = structuredClone(next);
    }
  }
}

module.exports = { createApplier };
