'use strict';

/**
 * The checker: several real processes read and write the shared context at random while their links, the
 * store and they themselves are disturbed; then their histories are verified. In rounds, each with keys of
 * its own, so that it can run for as long as one likes.
 */

const path = require('node:path');
const zlib = require('node:zlib');
const { startContextProcess } = require('../support/context-process');
const { createRandom } = require('../support/context-random');
const { startProxy } = require('../support/proxy');
const { startStore } = require('../support/store');
const { delay } = require('../support/wait');
const { createNemesis } = require('./nemesis');
const { verify } = require('./verify');
const { SCOPE, allKeys, idOf } = require('./work');

const ROUND_MILLISECONDS = 4_000;
/** How long after the last fault and the last write a near cache may take to be as the store. Milliseconds. */
const QUIESCENCE = 5_000;
const KEY_PREFIX = 'checker:';
/** The first byte of a value that is compressed. */
const GZIP = 0x1f;

/**
 * @typedef {object} Summary
 * @property {number} rounds
 * @property {Record<string, number>} operations by type
 * @property {Record<string, number>} faults by name
 * @property {Record<string, number>} errors by code, as the processes got them
 * @property {any[]} counters of each process
 * @property {import('./verify').Violation[]} violations
 */

/**
 * @param {{after: (cleanUp: () => Promise<void>) => void}} scope
 * @param {object} options
 * @param {number} options.seconds
 * @param {number} options.seed
 * @param {number} [options.processes]
 * @param {Record<string, unknown>} [options.config] of the context stores
 * @param {(line: string) => void} [options.log]
 * @returns {Promise<Summary>} up to the first round with violations
 */
async function runChecker(scope, { seconds, seed, processes = 4, config = {}, log = () => {} }) {
  const random = createRandom(seed);
  const store = await startStore();
  scope.after(() => store.release());
  const members = await Promise.all(Array.from({ length: processes }, async (_, index) => {
    const link = await startProxy(store.port);
    scope.after(() => link.stop());
    const process = await startContextProcess(scope, {
      work: path.join(__dirname, 'work.js'),
      // Longer than any fault: no write fails, so each one counts.
      config: { host: link.host, port: link.port, keyPrefix: KEY_PREFIX, timeout: 20_000, ...config },
    });
    return { name: `p${index}`, link, process };
  }));
  const names = members.map(({ name }) => name);
  const nemesis = createNemesis({ store, members }, random);
  /** @type {Summary} */
  const summary = { rounds: 0, operations: {}, faults: nemesis.done, errors: {}, counters: [], violations: [] };

  const end = Date.now() + seconds * 1_000;
  while (Date.now() < end && summary.violations.length === 0) {
    summary.rounds += 1;
    const round = summary.rounds;
    const startedAt = Date.now();
    await Promise.all(members.map(({ name, process }) => process.call('begin', { round, name, names, seed: random.below(2 ** 31), startedAt })));
    await nemesis.rage(Math.min(ROUND_MILLISECONDS, end - Date.now()));
    const histories = await Promise.all(members.map(async ({ name, process }) => {
      const { operations, errors } = await process.call('halt');
      for (const [code, count] of Object.entries(errors)) summary.errors[code] = (summary.errors[code] ?? 0) + count;
      for (const { type } of operations) summary.operations[type] = (summary.operations[type] ?? 0) + 1;
      return { process: name, operations };
    }));
    const { stored, seen } = await lookWhenQuiet(allKeys({ round, names }));
    summary.violations = verify(histories, stored, seen);
    log(`round ${round}: ${JSON.stringify(summary.operations)}, ${summary.violations.length} violations`);
  }
  summary.counters = await Promise.all(members.map(({ process }) => process.call('statistics')));
  await Promise.all(members.map(({ process }) => process.end()));
  return summary;

  /**
   * What the store and every process say, once they agree or have had time enough to.
   *
   * @param {string[]} keys
   */
  async function lookWhenQuiet(keys) {
    const deadline = Date.now() + QUIESCENCE;
    for (;;) {
      const stored = new Map(await Promise.all(keys.map(async (key) => /** @type {[string, any]} */ ([key, await readStored(key)]))));
      const looks = await Promise.all(members.map(async ({ name, process }) => ({ name, both: await process.call('look', keys) })));
      const seen = looks.flatMap(({ name, both }) => both.map((/** @type {Map<string, any>} */ values) => ({ process: name, values })));
      const agree = seen.every(({ values }) => keys.every((key) => values.get(key) === stored.get(key)));
      if (agree || Date.now() > deadline) return { stored, seen };
      await delay(20);
    }
  }

  /** @param {string} expression a root, or a root and one name */
  async function readStored(expression) {
    const [root, name] = expression.split('.');
    const bytes = await store.commandBytes('GET', `${KEY_PREFIX}context:${SCOPE}:${root}`);
    if (bytes === null) return null;
    const value = JSON.parse(bytes[0] === GZIP ? zlib.gunzipSync(bytes) : bytes);
    return idOf(name === undefined ? value : value?.[name]);
  }
}

module.exports = { runChecker };
