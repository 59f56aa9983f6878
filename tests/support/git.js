'use strict';

/** A real git, with a configuration of its own. */

const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');
const { temporaryDirectory } = require('./directories');

const run = promisify(execFile);

/**
 * @typedef {object} Git
 * @property {NodeJS.ProcessEnv} env the environment in which git finds its configuration
 * @property {(directory: string, ...args: string[]) => Promise<string>} run standard output of a command
 */

/** @returns {Git} */
function createGit() {
  const home = temporaryDirectory('git-home');
  fs.writeFileSync(
    path.join(home, '.gitconfig'),
    '[user]\n\tname = Test\n\temail = test@example.com\n[init]\n\tdefaultBranch = main\n',
  );
  const env = { HOME: home, XDG_CONFIG_HOME: home, GIT_CONFIG_NOSYSTEM: '1' };
  return {
    env,
    async run(directory, ...args) {
      const { stdout } = await run('git', args, { cwd: directory, env: { ...process.env, ...env } });
      return stdout;
    },
  };
}

module.exports = { createGit };
