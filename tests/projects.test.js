'use strict';

/** Node-RED's Projects on the admin: whatever changes its flows reaches the workers. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { before, test } = require('node:test');
const { PROMPTLY, startCluster } = require('./support/cluster');
const { decrypt } = require('./support/credentials');
const { temporaryDirectory } = require('./support/directories');
const { account, endpoint, probe, tab } = require('./support/flows');
const { createGit } = require('./support/git');
const { fileScope } = require('./support/scope');
const { until } = require('./support/wait');

const PROJECT = 'cluster-project';
const git = createGit();

const scope = fileScope();
/** @type {import('./support/cluster').Cluster} */
let cluster;
before(async () => {
  cluster = await startCluster(scope, {
    adminOptions: {
      env: git.env,
      settings: { editorTheme: { projects: { enabled: true } } },
    },
  });
  await cluster.admin.api.expect('POST', '/projects', {
    name: PROJECT,
    summary: 'a project of the tests',
    credentialSecret: 'secret of the project',
    files: { flow: 'flow.json' },
  });
});

const projectDirectory = () => path.join(cluster.admin.userDir, 'projects', PROJECT);

/**
 * @param {string} version
 * @param {string} [password] absent when the editor leaves it as it is
 */
function flowsOf(version, password) {
  return [
    tab('tab'),
    ...endpoint('tab', 'version', version),
    probe('tab', 'watched', version, { account: 'account' }),
    account('account', password === undefined ? undefined : { password }),
  ];
}

/**
 * @param {string} method
 * @param {string} step below the project's URL
 * @param {object} [body]
 */
function callProject(method, step, body) {
  return cluster.admin.api.expect(method, `/projects/${PROJECT}/${step}`, body);
}

/** @param {string} message */
async function commit(message) {
  await callProject('POST', 'stage', { files: ['flow.json', 'flow_cred.json'] });
  await callProject('POST', 'commit', { message });
}

/**
 * @param {string} version
 * @param {string} password
 */
async function untilRuns(version, password) {
  await cluster.untilAnswers('version', version, { timeout: PROMPTLY });
  await cluster.untilProbes(({ live }) => live.watched?.password === password, {
    message: `${version} runs with its password`,
    timeout: PROMPTLY,
  });
}

test('a deploy in a project reaches the workers, its credentials under the key of the cluster', async () => {
  await cluster.deploy(flowsOf('on main', 'password of main'));
  await untilRuns('on main', 'password of main');

  const file = JSON.parse(fs.readFileSync(path.join(projectDirectory(), 'flow_cred.json'), 'utf8'));
  assert.equal(decrypt('secret of the project', file).account.password, 'password of main');
  const { generated } = await cluster.store.hash(cluster.key('secret'));
  const stored = await cluster.store.json(cluster.key('credentials'));
  assert.equal(decrypt(generated, stored).account.password, 'password of main');
  await commit('on main');
});

test('a switch of the branch reaches the workers, its credentials included', async () => {
  await callProject('POST', 'branches', { name: 'other', create: true });
  await cluster.deploy(flowsOf('on other', 'password of other'), { type: 'nodes' });
  await untilRuns('on other', 'password of other');
  await commit('on other');

  await callProject('POST', 'branches', { name: 'main' });
  await untilRuns('on main', 'password of main');
  await callProject('POST', 'branches', { name: 'other' });
  await untilRuns('on other', 'password of other');
  await callProject('POST', 'branches', { name: 'main' });
  await untilRuns('on main', 'password of main');
});

test('a change that is thrown away is so on the workers', async () => {
  await cluster.deploy(flowsOf('not committed'), { type: 'nodes' });
  await untilRuns('not committed', 'password of main');
  await callProject('DELETE', 'files/_/flow.json');
  await untilRuns('on main', 'password of main');
});

test('a pull from a remote reaches the workers', async () => {
  const directory = temporaryDirectory('remote');
  const [bare, clone] = [path.join(directory, 'bare.git'), path.join(directory, 'clone')];
  await git.run(directory, 'clone', '--bare', projectDirectory(), bare);
  await callProject('POST', 'remotes', { name: 'origin', url: `file://${bare}` });
  await git.run(directory, 'clone', '--branch', 'main', bare, clone);
  fs.writeFileSync(path.join(clone, 'flow.json'), JSON.stringify(flowsOf('pulled'), null, 4));
  await git.run(clone, 'commit', '--all', '--message', 'pulled');
  await git.run(clone, 'push');

  await callProject('POST', 'pull/origin/main');
  await untilRuns('pulled', 'password of main');
  assert.deepEqual(await cluster.store.json(cluster.key('flows')), flowsOf('pulled'));
});

test('an admin that restarts comes back with its project, and publishes nothing older', async () => {
  const revision = await cluster.revision();
  await cluster.admin.restart();
  await until(async () => (await cluster.admin.api.flows()).flows.length > 0, {
    message: 'the admin has its flows',
  });
  const { active } = await cluster.admin.api.expect('GET', '/projects');
  assert.equal(active, PROJECT);
  assert.equal((await cluster.revision()).hash, revision.hash);
  await cluster.deploy(flowsOf('after the restart'), { type: 'nodes' });
  await untilRuns('after the restart', 'password of main');
});
