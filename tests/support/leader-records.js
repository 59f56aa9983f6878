'use strict';

/** Reads what the recorder of the tests' palette wrote down, and checks it. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { until } = require('./wait');

/** @typedef {import('./instance').Instance} Instance */

/**
 * @typedef {object} MessageRecord
 * @property {number} pid
 * @property {string} node id of the recorder
 * @property {number} at when it was recorded, ms of the monotonic clock
 * @property {{number?: number, at?: number, slot?: number}} stamp before the leader node
 * @property {Record<string, any>} message
 */

/**
 * @typedef {object} StatusRecord
 * @property {string} node id of the node that shows it
 * @property {number} at
 * @property {{fill?: string, shape?: string, text?: string}} status
 */

/** Milliseconds of the clock that records carry. */
const now = () => Number(process.hrtime.bigint()) / 1e6;

/**
 * @param {Instance} instance
 * @returns {any[]}
 */
function recordsOf(instance) {
  const file = path.join(instance.userDir, 'recorded.jsonl');
  if (!fs.existsSync(file)) return [];
  // What follows the last line end is still being written.
  const lines = fs.readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line));
}

/**
 * @param {Instance} instance
 * @param {string} node id of the recorder
 * @param {number} [from] only what was recorded after this
 * @returns {MessageRecord[]}
 */
function messagesAt(instance, node, from = 0) {
  return recordsOf(instance).filter((record) => record.kind === 'message' && record.node === node && record.at > from);
}

/**
 * @param {Instance} instance
 * @param {string} [id] of the leader node
 * @param {number} [from]
 */
const ledBy = (instance, id = 'leader', from = 0) => messagesAt(instance, `${id}-led`, from);

/**
 * @param {Instance} instance
 * @param {string} [id] of the leader node
 * @param {number} [from]
 */
const followedBy = (instance, id = 'leader', from = 0) => messagesAt(instance, `${id}-followed`, from);

/**
 * @param {Instance} instance
 * @param {string} node
 * @param {number} [from]
 * @returns {StatusRecord[]} all that the node showed
 */
function statusesOf(instance, node, from = 0) {
  return recordsOf(instance).filter((record) => record.kind === 'status' && record.node === node && record.at > from);
}

/**
 * Waits until the flows of the present process have started: Node-RED answers requests and deploys before.
 *
 * @param {Instance} instance
 * @param {number} [from]
 */
async function untilFlowsStarted(instance, from = 0) {
  const isIt = (/** @type {any} */ { kind, pid, at }) => kind === 'flows-started' && pid === instance.pid() && at > from;
  await until(() => recordsOf(instance).some(isIt), {
    message: `the flows of ${instance.name} start`,
  });
}

/**
 * @param {Instance} instance
 * @param {string} node
 * @returns {{fill?: string, shape?: string, text?: string}} what it shows now
 */
const statusOf = (instance, node) => statusesOf(instance, node).at(-1)?.status ?? {};

/**
 * @param {Instance} instance
 * @param {string} node
 * @param {string} fill
 * @param {string} shape
 * @param {RegExp} [text]
 * @param {{timeout?: number}} [options]
 */
async function untilShows(instance, node, fill, shape, text = /./, { timeout } = {}) {
  const message = `${node} of ${instance.name} shows ${fill} ${shape} ${text}`;
  await until(() => {
    const status = statusOf(instance, node);
    assert.equal(`${status.fill} ${status.shape}`, `${fill} ${shape}`, JSON.stringify(status));
    assert.match(status.text ?? '', text);
    return true;
  }, { message, timeout });
}

/**
 * Checks that at no time two instances acted as leader: each token belongs to one process, and whoever
 * was sent a message by output 1 under a token decided so before anybody did under a later one.
 *
 * @param {Instance[]} instances
 * @param {string} [id] of the leader node
 * @returns {number[]} the tokens, in order
 */
function assertOneAtATime(instances, id = 'leader') {
  /** @type {Map<number, {owner: string, first: number, last: number}>} */
  const terms = new Map();
  for (const instance of instances) {
    for (const record of ledBy(instance, id)) {
      const { pid, at, stamp, message } = /** @type {MessageRecord} */ (record);
      const owner = `${instance.name} (process ${pid})`;
      /** @type {{owner: string, first: number, last: number}} */
      const term = terms.get(message.leaderToken) ?? { owner, first: at, last: 0 };
      assert.equal(term.owner, owner, `token ${message.leaderToken} belongs to one process`);
      // The decision fell between the stamp and the record: these are the bounds that prove an overlap.
      term.first = Math.min(term.first, at);
      term.last = Math.max(term.last, stamp.at ?? 0);
      terms.set(message.leaderToken, term);
    }
  }
  const tokens = [...terms.keys()].sort((one, other) => one - other);
  let earlier = { token: 0, owner: 'nobody', last: 0 };
  for (const token of tokens) {
    const { owner, first, last } = /** @type {NonNullable<ReturnType<typeof terms.get>>} */ (terms.get(token));
    assert.ok(
      earlier.last <= first,
      `${earlier.owner} led with token ${earlier.token} ${earlier.last - first} ms after ${owner} did with ${token}`,
    );
    if (last > earlier.last) earlier = { token, owner, last };
  }
  return tokens;
}

/**
 * Checks that of the messages that went into a leader node each came out once, by one of its outputs.
 *
 * @param {Instance} instance of one process: each process counts anew
 * @param {string} [id] of the leader node
 * @returns {number} how many
 */
function assertNoneLost(instance, id = 'leader') {
  const numbers = [...ledBy(instance, id), ...followedBy(instance, id)].map(({ stamp }) => stamp.number ?? -1);
  numbers.sort((one, other) => one - other);
  assert.deepEqual(numbers, Array.from({ length: numbers.length }, (_, index) => index + 1));
  return numbers.length;
}

/**
 * @param {Instance[]} instances
 * @param {string} [id] of the leader node
 * @param {number} [from]
 * @returns {Array<{start: number, length: number}>} between one message led, by whomever, and the next; ms
 */
function gapsBetweenLed(instances, id = 'leader', from = 0) {
  const times = instances.flatMap((instance) => ledBy(instance, id, from).map(({ at }) => at));
  times.sort((one, other) => one - other);
  return times.slice(1).map((time, index) => ({ start: times[index], length: time - times[index] }));
}

module.exports = {
  assertNoneLost, assertOneAtATime, followedBy, gapsBetweenLed, ledBy, messagesAt, now, statusOf, statusesOf,
  untilFlowsStarted, untilShows,
};
