'use strict';

/** What those see who ask workers for an endpoint while these restart one after the other. */

const assert = require('node:assert/strict');
const http = require('node:http');
const { delay } = require('./wait');

/**
 * A connection that a process has not taken yet when it stops to listen may be cut. Whatever fails later was
 * being answered. Milliseconds.
 */
const TAKEN = 1_000;

/** Whoever is not answered within this time was forgotten. Milliseconds. */
const PATIENCE = 15_000;

/** Between two requests to one instance. Milliseconds. */
const PAUSE = 20;

/**
 * @typedef {import('./instance').Instance} Instance
 * @typedef {{name: string, from: number, to: number, text: string, taken: boolean, answered: boolean}} Ask
 *   one request, in ms since 1970; taken: there was an answer of whatever kind
 */

/**
 * @param {string} url
 * @param {http.Agent} agent
 * @returns {Promise<{status: number, text: string}>} status 0: there was no answer
 */
function get(url, agent) {
  return new Promise((resolve) => {
    const none = (/** @type {NodeJS.ErrnoException} */ error) => resolve({ status: 0, text: error.code ?? error.message });
    const request = http.get(url, { agent, timeout: PATIENCE }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part) => { text += part; }).on('error', none);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    request.on('error', none).on('timeout', () => request.destroy());
  });
}

/**
 * Asks an endpoint of each instance again and again, until told to stop.
 *
 * @param {Instance[]} instances
 * @param {string} endpointPath
 * @param {{keepAlive?: boolean}} [options] keepAlive: on one connection for as long as the instance lets it
 */
function askAgainAndAgain(instances, endpointPath, { keepAlive = false } = {}) {
  /** @type {Ask[]} */
  const asks = [];
  let over = false;
  const asking = instances.map(async (instance) => {
    const agent = new http.Agent({ keepAlive, maxSockets: 1 });
    while (!over) {
      const from = Date.now();
      const answer = await get(`${instance.nodeUrl}/${endpointPath}`, agent);
      const text = answer.status === 200 ? answer.text : `${answer.status} ${answer.text}`;
      asks.push({ name: instance.name, from, to: Date.now(), text, taken: answer.status > 0, answered: answer.status === 200 });
      await delay(PAUSE);
    }
    agent.destroy();
  });
  return {
    asks,
    /** @returns {Promise<Ask[]>} all requests */
    async stop() {
      over = true;
      await Promise.all(asking);
      return asks;
    },
  };
}

/**
 * Checks that each request was answered with one of these texts, or not taken at all by a process that stops.
 *
 * @param {Ask[]} asks
 * @param {string[]} texts
 */
function assertAnswered(asks, texts) {
  const lost = asks.filter(({ text, taken, from, to }) => (taken ? !texts.includes(text) : to - from > TAKEN));
  const shown = lost.map(({ name, from, to, text }) => `${name} at ${new Date(from).toISOString()} after ${to - from} ms: ${text.replace(/\s+/g, ' ').slice(0, 200)}`);
  assert.deepEqual(shown, []);
  for (const text of texts) assert.ok(asks.some((ask) => ask.text === text), `somebody was answered with ${text}`);
}

/**
 * Checks that at each moment at most one instance did not answer.
 *
 * @param {Ask[]} asks
 */
function assertOneAtATime(asks) {
  /** @type {{name: string, from: number, to: number}[]} */
  const gaps = [];
  for (const name of new Set(asks.map((ask) => ask.name))) {
    /** @type {{name: string, from: number, to: number} | undefined} */
    let gap;
    for (const { from, answered } of asks.filter((ask) => ask.name === name)) {
      if (answered) {
        gap = undefined;
      } else if (gap) {
        gap.to = from;
      } else {
        gap = { name, from, to: from };
        gaps.push(gap);
      }
    }
  }
  assertApart(gaps);
}

/**
 * @param {{name: string, from: number, to: number}[]} spans of which no two may overlap
 */
function assertApart(spans) {
  const inOrder = [...spans].sort((one, other) => one.from - other.from);
  inOrder.slice(1).forEach((span, index) => {
    assert.ok(span.from >= inOrder[index].to, `two were away at once: ${JSON.stringify([inOrder[index], span])}`);
  });
}

module.exports = { askAgainAndAgain, assertAnswered, assertApart, assertOneAtATime };
