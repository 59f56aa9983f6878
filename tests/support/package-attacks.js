'use strict';

/** Whoever can write to the store puts packages there that no admin published. */

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const fs = require('node:fs');
const { endpoint } = require('./flows');
const { saying, startPackageCluster, tab } = require('./package-cluster');
const { childrenOf, packagesOnDisk, peakMemory, stagesOf } = require('./package-disk');
const { nodePackage, npmEnvironment } = require('./packages');
const { startRegistry } = require('./registry');
const { until } = require('./wait');

/** The most that a worker may ever need because of what somebody put into the store. MB. */
const MOST_MEMORY = 600;

/** @typedef {{list: any, lock: any, tarballs?: Record<string, string>}} Content list and lock: as JSON, or what stands there */

/** @typedef {Awaited<ReturnType<typeof startAttackedCluster>>} AttackedCluster */

/**
 * Starts an admin and a worker that run a package. The worker has a registry of its own.
 *
 * @param {import('./cluster').Scope} scope
 */
async function startAttackedCluster(scope) {
  const registry = await startRegistry(scope);
  const cluster = await startPackageCluster(scope, { workers: 1, workerOptions: { env: npmEnvironment(registry) } });
  const { store, key, workers: [worker] } = cluster;

  /** @param {string} type */
  function offer(type) {
    for (const one of [cluster.registry, registry]) one.publish(nodePackage({ name: `${type}-nodes`, version: '1.0.0', types: [type] }));
  }

  /** @param {...string} types */
  const flowsOf = (...types) => [tab('tab'), ...endpoint('tab', 'version', 'good'), ...types.flatMap((type) => saying(type, type))];

  offer('good');
  await cluster.install('good-nodes');
  await cluster.deploy(flowsOf('good'));
  await cluster.untilSays('good', 'good-nodes@1.0.0: hello');
  let newest = await cluster.packagesRevision();
  const { list, lock } = await store.hash(key('packages-content'));

  /**
   * Puts a revision into the store that is newer than all before, and wakes everybody.
   *
   * @param {Content} content
   * @param {Record<string, string>} [head]
   * @returns {Promise<number>} its number
   */
  async function plant(content, head = {}) {
    const stored = (/** @type {any} */ value) => (typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value));
    const id = randomUUID();
    newest += 1;
    for (const [digest, bytes] of Object.entries(content.tarballs ?? {})) await store.command('HSET', key('packages-tarballs'), digest, bytes);
    await store.command('HSET', key('packages-content'), 'id', id, 'list', stored(content.list), 'lock', stored(content.lock), 'tarballs', '');
    await plantHead({ number: String(newest), id, hash: id, ...head });
    return newest;
  }

  /** @param {Record<string, string>} fields */
  async function plantHead(fields) {
    await store.command('HSET', key('packages-revision'), ...Object.entries(fields).flat());
    await wake();
  }

  const wake = () => store.command('PUBLISH', key('packages:updated'), '{"packages":1}');

  /**
   * Does something to the store, and checks that the worker goes on as it was, without npm and without using
   * much memory.
   *
   * @param {() => Promise<unknown>} act returns once the worker has refused it
   */
  async function assertUnmoved(act) {
    const [disk, pid] = [packagesOnDisk(worker), worker.pid()];
    registry.clearRequests();
    // The peak counts from here on.
    fs.writeFileSync(`/proc/${pid}/clear_refs`, '5');
    await act();
    assert.deepEqual(childrenOf(pid), [], 'no npm runs');
    assert.deepEqual(registry.requests, []);
    assert.deepEqual(stagesOf(worker), []);
    assert.deepEqual(packagesOnDisk(worker), disk);
    assert.equal((await worker.get('version')).text, 'good');
    assert.equal((await worker.get('good')).text, 'good-nodes@1.0.0: hello');
    assert.equal(worker.pid(), pid);
    const peak = peakMemory(worker);
    assert.ok(peak < MOST_MEMORY, `the worker needed ${Math.round(peak)} MB`);
  }

  return Object.assign(cluster, {
    worker,
    /** What the admin published. */
    published: /** @type {Content} */ ({ list: JSON.parse(list), lock: JSON.parse(lock) }),
    plant,
    plantHead,
    wake,
    assertUnmoved,
    /**
     * @param {Content} content
     * @param {{code?: string, part: RegExp}} expected
     */
    async assertRefused(content, { code = 'NRC_VALUE_DAMAGED', part }) {
      await assertUnmoved(async () => {
        const number = await plant(content);
        await cluster.untilPackages({ state: 'failed', wanted: number });
        const { error } = await cluster.packagesOf(worker);
        assert.equal(error.code, code, error.message);
        assert.match(error.message, part);
        assert.ok(error.message.length < 2_000, error.message);
        await worker.waitForLog(new RegExp(`\\[error\\] \\[cluster\\] packages revision ${number}: .*${part.source}.*\\[${code}\\]`));
      });
    },
    /**
     * The admin gets one more package, and everybody has it.
     *
     * @param {string} type
     */
    async assertFollows(type) {
      offer(type);
      await cluster.install(`${type}-nodes`);
      const isPublished = async () => `${type}-nodes` in (await cluster.packages());
      await until(isPublished, { message: 'the admin publishes it', timeout: 30_000 }).catch((error) => {
        error.message += `\n--- log of the admin\n${cluster.admin.log().slice(-3_000)}`;
        throw error;
      });
      await cluster.deploy(flowsOf('good', type));
      await cluster.untilSays(type, `${type}-nodes@1.0.0: hello`);
      await cluster.untilPackages({ state: 'current', error: null });
    },
  });
}

module.exports = { startAttackedCluster };
