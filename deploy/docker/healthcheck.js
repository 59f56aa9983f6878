'use strict';

/**
 * Ends with 0 when the Node-RED in this container answers HTTP, whatever it answers: which
 * endpoints there are is up to the flows. Needs nothing but Node.js.
 */

const http = require('node:http');

/** Milliseconds. */
const LIMIT = 4000;

const request = http.get({ port: process.env.PORT || 1880, path: '/api/', timeout: LIMIT });
request.on('response', () => process.exit(0));
request.on('timeout', () => request.destroy(new Error(`no answer within ${LIMIT} ms`)));
request.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
