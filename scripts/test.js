'use strict';

/**
 * `npm test`: set-up, the tests in Rust, then the end-to-end tests on Node-RED 4 and on Node-RED 5.
 * Goes on after a suite that failed, and fails at the end.
 */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { parseArgs } = require('node:util');

const { setUpForTesting } = require('./setup/index.js');
const { collectFailures } = require('./support/failures.js');
const { ROOT } = require('./support/paths.js');
const { runToEnd } = require('./support/run.js');
const { runMain, unusable } = require('./support/stop.js');

const SUITES = /** @type {const} */ (['rust', 'node-red-4', 'node-red-5']);
/** Nothing in these depends on the version of Node-RED. */
const RUN_ONCE = [
  'bench-arithmetic.test.js',
  'channel-garbage.test.js',
  'context-atomic.test.js',
  'context-checker.test.js',
  'context-contract.test.js',
  'context-fidelity.test.js',
  'context-limits.test.js',
  'context-migrate.test.js',
  'context-oracle.test.js',
  'context-values.test.js',
  'deployment-settings.test.js',
  'deployment-yaml.test.js',
  'failures.test.js',
  'features.test.js',
  'leader-admin.test.js',
  'leader-configuration.test.js',
  'leader-examples.test.js',
  'leader-foreign.test.js',
  'leader-minute.test.js',
  'leader-palette.test.js',
  'leader-store-faults.test.js',
  'leader-stores.test.js',
  'outage-counting.test.js',
  'packages-damaged.test.js',
  'packages-fresh-failures.test.js',
  'packages-hostile.test.js',
  'packages-machine.test.js',
  'packages-sync-off.test.js',
  'packaging.test.js',
  'panics.test.js',
  'setup.test.js',
  'topologies.test.js',
  // It starts the Node-RED of this repository whatever the suite.
  'up.test.js',
  'valkey-config-options.test.js',
];
/** A file that takes longer than this (milliseconds) hangs. */
const FILE_TIMEOUT = 10 * 60 * 1000;

const USAGE = `Usage: npm test -- [--only SUITE]... [--name PATTERN] [FILE]...

  FILE            run only the end-to-end tests whose file name contains this word
  --only SUITE    run only this suite: ${SUITES.join(', ')}
  --name PATTERN  run only the end-to-end tests whose name matches this regular expression
  --help          show this text`;

/**
 * @typedef {typeof SUITES[number]} Suite
 * @typedef {{suites: readonly Suite[], words: string[], name: string | undefined}} Selection
 * @typedef {{suite: Suite, outcome: 'passed' | 'failed' | 'no tests selected', seconds: number, failures: string[]}} Result
 */

/**
 * Reads the arguments. Choosing end-to-end tests leaves the suite in Rust out, unless it is named.
 *
 * @param {string[]} commandLine
 * @returns {Selection | 'help'}
 */
function readArguments(commandLine) {
  const { values, positionals } = parseTyped(commandLine);
  if (values.help) return 'help';
  const unknown = values.only?.find((suite) => !SUITES.includes(/** @type {Suite} */ (suite)));
  if (unknown) throw unusable(`There is no suite ${unknown}: choose from ${SUITES.join(', ')}.`);
  const choosesEndToEnd = positionals.length > 0 || values.name !== undefined;
  const fallback = choosesEndToEnd ? SUITES.filter((suite) => suite !== 'rust') : SUITES;
  return {
    suites: /** @type {readonly Suite[] | undefined} */ (values.only) ?? fallback,
    words: positionals,
    name: values.name,
  };
}

/**
 * @param {string[]} commandLine
 */
function parseTyped(commandLine) {
  try {
    return parseArgs({
      args: commandLine,
      allowPositionals: true,
      options: {
        only: { type: 'string', multiple: true },
        name: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw unusable(`${/** @type {Error} */ (error).message}\n\n${USAGE}`);
  }
}

/**
 * @param {Suite} suite
 * @param {Selection} selection
 * @returns {Promise<Result>}
 */
async function runSuite(suite, selection) {
  const files = suite === 'rust' ? [] : testFiles(suite, selection.words);
  if (suite !== 'rust' && files.length === 0) return { suite, outcome: 'no tests selected', seconds: 0, failures: [] };
  console.log(`\n== ${suite} ==`);
  const started = performance.now();
  const failures = collectFailures();
  const code = suite === 'rust' ? await runRustTests(failures) : await runEndToEndTests(suite, files, selection.name, failures);
  return { suite, outcome: code === 0 ? 'passed' : 'failed', seconds: (performance.now() - started) / 1000, failures: failures.lines() };
}

/**
 * @param {import('./support/failures.js').Failures} failures
 * @returns {Promise<number>} exit code
 */
function runRustTests(failures) {
  // A test spends most of its time waiting for servers and for leases to end: cargo's one at a time for each core is few.
  const threads = 4 * os.availableParallelism();
  return runToEnd('cargo', ['test', '--workspace', '--locked', '--no-fail-fast', '--', `--test-threads=${threads}`], {
    cwd: ROOT,
    onOutput: failures.take,
  });
}

/**
 * @param {Suite} suite
 * @param {string[]} files
 * @param {string | undefined} name
 * @param {import('./support/failures.js').Failures} failures
 * @returns {Promise<number>} exit code
 */
function runEndToEndTests(suite, files, name, failures) {
  const parameters = [
    '--test',
    '--test-reporter=spec',
    `--test-timeout=${FILE_TIMEOUT}`,
    // A file spends most of its time waiting, for processes and for leases to end: one more than there are cores suits few cores.
    `--test-concurrency=${Math.min(os.availableParallelism() + 1, 4)}`,
    ...(name === undefined ? [] : [`--test-name-pattern=${name}`]),
    ...files,
  ];
  return runToEnd(process.execPath, parameters, {
    cwd: ROOT,
    env: { ...process.env, NODE_RED_VERSION: suite === 'node-red-5' ? '5' : '4', ...(process.stdout.isTTY ? { FORCE_COLOR: '1' } : {}) },
    onOutput: failures.take,
  });
}

/**
 * @param {Suite} suite
 * @param {string[]} words
 * @returns {string[]} paths relative to the repository
 */
function testFiles(suite, words) {
  return fs
    .readdirSync(path.join(ROOT, 'tests'))
    .filter((file) => file.endsWith('.test.js'))
    .filter((file) => suite !== 'node-red-5' || !RUN_ONCE.includes(file))
    .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
    .map((file) => path.join('tests', file));
}

/**
 * @param {Result[]} results
 * @returns {number} exit code
 */
function report(results) {
  for (const { suite, failures } of results) {
    if (failures.length > 0) console.log(`\n== failed in ${suite} ==\n${failures.join('\n')}`);
  }
  console.log('');
  for (const { suite, outcome, seconds } of results) {
    console.log(`${suite.padEnd(12)}${outcome.padEnd(20)}${seconds.toFixed(1).padStart(7)} s`);
  }
  if (results.every(({ outcome }) => outcome === 'no tests selected')) throw unusable('No test has such a name.');
  return results.some(({ outcome }) => outcome === 'failed') ? 1 : 0;
}

runMain(async () => {
  const selection = readArguments(process.argv.slice(2));
  if (selection === 'help') {
    console.log(USAGE);
    return 0;
  }
  setUpForTesting();
  let stopped = false;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => (stopped = true));
  /** @type {Result[]} */
  const results = [];
  for (const suite of selection.suites) {
    if (!stopped) results.push(await runSuite(suite, selection));
  }
  return stopped ? 1 : report(results);
});
