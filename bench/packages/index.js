'use strict';

/** How long a package takes from the admin to every worker, beside `npm install` by hand; and what standing still costs. */

const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { setTimeout: delay } = require('node:timers/promises');
const { promisify } = require('node:util');

const { temporaryDirectory } = require('../../tests/support/directories.js');
const { saying, startPackageCluster, tab } = require('../../tests/support/package-cluster.js');
const { nodePackage, npmEnvironment, plainPackage } = require('../../tests/support/packages.js');
const { timeUntilAnswers } = require('../deploy/ask.js');
const { callsBetween, callsOf } = require('../leader/store-watch.js');
const { withScope } = require('../support/clean-up.js');
const { describeSpread, spread } = require('../support/statistics.js');
const { table } = require('../support/table.js');

/** @typedef {import('../../tests/support/package-cluster.js').PackageCluster} PackageCluster */

const WORKERS = 2;

/** What the issue asks of `usable on every worker / npm install by hand`. */
const AIM = 1.3;

/** Packages that are there already, and installs that are measured. */
const SIZES = [
  { present: 1, rounds: 9 },
  { present: 100, rounds: 9 },
];
const QUICK = [{ present: 3, rounds: 1 }];

/** Packages that each measured one needs and brings. */
const NEEDED = 3;

/** How long the cluster is watched standing still, in seconds. */
const STILL = 60;

const run = promisify(execFile);

/**
 * npm of the Node-RED that the workers run, in a user directory of its own.
 *
 * @param {{url: string}} registry
 */
function byHand(registry) {
  const directory = temporaryDirectory('by-hand');
  const env = { ...process.env, ...npmEnvironment(registry) };
  const cli = path.join(path.dirname(require.resolve('npm/package.json')), 'bin', 'npm-cli.js');
  fs.writeFileSync(path.join(directory, 'package.json'), JSON.stringify({ name: 'by-hand', version: '0.0.1', private: true }));
  return {
    /** @param {string} name @returns {Promise<number>} ms */
    async install(name) {
      const begin = performance.now();
      await run(process.execPath, [cli, 'install', '--no-audit', '--no-update-notifier', '--no-fund', '--save', '--save-prefix=~', '--omit=dev', '--', name], { cwd: directory, env });
      return performance.now() - begin;
    },
  };
}

/**
 * @param {PackageCluster['registry']} registry
 * @param {string} name of a module with one node type, its own
 * @param {number} needs how many packages it needs
 */
function publish(registry, name, needs) {
  /** @type {Record<string, string>} */
  const dependencies = {};
  for (let number = 1; number <= needs; number += 1) {
    registry.publish(plainPackage({ name: `${name}-needs-${number}`, version: '1.0.0' }));
    dependencies[`${name}-needs-${number}`] = '^1.0.0';
  }
  registry.publish(nodePackage({ name, version: '1.0.0', types: [`${name}-type`], dependencies }));
}

/**
 * @param {{present: number, rounds: number}} size
 * @param {(line: string) => void} progress
 */
async function measureSize({ present, rounds }, progress) {
  return withScope(async (scope) => {
    const cluster = await startPackageCluster(scope, { workers: WORKERS });
    const hand = byHand(cluster.registry);
    publish(cluster.registry, 'present', present - 1);
    await cluster.install('present');
    await hand.install('present');
    await cluster.untilPackages({ state: 'current', running: await cluster.packagesRevision() });

    /** @type {{cluster: number[], hand: number[], ratio: number[]}} */
    const figures = { cluster: [], hand: [], ratio: [] };
    // The first round warms up.
    for (let round = 0; round <= rounds; round += 1) {
      const name = `round-${round}`;
      publish(cluster.registry, name, NEEDED);
      await cluster.deploy([tab('tab'), ...saying(name, `${name}-type`)]);
      const inCluster = async () => {
        await cluster.install(name);
        const end = performance.now();
        const says = `${name}@1.0.0: hello`;
        const times = cluster.workers.map((worker) => timeUntilAnswers(`${worker.nodeUrl}/${name}`, says, end));
        return Math.max(...await Promise.all(times));
      };
      const [ours, other] = round % 2 === 0
        ? [await inCluster(), await hand.install(name)]
        : await hand.install(name).then(async (time) => [await inCluster(), time]);
      if (round === 0) continue;
      progress(`${present} packages, round ${round}: ${ours.toFixed(0)} ms, by hand ${other.toFixed(0)} ms`);
      figures.cluster.push(ours);
      figures.hand.push(other);
      figures.ratio.push(ours / other);
    }
    return { present, ...figures };
  });
}

/**
 * @param {number} seconds
 * @returns {Promise<{seconds: number, workers: number, npmRequests: number, reads: number}>}
 */
async function measureStill(seconds) {
  return withScope(async (scope) => {
    const cluster = await startPackageCluster(scope, { workers: WORKERS });
    publish(cluster.registry, 'present', 1);
    await cluster.install('present');
    await cluster.untilPackages({ state: 'current', running: await cluster.packagesRevision() });
    cluster.registry.clearRequests();
    const before = await headReads(cluster);
    await delay(seconds * 1000);
    return {
      seconds,
      workers: WORKERS,
      npmRequests: cluster.registry.requests.length,
      reads: await headReads(cluster) - before,
    };
  });
}

/**
 * Heads of flows and of packages are read whole, and nothing else is in a cluster that stands still.
 *
 * @param {PackageCluster} cluster
 * @returns {Promise<number>} how often one was, so far
 */
async function headReads(cluster) {
  const calls = callsBetween({}, await callsOf(cluster.store));
  return calls.hgetall ?? 0;
}

/**
 * @param {Awaited<ReturnType<typeof measureSize>>[]} sizes
 * @param {Awaited<ReturnType<typeof measureStill>>} still
 */
function describe(sizes, still) {
  const rows = [
    ['packages there before', `ratio (aim: at most ${AIM})`, 'end of the admin\'s install until usable on every worker, ms', 'npm install by hand, ms'],
    ...sizes.map(({ present, cluster, hand, ratio }) => [
      String(present),
      describeSpread(ratio, 2),
      describeSpread(cluster),
      describeSpread(hand),
    ]),
  ];
  const medians = sizes.map(({ present, cluster, hand }) => `${present}: ${(spread(cluster).median / spread(hand).median).toFixed(2)}`);
  const instances = still.workers + 1;
  return [
    `${WORKERS} workers; each package has one node and needs ${NEEDED} more that are new too; by hand in a user directory with the same packages.`,
    `Median, and lowest to highest. The ratio is that of each round; of the medians it is ${  medians.join(', ')  }.`,
    table(rows),
    '',
    `Standing still for ${still.seconds} s, ${instances} instances: ${still.npmRequests} requests to the registry, `
    + `${still.reads} reads of the heads of flows and packages, ${(still.reads / instances / still.seconds * 10).toFixed(1)} in 10 s and instance.`,
  ].join('\n');
}

module.exports = {
  summary: 'packages from the admin to every worker, beside npm install by hand',
  /**
   * @param {(line: string) => void} progress
   * @param {{quick: boolean}} options
   */
  async run(progress, { quick }) {
    const sizes = [];
    for (const size of quick ? QUICK : SIZES) sizes.push(await measureSize(size, progress));
    const still = await measureStill(quick ? 10 : STILL);
    return { text: describe(sizes, still), figures: { sizes, still } };
  },
};
