#!/usr/bin/env node
'use strict';

/**
 * The program `node-red-cluster`. The command line itself is Rust code in the native addon; this
 * file tells it about the machine, counts the stop signals, and sets the exit code.
 */

const path = require('node:path');
const tty = require('node:tty');

/** A terminal's Ctrl-C may arrive twice: once by itself and once passed on by `npm start`. */
const SAME_KEYPRESS_MILLISECONDS = 300;

const EXIT_CANNOT_BEGIN = 2;

const packageRoot = path.dirname(__dirname);

/**
 * Looks for Node-RED where a user may have it: in the directory given with --dir, in the working
 * directory, beside this package, and among the global packages of this Node.js.
 *
 * @param {string[]} commandArguments
 * @returns {string | null} the path of Node-RED's red.js
 */
function findNodeRed(commandArguments) {
  const nodeDirectory = path.dirname(process.execPath);
  const globalPackages = process.platform === 'win32'
    ? path.join(nodeDirectory, 'node_modules')
    : path.join(nodeDirectory, '..', 'lib', 'node_modules');
  const directory = path.resolve(givenDirectory(commandArguments) ?? '.node-red-cluster');
  const paths = [
    path.join(directory, 'admin'),
    directory,
    process.cwd(),
    packageRoot,
    globalPackages,
  ];
  try {
    return require.resolve('node-red/red.js', { paths });
  } catch {
    return null;
  }
}

/**
 * The value of --dir, read before the arguments are parsed and checked.
 *
 * @param {string[]} commandArguments
 * @returns {string | undefined}
 */
function givenDirectory(commandArguments) {
  const index = commandArguments.indexOf('--dir');
  if (index >= 0) {
    return commandArguments[index + 1];
  }
  return commandArguments.find((word) => word.startsWith('--dir='))?.slice('--dir='.length);
}

/**
 * What standard output is connected to. process.stdout is touched only for a terminal: for a pipe
 * it would make the descriptor non-blocking, and Rust writes to that descriptor.
 *
 * @returns {{ terminal: boolean, width: number | null }}
 */
function standardOutput() {
  const terminal = tty.isatty(1);
  return { terminal, width: terminal ? process.stdout.columns || null : null };
}

async function main() {
  const commandArguments = process.argv.slice(2);
  /** @type {{ cli(request: string): Promise<number>, cliStop(): void }} */
  const addon = require('../node/addon.js');

  let lastSignal = -Infinity;
  const stop = () => {
    const now = performance.now();
    if (now - lastSignal > SAME_KEYPRESS_MILLISECONDS) {
      addon.cliStop();
    }
    lastSignal = now;
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, stop);
  }

  const { PATH, Path, NO_COLOR, FORCE_COLOR, TERM, NODE_RED_CLUSTER_STORE } = process.env;
  const environment = {
    node: process.execPath,
    packageRoot,
    workingDirectory: process.cwd(),
    nodeRed: findNodeRed(commandArguments),
    standardOutput: standardOutput(),
    variables: { PATH: PATH ?? Path, NO_COLOR, FORCE_COLOR, TERM, NODE_RED_CLUSTER_STORE },
  };
  process.exitCode = await addon.cli(JSON.stringify({ arguments: commandArguments, environment }));
}

main().catch((error) => {
  console.error(`node-red-cluster: ${error.message}`);
  process.exitCode = EXIT_CANNOT_BEGIN;
});
