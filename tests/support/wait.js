'use strict';

/**
 * Waiting for conditions. A test never sleeps for a guessed time: it polls
 * what it waits for, with a deadline.
 */

const assert = require('node:assert/strict');
const { setTimeout: delay } = require('node:timers/promises');

/**
 * Polls until a condition holds. A condition that throws counts as not yet
 * met; its last error is shown if the deadline passes.
 *
 * @template T
 * @param {() => T | Promise<T>} condition met when it gives something truthy
 * @param {object} options
 * @param {string} options.message what is waited for, as in "timed out: <message>"
 * @param {number} [options.timeout] deadline in ms
 * @param {number} [options.interval] pause between two attempts in ms
 * @returns {Promise<NonNullable<T>>} what the condition gave
 */
async function until(condition, { message, timeout = 15_000, interval = 25 }) {
  const deadline = Date.now() + timeout;
  /** @type {unknown} */
  let lastError;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    if (Date.now() >= deadline) {
      const reason = lastError instanceof Error ? ` (last error: ${lastError.message})` : '';
      assert.fail(`timed out after ${timeout} ms: ${message}${reason}`);
    }
    await delay(interval);
  }
}

/**
 * Polls until a value deeply equals the expected one, and shows the
 * difference when the deadline passes.
 *
 * @template T
 * @param {() => T | Promise<T>} actual
 * @param {unknown} expected
 * @param {object} options
 * @param {string} options.message
 * @param {number} [options.timeout] deadline in ms
 * @returns {Promise<void>}
 */
async function untilEqual(actual, expected, { message, timeout = 15_000 }) {
  const deadline = Date.now() + timeout;
  for (;;) {
    try {
      assert.deepEqual(await actual(), expected);
      return;
    } catch (error) {
      if (Date.now() >= deadline) {
        const reason = error instanceof Error ? error.message : String(error);
        assert.fail(`timed out after ${timeout} ms: ${message}\n${reason}`);
      }
    }
    await delay(25);
  }
}

/**
 * Checks over a span of time that a condition never stops holding.
 *
 * @param {() => void | Promise<void>} check throws as soon as it does not hold
 * @param {number} duration in ms
 * @returns {Promise<void>}
 */
async function holdsFor(check, duration) {
  const end = Date.now() + duration;
  while (Date.now() < end) {
    await check();
    await delay(50);
  }
  await check();
}

module.exports = { delay, holdsFor, until, untilEqual };
