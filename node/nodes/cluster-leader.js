'use strict';

/**
 * The node `cluster-leader`: messages leave at the first output on the leader, at the second elsewhere. Who
 * leads is looked up in this process; no message waits for the store.
 */

const os = require('node:os');

const { electionsOf } = require('../leader/elections.js');
const { createStatus } = require('../leader/status.js');

/** @param {any} RED Node-RED's interface for nodes */
module.exports = function registerClusterLeader(RED) {
  /**
   * @this {any}
   * @param {import('../leader/elections.js').LockFields} config
   */
  function ClusterLeader(config) {
    RED.nodes.createNode(this, config);
    const node = this;
    const status = createStatus(RED, node);
    let host = os.hostname();
    /** @type {string | null} */
    let leaderHost = null;
    /** @type {number | null} */
    let leaderToken = null;
    /** The token while this instance leads, else 0. */
    let lead = () => 0;

    node.on('input', (/** @type {any} */ message, /** @type {Function} */ send, /** @type {Function} */ done) => {
      const token = lead();
      if (token > 0) {
        message.isLeader = true;
        message.leaderHost = host;
        message.leaderToken = token;
        // Of an instance that this message has passed before.
        if (message.followerHost !== undefined) delete message.followerHost;
        send(message);
      } else {
        message.isLeader = false;
        message.leaderHost = leaderHost;
        message.followerHost = host;
        if (leaderToken !== null) message.leaderToken = leaderToken;
        else if (message.leaderToken !== undefined) delete message.leaderToken;
        send([null, message]);
      }
      done();
    });

    try {
      const elections = electionsOf(RED);
      const joined = elections.join(node, config, () => look(elections, joined));
      lead = joined.leadFunction();
      node.on('close', (/** @type {boolean} */ removed, /** @type {() => void} */ done) => {
        lead = () => 0;
        leaderHost = null;
        leaderToken = null;
        node.status({});
        elections.leave(joined, removed).then(done, done);
      });
      look(elections, joined);
    } catch (error) {
      // Messages go on, to the second output.
      node.error(error);
      status.show('error', { error: /** @type {NodeJS.ErrnoException} */ (error) });
    }

    /**
     * @param {import('../leader/elections.js').Elections} elections
     * @param {import('../types').NativeCandidacy} joined
     */
    function look(elections, joined) {
      /** @type {import('../types').ElectionStanding} */
      const standing = JSON.parse(joined.standing());
      const { state, code, message } = standing;
      const follows = state === 'follower';
      ({ host } = standing);
      leaderHost = follows ? standing.leaderHost : null;
      leaderToken = follows ? standing.leaderToken : null;
      status.show(state, { host: leaderHost, error: { message: message ?? '', code } });
      // What has a code is in the log already, in the name of the connection or of the lock.
      if (message !== null && code === null) elections.warnOnce(node, message);
    }
  }

  RED.nodes.registerType('cluster-leader', ClusterLeader);
};
