'use strict';

/** The node `release-cluster-leader`: gives up a lock that this instance has, so that another one leads. */

const { electionsOf } = require('../leader/elections.js');
const { createStatus } = require('../leader/status.js');

/** @param {any} RED Node-RED's interface for nodes */
module.exports = function registerReleaseClusterLeader(RED) {
  /**
   * @this {any}
   * @param {import('../leader/elections.js').LockFields} config
   */
  function ReleaseClusterLeader(config) {
    RED.nodes.createNode(this, config);
    const node = this;
    const status = createStatus(RED, node);
    let lockKey = /** @type {unknown} */ (config.lockKey);

    try {
      ({ lockKey } = electionsOf(RED).check(node, config));
    } catch (error) {
      node.error(error);
      status.show('error', { error: /** @type {NodeJS.ErrnoException} */ (error) });
    }

    node.on('input', async (/** @type {any} */ message, /** @type {Function} */ send, /** @type {Function} */ done) => {
      // Of a node that this message has passed before.
      delete message.releasedBy;
      delete message.currentLeader;
      message.lockReleased = false;
      message.lockKey = lockKey;
      try {
        const outcome = await electionsOf(RED).release(config);
        message.lockReleased = outcome.released;
        message.lockKey = outcome.lockKey;
        if (outcome.released) {
          message.releasedBy = outcome.releasedBy;
          status.show('released');
        } else if (outcome.currentLeader !== null) {
          message.currentLeader = outcome.currentLeader;
          status.show('other', { host: outcome.currentLeader });
        } else {
          status.show('none');
        }
      } catch (error) {
        status.show('error', { error: /** @type {NodeJS.ErrnoException} */ (error) });
        // For a Catch node; the message goes on besides, as no message is ever dropped.
        node.error(error, message);
      }
      send(message);
      done();
    });

    node.on('close', () => node.status({}));
  }

  RED.nodes.registerType('release-cluster-leader', ReleaseClusterLeader);
};
