'use strict';

/** What the server did meanwhile, as it tells itself. */

const { spread } = require('../support/statistics.js');

/** @typedef {import('../../tests/support/store.js').Store} Store */
/** @typedef {Record<string, {count: number, median: number, longest: number}>} Watched by command, in microseconds */

/** How many commands are kept: the last ones, if there are more. */
const KEPT = 5_000;

/** Commands that watching needs, or that connections send by themselves. */
const NOT_MEANT = new Set(['SLOWLOG', 'COMMANDLOG', 'CONFIG', 'INFO', 'PING', 'CLIENT', 'HELLO']);

/**
 * Notes how long each command keeps the server, until it is told to stop.
 *
 * @param {Store} server
 * @returns {Promise<() => Promise<Watched>>}
 */
async function watchCommands(server) {
  await server.command('CONFIG', 'SET', 'slowlog-max-len', String(KEPT));
  await server.command('CONFIG', 'SET', 'slowlog-log-slower-than', '0');
  await server.command('SLOWLOG', 'RESET');
  return async () => {
    await server.command('CONFIG', 'SET', 'slowlog-log-slower-than', '-1');
    /** @type {Array<[number, number, number, string[]]>} */
    const entries = await server.command('SLOWLOG', 'GET', '-1');
    /** @type {Record<string, number[]>} */
    const times = {};
    for (const [, , microseconds, [command]] of entries) {
      const name = command.toUpperCase();
      if (!NOT_MEANT.has(name)) (times[name] ??= []).push(microseconds);
    }
    return Object.fromEntries(Object.entries(times).map(([name, all]) => {
      const { median, highest } = spread(all);
      return [name, { count: all.length, median, longest: highest }];
    }));
  };
}

/**
 * @param {Store} server
 * @returns {Promise<number>} seconds of CPU so far of the thread that runs the commands
 */
async function cpuOf(server) {
  const text = await server.command('INFO', 'cpu');
  const field = (/** @type {string} */ name) => Number(new RegExp(`^${name}:(.*)$`, 'm').exec(text)?.[1] ?? Number.NaN);
  return field('used_cpu_user_main_thread') + field('used_cpu_sys_main_thread');
}

module.exports = { cpuOf, watchCommands };
