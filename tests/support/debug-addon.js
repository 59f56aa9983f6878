'use strict';

/** The addon as a build for development: only that one has the places where a test can ask for a panic. */

const { spawnSync } = require('node:child_process');
const path = require('node:path');
const { ROOT } = require('./directories');

const NAMES = /** @type {Record<string, string>} */ ({
  darwin: 'libnode_red_cluster_addon.dylib',
  win32: 'node_red_cluster_addon.dll',
});
const LIBRARY = path.join(
  process.env.CARGO_TARGET_DIR ?? path.join(ROOT, 'target'), 'debug',
  NAMES[process.platform] ?? 'libnode_red_cluster_addon.so',
);

/** @returns {NodeJS.ProcessEnv} with these variables a Node-RED loads it in place of the addon in use */
function debugAddon() {
  const built = spawnSync('cargo', ['build', '--quiet', '--locked', '--package', 'node-red-cluster-addon'], { cwd: ROOT, encoding: 'utf8' });
  if (built.status !== 0) throw new Error(`cargo cannot build the addon: ${built.stderr || built.error}`);
  return {
    NODE_OPTIONS: `--require ${JSON.stringify(path.join(__dirname, 'preload-debug-addon.js'))}`,
    TEST_DEBUG_ADDON: LIBRARY,
  };
}

module.exports = { debugAddon };
