'use strict';

/** What instances that stand still put on the store: measured by their number, and for a real worker as a check. */

const { withScope } = require('../support/clean-up.js');
const { buildLightInstances } = require('../support/light-instances.js');
const { busyWith } = require('../support/machine-watch.js');
const { table } = require('../support/table.js');
const { describeCalls } = require('../load/verdict.js');
const { perWorker } = require('./per-worker.js');
const { standStill } = require('./stand-still.js');

/** @typedef {import('./stand-still.js').Still} Still */

/** Workers beside one admin. */
const INSTANCES = [1, 10, 100, 1_000];
const QUICK_INSTANCES = [1, 3];

/** How long each number is watched. */
const SECONDS = 60;
const QUICK_SECONDS = 3;

/** How long after the start: what a start brings about is over by then, the first lease above all. */
const SETTLE = 15_000;
const QUICK_SETTLE = 1_000;

/** How long the machine is watched before, in milliseconds. */
const BEFORE = 3_000;

const REAL = '1 real worker';
const ADMIN = 'the admin alone';

/** @param {number} count */
const light = (count) => `${count.toLocaleString('en')} light ${count === 1 ? 'worker' : 'workers'}`;

/**
 * @param {Record<string, Still>} stills by what stood still
 * @param {number} busyBefore
 */
function describe(stills, busyBefore) {
  const sum = (/** @type {Still} */ { calls, seconds }) => Object.values(calls).reduce((all, count) => all + count, 0) / seconds;
  const rows = Object.entries(stills).map(([label, still]) => [
    label,
    sum(still).toFixed(2),
    (still.calls.evalsha ?? 0) > 0 ? (still.calls.evalsha / still.seconds).toFixed(2) : '0',
    (still.received / still.seconds / 1e3).toFixed(2),
    (still.sent / still.seconds / 1e3).toFixed(2),
    String(still.links),
    (still.memory / 1e6).toFixed(2),
    (still.cpu / still.seconds * 100).toFixed(2),
  ]);
  const admin = stills[ADMIN];
  const shares = Object.entries(stills).filter(([label]) => label !== ADMIN).map(([label, still]) => {
    const share = perWorker(admin, still);
    return [
      label,
      share.commands.toFixed(2),
      share.received.toFixed(0),
      share.sent.toFixed(0),
      share.links.toFixed(2),
      (share.memory / 1e3).toFixed(1),
      (share.cpu * 1e6).toFixed(0),
    ];
  });
  const starts = Object.entries(stills).filter(([label]) => label !== ADMIN).map(([label, { workers, start }]) => [
    label,
    start.seconds.toFixed(1),
    (start.commands / workers).toFixed(0),
    (start.received / workers / 1e3).toFixed(1),
    (start.sent / workers / 1e3).toFixed(1),
  ]);
  return [
    `Each row with one real admin beside the workers, one lock for which all stand, the default intervals; watched for ${admin.seconds.toFixed(0)} s.`,
    `The store is on this machine. ${busyBefore.toFixed(2)} cores were busy before the run.`,
    '',
    table([['standing still, a second', 'commands, also in scripts', 'scripts', 'kB to the store', 'kB from it', 'connections', 'MB of the store', 'its CPU, %'], ...rows]),
    '',
    table([['a worker, a second (without the admin alone)', 'commands', 'bytes to the store', 'bytes from it', 'connections', 'kB of the store', 'its CPU, µs'], ...shares]),
    '',
    table([['starting, one after the other', 's', 'commands of a worker', 'kB to the store of one', 'kB from it of one'], ...starts]),
    '',
    'Commands of the store, a second, those in scripts as well:',
    ...Object.entries(stills).map(([label, { calls, seconds }]) => `${label}: ${describeCalls(calls, seconds)}`),
  ].join('\n');
}

module.exports = {
  summary: 'what 1 to 1,000 instances that stand still put on the store',
  /**
   * @param {(line: string) => void} progress
   * @param {import('../support/bench.js').Options} options
   */
  async run(progress, { quick, seconds = quick ? QUICK_SECONDS : SECONDS, instances = quick ? QUICK_INSTANCES : INSTANCES }) {
    const program = buildLightInstances({ quick });
    const busyBefore = await busyWith(BEFORE);
    const settle = quick ? QUICK_SETTLE : SETTLE;
    /** @type {Record<string, Still>} */
    const stills = {};
    /** @param {string} label @param {{real?: number, light?: number}} workers */
    const measure = async (label, workers) => {
      progress(`${label} ...`);
      stills[label] = await withScope((scope) => standStill(scope, { program, seconds, settle, ...workers }));
    };
    await measure(ADMIN, {});
    await measure(REAL, { real: 1 });
    for (const count of instances) await measure(light(count), { light: count });
    return { text: describe(stills, busyBefore), figures: { busyBefore, stills } };
  },
};
