'use strict';

/** Faults of the store and of what it holds, while a cluster runs. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { before, beforeEach, test } = require('node:test');
const { PROMPTLY, startCluster } = require('./support/cluster');
const { account, endpoint, probe, tab } = require('./support/flows');
const { fileScope } = require('./support/scope');
const { assertStarts, requestsDuring, startsOf } = require('./support/starts');
const { holdsFor, until, untilEqual } = require('./support/wait');

const scope = fileScope();
/** @type {import('./support/cluster').Cluster} */
let cluster;
before(async () => {
  cluster = await startCluster(scope);
});

let versions = 0;
beforeEach(async () => {
  await cluster.store.recover();
  versions += 1;
  await cluster.deploy(flowsOf(`base ${versions}`, `password ${versions}`));
  await untilRuns(`base ${versions}`, everyone());
});

const everyone = () => [cluster.admin, ...cluster.workers];

/**
 * @param {string} version
 * @param {string} [password] absent when the editor leaves it as it is
 */
function flowsOf(version, password) {
  return [
    tab('tab'),
    ...endpoint('tab', 'version', version),
    ...endpoint('tab', 'untouched', 'still here'),
    probe('tab', 'watched', version, { account: 'account' }),
    probe('tab', 'other', 'x'),
    account('account', password === undefined ? undefined : { password }),
  ];
}

/**
 * @param {string} version
 * @param {import('./support/cluster').Instance[]} [on]
 */
async function untilRuns(version, on = cluster.workers) {
  await cluster.untilAnswers('version', version, { on, timeout: PROMPTLY });
  await cluster.untilProbes(
    ({ live }) =>
      live.watched?.value === version && live.watched.password === `password ${versions}` && 'other' in live,
    { message: `${version} runs with its password`, on },
  );
}

/** @param {string} version */
async function deployOnceItWorks(version) {
  await until(
    async () => {
      const { status, text } = await cluster.admin.api.tryDeploy(flowsOf(version), { type: 'nodes' });
      assert.equal(status, 200, text);
      return true;
    },
    { message: `${version} is deployed`, timeout: 30_000 },
  );
}

test('a store that is stopped and restarted during a deploy: what the editor was told holds', async () => {
  const { rev } = await cluster.admin.api.flows();
  const deploying = cluster.admin.api.tryDeploy(flowsOf('during the restart'), { type: 'nodes', rev });
  await cluster.store.restart();
  const { status } = await deploying;
  const expected = status === 200 ? 'during the restart' : `base ${versions}`;
  await untilRuns(expected, everyone());
  assert.deepEqual(await cluster.store.json(cluster.key('flows')), flowsOf(expected));
  await deployOnceItWorks('after the restart');
  await untilRuns('after the restart', everyone());
});

test('a deploy while the store is down is answered with an error, and changes nothing', async () => {
  const flowsBefore = await cluster.admin.api.flows();
  const file = path.join(cluster.admin.userDir, 'flows.json');
  const onDisk = () => JSON.parse(fs.readFileSync(file, 'utf8'));
  await untilEqual(onDisk, flowsBefore.flows, { message: "the admin's copy on disk is written" });
  await cluster.store.stop();
  await assertStarts(everyone(), {}, async () => {
    const { status } = await cluster.admin.api.tryDeploy(flowsOf('never', 'never to be seen'), { type: 'full' });
    assert.ok(status >= 400, `answered ${status}`);
  });
  await untilRuns(`base ${versions}`, everyone());
  assert.deepEqual(await cluster.admin.api.flows(), flowsBefore);
  assert.deepEqual(onDisk(), flowsBefore.flows);

  await cluster.admin.stop();
  cluster.admin.start();
  await cluster.store.start();
  await cluster.admin.waitUntilReady();
  await untilRuns(`base ${versions}`, everyone());
  assert.deepEqual((await cluster.admin.api.flows()).flows, flowsOf(`base ${versions}`));
  await deployOnceItWorks('after the outage');
  await untilRuns('after the outage', everyone());
});

test('a store that is restarted empty is filled again, and nothing stops', async () => {
  const base = `base ${versions}`;
  await assertStarts(everyone(), {}, async () => {
    const { failures } = await requestsDuring(cluster.workers, 'untouched', 'still here', async () => {
      await cluster.store.restart({ empty: true });
      await until(() => cluster.store.json(cluster.key('flows')), {
        message: 'the store is filled again',
        timeout: 30_000,
      });
    });
    assert.deepEqual(failures, []);
  });
  assert.deepEqual(await cluster.store.json(cluster.key('flows')), flowsOf(base));
  await cluster.workers[0].restart();
  await untilRuns(base);
  await deployOnceItWorks('after the loss');
  await untilRuns('after the loss', everyone());
});

test('a worker that is paused across three deploys applies the newest, once', async () => {
  const [paused, other] = cluster.workers;
  const startsBefore = await startsOf(paused);
  await paused.pause();
  for (const version of ['first missed', 'second missed', 'third']) {
    await cluster.deploy(flowsOf(version), { type: 'nodes' });
    await untilRuns(version, [other]);
  }
  paused.resume();
  await untilRuns('third', [paused]);
  await holdsFor(async () => {
    const starts = await startsOf(paused);
    assert.equal(starts.watched - startsBefore.watched, 1);
    assert.equal(starts.other - startsBefore.other, 0);
  }, 500);
});

for (const type of /** @type {const} */ (['pubsub', 'normal'])) {
  test(`${type} connections that are killed lose no deploy (an update missed while disconnected)`, async () => {
    for (let round = 1; round <= 3; round += 1) {
      await cluster.store.killClients(type);
      await deployOnceItWorks(`${type} round ${round}`);
      await untilRuns(`${type} round ${round}`, everyone());
    }
  });
}

test('garbage, hostile and huge messages on the channel change nothing', async () => {
  const pids = everyone().map((instance) => instance.pid());
  const number = await cluster.revisionNumber();
  await assertStarts(everyone(), {}, async () => {
    for (const message of [
      '', 'not json', '[]', 'null', '{}', '{"revision":"soon"}', '{"revision":-1}', '{"revision":1e999}',
      `{"revision":${number + 1_000},"id":"invented","type":"full","state":"start"}`,
      `{"revision":${number},"state":"stop"}`,
      '{"__proto__":{"revision":1},"constructor":{"prototype":{"polluted":true}}}',
      Buffer.from([0xff, 0xfe, 0x00, 0x80]),
      `{"revision":1,"filler":"${'x'.repeat(20_000_000)}"}`,
      `${'['.repeat(200_000)}`,
    ]) {
      await cluster.store.command('PUBLISH', cluster.channel, message);
    }
  });
  await untilRuns(`base ${versions}`, everyone());
  await deployOnceItWorks('after the garbage');
  await untilRuns('after the garbage', everyone());
  assert.deepEqual(everyone().map((instance) => instance.pid()), pids);
});

async function truncateFlows() {
  const text = await cluster.store.command('GET', cluster.key('flows'));
  await cluster.store.command('SET', cluster.key('flows'), text.slice(0, text.length / 2));
}

test('a truncated value in the store: a booting worker takes the flows from the history, and says so', async () => {
  const [booting, running] = cluster.workers;
  await truncateFlows();
  await booting.restart();
  await booting.waitForLog(/damaged.*NRC_VALUE_DAMAGED/);
  await untilRuns(`base ${versions}`, [booting, running]);
});

test('a truncated value in the store and its history: a booting worker keeps the last good flows and reports it', async () => {
  const [booting, running] = cluster.workers;
  await cluster.untilKept(booting);
  await booting.stop();
  await cluster.deploy(flowsOf('newer'));
  await untilRuns('newer', [running]);
  await truncateFlows();
  await cluster.store.command('DEL', cluster.key('history:content'));
  booting.start();
  await booting.waitUntilReady();
  await untilRuns(`base ${versions}`, [booting]);
  await until(async () => (await cluster.presenceOf(booting))?.revision.error, {
    message: 'the worker reports the error',
  });
  const { error, wanted, running: runs } = (await cluster.presenceOf(booting)).revision;
  assert.equal(error.code, 'NRC_VALUE_DAMAGED');
  assert.equal(wanted, runs + 1);

  await deployOnceItWorks('repaired');
  await untilRuns('repaired', everyone());
  await until(async () => (await cluster.presenceOf(booting))?.revision.error === null, {
    message: 'the error is over',
  });
});

test('a truncated value in the store: a new worker without flows waits for good ones', async () => {
  await truncateFlows();
  await cluster.store.command('DEL', cluster.key('history:content'));
  const fresh = await cluster.addWorker({ name: 'fresh worker' });
  await fresh.waitForLog(/NRC_[A-Z_]+/);
  assert.ok(fresh.isRunning());
  await deployOnceItWorks('repaired');
  await fresh.waitUntilReady();
  await untilRuns('repaired', [...everyone(), fresh]);
  await fresh.stop();
});

test('a value of the wrong kind under a key does not end any process', async () => {
  const pids = everyone().map((instance) => instance.pid());
  await cluster.store.command('DEL', cluster.key('flows'));
  await cluster.store.command('LPUSH', cluster.key('flows'), 'a list');
  await cluster.store.command('PUBLISH', cluster.channel, '{"revision":1}');
  await holdsFor(async () => {
    for (const instance of everyone()) {
      assert.equal((await instance.get('version')).text, `base ${versions}`);
    }
  }, 1_000);
  await cluster.store.command('DEL', cluster.key('flows'));
  await deployOnceItWorks('repaired');
  await untilRuns('repaired', everyone());
  assert.deepEqual(everyone().map((instance) => instance.pid()), pids);
});

test('a store that hangs and comes back loses no deploy', async () => {
  cluster.store.pause();
  const deploying = cluster.admin.api.tryDeploy(flowsOf('while it hangs'), { type: 'nodes' });
  await holdsFor(async () => {
    for (const worker of cluster.workers) assert.equal((await worker.get('untouched')).text, 'still here');
  }, 1_000);
  cluster.store.resume();
  const { status } = await deploying;
  await untilRuns(status === 200 ? 'while it hangs' : `base ${versions}`, everyone());
  await deployOnceItWorks('after it hung');
  await untilRuns('after it hung', everyone());
});

test('an admin that finds flows which nobody can read publishes none of its own unasked', async () => {
  await cluster.admin.stop();
  await truncateFlows();
  await cluster.store.command('DEL', cluster.key('history:content'));
  const number = await cluster.revisionNumber();
  fs.rmSync(path.join(cluster.admin.userDir, '.node-red-cluster'), { recursive: true });
  cluster.admin.start();
  await cluster.admin.waitForLog(/newest revision of the cluster cannot be read/);
  await cluster.admin.waitUntilReady();
  await holdsFor(async () => assert.equal(await cluster.revisionNumber(), number), 1_000);
  await untilRuns(`base ${versions}`);

  await deployOnceItWorks('asked for');
  await untilRuns('asked for', everyone());
});
