'use strict';

/** Context operations at a rate that does not wait for answers, from many light instances on one store. */

const { startStore } = require('../../tests/support/store.js');
const { withScope } = require('../support/clean-up.js');
const { buildLightInstances, startLightInstances } = require('../support/light-instances.js');
const { busyCores, busyWith, machineTimes } = require('../support/machine-watch.js');
const { cpuOf, totalsOf } = require('../support/store-totals.js');
const { table } = require('../support/table.js');
const { callsBetween, callsOf } = require('../leader/store-watch.js');
const { describeCalls, isHeld, verdicts } = require('./verdict.js');

/** What one store is to carry on two cores. */
const PLAN = { instances: 50, rate: 20_000, seconds: 600 };
/** What also a debug build holds. */
const QUICK_PLAN = { instances: 5, rate: 500, seconds: 5 };

/** How long the machine is watched before, in milliseconds. */
const BEFORE = 3_000;

const NAMES = {
  readKept: 'read, kept in the instance',
  readStore: 'read, asked of the store',
  set: 'set',
  increment: 'atomic increment',
};

/**
 * @param {import('../support/bench.js').Options} options
 * @returns {typeof PLAN}
 */
function planned({ quick, seconds, instances, rate }) {
  const plan = { ...(quick ? QUICK_PLAN : PLAN) };
  if (seconds !== undefined) plan.seconds = seconds;
  if (rate !== undefined) plan.rate = rate;
  if (instances !== undefined) [plan.instances] = instances;
  return plan;
}

/**
 * @param {typeof PLAN} plan
 * @param {boolean} quick
 * @param {(line: string) => void} progress
 */
function measure(plan, quick, progress) {
  return withScope(async (scope) => {
    const program = buildLightInstances({ quick });
    const busyBefore = await busyWith(BEFORE);
    // As an operator has it: what is written reaches the disk within a second.
    const store = await startStore({ open: true, config: ['--appendfsync', 'everysec'] });
    scope.after(store.release);
    const instances = startLightInstances(scope, program, 'load', {
      host: store.host, port: store.port, prefix: 'load:', processes: plan.instances, ...plan,
    });
    await instances.until('begun');
    progress(`${plan.instances} instances, ${plan.rate} operations a second, ${plan.seconds} s ...`);
    const before = { machine: machineTimes(), store: await cpuOf(store), calls: await callsOf(store), totals: await totalsOf(store), at: performance.now() };
    await instances.until('ended');
    const seconds = (performance.now() - before.at) / 1_000;
    const totals = await totalsOf(store);
    const bytes = { received: totals.received - before.totals.received, sent: totals.sent - before.totals.sent };
    const calls = callsBetween(before.calls, await callsOf(store));
    const cores = {
      machine: busyCores(before.machine, machineTimes()),
      store: (await cpuOf(store) - before.store) / seconds,
    };
    const report = await instances.until('report');
    return { plan, seconds, busyBefore, cores: { ...cores, instances: report.cpu / seconds }, calls, bytes, report };
  });
}

/** @param {Awaited<ReturnType<typeof measure>>} measured */
function describe({ plan, seconds, busyBefore, cores, calls, bytes, report }) {
  const lowest = Math.min(...report.windows);
  const ms = (/** @type {number} */ value) => value.toFixed(3);
  /** @param {string} name @param {import('./verdict.js').Latencies} latencies */
  const row = (name, latencies) => [
    name, latencies.count.toLocaleString('en'), ms(latencies.p50), ms(latencies.p90), ms(latencies.p99), ms(latencies.p999), ms(latencies.max),
  ];
  const others = cores.machine - cores.store - cores.instances;
  return [
    `${plan.instances} light instances in ${plan.instances} processes, ${plan.rate.toLocaleString('en')} context operations a second for ${plan.seconds} s, issued at set times whatever became of those before.`,
    'The store is on this machine and writes its log to the disk every second.',
    '',
    table([['wanted', 'measured', 'met'], ...verdicts(plan, report)]),
    `Windows of ${Math.min(10, plan.seconds)} s: lowest ${lowest.toFixed(0)}, highest ${Math.max(...report.windows).toFixed(0)} operations a second; ${isHeld(plan, report) ? 'held' : 'NOT held'}.`,
    '',
    table([
      ['ms since it was to begin', 'operations', '50 %', '90 %', '99 %', '99.9 %', 'longest'],
      ...Object.entries(NAMES).filter(([kind]) => report.latencies[kind]).map(([kind, name]) => row(name, report.latencies[kind])),
      row('all', report.all),
    ]),
    '',
    `Cores busy: ${cores.machine.toFixed(2)} of the machine; of these the store ${cores.store.toFixed(2)}, the instances ${cores.instances.toFixed(2)}, all else ${others.toFixed(2)}; ${busyBefore.toFixed(2)} before the run.`,
    `Commands of the store, a second: ${describeCalls(calls, seconds)}.`,
    `MB to the store, a second: ${(bytes.received / seconds / 1e6).toFixed(2)}; from it: ${(bytes.sent / seconds / 1e6).toFixed(2)}.`,
    `Changes heard of, a second: ${(report.invalidations / seconds).toFixed(0)} over all instances; commits repeated because another instance was faster: ${report.conflicts}; most under way at one moment, summed over the instances: ${report.inFlight}.`,
  ].join('\n');
}

module.exports = {
  summary: 'context operations of 50 light instances on one store, held at a rate; latencies',
  /**
   * @param {(line: string) => void} progress
   * @param {import('../support/bench.js').Options} options
   */
  async run(progress, options) {
    const figures = await measure(planned(options), options.quick, progress);
    return { text: describe(figures), figures };
  },
};
