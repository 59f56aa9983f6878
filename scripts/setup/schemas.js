'use strict';

/** The JSON schemas that the tests check the files in `deploy/` against. */

const fs = require('node:fs');
const path = require('node:path');

const { SCHEMAS } = require('../support/paths.js');
const { requirePip } = require('./prerequisites.js');
const { isMadeFrom, replaceFolder, withWheels } = require('./wheels.js');

const REQUIREMENTS = path.join(__dirname, 'schemas.txt');
const COMPOSE_SCHEMA = path.join('check_jsonschema', 'builtin_schemas', 'vendor', 'compose-spec.json');
/** "strict" has the schemas that refuse a property which Kubernetes does not know. */
const KUBERNETES_SCHEMAS = path.join('kubernetes_validate', 'kubernetes-json-schema', 'v1.30.0-local-strict');

/** Fetches the schemas once. */
function provideSchemas() {
  if (isMadeFrom(SCHEMAS, REQUIREMENTS)) return;
  const tools = requirePip('fetch the schemas of the deployment files', 'or leave these tests to someone who has it');
  console.error('Fetching the schemas of the deployment files ...');
  withWheels(tools, REQUIREMENTS, 'fetch the schemas of the deployment files', (unpacked) => {
    replaceFolder(SCHEMAS, REQUIREMENTS, (staging) => {
      fs.copyFileSync(path.join(unpacked, COMPOSE_SCHEMA), path.join(staging, 'compose.json'));
      fs.cpSync(path.join(unpacked, KUBERNETES_SCHEMAS), path.join(staging, 'kubernetes'), { recursive: true });
    });
  });
}

module.exports = { provideSchemas };
