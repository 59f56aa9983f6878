'use strict';

/** The editor's HTTP API, as the editor itself uses it. */

const assert = require('node:assert/strict');
const { request } = require('./http');
const secrets = require('./secrets');

/**
 * @typedef {'full' | 'nodes' | 'flows' | 'reload'} DeploymentType
 * @typedef {import('./http').Answer} Answer
 * @typedef {ReturnType<typeof createApi>} Api
 */

/**
 * @param {string} root URL of the editor, without a final slash
 * @param {string} [token] access token of a session
 */
function createApi(root, token) {
  /**
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   * @param {Record<string, string>} [headers]
   * @returns {Promise<Answer>} whatever the status
   */
  async function call(method, path, body, headers = {}) {
    const all = token === undefined ? headers : { authorization: `Bearer ${token}`, ...headers };
    const answer = await request(`${root}${path}`, { method, body, headers: all });
    secrets.assertNone(secrets.leaksIn(answer.text, `the answer to ${method} ${path}`));
    return answer;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   * @param {Record<string, string>} [headers]
   * @returns {Promise<any>} body of a successful answer
   */
  async function expect(method, path, body, headers) {
    const answer = await call(method, path, body, headers);
    assert.ok(answer.status < 300, `${method} ${path} answered ${answer.status}: ${answer.text}`);
    return answer.body;
  }

  const version2 = { 'Node-RED-API-Version': 'v2' };

  /**
   * @param {object[]} flows
   * @param {{type?: DeploymentType, rev?: string}} [options] rev: the revision that the editor had
   */
  function tryDeploy(flows, { type = 'full', rev } = {}) {
    const body = type === 'reload' ? {} : { flows, ...(rev === undefined ? {} : { rev }) };
    return call('POST', '/flows', body, { ...version2, 'Node-RED-Deployment-Type': type });
  }

  return {
    call,
    expect,
    tryDeploy,
    /**
     * @param {object[]} flows
     * @param {{type?: DeploymentType, rev?: string}} [options]
     * @returns {Promise<string>} the new revision, as Node-RED counts it
     */
    async deploy(flows, options) {
      const answer = await tryDeploy(flows, options);
      assert.equal(answer.status, 200, `the deploy answered ${answer.status}: ${answer.text}`);
      return answer.body.rev;
    },
    /** @returns {Promise<{flows: any[], rev: string}>} */
    flows: () => expect('GET', '/flows', undefined, version2),
    /**
     * @param {object} flow
     * @returns {Promise<{id: string}>}
     */
    addFlow: (flow) => expect('POST', '/flow', flow),
    /**
     * @param {string} id
     * @param {object} flow
     */
    updateFlow: (id, flow) => expect('PUT', `/flow/${id}`, flow),
    /** @param {string} id */
    deleteFlow: (id) => expect('DELETE', `/flow/${id}`),
    /** @returns {Promise<{state: string}>} */
    state: () => expect('GET', '/flows/state'),
    /** @param {'start' | 'stop'} state */
    setState: (state) => expect('POST', '/flows/state', { state }),
    /**
     * @param {string} type
     * @param {string} id
     * @returns {Promise<Record<string, unknown>>} texts, and has_<name> for each password
     */
    credentials: (type, id) => expect('GET', `/credentials/${type}/${id}`),
    userSettings: () => expect('GET', '/settings/user'),
    /** @param {object} settings */
    saveUserSettings: (settings) => expect('POST', '/settings/user', settings),
    /**
     * Signs in.
     * @param {string} username
     * @param {string} password
     * @returns {Promise<string>} access token
     */
    async login(username, password) {
      secrets.register(password, 'the password of an editor user');
      const answer = await expect('POST', '/auth/token', {
        client_id: 'node-red-admin',
        grant_type: 'password',
        scope: '*',
        username,
        password,
      });
      return secrets.register(answer.access_token, 'the access token of an editor session');
    },
    /** @param {string} accessToken */
    withToken: (accessToken) => createApi(root, accessToken),
  };
}

module.exports = { createApi };
