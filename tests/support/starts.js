'use strict';

/** Which nodes a deploy starts, and whether the flows answer meanwhile. */

const assert = require('node:assert/strict');
const { delay, holdsFor, untilEqual } = require('./wait');

/** @typedef {import('./instance').Instance} Instance */

/** Between two requests to one instance, so that asking does not burden what it observes. Milliseconds. */
const REQUEST_PAUSE = 5;

/**
 * @param {Instance} instance
 * @returns {Promise<Record<string, number>>} starts of each probe so far
 */
async function startsOf(instance) {
  return (await instance.probes()).starts;
}

/**
 * Runs an action and checks which probes each instance starts for it: exactly
 * these, once the action has reached everyone, and no more a while later.
 *
 * @param {Instance[]} instances
 * @param {Record<string, number>} expected starts by node id
 * @param {() => Promise<unknown>} action
 * @returns {Promise<void>}
 */
async function assertStarts(instances, expected, action) {
  const before = await Promise.all(instances.map(startsOf));
  await action();
  async function started() {
    const now = await Promise.all(instances.map(startsOf));
    return now.map((starts, index) => [instances[index].name, difference(before[index], starts)]);
  }
  const wanted = instances.map(({ name }) => [name, expected]);
  await untilEqual(started, wanted, { message: 'every instance starts the same nodes' });
  await holdsFor(async () => assert.deepEqual(await started(), wanted), 300);
}

/**
 * @param {Record<string, number>} before
 * @param {Record<string, number>} after
 * @returns {Record<string, number>} what has grown, by how much
 */
function difference(before, after) {
  const grown = Object.entries(after).map(([id, count]) => [id, count - (before[id] ?? 0)]);
  return Object.fromEntries(grown.filter(([, count]) => count !== 0));
}

/**
 * Asks endpoints again and again while an action runs.
 *
 * @param {Instance[]} instances
 * @param {string} path endpoint that does not change
 * @param {string} text its answer
 * @param {() => Promise<unknown>} action
 * @returns {Promise<{requests: number, failures: string[]}>}
 */
async function requestsDuring(instances, path, text, action) {
  let running = true;
  let requests = 0;
  /** @type {string[]} */
  const failures = [];
  const asking = instances.map(async (instance) => {
    while (running) {
      requests += 1;
      const answer = await instance.get(path).catch((error) => ({ status: 0, text: String(error) }));
      if (answer.text !== text) failures.push(`${instance.name}: ${answer.status} ${answer.text}`);
      await delay(REQUEST_PAUSE);
    }
  });
  try {
    await action();
  } finally {
    running = false;
    await Promise.all(asking);
  }
  return { requests, failures };
}

module.exports = { assertStarts, requestsDuring, startsOf };
