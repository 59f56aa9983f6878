'use strict';

const { startStore } = require('../../tests/support/store.js');
const { withScope } = require('../support/clean-up.js');
const { describeSpread } = require('../support/statistics.js');
const { table } = require('../support/table.js');
const { startAdmin } = require('./process.js');

/** @typedef {import('./node-red.js').Blocked} Blocked */
/** @typedef {{nodes: number, bytes: number, operations: Record<string, Blocked[]>}} Size */

/** Megabytes of flows. */
const SIZES = [1, 5, 20];
const SAVES = 5;
const STARTS = 3;

/** What the issue asks of `longest / stringify`. */
const AIM = 1;

/**
 * One admin saves, another gets it, and more of them start with it.
 *
 * @param {import('../../tests/support/store.js').Store} store
 * @param {number} megabytes
 * @returns {Promise<Size>}
 */
function measureSize(store, megabytes) {
  return withScope(async (scope) => {
    const keyPrefix = `bench-${megabytes}:`;
    const saver = await startAdmin(scope, store, keyPrefix);
    const { nodes, bytes } = await saver.generate(megabytes * 1e6);
    await saver.save('warm-up');
    const receiver = await startAdmin(scope, store, keyPrefix);

    const loads = [];
    const freshLoads = [receiver.load];
    const saves = [];
    const receipts = [];
    for (let round = 1; round <= SAVES; round += 1) {
      const received = receiver.receive();
      saves.push(await saver.save(`round ${round}`));
      receipts.push(await received);
    }
    for (let start = 1; start <= STARTS; start += 1) {
      const admin = await startAdmin(scope, store, keyPrefix, saver);
      loads.push(admin.load);
      await admin.release();
      const fresh = await startAdmin(scope, store, keyPrefix);
      freshLoads.push(fresh.load);
      await fresh.release();
    }
    return {
      nodes,
      bytes,
      operations: {
        save: saves,
        load: loads,
        'load on an empty disk': freshLoads,
        'get from another admin': receipts,
      },
    };
  });
}

/**
 * @param {Size[]} sizes
 * @returns {string}
 */
function describeSizes(sizes) {
  const rows = sizes.flatMap(({ nodes, bytes, operations }) => Object.entries(operations).map(([name, all]) => [
    `${name}, ${(bytes / 1e6).toFixed(1)} MB, ${nodes.toLocaleString('en')} nodes`,
    describeSpread(all.map(({ longest, stringify }) => longest / stringify), 2),
    describeSpread(all.map(({ longest }) => longest), 1),
    describeSpread(all.map(({ stringify }) => stringify), 1),
    describeSpread(all.map(({ took }) => took)),
  ]));
  const heading = ['median (lowest to highest)', `blocked / JSON.stringify (aim: ${AIM})`, 'blocked, ms', 'JSON.stringify, ms', 'in all, ms'];
  return table([heading, ...rows]);
}

module.exports = {
  summary: 'how long saving and loading flows blocks the event loop, beside JSON.stringify of them',
  /** @param {(line: string) => void} progress */
  run: (progress) => withScope(async (scope) => {
    const store = await startStore({ open: true, config: ['--appendfsync', 'everysec'] });
    scope.after(store.release);
    const idle = await startAdmin(scope, store, 'bench-idle:');
    const rest = await idle.rest();
    await idle.release();
    const sizes = [];
    for (const megabytes of SIZES) {
      progress(`Saving and loading ${megabytes} MB ...`);
      sizes.push(await measureSize(store, megabytes));
    }
    const text = `${describeSizes(sizes)}\nwith nothing to do, the longest turn of a second took ${rest.longest.toFixed(1)} ms`;
    return { text, figures: { sizes, rest } };
  }),
};
