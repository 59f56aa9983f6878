'use strict';

const { withScope } = require('../support/clean-up.js');
const { describeSpread, spread } = require('../support/statistics.js');
const { table } = require('../support/table.js');
const { WORKERS, startBoth } = require('./clusters.js');
const { flowsOf, measureDeploy, prepare } = require('./measure.js');

/** @typedef {import('./measure.js').Figures} Figures */

/** Numbers of nodes, and how many deploys of each cluster are measured. */
const SIZES = [
  { nodes: 10, rounds: 15 },
  { nodes: 5_000, rounds: 9 },
];

/** Deploys before those that are measured: the code is compiled by then. */
const WARM_UPS = 2;

/** What the issue asks of `propagation / own`. */
const AIM = 1.2;

/**
 * The clusters take turns, and the one that begins changes from round to round.
 *
 * @param {import('./clusters.js').Measured[]} clusters
 * @param {{nodes: number, rounds: number}} size
 * @returns {Promise<{nodes: number, bytes: number, clusters: Record<string, Figures[]>}>}
 */
async function measureSize(clusters, { nodes, rounds }) {
  const flows = flowsOf(nodes, `first of ${nodes}`);
  for (const cluster of clusters) await prepare(cluster, flows, `first of ${nodes}`);
  /** @type {Record<string, Figures[]>} */
  const figures = Object.fromEntries(clusters.map(({ name }) => [name, []]));
  for (let round = 1; round <= WARM_UPS + rounds; round += 1) {
    const order = round % 2 === 0 ? clusters : [...clusters].reverse();
    for (const cluster of order) {
      const measured = await measureDeploy(cluster, flows, `round ${round} of ${nodes}`);
      if (round > WARM_UPS) figures[cluster.name].push(measured);
    }
  }
  return { nodes, bytes: Buffer.byteLength(JSON.stringify(flows)), clusters: figures };
}

/** @type {Array<{label: string, digits?: number, values: (figures: Figures) => number[]}>} */
const ROWS = [
  { label: `propagation / the admin's own deploy (aim: at most ${AIM})`, digits: 2, values: ({ ratio }) => [ratio] },
  { label: 'deploy request until the last worker answers anew, ms', values: ({ propagation }) => [propagation] },
  { label: 'deploy request until the admin answers anew, ms', values: ({ own }) => [own] },
  { label: 'deploy request until it is answered, ms', values: ({ answered }) => [answered] },
  { label: 'failed requests of an untouched endpoint, a deploy', values: ({ failed }) => [failed] },
  { label: 'longest time without an answer of it, ms', values: ({ longestGap }) => [longestGap] },
  { label: 'untouched nodes restarted, a worker and deploy', values: ({ needless }) => needless },
];

/**
 * @param {Awaited<ReturnType<typeof measureSize>>} size
 * @returns {string}
 */
function describeSize({ nodes, bytes, clusters }) {
  const [[ourName, ours], [otherName, others]] = Object.entries(clusters);
  const rows = ROWS.map(({ label, digits, values }) => {
    const our = ours.flatMap(values);
    const other = others.flatMap(values);
    const quotient = spread(other).median / spread(our).median;
    const shown = Number.isFinite(quotient) ? quotient.toFixed(1) : '-';
    return [label, shown, describeSpread(our, digits), describeSpread(other, digits)];
  });
  const sum = (/** @type {number[]} */ numbers) => numbers.reduce((total, number) => total + number, 0);
  const total = (/** @type {Figures[]} */ all) => `${sum(all.map(({ failed }) => failed))} of ${sum(all.map(({ requests }) => requests))}`;
  return [
    `${nodes.toLocaleString('en')} nodes (${Math.round(bytes / 1e3).toLocaleString('en')} kB), ${WORKERS} workers, one node changed, deploy type "nodes", ${ours.length} rounds`,
    table([['median (lowest to highest)', 'other / ours', ourName, otherName], ...rows]),
    `failed requests in all rounds: ${ourName} ${total(ours)}, ${otherName} ${total(others)}`,
  ].join('\n');
}

module.exports = {
  summary: 'how a deploy reaches the workers, beside workers that reload everything on a message',
  /** @param {(line: string) => void} progress */
  run: (progress) => withScope(async (scope) => {
    progress('Starting two clusters ...');
    const clusters = await startBoth(scope);
    const sizes = [];
    for (const size of SIZES) {
      progress(`Deploying ${size.nodes} nodes, ${size.rounds} rounds ...`);
      sizes.push(await measureSize(clusters, size));
    }
    return { text: sizes.map(describeSize).join('\n\n'), figures: { sizes } };
  }),
};
