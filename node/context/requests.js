'use strict';

/** Requests to the native side that are answered later: numbers for them, and the delivery of answers. */

/**
 * @callback Handler takes an answer
 * @param {(Error & {code?: string}) | null} error
 * @param {string | null} text
 * @param {number} generation
 * @returns {void}
 */

/** @typedef {ReturnType<typeof createRequests>} Requests */

function createRequests() {
  /** @type {(Handler | null)[]} by number; 0 is no request's */
  const handlers = [null];
  /** @type {number[]} */
  const free = [];
  /** Keeps the process alive while an answer is waited for: the native side does not. */
  const alive = setInterval(() => {}, 2 ** 30).unref();
  let waiting = 0;

  /** @param {number} id */
  function take(id) {
    const handler = handlers[id];
    handlers[id] = null;
    free.push(id);
    waiting -= 1;
    if (waiting === 0) alive.unref();
    return handler;
  }

  return {
    /**
     * @param {Handler} handler
     * @returns {number} the number under which the answer comes
     */
    add(handler) {
      const id = free.pop() ?? handlers.length;
      handlers[id] = handler;
      if (waiting === 0) alive.ref();
      waiting += 1;
      return id;
    },

    /** @param {number} id of a request that the native side did not take */
    cancel: (id) => {
      take(id);
    },

    /**
     * Delivers answers. A callback of a flow that throws hinders no other.
     *
     * @param {any[]} answers flat: number, error code, text, generation
     */
    deliver(answers) {
      for (let at = 0; at < answers.length; at += 4) {
        const handler = take(answers[at]);
        const code = answers[at + 1];
        const text = answers[at + 2];
        guarded(() => {
          if (code === null) handler?.(null, text, answers[at + 3]);
          else handler?.(Object.assign(new Error(text), { code }), null, 0);
        });
      }
    },
  };
}

/**
 * Runs what ends in a flow's callback. What it throws becomes an uncaught exception, as from any callback
 * that nobody else waits for.
 *
 * @param {() => void} run
 */
function guarded(run) {
  try {
    run();
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}

module.exports = { createRequests, guarded };
