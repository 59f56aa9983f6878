'use strict';

/** What the editor shows of this package's nodes: dialogs, texts in every language, help, icons. */

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { before, describe, test } = require('node:test');
const { promisify } = require('node:util');
const vm = require('node:vm');
const { startCluster } = require('./support/cluster');
const { ROOT } = require('./support/directories');
const { tab } = require('./support/flows');
const { startReadyInstance } = require('./support/instance');
const { fileScope } = require('./support/scope');
const { startStore } = require('./support/store');

const LANGUAGES = ['en-US', 'de', 'it', 'fr', 'es-ES', 'ja', 'zh-CN'];
const LEADER_NODES = ['cluster-leader', 'release-cluster-leader', 'valkey-config'];
const NODES = ['cluster-context', ...LEADER_NODES];
/** Those with an icon of their own; a config node has none. */
const DRAWN = NODES.filter((node) => node !== 'valkey-config');
const FOLDER = path.join('node', 'nodes');

/** A user who may look at flows, and not deploy any. */
const READER_AUTH = `adminAuth: {
  type: 'credentials',
  users: async (username) => ({ username, permissions: 'read' }),
  authenticate: async (username) => ({ username, permissions: 'read' }),
}`;

/** @param {...string} names of a file below the folder of the nodes */
const readText = (...names) => fs.readFileSync(path.join(ROOT, FOLDER, ...names), 'utf8');

/**
 * @param {string} language
 * @param {string} node
 * @returns {any}
 */
const readCatalogue = (language, node) => JSON.parse(readText('locales', language, `${node}.json`));

/**
 * @param {Record<string, any>} texts
 * @param {string} [prefix]
 * @returns {Array<[string, string]>} each text with its full key, sorted
 */
function flatten(texts, prefix = '') {
  return Object.keys(texts).sort().flatMap((key) => {
    const value = texts[key];
    return typeof value === 'string' ? [[prefix + key, value]] : flatten(value, `${prefix}${key}.`);
  });
}

/** @param {string} text */
const placeholdersOf = (text) => (text.match(/__\w+?__|\$\{\w+\}/g) ?? []).sort();

/**
 * @param {string} help
 * @returns {string[]} its tags in their order, and all that no language translates
 */
function skeletonOf(help) {
  const tags = help.match(/<[^>]+>/g) ?? [];
  const names = help.match(/<dt[^>]*>\s*\w+ (?=<span)|<code>[^<]*<\/code>/g) ?? [];
  return [...tags, ...names.sort()];
}

/**
 * Runs what the editor runs of a node's file, and gives what it registers.
 *
 * @param {string} node
 * @returns {any}
 */
function definitionOf(node) {
  const [, script] = /** @type {RegExpExecArray} */ (/<script type="text\/javascript">([\s\S]*?)<\/script>/.exec(readText(`${node}.html`)));
  /** @type {Record<string, any>} */
  const registered = {};
  const texts = Object.fromEntries(flatten(readCatalogue('en-US', node)));
  vm.runInNewContext(script, {
    TextEncoder,
    // No dialog is open.
    $: () => ({ length: 0 }),
    RED: {
      nodes: { registerType: (/** @type {string} */ type, /** @type {object} */ definition) => (registered[type] = definition) },
    },
  });
  const definition = registered[node];
  definition._ = (/** @type {string} */ key, /** @type {Record<string, string>} */ values = {}) => {
    assert.ok(key in texts, `the text ${key}`);
    return texts[key].replace(/__(\w+?)__/g, (_, name) => values[name]);
  };
  return definition;
}

/**
 * @param {string} node
 * @param {Record<string, unknown>} [properties] what is set otherwise than by default
 * @returns {any} a node as the editor has it
 */
function nodeOf(node, properties = {}) {
  const definition = definitionOf(node);
  const defaults = Object.entries(definition.defaults).map(([name, { value }]) => [name, value]);
  return { ...Object.fromEntries(defaults), _: definition._, _def: definition, ...properties };
}

/**
 * @param {any} node
 * @param {string} property
 * @param {unknown} value
 * @returns {true | string} what the editor says of a value
 */
const verdict = (node, property, value) => node._def.defaults[property].validate.call(node, value, {});

describe('the texts', () => {
  for (const node of NODES) {
    test(`of ${node} are there in every language, with the same placeholders`, () => {
      const english = flatten(readCatalogue('en-US', node));
      for (const language of LANGUAGES) {
        const translated = flatten(readCatalogue(language, node));
        assert.deepEqual(translated.map(([key]) => key), english.map(([key]) => key), language);
        for (const [index, [key, text]] of translated.entries()) {
          assert.ok(text.trim() !== '', `${language}: ${key}`);
          assert.deepEqual(placeholdersOf(text), placeholdersOf(english[index][1]), `${language}: ${key}`);
        }
      }
    });

    test(`of the help of ${node} have the same parts in every language`, () => {
      const english = skeletonOf(readText('locales', 'en-US', `${node}.html`));
      for (const language of LANGUAGES) {
        const help = readText('locales', language, `${node}.html`);
        assert.ok(help.startsWith(`<script type="text/html" data-help-name="${node}">`), language);
        assert.deepEqual(skeletonOf(help), english, language);
      }
    });

    test(`that ${node} uses are in its catalogue`, () => {
      const keys = flatten(readCatalogue('en-US', node)).map(([key]) => key);
      const dialog = readText(`${node}.html`);
      const whole = [...dialog.matchAll(/data-i18n="(?:\[\w+\])?([^"]+)"/g)].map(([, key]) => key);
      assert.deepEqual(whole.filter((key) => !key.startsWith('node-red:') && !keys.includes(key)), []);
      // In code the end of a key may be computed.
      const begun = [...dialog.matchAll(new RegExp(`"(${node}\\.\\w+\\.[\\w.]*|${node}\\.summary)"`, 'g'))].map(([, key]) => key);
      assert.deepEqual(begun.filter((beginning) => !keys.some((key) => key.startsWith(beginning))), []);
      const runtime = [...readText(`${node}.js`).matchAll(new RegExp(`RED\\._\\('(${node}\\.[^']+)'`, 'g'))].map(([, key]) => key);
      assert.deepEqual(runtime.filter((key) => !keys.includes(key)), []);
    });
  }

  test('of each status are there', () => {
    const states = {
      'cluster-leader': ['error', 'follower', 'leader', 'none'],
      'release-cluster-leader': ['error', 'none', 'other', 'released'],
    };
    for (const [node, expected] of Object.entries(states)) {
      assert.deepEqual(Object.keys(readCatalogue('en-US', node)[node].status).sort(), expected);
    }
  });
});

describe('the dialog', () => {
  test('of a leader node says what is wrong with a lock TTL', () => {
    const node = nodeOf('cluster-leader');
    assert.equal(node.lockTTL, 10);
    for (const good of [10, '10', '1', 1, '86400', '2.5', ' 30 ', '', undefined, '${LOCK_TTL}']) {
      assert.equal(verdict(node, 'lockTTL', good), true, String(good));
    }
    for (const bad of ['ten', '10s', '1e3', '0x10', 'NaN', '.', '${A} ${B}']) {
      assert.match(String(verdict(node, 'lockTTL', bad)), /a number of seconds/, bad);
    }
    for (const bad of ['0', '0.99', '-5', '86401', 1e9]) {
      assert.match(String(verdict(node, 'lockTTL', bad)), /from 1 second to 86400 seconds/, String(bad));
    }
  });

  for (const type of ['cluster-leader', 'release-cluster-leader']) {
    test(`of ${type} takes any lock key that can be one, and shows it`, () => {
      const node = nodeOf(type);
      assert.equal(node.lockKey, 'nodered:leader');
      for (const good of ['nodered:leader', '', 'nodered:backup-job', '{a}b', 'käse schlüssel', '鍵'.repeat(341), '${LOCK}']) {
        assert.equal(verdict(node, 'lockKey', good), true, good);
      }
      assert.match(String(verdict(node, 'lockKey', 'a\tb')), /control characters/);
      assert.match(String(verdict(node, 'lockKey', '鍵'.repeat(342))), /1,024 bytes/);
      assert.match(node._def.label.call(node), /nodered:leader$/);
      assert.match(node._def.label.call({ ...node, lockKey: 'jobs' }), /jobs$/);
      assert.match(node._def.label.call({ ...node, lockKey: '' }), /nodered:leader$/);
      assert.equal(node._def.label.call({ ...node, name: 'Anna' }), 'Anna');
    });

    test(`of ${type} lets the store be that of the cluster`, () => {
      const { valkey } = definitionOf(type).defaults;
      assert.deepEqual({ ...valkey }, { value: '', type: 'valkey-config', required: false });
    });
  }

  test('of a leader node labels its outputs', () => {
    const node = nodeOf('cluster-leader');
    assert.deepEqual([0, 1].map((index) => node._def.outputLabels.call(node, index)), ['leader', 'follower']);
    assert.deepEqual([node._def.inputs, node._def.outputs, node._def.category], [1, 2, 'cluster']);
  });

  test('of a store begins as the contract says, and keeps secrets as credentials', () => {
    const node = nodeOf('valkey-config');
    const { host, port, database, tls, rejectUnauthorized } = node;
    assert.deepEqual({ host, port, database, tls, rejectUnauthorized }, {
      host: 'redis', port: 6379, database: 0, tls: false, rejectUnauthorized: true,
    });
    assert.equal(node._def.label.call(node), 'redis:6379');
    assert.equal(node._def.label.call({ ...node, name: 'ours' }), 'ours');
    assert.equal(node._def.label.call({ ...node, sentinels: 's:1', sentinelName: 'mymaster' }), 'mymaster (Sentinel)');
    assert.deepEqual(Object.entries(node._def.credentials).map(([name, { type }]) => `${name}: ${type}`).sort(), [
      'key: password', 'passphrase: password', 'password: password',
      'sentinelPassword: password', 'sentinelUsername: text', 'username: text',
    ]);
  });

  test('of a store says what is wrong with a field', () => {
    const node = nodeOf('valkey-config');
    /** @type {Array<[string, unknown[], unknown[], RegExp]>} */
    const fields = [
      ['host', ['redis', '10.0.0.1', '::1', '${VALKEY_HOST}'], ['a b', 'a,b', 'redis://a'], /only a host name/],
      ['port', [6379, '6379', '65535', '', '${VALKEY_PORT}'], ['0', '65536', '-1', '1.5', 'x'], /from 1 to 65535/],
      ['database', [0, '0', '15', '', '${VALKEY_DB}'], ['-1', '1.5', 'x'], /whole number from 0/],
      ['sentinels', ['', 'a:1', 'a:26379, b:26379', 'a', '[::1]:26379'], ['a:', 'a:x', 'a:1,', 'a b', 'a:70000'], /host:port/],
      ['ca', ['', '-----BEGIN CERTIFICATE-----\nx'], ['/etc/ca.pem'], /PEM text is needed/],
      ['cert', ['', '-----BEGIN TRUSTED CERTIFICATE-----\nx'], ['/etc/cert.pem'], /PEM text is needed/],
    ];
    for (const [name, good, bad, sentence] of fields) {
      for (const value of good) assert.equal(verdict(node, name, value), true, `${name}: ${value}`);
      for (const value of bad) assert.match(String(verdict(node, name, value)), sentence, `${name}: ${value}`);
    }
    assert.match(String(verdict(node, 'host', '')), /a host name or an address is needed/);
    const watched = { ...node, sentinels: 'a:26379' };
    assert.equal(verdict(watched, 'host', ''), true);
    assert.match(String(verdict(watched, 'sentinelName', '')), /is needed/);
    assert.equal(verdict(watched, 'sentinelName', 'mymaster'), true);
  });
});

describe('the editor', () => {
  const scope = fileScope();
  /** @type {import('./support/cluster').Cluster} */
  let cluster;
  before(async () => {
    cluster = await startCluster(scope, { workers: 0 });
  });

  test('gets every node with its dialog, and with its help and texts in each language', async () => {
    const { api } = cluster.admin;
    for (const language of LANGUAGES) {
      const { text } = await api.call('GET', '/nodes', undefined, { accept: 'text/html', 'accept-language': language });
      for (const node of NODES) {
        assert.ok(text.includes(`data-template-name="${node}"`), `the dialog of ${node}`);
        const help = readText('locales', language, `${node}.html`).trim();
        assert.ok(text.includes(help), `the help of ${node} in ${language}`);
        const catalogue = await api.expect('GET', `/locales/node-red-cluster/${node}?lng=${language}`);
        assert.deepEqual(catalogue, readCatalogue(language, node), language);
      }
    }
  });

  test('gets the icons', async () => {
    for (const node of DRAWN) {
      const { text } = await cluster.admin.api.call('GET', `/icons/node-red-cluster/${node}.svg`);
      assert.match(text, /^<svg [^>]*width="40" height="60"/, node);
      assert.match(readText(`${node}.html`), new RegExp(`icon: "${node}\\.svg"`));
    }
  });
});

test('the npm package holds the nodes with all that belongs to them', async () => {
  const { stdout } = await promisify(execFile)('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: ROOT });
  const packed = JSON.parse(stdout)[0].files.map((/** @type {{path: string}} */ file) => file.path);
  const texts = LANGUAGES.flatMap((language) => NODES.flatMap((node) => ['html', 'json'].map((kind) => `node/nodes/locales/${language}/${node}.${kind}`)));
  const code = NODES.flatMap((node) => ['html', 'js'].map((kind) => `node/nodes/${node}.${kind}`));
  const icons = DRAWN.map((node) => `node/nodes/icons/${node}.svg`);
  const examples = fs.readdirSync(path.join(ROOT, 'examples')).map((name) => `examples/${name}`);
  for (const file of [...texts, ...code, ...icons, ...examples]) assert.ok(packed.includes(file), file);
});

describe('the button "Test connection"', () => {
  const scope = fileScope();
  /** @type {import('./support/cluster').Cluster} */
  let cluster;
  /** @type {import('./support/store').Store} */
  let guarded;
  before(async () => {
    guarded = await startStore({ password: 'the right one', users: ['narrow on >narrow ~nothing:* &* +@all'] });
    scope.after(() => guarded.release());
    cluster = await startCluster(scope, { workers: 0 });
    await cluster.deploy([
      tab('tab'),
      { id: 'config', type: 'valkey-config', ...fields(), credentials: { password: 'the right one' } },
    ]);
  });

  /** What the dialog shows of the store that wants a password. */
  const fields = () => ({ name: '', host: guarded.host, port: String(guarded.port), database: '0', tls: false, rejectUnauthorized: true });

  /** @param {Record<string, unknown>} shown */
  const press = (shown) => cluster.admin.api.call('POST', '/node-red-cluster/valkey-config/test', { id: 'config', ...fields(), ...shown });

  /**
   * @param {Record<string, unknown>} shown
   * @returns {Promise<{ok: boolean, store: string, steps: Array<{ok: boolean, text: string}>, message: string, code: string | null}>}
   */
  async function answer(shown) {
    const { status, body, text } = await press(shown);
    assert.equal(status, 200, text);
    for (const secret of ['the right one', 'another one']) assert.ok(!text.includes(secret), text);
    return body;
  }

  test('says of every step that it went well, with the password that is stored', async () => {
    const found = await answer({ password: '__PWRD__' });
    assert.deepEqual([found.ok, found.message, found.code], [true, '', null]);
    assert.ok(found.store.includes(String(guarded.port)), found.store);
    assert.ok(found.steps.length > 1 && found.steps.every(({ ok, text }) => ok && text !== ''), JSON.stringify(found));
  });

  test('tries what the dialog shows, not what is saved', async () => {
    assert.equal((await answer({ id: 'not saved yet', password: 'the right one' })).ok, true);
    assert.equal((await answer({ password: 'another one' })).code, 'NRC_STORE_AUTHENTICATION');
    assert.equal((await answer({ password: '' })).code, 'NRC_STORE_AUTHENTICATION');
    const { host, port } = cluster.store;
    const login = await cluster.store.login('nodered-leader', { prefix: cluster.prefix });
    assert.equal((await answer({ host, port: String(port), ...login })).ok, true);
  });

  test('says what failed, at which step and why', async () => {
    const elsewhere = await answer({ host: 'no-such-host.invalid' });
    assert.equal(elsewhere.code, 'NRC_STORE_UNREACHABLE');
    assert.match(elsewhere.message, /no-such-host\.invalid/);
    assert.deepEqual(elsewhere.steps.at(-1), { ok: false, text: elsewhere.message });
    const narrow = await answer({ username: 'narrow', password: 'narrow' });
    assert.equal(narrow.code, 'NRC_STORE_PERMISSION');
    assert.equal(narrow.steps[0].ok, true, JSON.stringify(narrow));
    assert.equal(narrow.steps.at(-1)?.ok, false);
  });

  test('says which field cannot work, or which variable is not set', async () => {
    const { code, message, steps, store } = await answer({ port: '0' });
    assert.deepEqual([code, steps, store], ['NRC_CONFIG_INVALID', [], '']);
    assert.match(message, /port/);
    const unset = await answer({ host: '${NO_SUCH_VARIABLE}' });
    assert.equal(unset.code, 'NRC_CONFIG_INVALID');
    assert.match(unset.message, /NO_SUCH_VARIABLE/);
  });

  test('leaves no lock behind, and answers only who may deploy', async (t) => {
    const kept = await cluster.store.keys('*');
    const login = await cluster.store.login('nodered-leader', { prefix: cluster.prefix });
    assert.equal((await answer({ host: cluster.store.host, port: String(cluster.store.port), ...login })).ok, true);
    const added = (await cluster.store.keys('*')).filter((key) => !kept.includes(key));
    assert.deepEqual(added.filter((key) => !key.endsWith('election-memory')), []);

    const closed = await startReadyInstance({ role: 'plain', source: READER_AUTH });
    t.after(() => closed.release());
    const asked = async (/** @type {import('./support/api').Api} */ api) =>
      (await api.call('POST', '/node-red-cluster/valkey-config/test', fields())).status;
    assert.equal(await asked(closed.api), 401);
    const { access_token: token } = await closed.api.expect('POST', '/auth/token', {
      client_id: 'node-red-admin', grant_type: 'password', scope: 'read', username: 'reader', password: 'any',
    });
    assert.equal((await closed.api.withToken(token).call('GET', '/flows')).status, 200);
    assert.equal(await asked(closed.api.withToken(token)), 401);
  });
});
