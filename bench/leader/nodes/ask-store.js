'use strict';

/**
 * What a leader node is compared with: one that asks the store at each message, through ioredis and a
 * connection of its own. SET NX takes the lock if it is free; else GET tells who has it, and EXPIRE
 * prolongs one's own. Between messages a timer prolongs it as well. A node that closes gives it up.
 */

const { randomUUID } = require('node:crypto');

const { Redis } = require('ioredis');

/** Two processes of one machine are two instances. */
const SELF = randomUUID();

/** @param {any} RED */
module.exports = function registerAskStore(RED) {
  /** @this {any} @param {any} config */
  function AskStore(config) {
    RED.nodes.createNode(this, config);
    const { lockKey } = config;
    const ttl = Number(config.lockTTL);
    const client = new Redis({ host: config.host, port: Number(config.port) });
    let shown = '';

    const show = (/** @type {string} */ fill, /** @type {string} */ shape) => {
      if (shown === fill) return;
      shown = fill;
      this.status({ fill, shape });
    };

    /** @returns {Promise<string | null>} who leads */
    async function ask() {
      if (await client.set(lockKey, SELF, 'EX', ttl, 'NX') === 'OK') return SELF;
      const leader = await client.get(lockKey);
      if (leader === SELF) await client.expire(lockKey, ttl);
      return leader;
    }

    async function prolong() {
      if (await client.get(lockKey) === SELF) await client.expire(lockKey, ttl);
    }
    const prolonging = setInterval(() => prolong().catch(() => {}), (ttl * 1_000) / 3);

    this.on('input', async (/** @type {any} */ message, /** @type {any} */ send, /** @type {any} */ done) => {
      try {
        const leader = await ask();
        message.isLeader = leader === SELF;
        message.leaderHost = leader;
        if (leader === SELF) {
          show('green', 'dot');
          send([message, null]);
        } else {
          message.followerHost = SELF;
          show('yellow', 'ring');
          send([null, message]);
        }
        done();
      } catch (error) {
        done(error);
      }
    });

    this.on('close', async (/** @type {() => void} */ done) => {
      clearInterval(prolonging);
      if (await client.get(lockKey).catch(() => null) === SELF) await client.del(lockKey).catch(() => 0);
      client.disconnect();
      done();
    });
  }

  RED.nodes.registerType('ask-store', AskStore);
};
