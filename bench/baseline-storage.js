'use strict';

/**
 * What a deploy is compared with: a storage module that keeps the flows in a key, announces each save
 * on a channel, and makes a worker reload everything on a message. All else is Node-RED's own file
 * storage. Configured by `baseline: {role, path}` in settings.js; path is the store's unix socket.
 */

const { connect } = require('../tests/support/resp.js');

const FLOWS = 'baseline:flows';
const CREDENTIALS = 'baseline:credentials';
const CHANNEL = 'baseline:updated';

/** @type {import('../node/types').LocalFiles} */
let files;
/** @type {import('../tests/support/resp.js').RespClient} */
let store;

/**
 * @typedef {import('../node/types').Settings & {baseline: {role: string, path: string}}} BaselineSettings
 * @typedef {import('../node/types').Runtime & {nodes: {loadFlows(forceStart: boolean): Promise<void>}}} BaselineRuntime
 */

/**
 * @param {BaselineSettings} settings
 * @param {BaselineRuntime} runtime
 */
async function init(settings, runtime) {
  files = require(require.resolve('@node-red/runtime/lib/storage/localfilesystem', { paths: [settings.coreNodesDir] }));
  await files.init(settings, runtime);
  const { role, path } = settings.baseline;
  store = await connect({ path });
  if (role !== 'worker') return;
  const subscriber = await connect({ path, onPush: () => runtime.nodes.loadFlows(true) });
  await subscriber.command('SUBSCRIBE', CHANNEL);
}

/**
 * @param {string} key
 * @param {unknown} otherwise
 */
async function read(key, otherwise) {
  const text = await store.command('GET', key);
  return text === null ? otherwise : JSON.parse(text);
}

module.exports = {
  init,
  getFlows: () => read(FLOWS, []),
  getCredentials: () => read(CREDENTIALS, {}),
  /** @param {object[]} flows */
  async saveFlows(flows) {
    await store.command('SET', FLOWS, JSON.stringify(flows));
    await store.command('PUBLISH', CHANNEL, 'updated');
  },
  /** @param {object} credentials */
  saveCredentials: (credentials) => store.command('SET', CREDENTIALS, JSON.stringify(credentials)),
  getSettings: () => files.getSettings(),
  /** @param {Record<string, unknown>} settings */
  saveSettings: (settings) => files.saveSettings(settings),
};
