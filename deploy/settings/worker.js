'use strict';

/** A worker: no editor, endpoints of the flows at /api. */

const { common, connection } = require('./environment.js');

module.exports = {
  ...common(),
  httpAdminRoot: false,
  httpNodeRoot: '/api',
  storageModule: require('node-red-cluster/storage'),
  contextStorage: { default: { module: require('node-red-cluster/context') } },
  valkey: { role: 'worker', ...connection() },
};
