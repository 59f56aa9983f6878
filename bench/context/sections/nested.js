'use strict';

/** Sets inside a large object, and how long they keep the server from others. */

const { cpu, latency, ratios, short, takeTurns } = require('../compare.js');
const { spread } = require('../../support/statistics.js');
const { cpuOf, watchCommands } = require('../server-watch.js');

/** @typedef {import('../index.js').Setting} Setting */
/** @typedef {import('../index.js').Section} Section */
/** @typedef {import('../contender.js').Measured} Measured */
/** @typedef {import('../values.js').Size} Size */

/** How many times faster than the script with cjson a nested set is wanted. */
const FASTER = /** @type {Record<string, number>} */ ({ '10 KB': 3, '100 KB': 10 });

/** @type {Size[]} */
const SIZES = ['10 KB', '100 KB'];

const KEYS = 4;

/**
 * @param {Setting} setting
 * @returns {Promise<Section>}
 */
async function nestedSets({ contenders: { ours, uncached, ioredis, memory }, rounds, milliseconds }) {
  /** @type {Section} */
  const section = {
    title: 'set of a number inside an object, with callback',
    rows: [[
      'median (lowest to highest)', 'ours', 'ours, near cache off', 'Lua with cjson', 'memory', 'CPU µs: ours', 'CPU µs: cjson',
    ]],
    aims: [],
    figures: {},
  };
  for (const size of SIZES) {
    for (const contender of [ours, uncached, ioredis, memory]) await contender.measure('fill', { size, keys: KEYS });
    for (const width of [1, 16]) {
      const parameters = { size, keys: KEYS, milliseconds: milliseconds * 2, width };
      const measured = await takeTurns(rounds, Object.fromEntries(
        Object.entries({ ours, uncached, ioredis, memory })
          .map(([name, contender]) => [name, () => contender.measure('nestedSetInFlight', parameters)]),
      ));
      const what = `nested set, ${size}`;
      if (width === 1) {
        section.aims.push({
          what: `${what}, one by one: Lua with cjson / ours`,
          values: ratios(measured.ioredis, measured.ours, latency),
          atLeast: FASTER[size],
        });
      }
      section.rows.push([
        `${size}, ${width} in flight: µs a set`,
        ...Object.values(measured).map((all) => short(all.map(latency))),
        short(measured.ours.map(cpu)),
        short(measured.ioredis.map(cpu)),
      ]);
      section.figures[`${what}, ${width}`] = measured;
    }
  }
  return section;
}

/**
 * @param {Setting} setting
 * @returns {Promise<Section>}
 */
async function serverTime({ contenders: { ours, uncached, ioredis }, server, rounds, milliseconds }) {
  /** @type {Section} */
  const section = {
    title: 'the server, meanwhile: µs of its CPU an operation, and the commands that it ran (median and longest µs of one)',
    rows: [['median (lowest to highest)', 'CPU µs an operation', 'longest command', 'commands']],
    aims: [],
    figures: {},
  };
  for (const size of SIZES) {
    const parameters = { size, keys: KEYS, milliseconds: milliseconds * 2 };
    /** @type {Record<string, () => Promise<Measured>>} */
    const tasks = {
      'nested set, ours': () => ours.measure('nestedSetInFlight', parameters),
      'nested set, ours, near cache off': () => uncached.measure('nestedSetInFlight', parameters),
      'nested set, Lua with cjson': () => ioredis.measure('nestedSetInFlight', parameters),
      'get through ioredis': () => ioredis.measure('getInFlight', parameters),
      'set through ioredis': () => ioredis.measure('setInFlight', parameters),
    };
    /** @type {Record<string, Array<import('../server-watch.js').Watched>>} */
    const watched = {};
    const measured = await takeTurns(Math.ceil(rounds / 2), Object.fromEntries(
      Object.entries(tasks).map(([name, task]) => [name, () => watch(server, task, (watched[name] ??= []))]),
    ));
    for (const [name, all] of Object.entries(measured)) {
      // The first round is not counted there either.
      const commands = watched[name].slice(1);
      section.rows.push([
        `${name}, ${size}`,
        short(all.map(serverCpu)),
        short(commands.map(longestMedian)),
        describeCommands(commands),
      ]);
    }
    const dearer = (/** @type {(name: string) => number[]} */ figures) => {
      const get = figures('get through ioredis');
      const set = figures('set through ioredis');
      const nested = figures('nested set, ours');
      return nested.map((value, round) => value / Math.max(get[round], set[round]));
    };
    section.aims.push({
      what: `nested set, ${size}: CPU of the server / the dearer of a GET and a SET of the value`,
      values: dearer((name) => measured[name].map(serverCpu)),
      atMost: 1,
    }, {
      what: `nested set, ${size}: longest command on the server / the same`,
      values: dearer((name) => watched[name].slice(1).map(longestMedian)),
      atMost: 1,
    });
    section.figures[size] = { measured, watched };
  }
  return section;
}

/**
 * @param {Setting['server']} server
 * @param {() => Promise<Measured>} task
 * @param {Array<import('../server-watch.js').Watched>} watched
 * @returns {Promise<Measured>} with `more.server`: seconds of CPU of the server
 */
async function watch(server, task, watched) {
  const stop = await watchCommands(server);
  const before = await cpuOf(server);
  const done = await task();
  const after = await cpuOf(server);
  watched.push(await stop());
  return { ...done, more: { server: after - before } };
}

const serverCpu = (/** @type {Measured} */ { operations, more }) => ((more?.server ?? 0) * 1e6) / operations;

/** @param {import('../server-watch.js').Watched} watched */
function longestMedian(watched) {
  return Math.max(...Object.values(watched).map(({ median }) => median));
}

/** @param {Array<import('../server-watch.js').Watched>} rounds */
function describeCommands(rounds) {
  const names = [...new Set(rounds.flatMap((watched) => Object.keys(watched)))].sort();
  return names.map((name) => {
    const all = rounds.flatMap((watched) => watched[name] ?? []);
    const { median } = spread(all.map((one) => one.median));
    return `${name} ${median.toFixed(0)} (${Math.max(...all.map(({ longest }) => longest))})`;
  }).join(', ');
}

module.exports = { nestedSets, serverTime };
