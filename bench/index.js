'use strict';

/** `npm run bench`: lists the benches, or runs some of them after all set-up. */

const { parseArgs } = require('node:util');

const { setUpForTesting } = require('../scripts/setup/index.js');
const { runMain, unusable } = require('../scripts/support/stop.js');
const { describeMachine } = require('./support/machine.js');
const { save } = require('./support/results.js');

/**
 * @typedef {object} Bench
 * @property {string} summary one line
 * @property {(progress: (line: string) => void, options: {quick: boolean}) => Promise<{text: string, figures: object}>} run
 *   quick: only to see that it works; figures: everything measured, as JSON
 */

/** @type {Record<string, () => Bench>} */
const BENCHES = {
  context: () => require('./context/index.js'),
  deploy: () => require('./deploy/index.js'),
  'event-loop': () => require('./event-loop/index.js'),
  leader: () => require('./leader/index.js'),
  packages: () => require('./packages/index.js'),
};

const USAGE = `Usage: npm run bench -- BENCH... [--save] [--quick] [--ready]

  --save   keep the results in bench/results
  --quick  a short run that only shows that it works, where a bench has one
  --ready  leave set-up out: packages, store and addon are as they should be
  --help   show this text

Benches:
${Object.entries(BENCHES).map(([name, load]) => `  ${name.padEnd(12)}${load().summary}`).join('\n')}`;

/**
 * @param {string[]} commandLine
 * @returns {{names: string[], keep: boolean, quick: boolean, ready: boolean, help: boolean}}
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
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    const unknown = positionals.find((name) => !Object.hasOwn(BENCHES, name));
    if (unknown) throw new Error(`There is no bench ${unknown}.`);
    const { save: keep, quick, ready, help } = values;
    return { names: positionals, keep, quick, ready, help };
  } catch (error) {
    throw unusable(`${/** @type {Error} */ (error).message}\n\n${USAGE}`);
  }
}

runMain(async () => {
  const { names, keep, quick, ready, help } = readArguments(process.argv.slice(2));
  if (help || names.length === 0) {
    console.log(USAGE);
    return 0;
  }
  if (!ready) setUpForTesting();
  for (const name of names) {
    const machine = describeMachine();
    const { text, figures } = await BENCHES[name]().run((line) => console.error(line), { quick });
    const report = `${name}: ${BENCHES[name]().summary}\n${machine.text}\n\n${text}\n`;
    console.log(`\n${report}`);
    if (keep) console.error(`Saved as ${save(name, report, { machine, ...figures })}`);
  }
  return 0;
});
