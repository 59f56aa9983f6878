'use strict';

/** The flows that every Node-RED of the fault suite runs. */

const { codeEndpoint } = require('../support/context-flows');
const { endpoint, tab } = require('../support/flows');

/** What an operation of the protocol is in a flow. */
const OPERATIONS = `
  const { kind, key, value } = query;
  const call = (method, ...given) => new Promise((resolve, reject) => {
    global[method](...given, (error, result) => (error ? reject(error) : resolve(result)));
  });
  if (kind === 'set') return call('set', key, Number(value));
  if (kind === 'increment') return global.increment(key);
  if (kind === 'append') return global.append(key, value);
  return call('get', key);`;

/**
 * A request passes the leader node of a lock, and is answered with the token and the moment on the clock that
 * all processes of the machine share, or with nothing from the follower output.
 *
 * @param {string} id
 * @param {string} lock
 * @param {number} ttl ms
 */
function leaderEndpoint(id, lock, ttl) {
  const place = { z: 'work', name: '', x: 100, y: 100 };
  const code = (/** @type {string} */ func) => ({ type: 'function', func, outputs: 1, timeout: 0, noerr: 0, initialize: '', finalize: '', ...place });
  return [
    { ...place, id: `${id}-in`, type: 'http in', url: `/${id}`, method: 'get', upload: false, wires: [[`${id}-node`]] },
    {
      ...place, id: `${id}-node`, type: 'cluster-leader', valkey: '', lockKey: lock, lockTTL: String(ttl / 1_000),
      wires: [[`${id}-led`], [`${id}-followed`]],
    },
    {
      id: `${id}-led`, ...code('msg.payload = JSON.stringify({ token: msg.leaderToken, at: Number(machine.hrtime.bigint()) });\nreturn msg;'),
      libs: [{ var: 'machine', module: 'process' }], wires: [[`${id}-out`]],
    },
    { id: `${id}-followed`, ...code("msg.payload = '{}';\nreturn msg;"), libs: [], wires: [[`${id}-out`]] },
    { ...place, id: `${id}-out`, type: 'http response', statusCode: '', headers: {}, wires: [] },
  ];
}

/**
 * @param {string} label what tells these flows from all others; the rest stays as it is
 * @param {{locks: string[], ttl: number}} task
 */
function flowsOf(label, { locks, ttl }) {
  return [
    { id: 'label', type: 'comment', z: 'labels', name: label, info: '', x: 100, y: 400, wires: [] },
    tab('labels'),
    ...endpoint('labels', 'which', label),
    tab('work'),
    ...codeEndpoint('work', 'operation', OPERATIONS),
    ...locks.flatMap((lock, index) => leaderEndpoint(`lead${index}`, lock, ttl)),
  ];
}

module.exports = { flowsOf };
