'use strict';

/** Real Node-RED processes with the bench's palette, which tell what their nodes show and when. */

const fs = require('node:fs');
const path = require('node:path');

const { ROOT, temporaryDirectory } = require('../../tests/support/directories.js');
const { startInstance } = require('../../tests/support/instance.js');
const { until } = require('../../tests/support/wait.js');
const { ask } = require('../deploy/ask.js');

/**
 * @typedef {import('./nodes/bench-messages.js').Done} Done
 * @typedef {Awaited<ReturnType<typeof startNodeRed>>} NodeRed
 *
 * @typedef {object} Shown
 * @property {string} id of the node
 * @property {number} at machine time
 * @property {string} [fill] absent where a node shows nothing
 */

const PALETTES = [path.join(ROOT, 'tests', 'support', 'nodes'), ROOT, path.join(__dirname, 'nodes')];

/** What Node-RED logs then. */
const FLOWS_RUN = /Started flows/;
const START_LIMIT = 30_000;

/** Colours of the status that both kinds of leader nodes show. */
const LEADER = 'green';
const FOLLOWER = 'yellow';

/**
 * Starts one with Node-RED's own storage: then nothing but the leader nodes talks to the store.
 *
 * @param {import('../../tests/support/cluster.js').Scope} scope that ends it
 * @param {object} options
 * @param {string} options.name
 * @param {import('../../tests/support/store.js').Store} options.server
 * @param {import('./flows.js').FlowNode[]} options.flows
 */
async function startNodeRed(scope, { name, server: { host, port }, flows }) {
  const userDir = temporaryDirectory(`bench-${name}`);
  fs.writeFileSync(path.join(userDir, 'flows.json'), JSON.stringify(flows));
  const instance = await startInstance({
    role: 'plain',
    name,
    userDir,
    settings: { nodesDir: PALETTES, credentialSecret: 'bench', valkey: { host, port, keyPrefix: 'bench:' } },
  });
  scope.after(instance.release);
  await instance.waitForLog(FLOWS_RUN, { timeout: START_LIMIT });
  let read = 0;
  /** @type {Shown[]} */
  const shown = [];

  /** @returns {Shown[]} all that its nodes have shown so far, over all its starts */
  function statuses() {
    const end = instance.log().lastIndexOf('\n') + 1;
    for (const line of instance.log().slice(read, end).split('\n')) {
      const [, text] = /^bench-status (.*)$/.exec(line) ?? [];
      if (text) shown.push(JSON.parse(text));
    }
    read = end;
    return shown;
  }

  /**
   * @param {string} what
   * @param {object} body
   * @returns {Promise<any>}
   */
  async function command(what, body) {
    const { text } = await ask(`${instance.nodeUrl}/bench/${what}`, { method: 'POST', body: JSON.stringify(body) });
    const answer = JSON.parse(text);
    if (answer.error) throw new Error(`${name}: ${what} ${JSON.stringify(body)} failed: ${answer.error}\n${instance.log()}`);
    return answer;
  }

  return {
    name,
    instance,
    statuses,
    /** Starts again what has ended. */
    async startAgain() {
      const from = instance.log().length;
      instance.start();
      await instance.waitForLog(FLOWS_RUN, { timeout: START_LIMIT, from });
    },
    /** @param {string} node id */
    shows: (node) => statuses().filter(({ id }) => id === node).at(-1)?.fill,
    /**
     * @param {string} node id
     * @param {string} fill
     * @param {{since?: number, timeout?: number}} [options] since: machine time
     * @returns {Promise<number>} machine time when the node first showed it
     */
    async untilShows(node, fill, { since = 0, timeout } = {}) {
      const { at } = await until(
        () => statuses().find((one) => one.id === node && one.fill === fill && one.at >= since),
        { message: `${node} of ${name} shows ${fill}; its log was:\n${instance.log()}`, timeout },
      );
      return at;
    },
    /** @type {(measure: import('./nodes/bench-messages.js').Measure) => Promise<Done>} */
    measure: (measure) => command('measure', measure),
    /** @type {(source: string) => Promise<{at: number}>} */
    send: (source) => command('send', { source }),
    /** @type {(source: string, every: number) => Promise<unknown>} */
    tick: (source, every) => command('tick', { source, every }),
  };
}

module.exports = { FOLLOWER, LEADER, startNodeRed };
