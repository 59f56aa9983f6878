'use strict';

/**
 * A light instance: a process with nothing but the candidacies of leader nodes in it; does what its
 * parent asks, one thing at a time.
 */

const addon = require('../../node/addon.js');
const { describeBlock } = require('../../node/settings-block.js');

/** @type {import('../../node/types').NativeElections} */
let elections;
/** @type {import('../../node/types').NativeCandidacy[]} */
let candidacies = [];
/** @type {NodeJS.Timeout | undefined} */
let asking;
let asked = 0;

/** Between two bunches of messages, in milliseconds. */
const PAUSE = 20;

const states = () => candidacies.map((candidacy) => JSON.parse(candidacy.standing()).state);

/** @type {Record<string, (parameters: any) => Promise<object>>} */
const COMMANDS = {
  /** @param {{host: string, port: number, lockKeys: string[], lockTTL: number}} parameters */
  async join({ host, port, lockKeys, lockTTL }) {
    const settings = describeBlock({ host, port, keyPrefix: 'bench:' });
    elections = addon.openElections(() => {}, () => elections.drain());
    candidacies = lockKeys.map((lockKey) => elections.join(JSON.stringify({ settings, node: 'null', lockKey, lockTTL })));
    return {};
  },
  /** How many locks it leads, and of how many it knows who leads. */
  async standings() {
    const all = states();
    const leads = all.filter((state) => state === 'leader').length;
    return { leads, known: leads + all.filter((state) => state === 'follower').length };
  },
  /** From now on the candidacies are asked in turn, as by so many messages a second in all. */
  async messages({ rate }) {
    clearInterval(asking);
    if (rate === 0) return {};
    asking = setInterval(() => {
      for (let count = 0; count < (rate * PAUSE) / 1_000; count += 1) {
        candidacies[asked % candidacies.length].lead();
        asked += 1;
      }
    }, PAUSE);
    return {};
  },
  /** What it used so far: CPU seconds, bytes; and the messages. */
  async used() {
    const { user, system } = process.cpuUsage();
    return { cpu: (user + system) / 1e6, memory: process.memoryUsage.rss(), asked };
  },
};

process.on('message', async (/** @type {{name: string, parameters: object}} */ { name, parameters }) => {
  try {
    process.send?.(await COMMANDS[name](parameters));
  } catch (error) {
    process.send?.({ error: String(/** @type {Error} */ (error).stack ?? error) });
  }
});
process.once('disconnect', () => process.exit(0));
