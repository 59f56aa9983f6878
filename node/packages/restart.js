'use strict';

/** Ends this process in good order, so that whoever runs it starts it again. */

/** How long requests that are being answered may take until then, in milliseconds. */
const LIMIT = 10_000;

/**
 * Counts the requests that are being answered. To be called before any node adds an endpoint.
 *
 * @param {import('../types').Runtime} runtime
 * @returns {() => Promise<void>} takes no more requests, answers those that are there, and ends the process
 */
function prepareRestart(runtime) {
  let open = 0;
  let draining = false;
  /** @type {() => void} */
  let onIdle = () => {};
  runtime.nodeApp.use((_request, response, next) => {
    open += 1;
    // A connection that is kept would keep bringing requests.
    if (draining) response.setHeader('Connection', 'close');
    response.once('close', () => {
      open -= 1;
      if (open === 0) onIdle();
    });
    next();
  });

  return async () => {
    draining = true;
    const idle = new Promise((resolve) => {
      onIdle = () => resolve(undefined);
      setTimeout(resolve, LIMIT).unref();
    });
    // New connections are refused, so that whoever spreads the load turns to the other workers.
    runtime.server?.close();
    runtime.server?.closeIdleConnections?.();
    if (open > 0) await idle;
    await stop(runtime);
  };
}

/**
 * As after SIGTERM: Node-RED stops its flows and ends with 0.
 *
 * @param {import('../types').Runtime} runtime
 */
async function stop(runtime) {
  // Sent to itself the signal would end the process at once on Windows.
  if (process.emit('SIGTERM', 'SIGTERM')) return;
  // Node-RED runs inside of another program, which does not listen.
  const { stop: stopRuntime } = require(require.resolve('@node-red/runtime', { paths: [runtime.settings.coreNodesDir] }));
  await stopRuntime();
  process.exit(0);
}

module.exports = { prepareRestart };
