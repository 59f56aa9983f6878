'use strict';

/** Packages for the tests' registry: each tells which version of it runs. */

const fs = require('node:fs');
const path = require('node:path');
const { temporaryDirectory } = require('./directories');

/** @typedef {import('./registry').PackageSpec} PackageSpec */

/** @typedef {Omit<PackageSpec, 'files' | 'nodeRed'>} Common */

/**
 * A Node-RED module whose nodes answer each message with `<name>@<version>: <says>`.
 *
 * @param {Common & {types: string[], says?: string, tells?: string[], files?: Record<string, string>}} options
 *   types: of the nodes; tells: dependencies whose exports follow what the node says, each behind a
 *   space, to see which version of them runs; files: more of them
 * @returns {PackageSpec}
 */
function nodePackage({ types, says = 'hello', tells = [], files = {}, extra, ...common }) {
  const text = `${common.name}@${common.version}: ${says}`;
  /** @type {Record<string, string>} */
  const nodeFiles = {};
  for (const type of types) {
    nodeFiles[`${type}.js`] = nodeSource(type, text, tells);
    nodeFiles[`${type}.html`] = editorSource(type);
  }
  return {
    ...common,
    files: { ...nodeFiles, ...files },
    nodeRed: { nodes: Object.fromEntries(types.map((type) => [type, `${type}.js`])) },
    extra: { keywords: ['node-red'], ...extra },
  };
}

/**
 * @param {string} type
 * @param {string} text
 * @param {string[]} tells
 */
function nodeSource(type, text, tells) {
  const told = tells.map((module) => `require(${JSON.stringify(module)})`);
  return `'use strict';

module.exports = function register(RED) {
  function TestNode(config) {
    RED.nodes.createNode(this, config);
    this.on('input', (msg, send, done) => {
      msg.payload = [${[JSON.stringify(text), ...told].join(', ')}].join(' ');
      send(msg);
      done();
    });
  }
  RED.nodes.registerType(${JSON.stringify(type)}, TestNode);
};
`;
}

/** @param {string} type */
function editorSource(type) {
  return `<script type="text/javascript">
  RED.nodes.registerType(${JSON.stringify(type)}, {
    category: 'function',
    defaults: { name: { value: '' } },
    inputs: 1,
    outputs: 1,
    label: function () { return this.name || ${JSON.stringify(type)}; },
  });
</script>
<script type="text/html" data-template-name="${type}"></script>
<script type="text/html" data-help-name="${type}"><p>A node of the tests.</p></script>
`;
}

/**
 * A module as Function nodes and other packages use it.
 *
 * @param {Common & {exports?: unknown, files?: Record<string, string>}} options
 *   exports: as JSON; `<name>@<version>` when absent; files: more of them
 * @returns {PackageSpec}
 */
function plainPackage({ exports: exported, files = {}, extra, ...common }) {
  const value = exported === undefined ? `${common.name}@${common.version}` : exported;
  return {
    ...common,
    files: { 'index.js': `'use strict';\n\nmodule.exports = ${JSON.stringify(value, null, 2)};\n`, ...files },
    extra: { main: 'index.js', ...extra },
  };
}

/**
 * The environment in which a process and its npm use a registry, and nothing of the user who runs the
 * tests: neither their settings nor what their npm has kept.
 *
 * @param {{url: string}} registry
 * @returns {Record<string, string>}
 */
function npmEnvironment({ url }) {
  const directory = temporaryDirectory('npm');
  const settings = (/** @type {string} */ name) => {
    const file = path.join(directory, name);
    fs.writeFileSync(file, '');
    return file;
  };
  return {
    npm_config_registry: url,
    npm_config_cache: path.join(directory, 'cache'),
    npm_config_userconfig: settings('user.npmrc'),
    npm_config_globalconfig: settings('global.npmrc'),
    npm_config_noproxy: '127.0.0.1',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    npm_config_update_notifier: 'false',
    npm_config_fetch_retries: '0',
  };
}

module.exports = { nodePackage, npmEnvironment, plainPackage };
