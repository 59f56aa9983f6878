'use strict';

/** One look at every feature that uses the store: what `npm run test:servers` runs with each version of it. */

const { before, test } = require('node:test');
const { FEATURE_SETTINGS, assertAllFeatures, assertSharesPackages } = require('./support/features');
const { startPackageCluster } = require('./support/package-cluster');
const { fileScope } = require('./support/scope');

const scope = fileScope();
/** @type {import('./support/package-cluster').PackageCluster} */
let cluster;
before(async () => {
  cluster = await startPackageCluster(scope, { source: FEATURE_SETTINGS });
});

test('the workers follow, share their context and have one leader, and the library keeps', async () => {
  await assertAllFeatures(cluster, 'one');
});

test('once more after the store was away', async () => {
  await cluster.store.stop();
  await cluster.store.start();
  await assertAllFeatures(cluster, 'two');
});

test('packages reach the workers', async () => {
  await assertSharesPackages(cluster, 'first');
});
