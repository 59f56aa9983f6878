'use strict';

/** `npm run bench`: lists the benches, or runs some of them after all set-up. */

const { parseArgs } = require('node:util');

const { setUpForTesting } = require('../scripts/setup/index.js');
const { runMain, unusable } = require('../scripts/support/stop.js');
const { readOptions } = require('./support/bench.js');
const { describeMachine } = require('./support/machine.js');
const { save } = require('./support/results.js');

/**
 * @typedef {object} Bench
 * @property {string} summary one line
 * @property {(progress: (line: string) => void, options: import('./support/bench.js').Options) => Promise<{text: string, figures: object}>} run
 *   figures: everything measured, as JSON
 */

/** @type {Record<string, () => Bench>} */
const BENCHES = {
  context: () => require('./context/index.js'),
  deploy: () => require('./deploy/index.js'),
  'event-loop': () => require('./event-loop/index.js'),
  idle: () => require('./idle/index.js'),
  leader: () => require('./leader/index.js'),
  load: () => require('./load/index.js'),
  packages: () => require('./packages/index.js'),
};

const USAGE = `Usage: npm run bench -- BENCH... [--save] [--quick] [--ready] [--seconds N] [--instances N] [--rate N]

  --save   keep the results in bench/results
  --quick  a short run that only shows that it works, where a bench has one
  --ready  leave set-up out: packages, store and addon are as they should be
  --help   show this text

  --seconds N    how long load runs, or idle watches each number of instances
  --instances N  light instances of load; of idle, several: 1,10,100
  --rate N       operations a second of load

Benches:
${Object.entries(BENCHES).map(([name, load]) => `  ${name.padEnd(12)}${load().summary}`).join('\n')}`;

/**
 * @param {string[]} commandLine
 * @returns {{names: string[], keep: boolean, ready: boolean, help: boolean, options: import('./support/bench.js').Options}}
 */
function readArguments(commandLine) {
  try {
    const { values, positionals } = parseArgs({
      args: commandLine,
      allowPositionals: true,
      options: {
        save: { type: 'boolean', default: false },
        quick: { type: 'boolean', default: false },
        ready: { type: 'boolean', default: false },
        seconds: { type: 'string' },
        instances: { type: 'string' },
        rate: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    const unknown = positionals.find((name) => !Object.hasOwn(BENCHES, name));
    if (unknown) throw new Error(`There is no bench ${unknown}.`);
    const { save: keep, ready, help } = values;
    return { names: positionals, keep, ready, help, options: readOptions(values) };
  } catch (error) {
    throw unusable(`${/** @type {Error} */ (error).message}\n\n${USAGE}`);
  }
}

runMain(async () => {
  const { names, keep, ready, help, options } = readArguments(process.argv.slice(2));
  if (help || names.length === 0) {
    console.log(USAGE);
    return 0;
  }
  if (!ready) setUpForTesting();
  for (const name of names) {
    const machine = describeMachine();
    const { text, figures } = await BENCHES[name]().run((line) => console.error(line), options);
    const report = `${name}: ${BENCHES[name]().summary}\n${machine.text}\n\n${text}\n`;
    console.log(`\n${report}`);
    if (keep) console.error(`Saved as ${save(name, report, { machine, ...figures })}`);
  }
  return 0;
});
