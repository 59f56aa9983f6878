'use strict';

/** The config node `valkey-config`: where the store of leader nodes is, if it is another than the block's. */

const { CREDENTIALS, connectionOptions } = require('../leader/options.js');
const { serveTest } = require('../leader/test-route.js');

/** @param {any} RED Node-RED's interface for nodes */
module.exports = function registerValkeyConfig(RED) {
  /**
   * @this {any}
   * @param {import('../leader/options.js').Fields} config
   */
  function ValkeyConfig(config) {
    RED.nodes.createNode(this, config);
    /** For the nodes that refer to this one. */
    this.connectionOptions = () => connectionOptions(config, this.credentials ?? {});
  }

  RED.nodes.registerType('valkey-config', ValkeyConfig, { credentials: CREDENTIALS });
  serveTest(RED);
};
