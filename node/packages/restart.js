'use strict';

/**
 * From the start of this process, when its flows do not run yet, to its end in good order, so that whoever runs
 * it starts it again: whoever asks meanwhile is not told that there is no such endpoint.
 */

const { setTimeout: delay } = require('node:timers/promises');

/** How long a request may wait for the flows of the start, in milliseconds. */
const BOOT_LIMIT = 30_000;

/** How long requests that are being answered may take until then, in milliseconds. */
const ANSWER_LIMIT = 10_000;

/** How long a request may still come on a connection that was taken before, in milliseconds. */
const LATE = 100;

/** How long Node-RED may take to stop: it gives its nodes 15 seconds. Then the process ends all the same. */
const STOP_LIMIT = 40_000;

/**
 * Watches the requests that are being answered. To be called before any node adds an endpoint.
 *
 * @param {import('../types').Runtime} runtime
 * @param {Promise<unknown>} booted settles once the flows of the start run, or will not
 * @returns {() => Promise<void>} takes no more requests, answers those that are there, and ends the process
 */
function prepareRestart(runtime, booted) {
  /** @type {Set<import('node:http').ServerResponse>} */
  const open = new Set();
  let boots = true;
  let draining = false;
  let stopping = false;
  /** @type {() => void} */
  let onIdle = () => {};
  const settled = Promise.race([booted, delay(BOOT_LIMIT, undefined, { ref: false })]).then(() => {}, () => {});
  settled.then(() => {
    boots = false;
  });

  runtime.nodeApp.use((_request, response, next) => {
    if (stopping) {
      response.writeHead(503, { Connection: 'close', 'Retry-After': '1' }).end();
      return;
    }
    open.add(response);
    if (draining) endConnection(response);
    response.once('close', () => {
      open.delete(response);
      if (open.size === 0) onIdle();
    });
    // Node-RED listens before its flows run, when their endpoints are not there yet.
    if (boots) {
      settled.then(() => next());
    } else {
      next();
    }
  });

  return async () => {
    draining = true;
    const idle = new Promise((resolve) => {
      onIdle = () => resolve(undefined);
      setTimeout(resolve, ANSWER_LIMIT).unref();
    });
    // New connections are refused, so that whoever spreads the load turns to the other workers.
    runtime.server?.close();
    for (const response of open) endConnection(response);
    await delay(LATE);
    runtime.server?.closeIdleConnections?.();
    if (open.size > 0) await idle;
    stopping = true;
    await stop(runtime);
  };
}

/**
 * A connection that is kept would keep bringing requests.
 *
 * @param {import('node:http').ServerResponse} response
 */
function endConnection(response) {
  if (response.headersSent) {
    response.once('finish', () => response.socket?.end());
  } else {
    response.setHeader('Connection', 'close');
  }
}

/**
 * As after SIGTERM: Node-RED stops its flows and ends with 0.
 *
 * @param {import('../types').Runtime} runtime
 */
async function stop(runtime) {
  setTimeout(() => process.exit(0), STOP_LIMIT);
  // Sent to itself the signal would end the process at once on Windows.
  if (process.emit('SIGTERM', 'SIGTERM')) {
    // Nothing more is asked of a process that ends.
    await new Promise(() => {});
  }
  // Node-RED runs inside of another program, which does not listen.
  const { stop: stopRuntime } = require(require.resolve('@node-red/runtime', { paths: [runtime.settings.coreNodesDir] }));
  await stopRuntime();
  process.exit(0);
}

module.exports = { prepareRestart };
