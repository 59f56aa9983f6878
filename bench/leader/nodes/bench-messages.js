'use strict';

/**
 * A palette of the bench: where messages begin and end, and a node that does nothing between them.
 *
 * - POST <httpNodeRoot>/bench/measure: sends from a source until the time is over, as `Measure` says.
 * - POST <httpNodeRoot>/bench/send: sends one message from a source, answers when that was.
 * - POST <httpNodeRoot>/bench/tick: from now on a source sends one every so many milliseconds.
 * - Each status that a node shows is a line on standard output, with the time.
 */

const { machineTime } = require('../machine-time.js');

/**
 * @typedef {object} Measure
 * @property {string} source id of the node
 * @property {number} burst messages that it sends in one turn; the next ones when all have arrived
 * @property {number} milliseconds after which no more are sent
 *
 * @typedef {object} Done
 * @property {number} operations messages that arrived
 * @property {number} seconds
 * @property {number} cpu seconds that all threads of the process used
 * @property {number} leader messages that came marked as the leader's
 * @property {number} follower messages that came marked as a follower's
 */

/** A message that has not arrived by then was dropped. Milliseconds. */
const ARRIVAL_LIMIT = 10_000;

/** @param {any} RED */
module.exports = function registerBenchMessages(RED) {
  /** @type {Map<string, any>} */
  const sources = new Map();
  /** Called by the sinks while something is measured. @type {((message: any) => void) | undefined} */
  let arrived;

  /** @this {any} @param {any} config */
  function Source(config) {
    RED.nodes.createNode(this, config);
    sources.set(this.id, this);
    /** @type {NodeJS.Timeout | undefined} */
    let ticking;
    this.tick = (/** @type {number} */ every) => {
      ticking = setInterval(() => this.send({ payload: 0 }), every);
    };
    this.on('close', () => {
      clearInterval(ticking);
      sources.delete(this.id);
    });
  }

  /** @this {any} @param {any} config */
  function Pass(config) {
    RED.nodes.createNode(this, config);
    this.on('input', (/** @type {any} */ message, /** @type {any} */ send, /** @type {any} */ done) => {
      send(message);
      done();
    });
  }

  /** @this {any} @param {any} config */
  function PassTwo(config) {
    RED.nodes.createNode(this, config);
    this.on('input', (/** @type {any} */ message, /** @type {any} */ send, /** @type {any} */ done) => {
      send([message, null]);
      done();
    });
  }

  /** @this {any} @param {any} config */
  function Sink(config) {
    RED.nodes.createNode(this, config);
    this.on('input', (/** @type {any} */ message, /** @type {any} */ _send, /** @type {any} */ done) => {
      arrived?.(message);
      done();
    });
  }

  RED.nodes.registerType('bench-source', Source);
  RED.nodes.registerType('bench-pass', Pass);
  RED.nodes.registerType('bench-pass-two', PassTwo);
  RED.nodes.registerType('bench-sink', Sink);

  RED.events.on('node-status', (/** @type {{id: string, status: object}} */ { id, status }) => {
    process.stdout.write(`bench-status ${JSON.stringify({ id, at: machineTime(), ...status })}\n`);
  });

  /**
   * @param {Measure} measure
   * @returns {Promise<Done>}
   */
  function run({ source: id, burst, milliseconds }) {
    const source = sources.get(id);
    return new Promise((resolve, reject) => {
      const counts = { operations: 0, leader: 0, follower: 0 };
      let missing = 0;
      const usedBefore = process.cpuUsage();
      const since = performance.now();

      const limit = setTimeout(() => {
        arrived = undefined;
        reject(new Error(`${missing} of ${burst} messages did not arrive`));
      }, milliseconds + ARRIVAL_LIMIT);

      function sendBurst() {
        missing = burst;
        for (let count = 0; count < burst; count += 1) source.send({ payload: count });
      }
      function end() {
        const seconds = (performance.now() - since) / 1_000;
        const { user, system } = process.cpuUsage(usedBefore);
        arrived = undefined;
        clearTimeout(limit);
        resolve({ ...counts, seconds, cpu: (user + system) / 1e6 });
      }
      arrived = (message) => {
        counts.operations += 1;
        if (message.isLeader === true) counts.leader += 1;
        else if (message.isLeader === false) counts.follower += 1;
        missing -= 1;
        if (missing > 0) return;
        if (performance.now() - since < milliseconds) sendBurst();
        else end();
      };
      sendBurst();
    });
  }

  /** @type {Record<string, (body: any) => Promise<object>>} */
  const commands = {
    measure: run,
    async send({ source }) {
      const at = machineTime();
      sources.get(source).send({ payload: 0 });
      return { at };
    },
    async tick({ source, every }) {
      sources.get(source).tick(every);
      return {};
    },
  };

  RED.httpNode.post('/bench/:name', (/** @type {any} */ request, /** @type {any} */ response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (/** @type {string} */ piece) => {
      text += piece;
    });
    request.on('end', async () => {
      const answer = await commands[request.params.name](JSON.parse(text))
        .catch((error) => ({ error: String(error.stack) }));
      response.json(answer);
    });
  });
};
