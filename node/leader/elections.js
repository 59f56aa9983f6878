'use strict';

/**
 * The elections of this process: one native object for all leader nodes, so that nodes on one store share a
 * connection and nodes on one lock lead or follow together.
 */

const { findBlock, findLog, isStopping } = require('../context/node-red.js');
const { known, remember } = require('../process-wide.js');
const { describeBlock } = require('../settings-block.js');
const { refuseUnset } = require('./options.js');

/** How long giving up all that is led may hold up the end of Node-RED, in milliseconds. */
const FAREWELL = 2000;

/**
 * After the last node left, in milliseconds: if by then no event has said that the flows run again, or do not,
 * what nobody joined again is given up. Longer than Node-RED waits for nodes that do not close (15 s).
 */
const FORGOTTEN = 60_000;

/**
 * @typedef {object} LockFields what a leader node's dialog says
 * @property {string} [valkey] id of a config node
 * @property {unknown} [lockKey]
 * @property {unknown} [lockTTL]
 */

/** @typedef {ReturnType<typeof open>} Elections */

/**
 * The elections of this process; opened by the first who asks, and shared by copies of this package.
 *
 * @param {any} RED Node-RED's interface for nodes
 * @returns {Elections}
 */
function electionsOf(RED) {
  const present = /** @type {Elections | undefined} */ (known().elections);
  // A program that embeds Node-RED may stop it and start it again.
  const elections = present === undefined || present.isClosed() ? open(RED) : present;
  remember({ elections });
  return elections;
}

/** @param {any} RED */
function open(RED) {
  const log = findLog();
  // Loaded here and not with this file, so that its error reaches the nodes.
  const addon = /** @type {import('../types').Addon} */ (require('../addon.js'));
  const { cluster } = known();
  /** @type {Map<number, () => void>} what to call where the standing of a candidacy changed, by its id */
  const listeners = new Map();
  /** @type {Set<string>} what was said since flows were last started */
  const said = new Set();
  /** @type {NodeJS.Timeout | undefined} */
  let forgotten;
  /** @type {Promise<void> | undefined} */
  let closing;

  const native = addon.openElections(
    (level, line) => log[/** @type {'error' | 'warn' | 'info' | 'debug'} */ (level)](`[cluster] ${line}`),
    drain,
    // Another copy of this package may have opened it.
    cluster instanceof addon.NativeCluster ? cluster : undefined,
  );
  RED.events.on('flows:starting', () => said.clear());
  RED.events.on('flows:started', settle);
  RED.events.on('runtime-event', (/** @type {import('../types').RuntimeEvent} */ event) => {
    if (saysThatFlowsRest(event)) settle();
  });

  function drain() {
    /** @type {number[]} */
    let changed = [];
    try {
      changed = native.drain();
    } catch (error) {
      // A fault that the native side has logged.
      log.debug(`[cluster] ${/** @type {Error} */ (error).stack}`);
    }
    for (const id of changed) {
      try {
        listeners.get(id)?.();
      } catch (error) {
        // Thrown on, it would end the process: nobody is above this.
        log.error(`[cluster] a leader node does not show how it stands: ${/** @type {Error} */ (error).stack}`);
      }
    }
  }

  /** The flows run, or will not: no node that is away comes back by itself. */
  function settle() {
    clearTimeout(forgotten);
    native.settle();
  }

  /** @returns {Promise<void>} gives up everything; in time for Node-RED, which ends */
  function close() {
    closing ??= Promise.race([
      native.close(),
      new Promise((resolve) => {
        setTimeout(resolve, FAREWELL).unref();
      }),
    ]).catch((error) => log.warn(`[cluster] what this instance leads was not given up: ${error.message}`));
    return closing;
  }

  /**
   * @param {any} node
   * @param {string[]} warnings
   */
  function warnOfSettings(node, warnings) {
    const told = known().warnings ?? [];
    for (const warning of warnings.filter((text) => !told.includes(text))) warnOnce(node, warning);
  }

  /**
   * Warns in the name of the first node that finds out.
   *
   * @param {any} node
   * @param {string} text
   */
  function warnOnce(node, text) {
    if (said.has(text)) return;
    said.add(text);
    node.warn(text);
  }

  return {
    /**
     * Makes a node a candidate.
     *
     * @param {any} node
     * @param {LockFields} fields
     * @param {() => void} changed called where the standing of the candidacy is another
     * @returns {import('../types').NativeCandidacy}
     */
    join(node, fields, changed) {
      const candidacy = native.join(describeLock(RED, fields));
      listeners.set(candidacy.id, changed);
      /** @type {import('../types').AboutElection} */
      const about = JSON.parse(candidacy.about());
      warnOfSettings(node, about.warnings);
      return candidacy;
    },

    /**
     * A node is closed. Where only its flows are, it may come back and the lock waits for it.
     *
     * @param {import('../types').NativeCandidacy} candidacy
     * @param {boolean} removed
     * @returns {Promise<void>}
     */
    async leave(candidacy, removed) {
      listeners.delete(candidacy.id);
      if (isStopping()) {
        await close();
        return;
      }
      candidacy.leave(removed);
      clearTimeout(forgotten);
      forgotten = setTimeout(settle, FORGOTTEN).unref();
    },

    /**
     * Checks what a node says, without becoming a candidate.
     *
     * @param {any} node
     * @param {LockFields} fields
     * @returns {import('../types').AboutElection}
     */
    check(node, fields) {
      /** @type {import('../types').AboutElection} */
      const about = JSON.parse(native.check(describeLock(RED, fields)));
      warnOfSettings(node, about.warnings);
      return about;
    },

    /**
     * Gives up a lock, if this instance has it.
     *
     * @param {LockFields} fields
     * @returns {Promise<import('../types').Released>}
     */
    async release(fields) {
      return JSON.parse(await native.release(describeLock(RED, fields)));
    },

    /**
     * Tries a connection as it would be.
     *
     * @param {Record<string, unknown>} options of a config node
     * @returns {Promise<string>} JSON
     */
    test(options) {
      return native.test(describe(options, {}));
    },

    warnOnce,

    /** @returns {boolean} whether all was given up, because Node-RED ends */
    isClosed: () => closing !== undefined,
  };
}

/**
 * The end of a deploy and of stopping flows; not the stop in the middle of a deploy.
 *
 * @param {import('../types').RuntimeEvent} event
 */
function saysThatFlowsRest(event) {
  if (event.id === 'runtime-deploy') return true;
  const { payload } = event;
  if (event.id !== 'runtime-state' || !payload || payload.state === 'start') return false;
  return Boolean(payload.error) || !payload.deploy;
}

/**
 * @param {any} RED
 * @param {LockFields} fields
 * @returns {string} JSON for the addon
 */
function describeLock(RED, { valkey, lockKey, lockTTL }) {
  refuseUnset({ lockKey, lockTTL });
  return describe(optionsOf(RED, valkey), { lockKey, lockTTL });
}

/**
 * @param {Record<string, unknown> | undefined} options of a config node
 * @param {object} lock
 * @returns {string} JSON for the addon
 */
function describe(options, lock) {
  return JSON.stringify({
    settings: describeBlock(findBlock()),
    node: describeBlock(options),
    ...JSON.parse(describeBlock(lock)),
  });
}

/**
 * @param {any} RED
 * @param {string | undefined} id of a config node
 * @returns {Record<string, unknown> | undefined} what it says, where there is one
 */
function optionsOf(RED, id) {
  if (id === undefined || id === null || id === '') return undefined;
  const node = RED.nodes.getNode(id);
  // Going on without would be another store, in silence.
  if (typeof node?.connectionOptions !== 'function') {
    const problem = `the config node ${id}, which says where the store is, is missing or disabled`;
    throw Object.assign(new Error(`${problem}: choose or enable one`), { code: 'NRC_CONFIG_INVALID' });
  }
  return node.connectionOptions();
}

module.exports = { electionsOf };
