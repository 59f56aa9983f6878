'use strict';

/**
 * The promises of the near cache under disturbance, and the checker's own eyes. `CHECKER_SECONDS` sets how
 * long it runs, `CHECKER_SEED` repeats the drawing of a run.
 */

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { runChecker } = require('./checker/run');
const { verify } = require('./checker/verify');

const SECONDS = Number(process.env.CHECKER_SECONDS ?? 8);
const SEED = Number(process.env.CHECKER_SEED ?? Date.now() % 0x7fffffff);

test('several processes under kills, restarts, pauses and cuts: reads are right and no acknowledged write is lost', async (t) => {
  t.diagnostic(`CHECKER_SEED=${SEED} CHECKER_SECONDS=${SECONDS}`);
  const { violations, ...summary } = await runChecker(t, { seconds: SECONDS, seed: SEED, log: (line) => t.diagnostic(line) });
  t.diagnostic(JSON.stringify(summary));
  assert.deepEqual(violations.slice(0, 10), [], `${violations.length} violations with CHECKER_SEED=${SEED}`);
  const { read = 0, write = 0, increment = 0 } = summary.operations;
  assert.ok(read > 1_000 && write > 500 && increment > 100, 'enough was done to see something');
  assert.ok(Object.keys(summary.faults).length >= 5, 'enough was disturbed to see something');
});

/** @typedef {import('./checker/verify').Operation} Operation */

/** A hand-made history: operations of processes on one key, in the order of a common clock. */
function story() {
  let clock = 0;
  /** @type {Map<string, Operation[]>} */
  const processes = new Map();

  /**
   * @param {string} process
   * @param {Partial<Operation> & {type: Operation['type']}} operation
   */
  function add(process, operation) {
    clock += 2;
    /** @type {Operation} */
    const whole = {
      key: 'k', value: null, outcome: 'acknowledged',
      began: clock, ended: clock + 1, issuedAt: BigInt(clock), endedAt: BigInt(clock + 1), ...operation,
    };
    if (!processes.has(process)) processes.set(process, []);
    processes.get(process)?.push(whole);
    return whole;
  }

  const told = {
    /** @param {string} process @param {string} value @param {Partial<Operation>} [more] */
    write: (process, value, more = {}) => add(process, { type: 'write', value, ...more }) && told,
    /** @param {string} process @param {string} value */
    send: (process, value) => add(process, { type: 'write', value, outcome: 'sent', ended: Infinity, endedAt: null }) && told,
    /** @param {string} process @param {string | number | null} value @param {Partial<Operation>} [more] */
    read: (process, value, more = {}) => add(process, { type: 'read', value, ...more }) && told,
    /** @param {string} process @param {number} value @param {Partial<Operation>} [more] */
    increment: (process, value, more = {}) => add(process, { type: 'increment', value, ...more }) && told,
    /**
     * @param {string | number | null} stored
     * @param {Array<[string, string | number | null]>} [seen]
     */
    violations: (stored, seen = []) => verify(
      [...processes].map(([process, operations]) => ({ process, operations })),
      new Map([['k', stored]]),
      seen.map(([process, value]) => ({ process, values: new Map([['k', value]]) })),
    ).map(({ kind }) => kind),
  };
  return told;
}

describe('the checker', () => {
  test('finds nothing where nothing is wrong', () => {
    const right = story().read('b', null).write('a', '1').read('a', '1').read('b', '1').send('a', '2').read('a', '2').read('b', '1').read('b', '2')
      .write('b', '3').read('b', '3').read('a', '2').read('a', '3');
    assert.deepEqual(right.violations('3', [['a', '3'], ['b', '3']]), []);
    const counted = story().increment('a', 1).read('b', 0).increment('b', 2).read('a', 1).read('a', 2).read('b', 2);
    assert.deepEqual(counted.violations(2), []);
  });

  test('allows what overlapping operations may do', () => {
    // Both writes are under way at once: either may be the later one.
    const long = { issuedAt: 0n, endedAt: 1_000n };
    const either = story().write('a', '1', long).write('b', '2', long).read('c', '1').read('c', '2').read('d', '2').read('d', '1');
    assert.deepEqual(either.violations('1'), []);
    assert.deepEqual(either.violations('2'), []);
    // A read that began before the own write ended may have gone before it.
    const read = { began: 0, ended: 100 };
    assert.deepEqual(story().write('a', '1').read('a', null, read).violations('1'), []);
  });

  test('finds a read without the own earlier write', () => {
    assert.deepEqual(story().write('a', '1').write('a', '2').read('a', '1').violations('2'), ['own write not read']);
    assert.deepEqual(story().send('a', '1').read('a', null).violations('1'), ['own write not read']);
    assert.deepEqual(story().write('b', '1').send('a', '2').read('a', '1').violations('2'), ['own write not read']);
    assert.deepEqual(story().increment('a', 1).read('a', 0).violations(1), ['own write not read']);
  });

  test('finds a read that goes back', () => {
    assert.deepEqual(story().write('a', '1').write('a', '2').read('b', '2').read('b', '1').violations('2'), ['read went back']);
    assert.deepEqual(story().write('a', '1').write('b', '2').read('c', '2').read('c', '1').violations('2'), ['read went back']);
    assert.deepEqual(story().write('a', '1').read('b', '1').read('b', null).violations('1'), ['read went back']);
    assert.deepEqual(story().send('a', '1').send('a', '2').read('b', '2').read('b', '1').violations('2'), ['read went back']);
    assert.deepEqual(story().increment('a', 1).increment('a', 2).read('b', 2).read('b', 1).violations(2), ['read went back']);
  });

  test('finds a value that lies one step further back than the last read', () => {
    // 1 is before 2; 3 is beside both, and between the two reads.
    const beside = { issuedAt: 0n, endedAt: 1_000n };
    const told = story().write('a', '1').write('a', '2').write('c', '3', beside).read('b', '2').read('b', '3').read('b', '1');
    assert.deepEqual(told.violations('3'), ['read went back']);
  });

  test('finds values from nowhere and from the future', () => {
    assert.deepEqual(story().read('b', '9').write('a', '1').violations('1'), ['value from nowhere']);
    assert.deepEqual(story().write('a', '1', { outcome: 'refused' }).read('b', '1').violations(null), ['value from nowhere']);
    assert.deepEqual(story().write('a', '1').violations('9'), ['value from nowhere']);
    assert.deepEqual(story().read('b', '1').write('a', '1').violations('1'), ['value from the future']);
  });

  test('finds an acknowledged write that was lost', () => {
    assert.deepEqual(story().write('a', '1').violations(null), ['acknowledged write lost']);
    assert.deepEqual(story().write('a', '1').write('b', '2').violations('1'), ['acknowledged write lost']);
    assert.deepEqual(story().send('a', '1').send('a', '2').violations('1'), ['acknowledged write lost']);
    assert.deepEqual(story().write('a', '1').write('b', '2', { outcome: 'unknown' }).violations('1'), [], 'of unknown outcome');
    assert.deepEqual(story().write('a', '1').write('b', '2', { outcome: 'unknown' }).violations('2'), []);
    assert.deepEqual(story().write('a', '1').write('b', '2', { outcome: 'refused' }).violations('1'), []);
  });

  test('finds a process that stays stale', () => {
    const told = story().write('a', '1').write('a', '2');
    assert.deepEqual(told.violations('2', [['a', '2'], ['b', '1']]), ['stale after quiescence']);
    assert.deepEqual(told.violations('2', [['b', null]]), ['stale after quiescence']);
  });

  test('finds two that replaced the same value', () => {
    const told = story().write('a', '1', { expected: null }).write('a', '2', { expected: '1' }).write('b', '3', { expected: '1' });
    assert.deepEqual(told.violations('3'), ['expected value replaced twice']);
    const right = story().write('a', '1', { expected: null }).write('b', '2', { expected: '1' }).write('a', '3', { expected: '1', outcome: 'refused' });
    assert.deepEqual(right.violations('2'), []);
  });

  test('finds increments that were lost or counted twice', () => {
    assert.deepEqual(story().increment('a', 1).increment('b', 1).violations(1), ['increment lost', 'increment lost']);
    assert.deepEqual(story().increment('a', 1).increment('b', 2).violations(1), ['increment lost']);
    assert.deepEqual(story().increment('a', 1).increment('b', 2).violations(3), ['increment counted twice']);
    assert.deepEqual(story().increment('a', 1).increment('b', 0, { outcome: 'unknown' }).violations(2), []);
    assert.deepEqual(story().increment('a', 1).increment('b', 0, { outcome: 'unknown' }).violations(3), ['increment counted twice']);
  });
});
