'use strict';

/**
 * How and by whom a deploy was asked for. Node-RED tells a storage module neither, but writes an audit
 * entry in the same turn of the event loop in which it begins to save.
 */

/** The level of audit entries in Node-RED's log. */
const AUDIT = 98;

/** What the API calls for single flows deploy as; they write their audit entry after the save. */
const SINGLE_FLOW = 'flows';

/**
 * @param {import('./types').Runtime['log']} log
 */
function watchDeployIntents(log) {
  /** @type {string | null} */
  let type = null;
  let reload = false;
  log.addHandler({
    /**
     * @param {string} _name
     * @param {import('./types').LogMessage} message
     */
    emit(_name, message) {
      if (message.level !== AUDIT || message.event !== 'flows.set' || message.error) return;
      reload = message.type === 'reload';
      type = message.type ?? 'full';
      // A deploy that was refused must not lend its type to the next one.
      setImmediate(() => {
        type = null;
      });
    },
  });
  return {
    /** @returns {string} the type of the deploy that is being saved */
    deployType: () => type ?? SINGLE_FLOW,
    /** @returns {boolean} whether the flows that were just started are the editor's "restart flows" */
    takeReload: () => {
      const was = reload;
      reload = false;
      return was;
    },
  };
}

module.exports = { watchDeployIntents };
