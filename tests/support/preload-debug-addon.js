'use strict';

/** Loaded into a Node-RED before anything else: it gets the build for development of the addon. */

const Module = /** @type {any} */ (require('node:module'));
const path = require('node:path');

const library = process.env.TEST_DEBUG_ADDON;
const native = path.join(__dirname, '..', '..', 'native');
const load = Module._extensions['.node'];

Module._extensions['.node'] = (/** @type {unknown} */ module, /** @type {string} */ file) => {
  load(module, library && path.dirname(file) === native ? library : file);
};
