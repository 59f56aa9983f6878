'use strict';

/** A process with one context store in it; does what its parent asks, one thing at a time. */

const fs = require('node:fs');

const instances = require('./instances-tasks.js');
const { memoryOf } = require('./memory-task.js');
const { STORES } = require('./stores.js');
const tasks = require('./tasks.js');

/** @type {Record<string, (store: any, parameters: any) => Promise<import('./tasks.js').Done>>} */
const TASKS = { ...tasks, ...instances, memoryOf };

/** @type {import('./stores.js').ContextStore} */
let store;

/** @type {Record<string, (parameters: any) => Promise<object>>} */
const COMMANDS = {
  async open({ name, options }) {
    store = STORES[name](options);
    await store.open();
    return {};
  },
  async measure({ task, parameters }) {
    const cpu = process.cpuUsage();
    const thread = threadSeconds();
    const done = await TASKS[task](store, parameters);
    const { user, system } = process.cpuUsage(cpu);
    return { ...done, cpu: (user + system) / 1e6, thread: threadSeconds() - thread };
  },
  async close() {
    await store.close();
    return {};
  },
};

/** @returns {number} CPU time of the thread that runs JavaScript; not a number where the system does not tell */
function threadSeconds() {
  try {
    return Number(fs.readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e9;
  } catch {
    return Number.NaN;
  }
}

process.on('message', async (/** @type {{name: string, parameters: object}} */ { name, parameters }) => {
  try {
    process.send?.(await COMMANDS[name](parameters));
  } catch (error) {
    process.send?.({ error: String(/** @type {Error} */ (error).stack ?? error) });
  }
});
process.once('disconnect', () => process.exit(0));
