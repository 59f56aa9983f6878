'use strict';

/**
 * `npm run test:servers`: the tests that use a store, with servers of several versions. Goes on after what failed, and
 * fails at the end.
 */

const os = require('node:os');
const path = require('node:path');
const { parseArgs } = require('node:util');

const { setUpForTesting } = require('./setup/index.js');
const { NAMES, provideServers } = require('./setup/servers/index.js');
const { ROOT } = require('./support/paths.js');
const { runToEnd } = require('./support/run.js');
const { failed, runMain, unusable } = require('./support/stop.js');

/**
 * @typedef {{name: string, run: (environment: NodeJS.ProcessEnv) => Promise<number>}} Suite
 * @typedef {{server: string, suite: string, passed: boolean, seconds: number}} Result
 */

/** A file that takes longer than this (milliseconds) hangs. */
const FILE_TIMEOUT = 5 * 60 * 1000;

/** One look at every feature, which is all that `--short` runs. */
const FEATURES = endToEnd('features');

/** @type {readonly Suite[]} */
const SUITES = [
  ...['connection', 'context', 'credentials', 'documents', 'election', 'flows', 'library', 'members', 'migrate', 'packages', 'topology'].map((name) =>
    rust('node-red-cluster-core', name),
  ),
  ...['sentinel_group', 'store_cluster'].map((name) => rust('node-red-cluster-testkit', name)),
  FEATURES,
  ...['context-node-red', 'flow-deploys', 'leader-nodes', 'presence'].map(endToEnd),
];

const USAGE = `Usage: npm run test:servers -- [--server NAME]... [--suite NAME]... [--short]

  --server NAME   only with this server: ${NAMES.join(', ')}
  --suite NAME    only these tests: ${SUITES.map(({ name }) => name).join(', ')}
  --short         only one look at every feature, in Node-RED: ${FEATURES.name}
  --help          show this text`;

/**
 * @param {string} package_
 * @param {string} target
 * @returns {Suite}
 */
function rust(package_, target) {
  const threads = 2 * os.availableParallelism();
  const words = ['test', '--quiet', '--locked', '--package', package_, '--test', target, '--', `--test-threads=${threads}`];
  return { name: target, run: (env) => runToEnd('cargo', words, { cwd: ROOT, env }) };
}

/**
 * @param {string} file without its ending
 * @returns {Suite}
 */
function endToEnd(file) {
  const words = ['--test', '--test-reporter=dot', `--test-timeout=${FILE_TIMEOUT}`, path.join('tests', `${file}.test.js`)];
  return { name: file, run: (env) => runToEnd(process.execPath, words, { cwd: ROOT, env: { ...env, NODE_RED_VERSION: '4' } }) };
}

/**
 * @param {string[]} commandLine
 * @returns {{servers: readonly string[], suites: readonly Suite[]} | 'help'}
 */
function readArguments(commandLine) {
  const { values } = parseTyped(commandLine);
  if (values.help) return 'help';
  const servers = values.server ?? NAMES;
  const unknown = servers.find((name) => !NAMES.includes(name));
  if (unknown) throw unusable(`There is no server ${unknown}: choose from ${NAMES.join(', ')}.`);
  const fallback = values.short ? [FEATURES.name] : SUITES.map(({ name }) => name);
  const names = values.suite ?? fallback;
  const stranger = names.find((wanted) => !SUITES.some(({ name }) => name === wanted));
  if (stranger) throw unusable(`There are no tests ${stranger}: choose from ${SUITES.map(({ name }) => name).join(', ')}.`);
  return { servers, suites: SUITES.filter(({ name }) => names.includes(name)) };
}

/** @param {string[]} commandLine */
function parseTyped(commandLine) {
  try {
    return parseArgs({
      args: commandLine,
      options: {
        server: { type: 'string', multiple: true },
        suite: { type: 'string', multiple: true },
        short: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw unusable(`${/** @type {Error} */ (error).message}\n\n${USAGE}`);
  }
}

/**
 * @param {import('./setup/servers/index.js').Provided} server
 * @param {Suite} suite
 * @returns {Promise<Result>}
 */
async function runSuite({ name, program }, suite) {
  console.log(`\n== ${name}: ${suite.name} ==`);
  const started = performance.now();
  const code = await suite.run({ ...process.env, NODE_RED_CLUSTER_STORE: program });
  return { server: name, suite: suite.name, passed: code === 0, seconds: (performance.now() - started) / 1000 };
}

/**
 * Prints what passed with which server.
 *
 * @param {Result[]} results
 * @param {string[]} servers
 * @param {readonly Suite[]} suites
 */
function report(results, servers, suites) {
  const width = Math.max(...suites.map(({ name }) => name.length)) + 2;
  console.log(`\n${''.padEnd(width)}${servers.map((server) => server.padEnd(16)).join('')}`);
  for (const { name } of suites) {
    const cells = servers.map((server) => {
      const result = results.find((one) => one.server === server && one.suite === name);
      return (result ? `${result.passed ? 'passed' : 'FAILED'} ${result.seconds.toFixed(0)} s` : 'not run').padEnd(16);
    });
    console.log(`${name.padEnd(width)}${cells.join('')}`);
  }
}

runMain(async () => {
  const selection = readArguments(process.argv.slice(2));
  if (selection === 'help') {
    console.log(USAGE);
    return 0;
  }
  setUpForTesting();
  const servers = provideServers(selection.servers);
  if (servers.length === 0) throw failed('None of these servers can be had on this machine; the reasons stand above.');
  let stopped = false;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => (stopped = true));
  /** @type {Result[]} */
  const results = [];
  for (const server of servers) {
    for (const suite of selection.suites) {
      if (!stopped) results.push(await runSuite(server, suite));
    }
  }
  report(results, servers.map(({ name }) => name), selection.suites);
  return stopped || results.some(({ passed }) => !passed) ? 1 : 0;
});
