'use strict';

/**
 * A process with a real Node-RED, embedded, and an admin's storage module in it that is watched from
 * inside. Nothing else happens in the process while one of our functions runs, so what blocks the
 * event loop then is ours. Started by the bench, which sends one command after the other.
 */

const fs = require('node:fs/promises');
const path = require('node:path');
const { setTimeout: delay } = require('node:timers/promises');

/** Node-RED has no types. @type {any} */
const RED = require(require.resolve('node-red'));

const storage = require('../../node/storage.js');
const { manyNodes, tab } = require('../../tests/support/flows.js');
const { spread } = require('../support/statistics.js');
const { watchLoop } = require('./watch.js');

/** @typedef {import('../../node/types').FlowNode} FlowNode */

/**
 * @typedef {object} Blocked times in milliseconds
 * @property {number} longest the event loop was not free
 * @property {number} stringify how long JSON.stringify of the same flows takes in this process
 * @property {number} took from the call to the end
 */

const NODES_PER_TAB = 100;
const CODE = 'msg.payload = msg.payload * 2; // "quoted"\n'.repeat(24);

/** Flows that are being saved, or were loaded last. @type {FlowNode[]} */
let flows = [];
let flowFile = '';
/** @type {Blocked | undefined} */
let load;
/** Called when Node-RED is asked to run what another admin saved. @type {((received: FlowNode[]) => void) | undefined} */
let onApply;

/**
 * @param {FlowNode[]} array
 * @returns {number} milliseconds, the median of a few
 */
function timeStringify(array) {
  const times = Array.from({ length: 5 }, () => {
    const since = performance.now();
    JSON.stringify(array);
    return performance.now() - since;
  });
  return spread(times).median;
}

/**
 * @param {() => Promise<unknown>} work
 * @returns {Promise<{longest: number, took: number}>}
 */
async function watched(work) {
  const watch = watchLoop();
  await work();
  return watch.stop();
}

/** The storage module that Node-RED gets: the same functions, two of them watched. */
const watchedStorage = {
  ...storage,
  /**
   * @param {import('../../node/types').Settings} settings
   * @param {import('../../node/types').Runtime} runtime
   */
  async init(settings, runtime) {
    await storage.init(settings, runtime);
    const { setFlows } = runtime.flows;
    runtime.flows.setFlows = (array, ...rest) => {
      onApply?.(array);
      return setFlows(array, ...rest);
    };
  },
  async getFlows() {
    const blocked = await watched(async () => {
      flows = await storage.getFlows();
    });
    load ??= { ...blocked, stringify: timeStringify(flows) };
    return flows;
  },
};

/**
 * Function nodes with a kilobyte of code each, on disabled tabs: Node-RED's own work with them, which
 * grows faster than their number, is not the question.
 *
 * @param {number} bytes of JSON, about
 */
function generate(bytes) {
  flows = [];
  for (let size = 0, number = 1; size < bytes; number += 1) {
    const id = `tab-${number}`;
    const nodes = manyNodes(id, NODES_PER_TAB).map((node) => ({ ...node, type: 'function', func: CODE }));
    flows.push(tab(id, { disabled: true }), ...nodes);
    size += JSON.stringify(nodes).length;
  }
}

/** @returns {Promise<number>} of the flow file, which each write replaces; 0 where there is none */
async function flowFileNumber() {
  return fs.stat(flowFile).then(({ ino }) => ino, () => 0);
}

/** Saves as Node-RED does on a deploy, until the copy on this admin's disk is written as well. */
async function saveFlows() {
  const before = await flowFileNumber();
  await storage.saveFlows(flows);
  while (await flowFileNumber() === before) await delay(5);
}

/** @returns {Promise<void>} when Node-RED has started what it is asked to run next */
function nextDeploy() {
  const { events } = RED.runtime;
  return new Promise((resolve) => {
    /** @param {import('../../node/types').RuntimeEvent} event */
    const onEvent = ({ id }) => {
      if (id !== 'runtime-deploy') return;
      events.off('runtime-event', onEvent);
      resolve();
    };
    events.on('runtime-event', onEvent);
  });
}

/** @type {Record<string, (parameters: any) => Promise<object>>} */
const COMMANDS = {
  /** @param {{settings: {flowFile: string}, userDir: string}} parameters */
  async start({ settings, userDir }) {
    flowFile = path.join(userDir, settings.flowFile);
    RED.init({
      ...settings,
      userDir,
      httpAdminRoot: false,
      httpNodeRoot: false,
      telemetry: { enabled: false, updateNotification: false },
      logging: { console: { level: 'warn', metrics: false, audit: false } },
      storageModule: watchedStorage,
    });
    const started = new Promise((resolve) => RED.runtime.events.once('flows:started', resolve));
    await RED.start();
    await started;
    return { load };
  },
  /** @param {{bytes: number}} parameters */
  async generate({ bytes }) {
    generate(bytes);
    return { nodes: flows.length, bytes: Buffer.byteLength(JSON.stringify(flows)) };
  },
  /** @param {{name: string}} parameters the new name of a node, so that there is a change */
  async save({ name }) {
    flows = flows.map((node, index) => (index === 1 ? { ...node, name } : node));
    const stringify = timeStringify(flows);
    return { ...await watched(saveFlows), stringify };
  },
  /** Gets what another admin saves, up to where Node-RED takes over. */
  async receive() {
    const watch = watchLoop();
    const deployed = nextDeploy();
    /** @type {{longest: number, took: number, received: FlowNode[]}} */
    const { received, ...blocked } = await new Promise((resolve) => {
      // Stopped in the call itself: Node-RED goes on in the same turn.
      onApply = (array) => resolve({ ...watch.stop(), received: array });
    });
    onApply = undefined;
    await deployed;
    return { ...blocked, stringify: timeStringify(received) };
  },
  /** What the loop shows while nothing happens: how far the figures can be trusted. */
  rest: () => watched(() => delay(1_000)),
};

process.on('message', async (/** @type {{name: string, parameters: object}} */ { name, parameters }) => {
  const answer = await COMMANDS[name](parameters).catch((error) => ({ error: error.stack }));
  process.send?.(answer);
});
process.on('disconnect', () => process.exit());
