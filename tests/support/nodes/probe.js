'use strict';

/**
 * A palette of the tests: nodes that tell over HTTP how often each was started
 * and closed, and which configuration and credentials the live ones hold.
 *
 * - `probe`: keeps `value`, and the credentials of its `account`. Its close
 *   takes `closeDelay` ms.
 * - `probe-account`: configuration node with the credentials username and password.
 * - GET <httpNodeRoot>/probe: the report of this process.
 * - POST <httpNodeRoot>/probe/types/<type>: registers one more type at run time,
 *   as installing a package would.
 *
 * The types named in PROBE_TYPES (separated by commas) are registered at start.
 */

/**
 * @typedef {{starts: Record<string, number>, closes: Record<string, number>, live: Record<string, object>}} Report
 */

/** @param {any} RED */
module.exports = function registerProbes(RED) {
  /** @type {Report} */
  const report = { starts: {}, closes: {}, live: {} };

  /**
   * @param {any} node
   * @param {object} details what the report shows while the node lives
   * @param {number} closeDelay ms
   */
  function follow(node, details, closeDelay) {
    report.starts[node.id] = (report.starts[node.id] ?? 0) + 1;
    report.live[node.id] = details;
    node.on('close', (/** @type {() => void} */ done) => {
      report.closes[node.id] = (report.closes[node.id] ?? 0) + 1;
      if (report.live[node.id] === details) delete report.live[node.id];
      setTimeout(done, closeDelay);
    });
  }

  /**
   * @this {any}
   * @param {any} config
   */
  function ProbeAccount(config) {
    RED.nodes.createNode(this, config);
    follow(this, { ...this.credentials }, 0);
  }

  /**
   * @this {any}
   * @param {any} config
   */
  function Probe(config) {
    RED.nodes.createNode(this, config);
    const account = RED.nodes.getNode(config.account);
    const details = { value: config.value, ...account?.credentials };
    follow(this, details, Number(config.closeDelay) || 0);
    this.on('input', (/** @type {any} */ message, /** @type {any} */ send, /** @type {any} */ done) => {
      send(message);
      done();
    });
  }

  const credentials = { username: { type: 'text' }, password: { type: 'password' } };
  RED.nodes.registerType('probe-account', ProbeAccount, { credentials });
  RED.nodes.registerType('probe', Probe);

  /** @param {string} type */
  function registerLateType(type) {
    /**
     * @this {any}
     * @param {any} config
     */
    function LateProbe(config) {
      Probe.call(this, config);
    }
    RED.nodes.registerType(type, LateProbe);
  }
  for (const type of (process.env.PROBE_TYPES ?? '').split(',').filter(Boolean)) {
    registerLateType(type);
  }

  RED.httpNode.get('/probe', (/** @type {any} */ _request, /** @type {any} */ response) => {
    response.json({ pid: process.pid, ...report });
  });
  RED.httpNode.post('/probe/types/:type', (/** @type {any} */ request, /** @type {any} */ response) => {
    registerLateType(request.params.type);
    response.sendStatus(204);
  });
};
