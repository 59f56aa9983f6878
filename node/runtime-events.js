'use strict';

/** What Node-RED's events say about the start and the end of applying flows. */

/**
 * @typedef {object} Standstill
 * @property {string[]} missingTypes node types that are not installed
 * @property {string[]} missingModules modules of Function nodes that are not installed
 * @property {string | null} error why the flows do not run, unless types are missing or they were stopped
 */

/**
 * @param {import('./types').RuntimeEvent} event
 * @returns {Standstill | null} what keeps the flows from running, if this event says that something does
 */
function standstill(event) {
  if (event.id !== 'runtime-state' || !event.payload) return null;
  const { error, state, types, modules } = event.payload;
  if (error === 'missing-types') return { missingTypes: types ?? [], missingModules: [], error: null };
  if (error === 'missing-modules') {
    const names = /** @type {{module: string}[]} */ (modules ?? []).map((module) => module.module);
    return { missingTypes: [], missingModules: names, error: `modules used by Function nodes are missing: ${names.join(', ')}` };
  }
  // Node-RED goes on without the credentials then.
  if (error === 'credentials_load_failed') return null;
  if (error && error !== 'safe-mode') return { missingTypes: [], missingModules: [], error };
  return state === 'stop' || state === 'safe' ? { missingTypes: [], missingModules: [], error: null } : null;
}

/**
 * @param {NodeJS.EventEmitter} events
 * @returns {Promise<Standstill>} when the start of Node-RED has run its flows, or will not
 */
function whenBooted(events) {
  return new Promise((resolve) => {
    /** @param {Standstill} outcome */
    const finish = (outcome) => {
      events.off('flows:started', onStarted);
      events.off('runtime-event', onEvent);
      resolve(outcome);
    };
    const onStarted = () => finish({ missingTypes: [], missingModules: [], error: null });
    /** @param {import('./types').RuntimeEvent} event */
    const onEvent = (event) => {
      const outcome = standstill(event);
      if (outcome) finish(outcome);
    };
    events.on('flows:started', onStarted);
    events.on('runtime-event', onEvent);
  });
}

/** How long a port may take to open that Node-RED opens at all, in milliseconds. */
const LISTEN_LIMIT = 5_000;

/**
 * @param {import('./types').Runtime} runtime
 * @returns {Promise<void>} when requests reach this instance, if it has a port
 */
function whenListening({ server, settings }) {
  const { httpAdminRoot, httpNodeRoot, httpStatic } = settings;
  const headless = httpAdminRoot === false && httpNodeRoot === false && !httpStatic;
  if (!server || server.listening || headless) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, LISTEN_LIMIT);
    timer.unref();
    server.once('listening', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/**
 * Watches one call of setFlows, which settles before the nodes are started: the end is the event
 * `runtime-deploy`, also where the flows stand still.
 *
 * @param {NodeJS.EventEmitter} events
 */
function watchDeploy(events) {
  /** @type {Standstill} */
  let outcome = { missingTypes: [], missingModules: [], error: null };
  /** @type {() => void} */
  let finish;
  const finished = new Promise((resolve) => {
    finish = () => resolve(outcome);
  });
  /** @param {import('./types').RuntimeEvent} event */
  const onEvent = (event) => {
    if (event.id === 'runtime-deploy') {
      finish();
    } else if (event.payload?.error) {
      outcome = standstill(event) ?? outcome;
    }
  };
  events.on('runtime-event', onEvent);
  return {
    /** @returns {Promise<Standstill>} */
    finished: () => /** @type {Promise<Standstill>} */ (finished),
    stop: () => {
      events.off('runtime-event', onEvent);
    },
  };
}

module.exports = { watchDeploy, whenBooted, whenListening };
