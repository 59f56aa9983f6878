'use strict';

/** The button "Test connection" of a valkey-config node: what its route answers. */

const assert = require('node:assert/strict');
const { before, test } = require('node:test');
const { tab } = require('./support/flows');
const { startPeers } = require('./support/leader-peers');
const { fileScope } = require('./support/scope');
const { startStore } = require('./support/store');

/** What an answer may take, with room for a busy machine. Milliseconds. */
const LIMIT = 10_000;

const PASSWORD = 'the-password';

const scope = fileScope();

/** @type {Awaited<ReturnType<typeof startStore>>} */
let store;
/** @type {import('./support/instance').Instance} */
let instance;
/** @type {string} */
let prefix;

before(async () => {
  const peers = await startPeers(scope, { count: 1 });
  [instance] = peers.peers;
  prefix = peers.key('');
  const rest = `&${prefix}* +@all`;
  store = await startStore({
    password: PASSWORD,
    users: [
      `right on >right ~${prefix}* ${rest}`,
      `deaf on >deaf ~${prefix}* resetchannels +@all`,
      `elsewhere on >elsewhere ~other:* ${rest}`,
      `scriptless on >scriptless ~${prefix}* ${rest} -eval -evalsha`,
    ],
  });
  scope.after(() => store.release());
  const { host, port } = store;
  await peers.deploy([
    tab('tab'),
    { id: 'config', type: 'valkey-config', name: '', host, port: String(port), database: '0', tls: false, credentials: { password: PASSWORD } },
  ]);
});

/** @typedef {{ok: boolean, store: string, steps: {ok: boolean, text: string}[], message: string, code: string | null}} Answer */

/**
 * @param {Record<string, unknown>} [fields] of the dialog, over those of the store
 * @returns {Promise<Answer>}
 */
async function answer(fields = {}) {
  const body = { id: 'config', host: store.host, port: String(store.port), database: '0', tls: false, ...fields };
  const response = await post(JSON.stringify(body));
  assert.equal(response.status, 200);
  return /** @type {Promise<Answer>} */ (response.json());
}

/**
 * @param {string} body
 * @param {string} [type]
 */
function post(body, type = 'application/json') {
  return fetch(`${instance.adminUrl}/node-red-cluster/valkey-config/test`, {
    method: 'POST', headers: { 'content-type': type }, body, signal: AbortSignal.timeout(LIMIT),
  });
}

/**
 * @param {Record<string, unknown>} fields
 * @param {string} code
 * @param {RegExp} message
 */
async function refused(fields, code, message) {
  const found = await answer(fields);
  assert.equal(found.ok, false);
  assert.equal(found.code, code);
  assert.match(found.message, message);
  assert.ok(found.steps.slice(0, -1).every(({ ok }) => ok), JSON.stringify(found.steps));
  assert.ok(!JSON.stringify(found).includes(PASSWORD));
  return found;
}

test('a store that works passes every step, and nothing is left in it', async () => {
  for (const password of [undefined, '__PWRD__', PASSWORD]) {
    const { ok, code, steps, store: place } = await answer({ password });
    assert.deepEqual({ ok, code, place }, { ok: true, code: null, place: `${store.host}:${store.port}` });
    assert.ok(steps.every((step) => step.ok));
    assert.match(steps.map(({ text }) => text).join('\n'), /connected.*server is (Valkey|Redis) \d.*round trip.*took.*renewed.*released.*channel/s);
  }
  assert.deepEqual(await store.keys(`${prefix}*test*`), []);
});

test('what is typed counts, not what is stored', async () => {
  await refused({ password: 'wrong' }, 'NRC_STORE_AUTHENTICATION', /password/);
  await refused({ id: 'unsaved' }, 'NRC_STORE_AUTHENTICATION', /password/);
  assert.equal((await answer({ id: 'unsaved', password: PASSWORD })).ok, true);
});

test('a store that is not there is named, with the reason', async () => {
  await refused({ host: 'nowhere.invalid' }, 'NRC_STORE_UNREACHABLE', /nowhere\.invalid:\d+ .*(not known|resolve)/);
  await refused({ port: '1' }, 'NRC_STORE_UNREACHABLE', /refused/);
});

test('a store that hangs does not let the dialog hang', async () => {
  store.pause();
  try {
    await refused({}, 'NRC_STORE_UNREACHABLE', /answer/);
  } finally {
    store.resume();
  }
});

test('settings that can never work are refused before anything is tried', async () => {
  assert.deepEqual((await refused({ port: 'abc' }, 'NRC_CONFIG_INVALID', /port/)).steps, []);
  assert.deepEqual((await refused({ host: '${NO_SUCH_VARIABLE}' }, 'NRC_CONFIG_INVALID', /NO_SUCH_VARIABLE/)).steps, []);
  assert.deepEqual((await refused({ tls: true, ca: 'nonsense' }, 'NRC_CONFIG_INVALID', /tls\.ca/)).steps, []);
});

test('the permission that a user lacks is named', async () => {
  assert.equal((await answer({ username: 'right', password: 'right' })).ok, true);
  await refused({ username: 'elsewhere', password: 'elsewhere' }, 'NRC_STORE_PERMISSION', /NOPERM.*key/);
  await refused({ username: 'scriptless', password: 'scriptless' }, 'NRC_STORE_PERMISSION', /evalsha/);
  await refused({ username: 'deaf', password: 'deaf' }, 'NRC_STORE_PERMISSION', /channel/);
});

test('only JSON of a dialog is taken', async () => {
  assert.equal((await post('host=x', 'application/x-www-form-urlencoded')).status, 415);
  assert.equal((await post('[]'.padEnd(10))).status, 415);
  assert.equal((await post(JSON.stringify({ ca: 'x'.repeat(300_000) }))).status, 413);
});
