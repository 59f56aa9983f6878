'use strict';

/** What the processes of the context tests do: each function gets the session of its process. */

const { waysOf } = require('./context-store');

/** @typedef {import('./context-session').Session} Session */

/** How many calls a process has in flight, as a busy flow would. */
const IN_FLIGHT = 32;

/**
 * @param {number} count
 * @param {(index: number) => unknown} act
 */
async function inFlight(count, act) {
  let next = 0;
  await Promise.all(Array.from({ length: IN_FLIGHT }, async () => {
    while (next < count) {
      next += 1;
      await act(next - 1);
    }
  }));
}

/** Callbacks that throw, where the value is at hand and where it has to be fetched. */
async function throwingCallbacks(/** @type {Session} */ { store }) {
  /** @type {Record<string, number>} */
  const calls = {};
  const report = { calls, thrown: 0, caught: 0, uncaught: 0, others: 0, after: '' };
  process.on('uncaughtException', (error) => {
    if (error.message !== 'thrown by the callback') throw error;
    report.uncaught += 1;
  });
  /** @param {string} name */
  const throwing = (name) => () => {
    calls[name] = (calls[name] ?? 0) + 1;
    report.thrown += 1;
    throw new Error('thrown by the callback');
  };
  /** @param {() => void} call */
  const attempt = (call) => {
    try {
      call();
    } catch {
      report.caught += 1;
    }
  };
  const [way] = waysOf(store);
  const others = [];
  for (let index = 0; index < 20; index += 1) {
    if (index === 5) attempt(() => store.get('scope', 'fetched', throwing('get, fetched')));
    if (index === 6) attempt(() => store.set('scope', 'a', 1, throwing('set')));
    if (index === 7) attempt(() => store.keys('scope', throwing('keys')));
    if (index === 8) attempt(() => store.get('scope', 'bad..', throwing('get, refused')));
    others.push(way.get('scope', `other${index}`).then(() => (report.others += 1)));
  }
  await Promise.all(others);
  await way.set('scope', 'b', 1);
  attempt(() => store.get('scope', 'b', throwing('get, at hand')));
  await way.set('scope', 'c', 'still works');
  report.after = await way.get('scope', 'c');
  return report;
}

/** Adds to one number, many times. */
async function increments(/** @type {Session} */ { global }, /** @type {string} */ key, /** @type {number} */ count) {
  /** @type {number[]} */
  const results = [];
  await inFlight(count, async () => results.push(await global.increment(key)));
  return results;
}

/** Sets a property of its own in one object shared by all, many times. */
async function nestedSets(
  /** @type {Session} */ { store },
  /** @type {string} */ root,
  /** @type {string} */ own,
  /** @type {number} */ count,
) {
  const [way] = waysOf(store);
  await inFlight(count, (index) => way.set('global', `${root}.${own}${index}`, index));
}

/** Counts in properties of its own by read and set, as only one process writes them. */
async function ownCounters(
  /** @type {Session} */ { store },
  /** @type {string} */ root,
  /** @type {string} */ own,
  /** @type {number} */ count,
) {
  for (let index = 0; index < count; index += 1) {
    const key = `${root}.${own}${index % 10}`;
    store.set('global', key, (store.get('global', key) ?? 0) + 1);
    if (index % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Appends items of its own to one list. */
async function appends(
  /** @type {Session} */ { global },
  /** @type {string} */ key,
  /** @type {string} */ own,
  /** @type {number} */ count,
) {
  for (let index = 0; index < count; index += 1) await global.append(key, `${own}-${index}`);
}

/** Counts by compareAndSet: reads, and sets if nobody was faster. */
async function compareAndSetCounts(/** @type {Session} */ { global }, /** @type {string} */ key, /** @type {number} */ count) {
  let refused = 0;
  for (let done = 0; done < count;) {
    const now = global.get(key);
    if (await global.compareAndSet(key, now, { count: (now?.count ?? 0) + 1 })) done += 1;
    else refused += 1;
  }
  return refused;
}

/** Takes one thing that many want: by getAndSet of a token that is there once. */
async function takes(/** @type {Session} */ { global }, /** @type {string[]} */ keys) {
  const taken = [];
  for (const key of keys) {
    if ((await global.getAndSet(key, undefined)) !== undefined) taken.push(key);
  }
  return taken;
}

/** The same by deleteIf. */
async function deletesIf(/** @type {Session} */ { global }, /** @type {string[]} */ keys, /** @type {unknown} */ expected) {
  const taken = [];
  for (const key of keys) {
    if (await global.deleteIf(key, expected)) taken.push(key);
  }
  return taken;
}

/** Sets and operations in one turn of the event loop. */
async function interleaved(/** @type {Session} */ { store, global }, /** @type {string} */ key) {
  store.set('global', key, 10);
  const first = global.increment(key);
  const seen = new Promise((resolve) => store.get('global', key, (/** @type {any} */ _error, /** @type {any} */ value) => resolve(value)));
  const second = Promise.all([first, seen]).then(() => global.increment(key));
  const results = [await first, await seen, await second];
  store.set('global', key, { n: 12 });
  await global.increment(`${key}.n`);
  results.push(store.get('global', key));
  const last = global.increment(`${key}.n`);
  results.push(await last);
  return results;
}

/** Operations wherever a Function node can reach. */
async function scopes(/** @type {Session} */ { store, global, flow, context }) {
  const parent = await flow.increment('$parent.p').catch((/** @type {any} */ error) => error.code);
  const report = {
    parent: parent === 'NRC_INVALID_REQUEST' ? 1 : parent,
    flow: await flow.increment('in_flow'),
    node: await context.increment('in_node'),
    seen: /** @type {unknown[]} */ ([]),
    named: await global.increment('#:(default)::named'),
    refused: await global.increment('#:(memory)::named').catch((/** @type {any} */ error) => error.code),
  };
  report.seen = [store.get('a-flow', 'in_flow'), store.get('a-node:a-flow', 'in_node')];
  return report;
}

/** All of a scope, as this process reads it. */
async function readAll(/** @type {Session} */ { store }, /** @type {string} */ scope) {
  const [way] = waysOf(store);
  const names = await way.keys(scope);
  const values = await Promise.all(names.map((name) => way.get(scope, name)));
  return names.map((name, index) => [name, values[index]]);
}

/** One call of a sandbox's object, as a Function node writes it: `global.<method>(...)`. */
function onGlobal(/** @type {Session} */ { global }, /** @type {string} */ method, /** @type {any[]} */ ...given) {
  return global[method](...given);
}

/** One call of the store with a callback, as a promise. */
function onStore(/** @type {Session} */ { store }, /** @type {'get' | 'set' | 'keys'} */ method, /** @type {[any, any]} */ ...given) {
  return waysOf(store)[0][method](...given);
}

/** One synchronous call of the store. */
function onStoreNow(/** @type {Session} */ { store }, /** @type {'get' | 'set' | 'keys'} */ method, /** @type {[any, any]} */ ...given) {
  return /** @type {any} */ (store)[method](...given);
}

module.exports = {
  appends,
  compareAndSetCounts,
  deletesIf,
  increments,
  interleaved,
  nestedSets,
  onGlobal,
  onStore,
  onStoreNow,
  ownCounters,
  readAll,
  scopes,
  takes,
  throwingCallbacks,
};
