'use strict';

/** What the dialog of a valkey-config node says, as connection options. */

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { connectionOptions } = require('../node/leader/options.js');

test('fields that are left empty are not given, so that defaults hold', () => {
  assert.deepEqual(connectionOptions({}, {}), { host: 'redis' });
  assert.deepEqual(
    connectionOptions({ host: 'h', port: '', database: '', tls: false, ca: 'unused', sentinels: ' ', sentinelName: '' }, { username: '', password: '' }),
    { host: 'h' },
  );
  assert.deepEqual(
    connectionOptions({ host: 'h', port: '7000', database: 0 }, { username: 'u', password: ' p ' }),
    { host: 'h', port: '7000', db: 0, username: 'u', password: ' p ' },
  );
});

test('a host that was emptied is not the default in silence', () => {
  assert.deepEqual(connectionOptions({ host: '' }, {}), { host: '' });
});

test('TLS checks the certificate unless it is told not to', () => {
  assert.deepEqual(connectionOptions({ host: 'h', tls: true }, {}).tls, { rejectUnauthorized: true });
  assert.deepEqual(
    connectionOptions({ host: 'h', tls: true, ca: 'CA', cert: 'C', servername: 's', rejectUnauthorized: false }, { key: 'K', passphrase: 'P' }).tls,
    { ca: 'CA', cert: 'C', key: 'K', passphrase: 'P', servername: 's', rejectUnauthorized: false },
  );
});

test('with sentinels host and port are not used', () => {
  assert.deepEqual(
    connectionOptions(
      { host: 'h', port: '1', sentinels: 'a:1, [::1]:2\nc', sentinelName: 'main', tls: true, tlsSentinels: true },
      { password: 'p', sentinelUsername: 'su', sentinelPassword: 'sp' },
    ),
    {
      sentinels: ['a:1', '[::1]:2', 'c'], name: 'main', sentinelUsername: 'su', sentinelPassword: 'sp', password: 'p',
      tls: { rejectUnauthorized: true }, sentinelTLS: { rejectUnauthorized: true },
    },
  );
});

test('nodes of a cluster stand for the host', () => {
  assert.deepEqual(
    connectionOptions({ host: 'h', port: '1', database: 0, clusterNodes: 'a:1, b:2', tls: true }, { password: 'p' }),
    { cluster: ['a:1', 'b:2'], db: 0, password: 'p', tls: { rejectUnauthorized: true } },
  );
});

test('a variable that is not set is named, with its field', () => {
  assert.throws(() => connectionOptions({ host: '${STORE_HOST}' }, {}), { code: 'NRC_CONFIG_INVALID', message: /host.*STORE_HOST/ });
  assert.throws(() => connectionOptions({}, { password: '${STORE_PASSWORD}' }), { message: /password.*STORE_PASSWORD/ });
});
