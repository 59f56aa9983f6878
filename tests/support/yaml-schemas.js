'use strict';

/**
 * Validation of deployment files: the Compose Specification for Compose and Swarm, the strict
 * schemas of Kubernetes for each of its objects. Set-up fetched the schemas.
 */

const fs = require('node:fs');
const path = require('node:path');
const { default: Ajv } = require('ajv/dist/2020');
const yaml = require('yaml');
const { ROOT } = require('./directories');

const SCHEMAS = path.join(ROOT, '.cache', 'schemas');
/** The schemas carry formats and keywords of their own platforms, which ajv is not to judge. */
const OPTIONS = { strict: false, allErrors: true, validateFormats: false };

/**
 * @param {string} text of a file with one or more documents
 * @returns {unknown[]} their values
 */
function readDocuments(text) {
  return parse(text).map((document) => document.toJS());
}

/**
 * @param {string} text
 * @returns {yaml.Document.Parsed[]}
 */
function parse(text) {
  return /** @type {yaml.Document.Parsed[]} */ (yaml.parseAllDocuments(text, { merge: true }));
}

/**
 * @param {string} file path below `deploy/`, whose first folder names the platform
 * @param {string} text its content, or what it would be
 * @returns {string[]} what is wrong, empty when it is valid
 */
function problemsOf(file, text) {
  const documents = parse(text);
  const syntax = documents.flatMap(({ errors }) => errors.map((error) => error.message));
  if (syntax.length > 0) return syntax;
  return documents.flatMap((document) => problemsOfValue(file, document.toJS()));
}

/**
 * @param {string} file
 * @param {any} value of one document
 * @returns {string[]}
 */
function problemsOfValue(file, value) {
  if (!file.startsWith('kubernetes/')) return validate(new Ajv(OPTIONS), 'compose.json', value);
  const name = `${value.kind}-${String(value.apiVersion).replace('/', '-')}`.toLowerCase();
  const schema = path.join('kubernetes', `${name}.json`);
  if (!fs.existsSync(path.join(SCHEMAS, schema))) return [`Kubernetes has no ${value.kind} in ${value.apiVersion}`];
  const ajv = new Ajv(OPTIONS);
  ajv.addSchema(readSchema(path.join('kubernetes', '_definitions.json')), '_definitions.json');
  return validate(ajv, schema, value);
}

/**
 * @param {Ajv} ajv
 * @param {string} schema
 * @param {unknown} value
 * @returns {string[]}
 */
function validate(ajv, schema, value) {
  const isValid = ajv.compile(readSchema(schema));
  if (isValid(value)) return [];
  return (isValid.errors ?? []).map(({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`);
}

/**
 * @param {string} name below the folder of the schemas
 * @returns {object}
 */
function readSchema(name) {
  return JSON.parse(fs.readFileSync(path.join(SCHEMAS, name), 'utf8'));
}

module.exports = { problemsOf, readDocuments };
