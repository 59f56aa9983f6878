'use strict';

/** An admin that is killed in the middle of a deploy. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { startCluster } = require('./support/cluster');
const { decrypt } = require('./support/credentials');
const { account, endpoint, probe, tab } = require('./support/flows');
const { STORAGE } = require('./support/instance');
const { until } = require('./support/wait');

/**
 * Settings with a trap: while a file lies in the user directory, the process
 * kills itself when Node-RED, having saved the credentials, saves the flows.
 */
const TRAP = `storageModule: (() => {
  const storage = require(${JSON.stringify(STORAGE)});
  const trap = require('node:path').join(__dirname, 'trap');
  return Object.assign({}, storage, {
    saveFlows(...args) {
      if (require('node:fs').existsSync(trap)) process.kill(process.pid, 'SIGKILL');
      return storage.saveFlows(...args);
    },
  });
})()`;

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

test('kill -9 between credentials and flows leaves flows and credentials of one deploy', async (t) => {
  const cluster = await startCluster(t, { workers: 1, adminOptions: { source: TRAP } });
  await cluster.deploy(flowsOf('good', 'good password'));
  await cluster.untilAnswers('version', 'good');
  const revision = await cluster.revision();

  const trap = path.join(cluster.admin.userDir, 'trap');
  fs.writeFileSync(trap, '');
  await assert.rejects(cluster.admin.api.deploy(flowsOf('half', 'half password')));
  assert.equal((await cluster.admin.waitForExit()).signal, 'SIGKILL');
  fs.rmSync(trap);

  assert.deepEqual(await cluster.revision(), revision);
  assert.deepEqual(await cluster.store.json(cluster.key('flows')), flowsOf('good'));
  const { generated } = await cluster.store.hash(cluster.key('secret'));
  const stored = await cluster.store.json(cluster.key('credentials'));
  assert.equal(decrypt(generated, stored).account.password, 'good password');

  cluster.admin.start();
  await cluster.admin.waitUntilReady();
  await cluster.untilProbes(({ live }) => live.watched?.password === 'good password', {
    message: 'admin and worker run the good deploy',
    on: [cluster.admin, ...cluster.workers],
  });
  await cluster.deploy(flowsOf('next', 'next password'));
  await cluster.untilProbes(({ live }) => live.watched?.password === 'next password', {
    message: 'the next deploy reaches the worker',
  });
});

test('kill -9 at any moment of a deploy leaves a store from which everyone recovers', async (t) => {
  const cluster = await startCluster(t, { workers: 1 });
  await cluster.deploy(flowsOf('start', 'password of start'));
  for (let round = 1; round <= 4; round += 1) {
    const deploying = cluster.admin.api
      .tryDeploy(flowsOf(`round ${round}`, `password of round ${round}`))
      .catch(() => ({ status: 0 }));
    const number = await cluster.revisionNumber();
    if (round % 2 === 0) {
      await until(async () => (await cluster.revisionNumber()) > number || (await deploying), {
        message: 'the deploy is stored or answered',
        interval: 1,
      });
    }
    await cluster.admin.kill();
    await deploying;
    cluster.admin.start();
    await cluster.admin.waitUntilReady();

    const flows = await cluster.store.json(cluster.key('flows'));
    const { value } = flows.find((/** @type {{id: string}} */ { id }) => id === 'watched');
    const { generated } = await cluster.store.hash(cluster.key('secret'));
    const stored = await cluster.store.json(cluster.key('credentials'));
    assert.equal(decrypt(generated, stored).account.password, `password of ${value}`);
    await cluster.untilProbes(
      ({ live }) => live.watched?.value === value && live.watched?.password === `password of ${value}`,
      { message: `${value} runs everywhere`, on: [cluster.admin, ...cluster.workers] },
    );
  }
});
