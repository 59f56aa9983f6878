'use strict';

/** What a figure depends on beside the code: machine, versions, and who else is using it. */

const { execFileSync } = require('node:child_process');
const os = require('node:os');

const { DEFAULT_VERSION } = require('../../tests/support/instance.js');
const { findServer } = require('../../tests/support/store.js');

/**
 * @typedef {object} Machine
 * @property {string} date ISO
 * @property {string} processor
 * @property {number} cores
 * @property {number} memory bytes
 * @property {number} load of the last minute before the run: runnable processes on average
 * @property {Record<string, string>} versions
 * @property {string} text all of it in two lines
 */

/** @returns {Machine} */
function describeMachine() {
  const cores = os.cpus().length;
  const machine = {
    date: new Date().toISOString(),
    processor: os.cpus()[0]?.model.trim() ?? 'unknown processor',
    cores,
    memory: os.totalmem(),
    load: os.loadavg()[0],
    versions: { node: process.version, nodeRed: nodeRedVersion(), store: storeVersion() },
  };
  const { date, processor, load, versions } = machine;
  const memory = `${Math.round(machine.memory / 2 ** 30)} GiB`;
  const text = [
    `${date}  ${processor}, ${cores} cores, ${memory}, ${os.type()} ${os.release()}; load before the run ${load.toFixed(1)}`,
    `Node.js ${versions.node}, Node-RED ${versions.nodeRed}, ${versions.store}`,
  ].join('\n');
  return { ...machine, text };
}

/** @returns {string} of the Node-RED that the instances run */
function nodeRedVersion() {
  const folder = DEFAULT_VERSION === '4' ? 'node-red' : '../../.cache/node-red-5/node_modules/node-red';
  return require(`${folder}/package.json`).version;
}

/** @returns {string} such as "Valkey 9.0.0" */
function storeVersion() {
  const text = execFileSync(findServer(), ['--version'], { encoding: 'utf8' });
  const [, product, version] = /^(\w+) server v=(\S+)/.exec(text) ?? [];
  return version ? `${product} ${version}` : text.trim();
}

module.exports = { describeMachine };
