'use strict';

/** Whoever can write to the store can put anything there as packages: a worker gives npm nothing of it. */

const { createHash } = require('node:crypto');
const { Readable } = require('node:stream');
const { buffer } = require('node:stream/consumers');
const { before, test } = require('node:test');
const zlib = require('node:zlib');
const { startAttackedCluster } = require('./support/package-attacks');
const { fileScope } = require('./support/scope');

const MEGABYTE = 1024 * 1024;

/** @typedef {import('./support/package-attacks').Content} Content */

const scope = fileScope();
/** @type {import('./support/package-attacks').AttackedCluster} */
let cluster;
/** @type {Content} what the admin published */
let published;
before(async () => {
  cluster = await startAttackedCluster(scope);
  ({ published } = cluster);
});

/** @param {object} packages more of them in the list */
const listed = (packages) => ({ ...published.list, packages: { ...published.list.packages, ...packages } });

/** @param {object} packages more of them in the lock file */
const locked = (packages) => ({ ...published.lock, packages: { ...published.lock.packages, ...packages } });

/** @param {object} entry more of the entry of the package that the admin has */
const entered = (entry) => locked({ 'node_modules/good-nodes': { ...published.lock.packages['node_modules/good-nodes'], ...entry } });

const DIGEST = createHash('sha512').update('the bytes of a tarball').digest('hex');
const INTEGRITY = `sha512-${Buffer.from(DIGEST, 'hex').toString('base64')}`;
const UPLOAD = { version: '1.0.0', resolved: `file:tarballs/${DIGEST}.tgz`, integrity: INTEGRITY };

/** @type {Record<string, {made: () => Partial<Content>, part: RegExp}>} */
const DAMAGED = {
  ...Object.fromEntries(['../x', '-g', '--prefix=/tmp/x', '@a/../../b', 'a/b', '/etc/x', ''].map((name) => [
    `a package by the name ${JSON.stringify(name)}`,
    { made: () => ({ list: listed({ [name]: { version: '1.0.0' } }) }), part: /packages-content: the list of packages: the name / },
  ])),
  ...Object.fromEntries(['latest', '^1.0.0', 'git+ssh://git@127.0.0.1/x.git', 'file:../x', '--global', ''].map((version) => [
    `the version ${JSON.stringify(version)}`,
    { made: () => ({ list: listed({ 'good-nodes': { version } }) }), part: /the list of packages: the version .* of good-nodes is not exact/ },
  ])),
  ...Object.fromEntries(['node-red', 'node-red-cluster'].map((name) => [
    name,
    { made: () => ({ list: listed({ [name]: { version: '9.9.9' } }) }), part: new RegExp(`${name} is never installed by the cluster`) },
  ])),
  ...Object.fromEntries(['http://127.0.0.1/x.tgz', 'git+ssh://git@127.0.0.1/x.git#main', 'file:../x.tgz', 'file:tarballs/../x.tgz'].map((resolved) => [
    `a tarball from ${resolved}`,
    { made: () => ({ lock: entered({ resolved }) }), part: /the lock file of the packages: node_modules\/good-nodes comes from / },
  ])),
  ...Object.fromEntries(['git+ssh://git@127.0.0.1/x.git', 'file:../x', 'owner/name', 'http://127.0.0.1/x.tgz'].map((range) => [
    `a dependency on ${range}`,
    { made: () => ({ lock: entered({ dependencies: { x: range } }) }), part: /node_modules\/good-nodes depends on x from / },
  ])),
  'a path that leaves node_modules': { made: () => ({ lock: locked({ 'node_modules/../../x': { version: '1.0.0' } }) }), part: /the path .*node_modules/ },
  'a link to a folder': { made: () => ({ lock: entered({ link: true }) }), part: /node_modules\/good-nodes is a link/ },
  'an alias of an option': { made: () => ({ lock: entered({ name: '-g' }) }), part: /node_modules\/good-nodes stands for a package whose name / },
  'a command outside of its package': { made: () => ({ lock: entered({ bin: { x: '../../../x' } }) }), part: /node_modules\/good-nodes has commands outside / },
  'a package that the lock file does not have': { made: () => ({ list: listed({ other: { version: '1.0.0' } }) }), part: /other 1\.0\.0 does not stand in the lock file/ },
  'a tarball of other bytes than its hash': {
    made: () => ({
      list: listed({ up: { version: '1.0.0', upload: DIGEST } }),
      lock: locked({ 'node_modules/up': UPLOAD }),
      tarballs: { [DIGEST]: 'other bytes' },
    }),
    part: new RegExp(`the tarball ${DIGEST} in the store has other bytes`),
  },
  'a node set of __proto__': { made: () => ({ list: { ...published.list, disabled: ['__proto__/x'] } }), part: /"__proto__\/x" is no node set/ },
  'a list that is an array': { made: () => ({ list: [] }), part: /packages-content: the list of packages: / },
  'a list that is no JSON': { made: () => ({ list: 'garbage' }), part: /packages-content: the list of packages: / },
  'a lock file that is nested without end': { made: () => ({ lock: `{"packages":${'['.repeat(MEGABYTE)}` }), part: /packages-content: the lock file of the packages: / },
};

for (const [what, { made, part }] of Object.entries(DAMAGED)) {
  test(`${what} is refused`, async () => {
    await cluster.assertRefused({ ...published, ...made() }, { part });
  });
}

test('garbage without end is refused', async () => {
  const code = 'NRC_VALUE_TOO_LARGE';
  await cluster.assertRefused({ ...published, list: 'x'.repeat(2 * MEGABYTE) }, { code, part: /packages-content: the list has \d+ bytes, at most \d+/ });
  await cluster.assertRefused({ ...published, lock: Buffer.alloc(256 * MEGABYTE, 'x') }, { code, part: /packages-content: .*the lock file (has )?\d+.*at most \d+/ });
});

test('a gzip bomb is refused, also one that lies about its size', async () => {
  const zeros = Readable.from((function* chunks() {
    for (let count = 0; count < 1024; count += 1) yield Buffer.alloc(MEGABYTE);
  })());
  const lock = await buffer(zeros.pipe(zlib.createGzip()));
  await cluster.assertRefused({ ...published, lock }, { code: 'NRC_VALUE_TOO_LARGE', part: /packages-content: the stored value has more than \d+ bytes/ });
  lock.writeUInt32LE(1_000, lock.length - 4);
  await cluster.assertRefused({ ...published, lock }, { part: /packages-content: .*its gzip stream is longer than it says/ });
});

// Just below the longest lock file that is read at all, 8 MB.
for (const [what, lock] of /** @type {[string, () => string][]} */ ([
  ['dependencies', () => `{"packages":{"node_modules/good-nodes":{"dependencies":[${'0,'.repeat(3 * MEGABYTE)}0]}}}`],
  ['packages', () => `{"packages":{${Array.from({ length: 300_000 }, (_, index) => `"node_modules/p${index}":{}`).join(',')}}}`],
])) {
  test(`a lock file that is short in the store and has as many ${what} as fit is refused`, async () => {
    const part = /packages-content: the lock file of the packages: /;
    await cluster.assertRefused({ ...published, lock: zlib.gzipSync(lock()) }, { part });
  });
}

test('after all of that everybody follows what the admin has next', () => cluster.assertFollows('next'));
