'use strict';

/**
 * Sentinel groups and clusters of real servers: the testkit's own, in a process that this one talks to in lines of
 * JSON. See crates/testkit/src/bin/topology.
 */

const { spawn, spawnSync } = require('node:child_process');
const path = require('node:path');
const readline = require('node:readline');
const { ROOT } = require('./directories');
const { findServer } = require('./store');

const PROGRAM = path.join(ROOT, 'target', 'debug', 'topology');

/** What to kill, start, freeze or let go on a server. */
/** @typedef {'kill' | 'stop' | 'start' | 'pause' | 'resume'} Deed */

/** @typedef {{host: string, port: number, running: boolean}} Address */

/**
 * @typedef {object} SentinelOptions
 * @property {string} [name] of the group
 * @property {number} [replicas]
 * @property {number} [sentinels]
 * @property {string} [password] of the servers with data
 * @property {string} [sentinelPassword]
 * @property {boolean} [tls]
 * @property {boolean} [sentinelTls]
 * @property {boolean} [appendOnly]
 * @property {number} [downAfter] ms
 */

/**
 * @typedef {object} ClusterOptions
 * @property {number} [primaries]
 * @property {number} [replicas] of each
 * @property {string} [password]
 * @property {boolean} [tls]
 * @property {boolean} [appendOnly]
 * @property {boolean} [partialCoverage]
 * @property {number} [nodeTimeout] ms
 */

/** @typedef {{name: string, servers: Address[], sentinels: Address[], authority: string | null}} SentinelGroup */
/** @typedef {{nodes: Address[], authority: string | null}} StoreCluster */

/**
 * @param {import('./cluster').Scope} scope
 * @param {SentinelOptions} [options]
 */
async function startSentinelGroup(scope, options = {}) {
  const { started, tell } = await start(scope, { topology: 'sentinel', ...options });
  return {
    .../** @type {SentinelGroup} */ (started),
    /** For `startCluster`. */
    store: storeView(async (key) => tell({ do: 'command', index: await tell({ do: 'master' }), words: ['GET', key] })),
    /** @returns {Promise<number>} index of the primary */
    master: () => tell({ do: 'master' }),
    /** @returns {Promise<number>} index of the new primary */
    failover: () => tell({ do: 'failover' }),
    /**
     * @param {number} index of the primary until now
     * @returns {Promise<number>} index of the new one
     */
    otherMasterThan: (index) => tell({ do: 'otherMasterThan', index }),
    settled: () => tell({ do: 'settled' }),
    addSentinel: () => tell({ do: 'addSentinel' }),
    /** @param {number} index */
    removeSentinel: (index) => tell({ do: 'removeSentinel', index }),
    /** @param {number} index @param {Deed} deed */
    server: (index, deed) => tell({ do: 'server', index, deed }),
    /** @param {number} index @param {Deed} deed */
    sentinel: (index, deed) => tell({ do: 'sentinel', index, deed }),
    /** @param {number} index of a server with data @param {...string} words */
    command: (index, ...words) => tell({ do: 'command', index, words }),
    /** @param {...string} words */
    commandOnMaster: async (...words) => tell({ do: 'command', index: await tell({ do: 'master' }), words }),
    /** @returns {Promise<SentinelGroup>} */
    describe: () => tell({ do: 'describe' }),
  };
}

/**
 * @param {import('./cluster').Scope} scope
 * @param {ClusterOptions} [options]
 */
async function startStoreCluster(scope, options = {}) {
  const { started, tell } = await start(scope, { topology: 'cluster', ...options });
  return {
    .../** @type {StoreCluster} */ (started),
    /** For `startCluster`: keys have braces around their prefix there. */
    store: storeView(async (key) => {
      const inBraces = key.replace(/^([^:]*):/, '{$1}:');
      const index = await tell({ do: 'owner', slot: await tell({ do: 'slotOf', key: inBraces }) });
      return tell({ do: 'command', index, words: ['GET', inBraces] });
    }),
    /** @param {string} key @returns {Promise<number>} */
    slotOf: (key) => tell({ do: 'slotOf', key }),
    /** @param {number} slot @returns {Promise<number>} index of the primary that has it */
    owner: (slot) => tell({ do: 'owner', slot }),
    /** @param {number} index @returns {Promise<number[]>} */
    replicasOf: (index) => tell({ do: 'replicasOf', index }),
    settled: () => tell({ do: 'settled' }),
    /** @param {number} index of a replica that is to be a primary */
    failover: (index) => tell({ do: 'failover', index }),
    /** @param {number} index of a replica that becomes a primary */
    promoted: (index) => tell({ do: 'promoted', index }),
    /** @param {number} index */
    takenForDead: (index) => tell({ do: 'takenForDead', index }),
    addPrimary: () => tell({ do: 'addPrimary' }),
    /** @param {number} index */
    forget: (index) => tell({ do: 'forget', index }),
    /** @param {number} slot @param {number} to */
    moveSlot: (slot, to) => tell({ do: 'moveSlot', slot, to }),
    /** @param {number} slot @param {number} to @returns {Promise<object>} the move, for the three that follow */
    beginMove: (slot, to) => tell({ do: 'beginMove', slot, to }),
    /** @param {object} step @param {number} limit @returns {Promise<number>} how many keys were moved */
    moveKeys: (step, limit) => tell({ do: 'moveKeys', step, limit }),
    /** @param {object} step */
    finishMove: (step) => tell({ do: 'finishMove', step }),
    /** @param {object} step */
    cancelMove: (step) => tell({ do: 'cancelMove', step }),
    /** @param {number} index @param {Deed} deed */
    node: (index, deed) => tell({ do: 'node', index, deed }),
    /** @param {number} index @param {...string} words */
    command: (index, ...words) => tell({ do: 'command', index, words }),
    /** @returns {Promise<StoreCluster>} */
    describe: () => tell({ do: 'describe' }),
  };
}

/**
 * What a test cluster needs of a store, where the store is none that listens at one address.
 *
 * @param {(key: string) => Promise<string | null>} get
 * @returns {import('./store').Store}
 */
function storeView(get) {
  const view = {
    host: undefined,
    port: undefined,
    // What it shows to everyone is looked through in the tests with single servers.
    isRunning: () => false,
    /** @param {string} key of a string that holds JSON */
    json: async (key) => JSON.parse((await get(key)) ?? 'null') ?? undefined,
  };
  return /** @type {any} */ (view);
}

/**
 * Starts the process and tells it what to start.
 *
 * @param {import('./cluster').Scope} scope
 * @param {object} what
 */
async function start(scope, what) {
  build();
  const child = spawn(PROGRAM, {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, NODE_RED_CLUSTER_STORE: findServer() },
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  scope.after(async () => {
    // It ends its servers at the end of its input.
    child.stdin.end();
    await ended;
  });
  const answers = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  /** @type {Promise<unknown>} */
  let last = Promise.resolve();

  /**
   * @param {object} order
   * @returns {Promise<any>}
   */
  async function exchange(order) {
    child.stdin.write(`${JSON.stringify(order)}\n`);
    const { value, done } = await answers.next();
    if (done) throw new Error('the process with the servers has ended; what it said stands above');
    const answer = JSON.parse(value);
    if (answer.error !== undefined) throw new Error(`${JSON.stringify(order)}: ${answer.error}`);
    return answer.ok;
  }

  /**
   * One order after the other, as the answers come in their order.
   *
   * @param {object} order
   * @returns {Promise<any>}
   */
  function tell(order) {
    const next = last.then(() => exchange(order));
    last = next.catch(() => undefined);
    return next;
  }

  return { started: await tell(what), tell };
}

/** Builds the program, which takes a moment where it is built already. */
function build() {
  const words = ['build', '--quiet', '--locked', '--package', 'node-red-cluster-testkit', '--bin', 'topology'];
  const { status } = spawnSync('cargo', words, { cwd: ROOT, stdio: ['ignore', 2, 2] });
  if (status !== 0) throw new Error('the program with the servers could not be built; the reason stands above');
}

module.exports = { startSentinelGroup, startStoreCluster };
