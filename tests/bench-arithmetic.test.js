'use strict';

/** What the benches load and idle make of their figures. */

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { perWorker } = require('../bench/idle/per-worker.js');
const { isHeld, verdicts } = require('../bench/load/verdict.js');
const { readOptions } = require('../bench/support/bench.js');
const { busyCores } = require('../bench/support/machine-watch.js');

const PLAN = { rate: 1_000, seconds: 20 };
const LATENCIES = { count: 1, p50: 1, p90: 1, p99: 1, p999: 1, max: 1 };
const REPORT = {
  latencies: {}, all: LATENCIES, errors: {}, windows: [1_000, 1_000], acknowledged: 50, uncertain: 0, counted: 50, stale: 0, compared: 10,
};

const met = (/** @type {Partial<import('../bench/load/verdict.js').Report>} */ changed) => (
  verdicts(PLAN, { ...REPORT, ...changed }).map(([, , verdict]) => verdict)
);

test('a rate is held only if every window holds it, and there is one', () => {
  assert.equal(isHeld(PLAN, { windows: [1_000, 996, 1_004] }), true);
  assert.equal(isHeld(PLAN, { windows: [1_000, 994, 1_006] }), false);
  assert.equal(isHeld(PLAN, { windows: [] }), false);
});

test('each verdict fails by what it is about, and by nothing else', () => {
  assert.deepEqual(met({}), ['yes', 'yes', 'yes', 'yes']);
  assert.deepEqual(met({ windows: [1_000, 10] }), ['NO', 'yes', 'yes', 'yes']);
  assert.deepEqual(met({ errors: { NRC_STORE_UNREACHABLE: 1 } }), ['yes', 'NO', 'yes', 'yes']);
  assert.deepEqual(met({ counted: 49 }), ['yes', 'yes', 'NO', 'yes']);
  assert.deepEqual(met({ counted: 51 }), ['yes', 'yes', 'NO', 'yes']);
  assert.deepEqual(met({ stale: 1 }), ['yes', 'yes', 'yes', 'NO']);
});

test('increments of which nobody knows may have been counted or not, and no others', () => {
  const counted = (/** @type {number} */ sum) => met({ counted: sum, uncertain: 2 })[2];
  assert.deepEqual([49, 50, 52, 53].map(counted), ['NO', 'yes', 'yes', 'NO']);
});

test('a worker is what it adds to the admin alone, in its own time', () => {
  const still = {
    workers: 0, seconds: 10, calls: { ping: 20, get: 10 }, received: 100, sent: 200, links: 3, memory: 1_000, cpu: 1,
    start: { seconds: 0, commands: 0, received: 0, sent: 0 },
  };
  const together = {
    ...still, workers: 4, seconds: 20, calls: { ping: 140 }, received: 1_000, sent: 8_400, links: 15, memory: 5_000, cpu: 12,
  };
  assert.deepEqual(perWorker(still, together), { commands: 1, received: 10, sent: 100, cpu: 0.125, links: 3, memory: 1_000 });
});

test('busy cores are counted over the time between two looks', () => {
  const cores = require('node:os').cpus().length;
  assert.equal(busyCores({ busy: 100, all: 1_000 }, { busy: 150, all: 1_100 }), cores / 2);
});

test('options of benches are numbers above 0, and instances a list of them', () => {
  assert.deepEqual(readOptions({ quick: true, seconds: '600', instances: '1,10', rate: '2e4' }), {
    quick: true, seconds: 600, instances: [1, 10], rate: 20_000,
  });
  assert.deepEqual(readOptions({}), { quick: false });
  for (const text of ['0', '-1', 'many', '1,,2']) assert.throws(() => readOptions({ instances: text }), /--instances needs a number/);
});
