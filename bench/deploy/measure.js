'use strict';

/** One deploy of one cluster, seen from outside over HTTP. */

const { setTimeout: delay } = require('node:timers/promises');

const { change, endpoint, manyNodes, tab } = require('../../tests/support/flows.js');
const { ask, askSteadily, timeUntilAnswers } = require('./ask.js');
const { HEADER } = require('./closed-nodes.js');

/** The steady requests begin this long before a deploy and end this long after it, in milliseconds. */
const BEFORE = 300;
const AFTER = 1_000;

const NODES_PER_TAB = 100;

/**
 * @typedef {object} Figures times in milliseconds
 * @property {number} propagation from the deploy request until the last worker answers anew
 * @property {number} own the same until the admin itself answers anew
 * @property {number} ratio propagation / own
 * @property {number} answered until the deploy request is answered
 * @property {number} requests of endpoints that did not change, at all workers
 * @property {number} failed of them
 * @property {number} longestGap the longest time in which a worker did not answer one of them
 * @property {number[]} needless restarts of nodes that did not change, by worker
 */

/**
 * Two endpoints, one of which is to change, and as many other nodes as it takes.
 *
 * @param {number} count of nodes, at least 6; tabs are not counted
 * @param {string} answer of the endpoint that changes
 */
function flowsOf(count, answer) {
  const flows = [tab('endpoints'), ...endpoint('endpoints', 'changed', answer), ...endpoint('endpoints', 'untouched', 'untouched')];
  for (let rest = count - 6, number = 1; rest > 0; rest -= NODES_PER_TAB, number += 1) {
    flows.push(tab(`rest-${number}`), ...manyNodes(`rest-${number}`, Math.min(rest, NODES_PER_TAB)));
  }
  return flows;
}

/**
 * Changes the function node of the first endpoint, as the editor's deploy type "modified nodes" does.
 *
 * @param {import('./clusters.js').Measured} cluster
 * @param {import('../../tests/support/flows.js').FlowNode[]} flows
 * @param {string} answer of the endpoint from then on
 * @returns {Promise<Figures>}
 */
async function measureDeploy({ admin, workers }, flows, answer) {
  const func = `msg.payload = ${JSON.stringify(answer)};\nreturn msg;`;
  const body = JSON.stringify({ flows: change(flows, 'changed-function', { func }) });
  const closedBefore = await Promise.all(workers.map(closedNodes));
  const steady = workers.map((worker) => askSteadily(`${worker.nodeUrl}/untouched`, 'untouched'));
  await delay(BEFORE);

  const since = performance.now();
  const [answered, own, ...reached] = await Promise.all([
    deploy(admin, body, 'nodes').then(() => performance.now() - since),
    ...[admin, ...workers].map((instance) => timeUntilAnswers(`${instance.nodeUrl}/changed`, answer, since)),
  ]);

  await delay(AFTER);
  const asked = await Promise.all(steady.map((one) => one.stop()));
  const closedAfter = await Promise.all(workers.map(closedNodes));
  const propagation = Math.max(...reached);
  return {
    propagation,
    own,
    ratio: propagation / own,
    answered,
    requests: asked.reduce((sum, { requests }) => sum + requests, 0),
    failed: asked.reduce((sum, { failed }) => sum + failed, 0),
    longestGap: Math.max(...asked.map(({ longestGap }) => longestGap)),
    needless: closedAfter.map((closed, index) => closed - closedBefore[index] - 1),
  };
}

/**
 * @param {import('../../tests/support/instance.js').Instance} admin
 * @param {string} body JSON
 * @param {'full' | 'nodes'} type
 */
async function deploy(admin, body, type) {
  const answer = await ask(`${admin.adminUrl}/flows`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'Node-RED-API-Version': 'v2',
      'Node-RED-Deployment-Type': type,
    },
    body,
  });
  if (answer.status !== 200) throw new Error(`the deploy was answered with ${answer.status}: ${answer.text}\n${admin.log()}`);
}

/**
 * Deploys what the rounds start from, and waits until everyone runs it.
 *
 * @param {import('./clusters.js').Measured} cluster
 * @param {import('../../tests/support/flows.js').FlowNode[]} flows
 * @param {string} answer of the endpoint that changes
 */
async function prepare({ admin, workers }, flows, answer) {
  const since = performance.now();
  await deploy(admin, JSON.stringify({ flows }), 'full');
  await Promise.all([admin, ...workers].map((instance) => timeUntilAnswers(`${instance.nodeUrl}/changed`, answer, since)));
  await delay(AFTER);
}

/** @param {import('../../tests/support/instance.js').Instance} worker */
async function closedNodes(worker) {
  return Number((await ask(`${worker.nodeUrl}/untouched`)).headers[HEADER]);
}

module.exports = { flowsOf, measureDeploy, prepare };
