'use strict';

/** Work on the Node-REDs of the fault suite, and what came of it, in the terms of the suite's protocol. */

const { run } = require('../support/context-flows');
const { delay } = require('../support/wait');
const { flowsOf } = require('./flows');

/** Between two operations of one loop. Milliseconds. */
const PACE = 25;
const DEPLOY_PACE = 1_000;

/** @typedef {import('../support/instance').Instance} Instance */
/** @typedef {{round: number, epoch: number}} Phase */

/** @returns {number} nanoseconds on a clock that nobody sets */
const now = () => Number(process.hrtime.bigint());

function emptyHistory() {
  return {
    operations: /** @type {object[]} */ ([]),
    deploys: /** @type {object[]} */ ([]),
    leads: /** @type {object[]} */ ([]),
    alarms: /** @type {string[]} */ ([]),
  };
}

/**
 * @param {Instance[]} instances the first of them is the admin
 * @param {{locks: string[], ttl: number}} task
 */
function createWork(instances, task) {
  let history = emptyHistory();
  /** @type {Phase | undefined} */
  let phase;
  /** @type {Array<Promise<void>>} */
  let loops = [];
  let numbers = 0;

  /**
   * @param {(phase: Phase) => Promise<void>} turn
   * @param {number} pace
   */
  async function loop(turn, pace) {
    while (phase) {
      await turn({ ...phase });
      await delay(pace);
    }
  }

  /**
   * @param {number} index of the instance
   * @param {{kind: string, key: string, epoch: number, number?: number}} operation
   */
  async function operate(index, { kind, key, epoch, number = 0 }) {
    const began = now();
    /** @type {string | {failed: string}} */
    let outcome = 'acknowledged';
    let value = number;
    try {
      const result = await run(instances[index], 'operation', { kind, key, value: kind === 'append' ? `${index}-${number}` : number });
      if (kind === 'increment' || kind === 'read') value = result ?? 0;
    } catch (error) {
      const { code, name } = /** @type {Error & {code?: string}} */ (error);
      outcome = { failed: String(code ?? name) };
    }
    history.operations.push({ instance: index, kind, key, epoch, value, began, ended: now(), outcome });
  }

  /** @param {number} index */
  const write = (index) => async (/** @type {Phase} */ { round, epoch }) => {
    numbers += 1;
    const at = `r${round}_e${epoch}`;
    const [kind, key] = [
      ['set', `set_${at}_p${index}`],
      ['set', `object_${at}.p${index}`],
      ['increment', `sum_${at}`],
      ['append', `list_${at}`],
    ][numbers % 4];
    await operate(index, { kind, key, epoch, number: numbers });
  };

  /** @param {number} index */
  const read = (index) => async (/** @type {Phase} */ { round, epoch }) => {
    const at = `r${round}_e${epoch}`;
    const key = [`sum_${at}`, `set_${at}_p${index}`, `set_${at}_p1`][Math.floor(Math.random() * 3)];
    await operate(index, { kind: 'read', key, epoch });
  };

  /**
   * @param {number} index
   * @param {number} lockIndex
   * @returns {Promise<boolean>} whether it led
   */
  async function ask(index, lockIndex) {
    const { body } = await instances[index].get(`lead${lockIndex}`, { timeout: 2_000 });
    if (body?.token === undefined) return false;
    const { token, at } = body;
    history.leads.push({ instance: index, lock: task.locks[lockIndex], token, from: at, until: at });
    return true;
  }

  /** @param {number} index */
  const lead = (index) => async () => {
    for (const lockIndex of task.locks.keys()) await ask(index, lockIndex);
  };

  let deploys = 0;
  /** @param {Phase} phase */
  async function deploy({ round, epoch }) {
    deploys += 1;
    const label = `round ${round}, deploy ${deploys}`;
    const began = now();
    const answer = await instances[0].api.tryDeploy(flowsOf(label, task), { type: 'nodes' }).catch((error) => ({ status: error.name, body: undefined }));
    const outcome = answer.status === 200 ? 'acknowledged' : { failed: String(answer.body?.code ?? answer.status) };
    history.deploys.push({ instance: 0, label, epoch, number: null, hash: null, began, ended: now(), outcome });
  }

  return {
    ask,
    /** @param {Phase} begun */
    begin(begun) {
      phase = begun;
      const each = instances.keys();
      loops = [...each].flatMap((index) => [loop(write(index), PACE), loop(read(index), PACE), loop(lead(index), PACE)]);
      loops.push(loop(deploy, DEPLOY_PACE));
    },
    /** @param {number} epoch */
    nextEpoch(epoch) {
      if (phase) phase.epoch = epoch;
    },
    /** @returns {Promise<ReturnType<typeof emptyHistory>>} once nothing is under way any more */
    async halt() {
      phase = undefined;
      for (const result of await Promise.allSettled(loops)) {
        if (result.status === 'rejected') history.alarms.push(String(result.reason?.stack ?? result.reason));
      }
      const told = history;
      history = emptyHistory();
      return told;
    },
  };
}

module.exports = { createWork };
