'use strict';

/**
 * What a process of the checker does: actors read and write at random through the public API of the
 * context store, and everything that they do is recorded.
 */

const { setImmediate: nextTurn, setTimeout: delay } = require('node:timers/promises');
const { createRandom } = require('../support/context-random');

/** @typedef {import('../support/context-session').Session} Session */
/** @typedef {import('./verify').Operation} Operation */
/** @typedef {{round: number, name: string, names: string[], seed: number, startedAt: number}} Assignment */

const SCOPE = 'global';

/**
 * For so long all processes use the same few keys, then the next ones, in milliseconds. What is stale when
 * a key is left stays so until the end of the round, where it is found; a key in use is soon put right.
 */
const SLOT_MILLISECONDS = 100;
/** The last slot of a round stays in use for as long as the round lasts. */
const SLOTS = 60;

/**
 * The keys of a slot: few, so that the processes meet.
 *
 * @param {Pick<Assignment, 'round' | 'names'>} assignment
 * @param {number} slot
 */
function keysOf({ round, names }, slot) {
  const key = (/** @type {string} */ kind) => `r${round}-${kind}-${slot}`;
  return {
    /** Each is set by one process only. @type {Record<string, string>} */
    own: Object.fromEntries(names.map((name) => [name, key(`own-${name}`)])),
    /** These are set by everybody. */
    many: [key('many-a'), key('many-b')],
    /** Each process sets a property of its own in one object. @type {Record<string, string>} */
    nested: Object.fromEntries(names.map((name) => [name, `${key('nested')}.${name}`])),
    compared: key('compared'),
    counted: key('counted'),
  };
}

/**
 * @param {Pick<Assignment, 'round' | 'names'>} assignment
 * @returns {string[]} all keys of a round
 */
function allKeys(assignment) {
  return Array.from({ length: SLOTS }, (_, slot) => readable(keysOf(assignment, slot))).flat();
}

/** @param {ReturnType<typeof keysOf>} keys */
function readable({ own, many, nested, compared, counted }) {
  return [...Object.values(own), ...many, ...Object.values(nested), compared, counted];
}

/** @type {{running: boolean, actors: Promise<void>[], outstanding: Set<Promise<unknown>>, operations: Operation[], errors: Record<string, number>} | null} */
let current = null;

/**
 * Starts the actors of a round.
 *
 * @param {Session} session
 * @param {Assignment} assignment
 */
function begin({ store, global }, assignment) {
  const { name, round, seed, startedAt } = assignment;
  const random = createRandom(seed);
  const slots = Array.from({ length: SLOTS }, (_, slot) => keysOf(assignment, slot));
  /** The keys that are in use now. */
  const keys = () => slots[Math.min(SLOTS - 1, Math.floor((Date.now() - startedAt) / SLOT_MILLISECONDS))];
  /** @type {Operation[]} */
  const operations = [];
  /** @type {Set<Promise<unknown>>} */
  const outstanding = new Set();
  /** @type {Record<string, number>} */
  const errors = {};
  const state = { running: true, actors: /** @type {Promise<void>[]} */ ([]), outstanding, operations, errors };
  current = state;
  let step = 0;
  let values = 0;

  /**
   * Records an operation that begins now.
   *
   * @param {Pick<Operation, 'type' | 'key'> & Partial<Operation>} operation
   */
  function record(operation) {
    step += 1;
    /** @type {Operation} */
    const recorded = {
      value: null, ended: Infinity, endedAt: null, outcome: 'sent', ...operation, began: step, issuedAt: process.hrtime.bigint(),
    };
    return {
      recorded,
      keep: () => operations.push(recorded),
      end() {
        step += 1;
        recorded.ended = step;
        recorded.endedAt = process.hrtime.bigint();
      },
    };
  }
  /** @param {any} error */
  function count(error) {
    const code = error?.code ?? String(error);
    errors[code] = (errors[code] ?? 0) + 1;
  }
  function newValue() {
    values += 1;
    return { id: `${name}.${round}.${values}`, filler: 'x'.repeat(random.below(random.chance(0.05) ? 5_000 : 50)) };
  }
  /** @param {(done: () => void) => void} start */
  function wait(start) {
    const promise = new Promise((resolve) => start(() => resolve(undefined))).finally(() => outstanding.delete(promise));
    outstanding.add(promise);
    return promise;
  }

  /**
   * A set; sometimes nobody waits for it.
   *
   * @param {string} key
   * @param {{mayNotWait: boolean}} options
   */
  function write(key, { mayNotWait }) {
    const value = newValue();
    const { recorded, keep, end } = record({ type: 'write', key, value: value.id });
    keep();
    if (mayNotWait && random.chance(0.5)) {
      try {
        store.set(SCOPE, key, value);
      } catch (error) {
        count(error);
        recorded.outcome = 'refused';
      }
      return undefined;
    }
    return wait((done) => store.set(SCOPE, key, value, (/** @type {any} */ error) => {
      end();
      recorded.outcome = error ? 'unknown' : 'acknowledged';
      if (error) count(error);
      done();
    }));
  }

  /** @param {string} key */
  function read(key) {
    const { recorded, keep, end } = record({ type: 'read', key });
    /** @param {any} value */
    const finish = (value) => {
      end();
      recorded.value = idOf(value);
      keep();
    };
    if (random.chance(0.6)) {
      try {
        finish(store.get(SCOPE, key));
      } catch (error) {
        count(error);
      }
      return undefined;
    }
    return wait((done) => store.get(SCOPE, key, (/** @type {any} */ error, /** @type {any} */ value) => {
      if (error) count(error);
      else finish(value);
      done();
    }));
  }

  /** @param {string} key */
  function increment(key) {
    const { recorded, keep, end } = record({ type: 'increment', key });
    keep();
    return wait((done) => global.increment(key, (/** @type {any} */ error, /** @type {number} */ result) => {
      end();
      recorded.outcome = error ? 'unknown' : 'acknowledged';
      recorded.value = error ? null : result;
      if (error) count(error);
      done();
    }));
  }

  /**
   * Reads, and sets if nobody else did meanwhile.
   *
   * @param {string} key
   */
  async function compareAndSet(key) {
    const before = await new Promise((resolve) => store.get(SCOPE, key, (/** @type {any} */ error, /** @type {any} */ value) => resolve(error ? { error } : { value })));
    if (before.error) return count(before.error);
    const value = newValue();
    const { recorded, keep, end } = record({ type: 'write', key, value: value.id, expected: idOf(before.value) });
    keep();
    return wait((done) => global.compareAndSet(key, before.value, value, (/** @type {any} */ error, /** @type {boolean} */ hasSet) => {
      end();
      if (error) count(error);
      if (error) recorded.outcome = 'unknown';
      else recorded.outcome = hasSet ? 'acknowledged' : 'refused';
      done();
    }));
  }

  /** @param {() => Promise<unknown> | undefined} act */
  async function actor(act) {
    while (state.running) {
      for (let count_ = random.below(8); count_ > 0 && state.running; count_ -= 1) {
        const outcome = act();
        if (random.chance(0.7)) await outcome;
      }
      // A pause, or the other actors' turn.
      if (random.chance(0.3)) await delay(random.below(5));
      else await nextTurn();
    }
  }

  state.actors = [
    actor(() => write(keys().own[name], { mayNotWait: true })),
    actor(() => write(keys().nested[name], { mayNotWait: true })),
    actor(() => write(random.pick(keys().many), { mayNotWait: false })),
    actor(() => compareAndSet(keys().compared)),
    actor(() => increment(keys().counted)),
    actor(() => read(random.pick(readable(keys())))),
    actor(() => read(random.pick(readable(keys())))),
    actor(() => read(random.pick(keys().many))),
    actor(() => read(random.pick(keys().many))),
  ];
}

/**
 * Ends the round: every write has its outcome, those without a callback too.
 *
 * @param {Session} session
 */
async function halt({ store }) {
  const state = /** @type {NonNullable<typeof current>} */ (current);
  state.running = false;
  await Promise.all(state.actors);
  await Promise.all(state.outstanding);
  // Writes take effect in the order of their issue: after this one all have.
  await new Promise((resolve, reject) => {
    store.set(SCOPE, `end-${process.pid}`, 1, (/** @type {any} */ error) => (error ? reject(error) : resolve(undefined)));
  });
  current = null;
  return { operations: state.operations, errors: state.errors };
}

/**
 * What this process reads of each key now, in both forms.
 *
 * @param {Session} session
 * @param {string[]} keys
 * @returns {Promise<Array<Map<string, any>>>}
 */
async function look({ store }, keys) {
  const now = new Map(keys.map((key) => [key, idOf(store.get(SCOPE, key))]));
  const later = await Promise.all(keys.map((key) => new Promise((resolve, reject) => {
    store.get(SCOPE, key, (/** @type {any} */ error, /** @type {any} */ value) => (error ? reject(error) : resolve([key, idOf(value)])));
  })));
  return [now, new Map(later)];
}

/** @param {any} value */
function idOf(value) {
  if (value === undefined) return null;
  return typeof value === 'number' ? value : value.id;
}

/** @param {Session} session */
function statistics({ store }) {
  const counters = store.stats?.() ?? {};
  return JSON.parse(JSON.stringify(counters));
}

module.exports = { SCOPE, allKeys, begin, halt, idOf, look, statistics };
