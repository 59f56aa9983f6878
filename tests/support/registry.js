'use strict';

/** An npm registry on loopback that a test owns, so that no test depends on the world's one. */

const { createHash } = require('node:crypto');
const http = require('node:http');
const zlib = require('node:zlib');
const { freePort } = require('./ports');

/** The time of every file in a tarball, the one that npm itself gives them: equal packages have equal bytes. Seconds. */
const FILE_TIME = 499_162_500;

/** A tar archive is made of blocks of this size. Bytes. */
const BLOCK = 512;

/** The scripts that npm runs by itself when it installs a package. */
const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall'];

/**
 * @typedef {object} PackageSpec
 * @property {string} name with its scope, where it has one
 * @property {string} version
 * @property {Record<string, string>} [files] text by path in the package, beside package.json
 * @property {Record<string, string>} [dependencies]
 * @property {Record<string, string>} [optionalDependencies]
 * @property {Record<string, string>} [peerDependencies]
 * @property {Record<string, string>} [scripts]
 * @property {Record<string, string>} [engines]
 * @property {Record<string, string>} [bin]
 * @property {object} [nodeRed] the section `node-red` of package.json
 * @property {Record<string, unknown>} [extra] whatever else package.json shall have
 */

/**
 * @typedef {object} Published
 * @property {Record<string, any>} manifest
 * @property {Buffer} tarball
 */

/** @typedef {Awaited<ReturnType<typeof startRegistry>>} Registry */

/**
 * Starts a registry without any package.
 *
 * @param {{after: (cleanUp: () => Promise<void>) => void}} [scope] whose end releases it
 */
async function startRegistry(scope) {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/`;
  /** @type {Map<string, Map<string, Published>>} by name and version; the latest is published last */
  const packages = new Map();
  /** @type {Array<{method: string, path: string}>} */
  const requests = [];
  /** @type {Set<string>} */
  const corrupted = new Set();
  /** @type {RegExp | undefined} paths that are not answered */
  let held;
  /** @type {Set<() => void>} answers that wait */
  const waiting = new Set();
  /** @type {http.Server | undefined} */
  let server;

  /**
   * @param {string} name
   * @param {string} version
   * @returns {Published}
   */
  function find(name, version) {
    const found = packages.get(name)?.get(version);
    if (!found) throw new Error(`the registry has no ${name}@${version}`);
    return found;
  }

  /**
   * @param {string} name
   * @returns {object | undefined}
   */
  function packument(name) {
    const published = [...(packages.get(name) ?? [])];
    const latest = published.at(-1)?.[0];
    if (latest === undefined) return undefined;
    const versions = published.map(([version, { manifest, tarball }]) => {
      const file = `${name.split('/').pop()}-${version}.tgz`;
      const dist = { tarball: `${url}${name}/-/${file}`, ...checksums(tarball) };
      return [version, { ...manifest, _id: `${name}@${version}`, dist }];
    });
    return { _id: name, name, 'dist-tags': { latest }, versions: Object.fromEntries(versions) };
  }

  /**
   * @param {string} path without its query
   * @returns {Buffer | object | undefined} bytes are a tarball
   */
  function answerTo(path) {
    const [name, file] = path.slice(1).split('/-/');
    if (file === undefined) return packument(name);
    const version = file.slice(`${name.split('/').pop()}-`.length, -'.tgz'.length);
    const tarball = packages.get(name)?.get(version)?.tarball;
    return tarball && corrupted.has(`${name}@${version}`) ? damage(tarball) : tarball;
  }

  /**
   * @param {http.IncomingMessage} request
   * @param {http.ServerResponse} response
   */
  function serve({ method = '', url: target = '/' }, response) {
    const path = decodeURIComponent(target.split('?')[0]);
    requests.push({ method, path });
    const answer = () => {
      const content = method === 'GET' || method === 'HEAD' ? answerTo(path) : undefined;
      const isTarball = Buffer.isBuffer(content);
      response.writeHead(content ? 200 : 404, {
        'content-type': isTarball ? 'application/octet-stream' : 'application/json',
        // What npm keeps is never older than what the test has just published.
        'cache-control': 'no-cache',
      });
      response.end(isTarball ? content : JSON.stringify(content ?? { error: 'not found' }));
    };
    if (held?.test(path)) waiting.add(answer);
    else answer();
  }

  async function start() {
    const started = http.createServer(serve);
    await new Promise((resolve, reject) => {
      started.once('error', reject);
      started.listen(port, '127.0.0.1', () => resolve(undefined));
    });
    server = started;
  }

  async function stop() {
    const stopping = server;
    server = undefined;
    waiting.clear();
    if (!stopping) return;
    const closed = new Promise((resolve) => stopping.close(resolve));
    stopping.closeAllConnections();
    await closed;
  }

  await start();
  scope?.after(stop);

  return {
    url,
    port,
    /** All requests so far; paths are decoded: `/@scope/name`, `/@scope/name/-/name-1.0.0.tgz`. */
    requests,
    clearRequests() {
      requests.length = 0;
    },
    /**
     * Makes a package and offers it; it is the latest version from now on.
     *
     * @param {PackageSpec} spec
     * @returns {{name: string, version: string, shasum: string, integrity: string}}
     */
    publish(spec) {
      const { name, version } = spec;
      const tarball = packTarball(spec);
      const manifest = describePackage(spec);
      // The short form of the world's registry, which leaves the scripts out, tells by this that there are some.
      if (INSTALL_SCRIPTS.some((script) => spec.scripts?.[script])) manifest.hasInstallScript = true;
      const versions = packages.get(name) ?? new Map();
      versions.delete(version);
      packages.set(name, versions.set(version, { manifest, tarball }));
      return { name, version, ...checksums(tarball) };
    },
    /**
     * Takes a version away.
     *
     * @param {string} name
     * @param {string} version
     */
    unpublish(name, version) {
      find(name, version);
      packages.get(name)?.delete(version);
    },
    /**
     * @param {string} name
     * @param {string} version
     * @returns {Buffer} the bytes as they were published
     */
    tarball: (name, version) => find(name, version).tarball,
    /**
     * Serves other bytes than the integrity promises, until healed.
     *
     * @param {string} name
     * @param {string} version
     */
    corrupt(name, version) {
      find(name, version);
      corrupted.add(`${name}@${version}`);
    },
    /**
     * Answers nothing any more, until healed; connections are taken.
     *
     * @param {RegExp} [paths] of the requests that wait; `/\.tgz$/` holds only tarballs
     */
    hold(paths = /^/) {
      held = paths;
    },
    /** How many requests wait. */
    waiting: () => waiting.size,
    /** Serves the right bytes again, and answers what waits. */
    heal() {
      held = undefined;
      corrupted.clear();
      for (const answer of waiting) answer();
      waiting.clear();
    },
    /** Cuts every connection and refuses new ones; the packages stay. */
    stop,
    /** Listens again on the same port. */
    start,
    /** Ends it with all its connections. */
    release: stop,
  };
}

/**
 * @param {PackageSpec} spec
 * @returns {Record<string, any>} the content of package.json
 */
function describePackage({ files: _, nodeRed, extra, ...plain }) {
  return JSON.parse(JSON.stringify({ ...plain, 'node-red': nodeRed, ...extra }));
}

/**
 * @param {Buffer} tarball
 */
function checksums(tarball) {
  return {
    shasum: createHash('sha1').update(tarball).digest('hex'),
    integrity: `sha512-${createHash('sha512').update(tarball).digest('base64')}`,
  };
}

/**
 * @param {Buffer} tarball
 * @returns {Buffer} a tarball that can be unpacked, with other bytes
 */
function damage(tarball) {
  return zlib.gzipSync(Buffer.concat([zlib.gunzipSync(tarball), Buffer.alloc(BLOCK)]));
}

/**
 * Packs a package as npm does.
 *
 * @param {PackageSpec} spec
 * @returns {Buffer} the bytes of its .tgz
 */
function packTarball(spec) {
  const manifest = `${JSON.stringify(describePackage(spec), null, 2)}\n`;
  const files = Object.entries({ 'package.json': manifest, ...spec.files });
  const entries = files.flatMap(([path, text]) => {
    const content = Buffer.from(text);
    const padding = Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK);
    return [tarHeader(`package/${path}`, content.length), content, padding];
  });
  return zlib.gzipSync(Buffer.concat([...entries, Buffer.alloc(2 * BLOCK)]));
}

/**
 * @param {string} path
 * @param {number} size
 * @returns {Buffer} the ustar header of a file
 */
function tarHeader(path, size) {
  const header = Buffer.alloc(BLOCK);
  if (Buffer.byteLength(path) > 100) throw new Error(`the path is too long for a test package: ${path}`);
  const octal = (/** @type {number} */ value, /** @type {number} */ length) => value.toString(8).padStart(length - 1, '0');
  const modeOwnerGroup = `${octal(0o644, 8)}\0${octal(0, 8)}\0${octal(0, 8)}\0`;
  header.write(path);
  header.write(`${modeOwnerGroup}${octal(size, 12)}\0${octal(FILE_TIME, 12)}\0`, 100);
  // The checksum counts its own field as spaces; a type of 0 is a file.
  header.write('        0', 148);
  header.write('ustar\u000000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${octal(sum, 7)}\0 `, 148);
  return header;
}

module.exports = { packTarball, startRegistry };
