'use strict';

/**
 * `npm run test:faults`: set-up, then the fault suite on light instances and on real Node-REDs. Goes on after
 * a suite that failed, and fails at the end.
 */

const path = require('node:path');
const { parseArgs } = require('node:util');

const { setUpForTesting } = require('./setup/index.js');
const { ROOT } = require('./support/paths.js');
const { runStep, runToEnd } = require('./support/run.js');
const { runMain, unusable } = require('./support/stop.js');

const SUITES = /** @type {const} */ (['rust', 'node-red']);
const PACKAGE = 'node-red-cluster-faults';

const USAGE = `Usage: npm run test:faults -- [--minutes NUMBER] [--seed NUMBER] [--only SUITE]

  --minutes NUMBER  how long faults are made, in each suite; 1 if it is not given
  --seed NUMBER     which faults come when; drawn and printed if it is not given
  --only SUITE      run only this suite: ${SUITES.join(', ')}
  --help            show this text`;

/**
 * @param {string[]} commandLine
 * @returns {{suites: readonly string[], length: string[]} | 'help'} length: arguments of the suite
 */
function readArguments(commandLine) {
  const { values } = parseTyped(commandLine);
  if (values.help) return 'help';
  for (const name of /** @type {const} */ (['minutes', 'seed'])) {
    if (values[name] !== undefined && !/^\d+(\.\d+)?$/.test(values[name])) throw unusable(`--${name} takes a number, not ${values[name]}.`);
  }
  if (values.only !== undefined && !SUITES.some((suite) => suite === values.only)) {
    throw unusable(`There is no suite ${values.only}: choose from ${SUITES.join(', ')}.`);
  }
  return {
    suites: values.only === undefined ? SUITES : [values.only],
    length: [
      ...(values.minutes === undefined ? [] : ['--minutes', values.minutes]),
      ...(values.seed === undefined ? [] : ['--seed', values.seed]),
    ],
  };
}

/** @param {string[]} commandLine */
function parseTyped(commandLine) {
  try {
    return parseArgs({
      args: commandLine,
      options: {
        minutes: { type: 'string' },
        seed: { type: 'string' },
        only: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw unusable(`${/** @type {Error} */ (error).message}\n\n${USAGE}`);
  }
}

runMain(async () => {
  const chosen = readArguments(process.argv.slice(2));
  if (chosen === 'help') {
    console.log(USAGE);
    return 0;
  }
  setUpForTesting();
  runStep('cargo', ['build', '--locked', '--quiet', '--package', PACKAGE], { cwd: ROOT, purpose: 'build the fault suite' });
  const program = path.join(process.env.CARGO_TARGET_DIR ?? path.join(ROOT, 'target'), 'debug', PACKAGE);
  let worst = 0;
  for (const suite of chosen.suites) {
    const subject = suite === 'rust' ? [] : ['--', process.execPath, path.join(ROOT, 'tests', 'faults-suite', 'node-red.js')];
    worst = Math.max(worst, await runToEnd(program, [suite, ...chosen.length, ...subject], { cwd: ROOT }));
  }
  return worst;
});
