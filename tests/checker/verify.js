'use strict';

/**
 * Decides whether histories of reads and writes keep the promises of the shared context. Pure: it looks
 * at nothing but the histories.
 *
 * A history belongs to one process and lists its operations in the order in which they were issued. Each
 * operation has the step of its process at which it began and the one at which it ended (for the order
 * within the process), and the machine's monotonic time of both (for the order between processes).
 *
 * Every write of a key has a value of its own, so a value that was read tells which write made it.
 *
 * Before: a write comes before another one if it was acknowledged before the other was issued, by whatever
 * process, or if the same process issued it earlier, as writes of a process take effect in that order.
 * A write whose outcome is unknown, or that was not waited for, is never acknowledged.
 */

/**
 * @typedef {object} Operation
 * @property {'write' | 'read' | 'increment'} type compareAndSet that succeeded is a write with `expected`
 * @property {string} key
 * @property {string | number | null} value written, read (null: nothing there), or the result of an increment
 * @property {number} began step
 * @property {number} ended step, Infinity when nobody waited for the end
 * @property {bigint} issuedAt
 * @property {bigint | null} endedAt null when nobody waited for the end
 * @property {'acknowledged' | 'sent' | 'unknown' | 'refused'} outcome of a write: sent when nobody waited
 *   for it, unknown when it may or may not have taken effect, refused when it has not
 * @property {string | null} [expected] of compareAndSet: the value that it replaced, null for none
 *
 * @typedef {{process: string, operations: Operation[]}} History
 * @typedef {{kind: ViolationKind, key: string, process: string, text: string}} Violation
 * @typedef {'value from nowhere' | 'value from the future' | 'own write not read' | 'read went back'
 *   | 'stale after quiescence' | 'acknowledged write lost' | 'expected value replaced twice'
 *   | 'increment lost' | 'increment counted twice'} ViolationKind
 *
 * @typedef {object} Write one, with what the order between writes needs
 * @property {string} process
 * @property {number} index among the writes of its process
 * @property {Operation} operation
 */

/**
 * @param {History[]} histories
 * @param {Map<string, string | number | null>} stored what the store holds of each key, once all is quiet
 * @param {Array<{process: string, values: Map<string, string | number | null>}>} seen what each process reads then
 * @returns {Violation[]}
 */
function verify(histories, stored, seen) {
  /** @type {Violation[]} */
  const violations = [];
  /** @type {Map<string, History[]>} */
  const byKey = new Map();
  for (const { process, operations } of histories) {
    for (const operation of operations) {
      if (!byKey.has(operation.key)) byKey.set(operation.key, []);
      const ofKey = /** @type {History[]} */ (byKey.get(operation.key));
      if (ofKey[ofKey.length - 1]?.process !== process) ofKey.push({ process, operations: [] });
      ofKey[ofKey.length - 1].operations.push(operation);
    }
  }
  for (const [key, ofKey] of byKey) {
    const last = stored.get(key) ?? null;
    const counts = ofKey.some(({ operations }) => operations.some(({ type }) => type === 'increment'));
    if (counts) violations.push(...verifyCounter(key, ofKey, last));
    else violations.push(...verifyRegister(key, ofKey, last));
  }
  for (const { process, values } of seen) {
    for (const [key, value] of values) {
      const expected = stored.get(key) ?? null;
      if (value !== expected) {
        violations.push({ kind: 'stale after quiescence', key, process, text: `it reads ${show(value)}, the store holds ${show(expected)}` });
      }
    }
  }
  return violations;
}

/**
 * A key whose value is set.
 *
 * @param {string} key
 * @param {History[]} histories of this key
 * @param {string | number | null} last
 * @returns {Violation[]}
 */
function verifyRegister(key, histories, last) {
  const writes = collectWrites(histories);
  const violations = histories.flatMap((history) => verifyReads(key, history, writes));
  violations.push(...verifyExpectations(key, histories));
  violations.push(...verifyLast(key, writes, last));
  return violations;
}

/**
 * @param {History[]} histories
 * @returns {Map<string | number | null, Write>} by value
 */
function collectWrites(histories) {
  /** @type {Map<string | number | null, Write>} */
  const writes = new Map();
  for (const { process, operations } of histories) {
    operations.filter(({ type }) => type === 'write').forEach((operation, index) => {
      writes.set(operation.value, { process, index, operation });
    });
  }
  return writes;
}

/**
 * How far a process has seen a key: no write that comes before this may be read by it any more.
 */
class Frontier {
  constructor() {
    /** Issue of the latest write that was seen. */
    this.issuedAt = -1n;
    /** @type {Map<string, number>} process to the index of its latest write that was seen */
    this.indexes = new Map();
  }

  /** @param {Write} write */
  raise({ process, index, operation }) {
    if (operation.issuedAt > this.issuedAt) this.issuedAt = operation.issuedAt;
    this.indexes.set(process, Math.max(index, this.indexes.get(process) ?? -1));
  }

  /**
   * @param {Write} write
   * @returns {boolean} whether it comes before one that was seen
   */
  isBehind({ process, index, operation }) {
    if (operation.outcome === 'acknowledged' && operation.endedAt !== null && operation.endedAt < this.issuedAt) return true;
    return index < (this.indexes.get(process) ?? -1);
  }

  get isEmpty() {
    return this.issuedAt === -1n;
  }
}

/**
 * @param {string} key
 * @param {History} history of one process
 * @param {Map<string | number | null, Write>} writes
 * @returns {Violation[]}
 */
function verifyReads(key, { process, operations }, writes) {
  /** @type {Violation[]} */
  const violations = [];
  const own = new Frontier();
  const seen = new Frontier();
  /** @type {Array<{step: number, act: () => void}>} */
  const steps = [];
  for (const operation of operations) {
    const { type, value, began, ended, outcome } = operation;
    if (type === 'write') {
      // Whether one of unknown outcome took effect is open: it may be read, and need not.
      if (outcome === 'acknowledged' || outcome === 'sent') {
        const write = /** @type {Write} */ (writes.get(value));
        // A set is read by its process at once, compareAndSet once it is known to have set.
        steps.push({ step: operation.expected === undefined ? began : ended, act: () => own.raise(write) });
      }
      continue;
    }
    if (type !== 'read') continue;
    const write = value === null ? null : writes.get(value);
    if (write === undefined || (write && write.operation.outcome === 'refused')) {
      violations.push({ kind: 'value from nowhere', key, process, text: `${show(value)} was read and never written` });
      continue;
    }
    if (write && operation.endedAt !== null && write.operation.issuedAt > operation.endedAt) {
      violations.push({ kind: 'value from the future', key, process, text: `${show(value)} was read before it was written` });
    }
    steps.push({
      step: began,
      act: () => {
        if (write ? own.isBehind(write) : !own.isEmpty) {
          violations.push({ kind: 'own write not read', key, process, text: `${show(value)} was read at step ${began} after a later write of its own` });
        } else if (write ? seen.isBehind(write) : !seen.isEmpty) {
          violations.push({ kind: 'read went back', key, process, text: `${show(value)} was read at step ${began} after a later value` });
        }
      },
    });
    // Nobody promises that a value of unknown outcome stays.
    const certain = write && write.operation.outcome !== 'unknown';
    if (certain) steps.push({ step: ended, act: () => seen.raise(write) });
  }
  steps.sort((one, two) => one.step - two.step);
  for (const { act } of steps) act();
  return violations;
}

/**
 * @param {string} key
 * @param {History[]} histories
 * @returns {Violation[]} two that replaced the same value by compareAndSet: one of them was lost
 */
function verifyExpectations(key, histories) {
  /** @type {Violation[]} */
  const violations = [];
  /** @type {Map<string | null, string>} */
  const replaced = new Map();
  for (const { process, operations } of histories) {
    for (const { type, expected, value, outcome } of operations) {
      if (type !== 'write' || expected === undefined || outcome !== 'acknowledged') continue;
      const earlier = replaced.get(expected);
      if (earlier !== undefined) {
        violations.push({ kind: 'expected value replaced twice', key, process, text: `${show(expected)} was replaced by ${show(value)} and by ${show(earlier)}` });
      }
      replaced.set(expected, String(value));
    }
  }
  return violations;
}

/**
 * @param {string} key
 * @param {Map<string | number | null, Write>} writes
 * @param {string | number | null} last
 * @returns {Violation[]}
 */
function verifyLast(key, writes, last) {
  /** @type {Violation[]} */
  const violations = [];
  const final = last === null ? null : writes.get(last);
  if (final === undefined || (final && final.operation.outcome === 'refused')) {
    return [{ kind: 'value from nowhere', key, process: 'the store', text: `it holds ${show(last)}, which was never written` }];
  }
  for (const write of writes.values()) {
    const { operation, process } = write;
    // Every process waits for its writes before the end, those without a callback included.
    if (operation.outcome !== 'acknowledged' && operation.outcome !== 'sent') continue;
    const frontier = new Frontier();
    frontier.raise(write);
    if (final === null || frontier.isBehind(final)) {
      violations.push({ kind: 'acknowledged write lost', key, process, text: `${show(operation.value)} was written after ${show(last)}, which the store holds` });
      break;
    }
  }
  return violations;
}

/**
 * A key that is counted by increments of one. Where an outcome is unknown the count may be higher.
 *
 * @param {string} key
 * @param {History[]} histories
 * @param {string | number | null} last
 * @returns {Violation[]}
 */
function verifyCounter(key, histories, last) {
  /** @type {Violation[]} */
  const violations = [];
  /** @type {Map<number, string>} */
  const results = new Map();
  let counted = 0;
  let unknown = 0;
  for (const { process, operations } of histories) {
    for (const { type, value, outcome } of operations) {
      if (type !== 'increment') continue;
      if (outcome === 'unknown') unknown += 1;
      if (outcome !== 'acknowledged') continue;
      counted += 1;
      const by = results.get(Number(value));
      if (by) violations.push({ kind: 'increment lost', key, process, text: `${show(value)} is the result of two increments, the other one by ${by}` });
      results.set(Number(value), process);
    }
    violations.push(...verifyCounterReads(key, process, operations));
  }
  const total = Number(last ?? 0);
  if (total < counted) {
    violations.push({ kind: 'increment lost', key, process: 'the store', text: `it holds ${total} after ${counted} increments` });
  }
  if (total > counted + unknown) {
    violations.push({ kind: 'increment counted twice', key, process: 'the store', text: `it holds ${total} after ${counted} increments and ${unknown} of unknown outcome` });
  }
  return violations;
}

/**
 * @param {string} key
 * @param {string} process
 * @param {Operation[]} operations
 * @returns {Violation[]}
 */
function verifyCounterReads(key, process, operations) {
  /** @type {Violation[]} */
  const violations = [];
  let own = 0;
  let seen = 0;
  /** @type {Array<{step: number, act: () => void}>} */
  const steps = [];
  for (const { type, value, began, ended, outcome } of operations) {
    const number = Number(value ?? 0);
    if (type === 'increment' && outcome === 'acknowledged') {
      steps.push({ step: ended, act: () => (own = Math.max(own, number)) });
    }
    if (type !== 'read') continue;
    steps.push({
      step: began,
      act: () => {
        if (number < own) violations.push({ kind: 'own write not read', key, process, text: `${number} was read at step ${began} after its own increment to ${own}` });
        else if (number < seen) violations.push({ kind: 'read went back', key, process, text: `${number} was read at step ${began} after ${seen}` });
      },
    });
    steps.push({ step: ended, act: () => (seen = Math.max(seen, number)) });
  }
  steps.sort((one, two) => one.step - two.step);
  for (const { act } of steps) act();
  return violations;
}

/** @param {unknown} value */
function show(value) {
  return value === null ? 'nothing' : JSON.stringify(value);
}

module.exports = { verify };
