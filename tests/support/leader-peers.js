'use strict';

/**
 * Node-REDs that share leaders. Peers are Node-REDs without the storage module: each has an editor and
 * flows of its own, so that one of them can be deployed, stopped or misconfigured alone.
 */

const assert = require('node:assert/strict');
const { withLogin } = require('./addresses');
const { startInstance } = require('./instance');
const { LED, ask } = require('./leader-flows');
const { now, untilFlowsStarted } = require('./leader-records');
const { startStore } = require('./store');
const { until } = require('./wait');

/** @typedef {import('./instance').Instance} Instance */
/** @typedef {import('./store').Store} Store */
/** @typedef {Awaited<ReturnType<typeof startPeers>>} Peers */
/** @typedef {{leader: Instance, followers: Instance[], token: number}} Term */

/**
 * @typedef {object} PeersOptions
 * @property {number} [count] how many are started, 2 when absent
 * @property {Store} [store] an own one is started when absent
 * @property {{host: string, port: number}} [address] of the store, where it is another: a proxy's
 * @property {string} [prefix] an own one when absent
 * @property {string[]} [lockKeys] that are outside of the prefix: the access rules name them
 * @property {object} [valkey] more of the `valkey` block
 * @property {object} [settings] more settings
 */

let prefixes = 0;

/**
 * @param {import('./cluster').Scope} scope
 * @param {PeersOptions} [options]
 */
async function startPeers(scope, options = {}) {
  prefixes += 1;
  const { count = 2, prefix = `peers-${prefixes}:`, settings = {}, valkey = {} } = options;
  /** @type {Instance[]} */
  const peers = [];
  /** @type {Store | undefined} */
  let ownStore;
  scope.after(async () => {
    await Promise.all(peers.map((peer) => peer.release()));
    await ownStore?.release();
  });
  if (!options.store) ownStore = await startStore();
  const store = options.store ?? /** @type {Store} */ (ownStore);
  const { host, port } = options.address ?? store;

  /**
   * Starts one more; its process is started, and not yet ready.
   * @param {Partial<import('./instance').InstanceOptions> & {block?: object | null}} [own]
   *   block: more of the `valkey` block; null: no such block
   */
  async function add({ block = {}, ...own } = {}) {
    const all = { host, port, keyPrefix: prefix, ...valkey, ...block };
    const peer = await startInstance({
      role: 'plain',
      name: `peer-${peers.length + 1}`,
      ...own,
      settings: {
        runtimeState: { enabled: true, ui: true },
        ...settings,
        ...(block === null ? {} : { valkey: await withLogin(all, 'nodered-leader', { lockKeys: options.lockKeys }) }),
        ...own.settings,
      },
    });
    peers.push(peer);
    const { waitUntilReady } = peer;
    // A deploy that meets the first start of the flows loses its credentials.
    peer.waitUntilReady = async () => {
      await waitUntilReady();
      await untilFlowsStarted(peer);
    };
    return peer;
  }
  for (let started = 0; started < count; started += 1) await add();
  await Promise.all(peers.map((peer) => peer.waitUntilReady()));

  return {
    store,
    prefix,
    peers,
    add,
    /** Key of a name: it carries the prefix. */
    key: (/** @type {string} */ name) => `${prefix}${name}`,
    /**
     * Deploys to each, and waits until its flows have started.
     * @param {object[]} flows
     * @param {{on?: Instance[], type?: import('./api').DeploymentType}} [deployOptions]
     */
    async deploy(flows, { on = peers, type } = {}) {
      await Promise.all(on.map(async (peer) => {
        const from = now();
        await peer.api.deploy(flows, { type });
        await untilFlowsStarted(peer, from);
      }));
    },
  };
}

/**
 * Waits until one of these leads and all others follow it.
 *
 * @param {Instance[]} instances
 * @param {{id?: string, timeout?: number, except?: number}} [options] id of the leader node; except: a
 *   token, where it is a later leader that is waited for
 * @returns {Promise<Term>}
 */
async function untilOneLeads(instances, { id = 'leader', timeout, except } = {}) {
  const message = `one of ${instances.map(({ name }) => name)} leads at ${id}`;
  return until(async () => {
    const answers = await Promise.all(instances.map((instance) => ask(instance, id)));
    const leading = instances.filter((_, index) => answers[index].output === LED);
    assert.equal(leading.length, 1, JSON.stringify(answers));
    const tokens = new Set(answers.map((answer) => answer.message.leaderToken));
    assert.equal(tokens.size, 1, JSON.stringify(answers));
    const [token] = tokens;
    assert.notEqual(token, except);
    return { leader: leading[0], followers: instances.filter((one) => one !== leading[0]), token };
  }, { message, timeout }).catch((error) => {
    const logs = instances.map((one) => `--- log of ${one.name}\n${one.log().slice(-2_000)}`);
    throw new Error([error.message, ...logs].join('\n'));
  });
}

/**
 * Checks that the same instance leads with the same token as before.
 *
 * @param {Term} later
 * @param {Term} earlier
 */
function assertSameTerm(later, earlier) {
  const told = (/** @type {Term} */ { leader, token }) => ({ leader: leader.name, token });
  assert.deepEqual(told(later), told(earlier));
}

module.exports = { assertSameTerm, startPeers, untilOneLeads };
