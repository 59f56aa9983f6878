'use strict';

/** Requests whose time counts: each on a connection of its own, abandoned when asked to. */

const { setMaxListeners } = require('node:events');
const http = require('node:http');
const { setTimeout: delay } = require('node:timers/promises');

/** An endpoint that has not answered by then never will: its message went to a node that was gone. Milliseconds. */
const LOST_AFTER = 3_000;

/** Between two requests of a steady asker, in milliseconds. */
const STEADY_PAUSE = 20;

/** How finely the moment of a change is found: this many milliseconds, or this part of the time so far. */
const RESOLUTION = { milliseconds: 5, part: 0.02 };

/** How long a change may take, in milliseconds. */
const CHANGE_LIMIT = 60_000;

/**
 * @typedef {{status: number, text: string, headers: http.IncomingHttpHeaders}} Answer
 */

/**
 * @param {string} url
 * @param {http.RequestOptions & {body?: string}} [options]
 * @returns {Promise<Answer>}
 */
function ask(url, { body, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { ...options, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (piece) => {
        text += piece;
      });
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }));
    });
    request.on('error', reject);
    request.end(body);
  });
}

/**
 * Finds when an endpoint first answers with a text. Asks without waiting for the answers before,
 * because one that is lost must not delay the next.
 *
 * @param {string} url
 * @param {string} text
 * @param {number} since performance.now() of what is to be timed
 * @returns {Promise<number>} milliseconds since then
 */
async function timeUntilAnswers(url, text, since) {
  const over = new AbortController();
  // Each request listens to it.
  setMaxListeners(0, over.signal);
  /** @type {number | undefined} */
  let found;
  while (found === undefined) {
    ask(url, { signal: over.signal }).then((answer) => {
      if (answer.text === text) found ??= performance.now() - since;
    }, () => {});
    const elapsed = performance.now() - since;
    if (elapsed > CHANGE_LIMIT) throw new Error(`${url} did not answer ${text} within ${CHANGE_LIMIT} ms`);
    await delay(Math.max(RESOLUTION.milliseconds, elapsed * RESOLUTION.part));
  }
  over.abort();
  return found;
}

/**
 * @typedef {object} Steady
 * @property {number} requests
 * @property {number} failed not answered with the text, or lost
 * @property {number} longestGap milliseconds between two good answers
 */

/**
 * Asks an endpoint at a steady rate, whether or not it answers.
 *
 * @param {string} url
 * @param {string} text the good answer
 */
function askSteadily(url, text) {
  /** @type {Promise<boolean>[]} */
  const outcomes = [];
  let longestGap = 0;
  let lastGood = performance.now();

  async function askOnce() {
    try {
      const answer = await ask(url, { signal: AbortSignal.timeout(LOST_AFTER) });
      if (answer.status !== 200 || answer.text !== text) return false;
    } catch {
      return false;
    }
    longestGap = Math.max(longestGap, performance.now() - lastGood);
    lastGood = performance.now();
    return true;
  }
  const timer = setInterval(() => outcomes.push(askOnce()), STEADY_PAUSE);

  return {
    /** @returns {Promise<Steady>} */
    async stop() {
      clearInterval(timer);
      const good = (await Promise.all(outcomes)).filter(Boolean).length;
      return { requests: outcomes.length, failed: outcomes.length - good, longestGap };
    },
  };
}

module.exports = { ask, askSteadily, timeUntilAnswers };
