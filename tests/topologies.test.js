'use strict';

/** Every feature on a Sentinel group and on a Cluster, before a failover and after it. */

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { FEATURE_SETTINGS, assertAllFeatures, assertSharesPackages } = require('./support/features');
const { startPackageCluster } = require('./support/package-cluster');
const { startSentinelGroup, startStoreCluster } = require('./support/topologies');

/** @param {import('./support/topologies').Address[]} addresses */
const addressesOf = (addresses) => addresses.map(({ host, port }) => ({ host, port }));

test('on a Sentinel group, through a change of the master and the death of the next one', async (t) => {
  const group = await startSentinelGroup(t, { name: 'nodered', replicas: 2, password: 'data-password', sentinelPassword: 'watch-password' });
  const sentinels = addressesOf(group.sentinels);
  const cluster = await startPackageCluster(t, {
    store: group.store,
    source: FEATURE_SETTINGS,
    valkey: { sentinels, name: group.name, password: 'data-password', sentinelPassword: 'watch-password' },
  });
  await assertAllFeatures(cluster, 'before');
  await assertSharesPackages(cluster, 'first');

  const second = await group.failover();
  await assertAllFeatures(cluster, 'after a failover');

  await group.server(second, 'kill');
  assert.notEqual(await group.otherMasterThan(second), second);
  await assertAllFeatures(cluster, 'after a death');
  await group.server(second, 'start');
  await group.settled();
  await assertSharesPackages(cluster, 'second');
});

test('on a Cluster, through the death of a node and the move of the slot', async (t) => {
  const nodes = await startStoreCluster(t, { password: 'data-password' });
  const cluster = await startPackageCluster(t, {
    store: nodes.store,
    source: FEATURE_SETTINGS,
    valkey: { cluster: addressesOf(nodes.nodes), password: 'data-password' },
  });
  await assertAllFeatures(cluster, 'before');
  await assertSharesPackages(cluster, 'first');

  const slot = await nodes.slotOf(`{${cluster.prefix.replace(':', '')}}:flows`);
  const owner = await nodes.owner(slot);
  const [replica] = await nodes.replicasOf(owner);
  await nodes.node(owner, 'kill');
  await nodes.promoted(replica);
  await assertAllFeatures(cluster, 'after a death');
  await nodes.node(owner, 'start');
  await nodes.settled();

  await nodes.moveSlot(slot, [0, 1, 2].find((index) => index !== owner && index !== replica) ?? 0);
  await assertAllFeatures(cluster, 'after a move');
  await assertSharesPackages(cluster, 'second');
});
