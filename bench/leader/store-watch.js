'use strict';

/** What the clients of a server sent it and got from it, as the server counts it for each of them. */

/** @typedef {import('../../tests/support/store.js').Store} Store */

/**
 * @typedef {object} Traffic
 * @property {number} commands that clients sent, and those in the scripts that they ran
 * @property {number} received bytes that the server got
 * @property {number} sent bytes that it sent
 * @property {number} links connections that are open
 */

/**
 * @param {Store} server that counts by client (Valkey 8.1 and newer)
 * @returns {Promise<Traffic>} so far, of all clients but the one that asks
 */
async function trafficOf(server) {
  const own = String(await server.command('CLIENT', 'ID'));
  /** @type {string} */
  const list = await server.command('CLIENT', 'LIST');
  const clients = list.trim().split('\n')
    .map((line) => Object.fromEntries(line.split(' ').map((field) => field.split(/=(.*)/s))))
    .filter(({ id }) => id !== own);
  if (clients.some((client) => client['tot-cmds'] === undefined)) throw new Error('this server does not count the commands of a client');
  const sum = (/** @type {string} */ field) => clients.reduce((total, client) => total + Number(client[field]), 0);
  return { commands: sum('tot-cmds'), received: sum('tot-net-in'), sent: sum('tot-net-out'), links: clients.length };
}

/**
 * @param {Traffic} before
 * @param {Traffic} after with the same connections
 * @returns {Traffic} what happened between them
 */
function difference(before, after) {
  if (before.links !== after.links) throw new Error(`there were ${before.links} connections and are ${after.links}`);
  return {
    commands: after.commands - before.commands,
    received: after.received - before.received,
    sent: after.sent - before.sent,
    links: after.links,
  };
}

/** What asking for the above leaves behind. */
const OWN = new Set(['client|id', 'client|list', 'info']);

/**
 * @param {Store} server
 * @returns {Promise<Record<string, number>>} how often each command was run so far, those in scripts as well
 */
async function callsOf(server) {
  /** @type {string} */
  const text = await server.command('INFO', 'commandstats');
  const calls = [...text.matchAll(/^cmdstat_(.*):calls=(\d+)/gm)].map(([, name, count]) => [name, Number(count)]);
  return Object.fromEntries(calls.filter(([name]) => !OWN.has(String(name))));
}

/**
 * @param {Record<string, number>} before
 * @param {Record<string, number>} after
 * @returns {Record<string, number>} only of commands that were run in between
 */
function callsBetween(before, after) {
  const more = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)]);
  return Object.fromEntries(more.filter(([, count]) => Number(count) > 0));
}

module.exports = { callsBetween, callsOf, difference, trafficOf };
