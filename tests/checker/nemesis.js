'use strict';

/** Makes trouble, one fault after the other, and leaves everything in order when it is told to end. */

const { delay } = require('../support/wait');

/**
 * @typedef {object} World
 * @property {import('../support/store').Store} store
 * @property {Array<{link: import('../support/proxy').Proxy, process: import('../support/context-process').ContextProcess}>} members
 */

/**
 * @param {World} world
 * @param {import('../support/context-random').Random} random
 */
function createNemesis({ store, members }, random) {
  /** Faults by name, each of which heals itself. @type {Record<string, () => Promise<unknown>>} */
  const faults = {
    'connections killed': () => store.killClients('normal'),
    'link cut': async () => {
      const { link } = random.pick(members);
      link.cut();
      await delay(random.below(400));
      link.heal();
    },
    'all links cut': async () => {
      for (const { link } of members) link.cut();
      await delay(random.below(200));
      for (const { link } of members) link.heal();
    },
    'link held': async () => {
      const { link } = random.pick(members);
      link.hold();
      await delay(random.below(800));
      link.heal();
    },
    'link held, then cut': async () => {
      const { link } = random.pick(members);
      link.hold();
      await delay(random.below(500));
      link.cut();
      link.heal();
    },
    'store paused': async () => {
      store.pause();
      await delay(random.below(900));
      store.resume();
    },
    'store paused and links cut meanwhile': async () => {
      store.pause();
      await delay(random.below(100));
      for (const { link } of members) link.cut();
      for (const { link } of members) link.heal();
      await delay(random.below(500));
      store.resume();
    },
    'store restarted': () => store.restart(),
    'store killed and started': async () => {
      await store.kill();
      await delay(random.below(100));
      await store.start();
    },
    'process paused': async () => {
      const { process: member } = random.pick(members);
      member.pause();
      await delay(random.below(900));
      member.resume();
    },
  };
  /** @type {Record<string, number>} */
  const done = {};

  return {
    /** How often each fault was made. */
    done,
    /**
     * @param {number} milliseconds
     * @returns {Promise<void>} everything is healed
     */
    async rage(milliseconds) {
      const end = Date.now() + milliseconds;
      let left = Object.keys(faults);
      while (Date.now() < end) {
        // Each kind comes once before one comes again.
        if (left.length === 0) left = Object.keys(faults);
        const [name] = left.splice(random.below(left.length), 1);
        await faults[name]();
        done[name] = (done[name] ?? 0) + 1;
        await delay(random.below(300));
      }
    },
  };
}

module.exports = { createNemesis };
