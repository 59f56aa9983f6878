'use strict';

/** The admin: the editor at /admin, endpoints of the flows at /api. */

const { common, connection, secret, variable, whereSet } = require('./environment.js');

/**
 * Whoever reaches the editor can run code on every instance. Without a hash the editor asks for no
 * password, which is only right where nobody else can reach it. Make one with `node-red admin hash-pw`.
 */
function editorUsers() {
  const password = secret('NODE_RED_ADMIN_PASSWORD_HASH');
  if (!password) return undefined;
  const username = variable('NODE_RED_ADMIN_USER') ?? 'admin';
  return { type: 'credentials', users: [{ username, password, permissions: '*' }] };
}

module.exports = {
  ...common(),
  httpAdminRoot: '/admin',
  httpNodeRoot: '/api',
  ...whereSet({ adminAuth: editorUsers() }),
  storageModule: require('node-red-cluster/storage'),
  contextStorage: { default: { module: require('node-red-cluster/context') } },
  valkey: { role: 'admin', ...connection() },
};
