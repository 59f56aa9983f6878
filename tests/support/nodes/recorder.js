'use strict';

/**
 * A palette of the tests: it writes down which messages arrive, which statuses nodes show, and when flows
 * have started, in `recorded.jsonl` in the user directory. A file, because it outlives a kill and can be read while the
 * process hangs.
 *
 * - `message-stamp`: numbers each message and notes when it passed, in `msg.stamp`. With `slot` (ms) it
 *   lets one message through at each multiple of that time of the wall clock: a tick that every instance
 *   knows by the same number.
 * - `message-recorder`: records each message, answers it where it is an HTTP request, and sends it on.
 *
 * Times are milliseconds of the monotonic clock, which all processes of a machine share.
 */

const fs = require('node:fs');
const path = require('node:path');

/** A tick that comes later than this is left out: whoever did it may no longer be the one. Milliseconds. */
const LATE = 20;

const now = () => Number(process.hrtime.bigint()) / 1e6;

/** @param {any} RED */
module.exports = function registerRecorder(RED) {
  const file = path.join(RED.settings.userDir, 'recorded.jsonl');

  /** @param {object} record */
  function write(record) {
    fs.appendFileSync(file, `${JSON.stringify({ pid: process.pid, ...record })}\n`);
  }

  RED.events.on('node-status', (/** @type {{id: string, status?: object}} */ { id, status = {} }) => {
    write({ kind: 'status', node: id, at: now(), status });
  });

  RED.events.on('flows:started', () => write({ kind: 'flows-started', at: now() }));

  /**
   * @this {any}
   * @param {any} config
   */
  function MessageStamp(config) {
    RED.nodes.createNode(this, config);
    const slotLength = Number(config.slot) || 0;
    let number = 0;
    let lastSlot = 0;
    /** @type {Set<NodeJS.Timeout>} */
    const timers = new Set();

    /** @param {any} message @param {any} send @param {object} [more] */
    function pass(message, send, more = {}) {
      number += 1;
      send({ ...message, stamp: { number, at: now(), ...more } });
    }
    this.on('input', (/** @type {any} */ message, /** @type {any} */ send, /** @type {any} */ done) => {
      done();
      if (slotLength === 0) return pass(message, send);
      const slot = Math.floor(Date.now() / slotLength) + 1;
      if (slot === lastSlot) return undefined;
      lastSlot = slot;
      const timer = setTimeout(() => {
        timers.delete(timer);
        if (Date.now() - slot * slotLength < LATE) pass(message, send, { slot });
      }, slot * slotLength - Date.now());
      timers.add(timer);
      return undefined;
    });
    this.on('close', () => {
      for (const timer of timers) clearTimeout(timer);
    });
  }

  /**
   * @this {any}
   * @param {any} config
   */
  function MessageRecorder(config) {
    RED.nodes.createNode(this, config);
    this.on('input', (/** @type {any} */ message, /** @type {any} */ send, /** @type {any} */ done) => {
      const at = now();
      const { req, res, _msgid, stamp = {}, ...rest } = message;
      const record = { kind: 'message', node: this.id, at, stamp, message: rest };
      write(record);
      // The response itself: Node-RED's wrapper of it logs that it is deprecated.
      if (res && !res._res.headersSent) res._res.status(200).json(record);
      send(message);
      done();
    });
  }

  RED.nodes.registerType('message-stamp', MessageStamp);
  RED.nodes.registerType('message-recorder', MessageRecorder);
};
