'use strict';

/** The YAML files in `deploy/`, checked against the schemas of the platforms and against each other. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { ROOT, temporaryDirectory } = require('./support/directories');
const { freePort } = require('./support/ports');
const { startProcess } = require('./support/processes');
const resp = require('./support/resp');
const { findServer } = require('./support/store');
const { until } = require('./support/wait');
const { problemsOf, readDocuments } = require('./support/yaml-schemas');

const DEPLOY = path.join(ROOT, 'deploy');
const FILES = yamlFiles(DEPLOY);

/**
 * @param {string} folder
 * @returns {string[]} paths relative to `deploy/`
 */
function yamlFiles(folder) {
  return fs
    .readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      const file = path.join(folder, entry.name);
      if (entry.isDirectory()) return yamlFiles(file);
      return /\.ya?ml$/.test(entry.name) ? [path.relative(DEPLOY, file)] : [];
    });
}

/** @param {string} file relative to `deploy/` */
function textOf(file) {
  return fs.readFileSync(path.join(DEPLOY, file), 'utf8');
}

/**
 * Changes the first occurrence, which has to be there.
 *
 * @param {string} text
 * @param {string} from
 * @param {string} to
 */
function broken(text, from, to) {
  assert.ok(text.includes(from), `the file has ${from}`);
  return text.replace(from, to);
}

test('there are files for Compose, Swarm and Kubernetes', () => {
  assert.deepEqual(FILES.sort(), [
    'compose/compose.yaml',
    'kubernetes/admin.yaml',
    'kubernetes/store.yaml',
    'kubernetes/worker.yaml',
    'swarm/stack.yaml',
  ]);
});

for (const file of FILES) {
  test(`${file} is valid`, () => {
    assert.deepEqual(problemsOf(file, textOf(file)), []);
  });
}

test('a file that is broken does not pass', () => {
  const [compose, worker] = [textOf('compose/compose.yaml'), textOf('kubernetes/worker.yaml')];
  const cases = [
    ['a line out of place', 'compose/compose.yaml', broken(compose, '  worker:\n', '  worker:\n wrong:\n')],
    ['a property misspelt', 'compose/compose.yaml', broken(compose, 'volumes:', 'volume:')],
    ['a word for a number', 'compose/compose.yaml', broken(compose, 'replicas: 2', 'replicas: [many]')],
    ['a property misspelt', 'kubernetes/worker.yaml', broken(worker, 'readinessProbe', 'readynessProbe')],
    ['a word for a number', 'kubernetes/worker.yaml', broken(worker, 'replicas: 2', 'replicas: many')],
    ['a required property missing', 'kubernetes/worker.yaml', broken(worker, 'matchLabels: *labels', 'matchLabels: {}').replace('  selector:\n    matchLabels: {}\n', '')],
    ['an unknown kind', 'kubernetes/worker.yaml', broken(worker, 'kind: Deployment', 'kind: Deploiment')],
    ['a type for a variable that Kubernetes refuses', 'kubernetes/worker.yaml', broken(worker, 'value: "6379"', 'value: 6379')],
  ];
  for (const [what, file, text] of cases) {
    assert.notDeepEqual(problemsOf(file, text), [], `${what} in ${file} is found`);
  }
});

test('every variable that a file sets is one that the settings read', () => {
  const settings = ['environment.js', 'admin.js', 'worker.js'].map((name) => textOf(path.join('settings', name))).join('\n');
  const read = new Set(['PORT']);
  for (const [, reader, name] of settings.matchAll(/\b(variable|secret)\('([A-Z_]+)'\)/g)) {
    read.add(name);
    if (reader === 'secret') read.add(`${name}_FILE`);
  }
  const readme = textOf('README.md');
  for (const name of read) assert.ok(readme.includes(name.replace(/_FILE$/, '')), `README.md explains ${name}`);
  for (const file of FILES) {
    for (const [name] of textOf(file).matchAll(/(?<!\$\{)\b(VALKEY|NODE_RED)_[A-Z_]+(?=:| *$)/gm)) {
      assert.ok(read.has(name), `${file} sets ${name}`);
    }
  }
});

test('Kubernetes services and controllers select the pods of their own template, and volumes exist', () => {
  for (const file of FILES.filter((name) => name.startsWith('kubernetes/'))) {
    const [service, controller] = /** @type {any[]} */ (readDocuments(textOf(file)));
    const { metadata, spec } = controller.spec.template;
    assert.deepEqual(service.spec.selector, metadata.labels, file);
    assert.deepEqual(controller.spec.selector.matchLabels, metadata.labels, file);
    assert.ok(spec.terminationGracePeriodSeconds >= 30, `${file} leaves time to end`);
    const volumes = [...(spec.volumes ?? []), ...(controller.spec.volumeClaimTemplates ?? []).map((/** @type {any} */ claim) => claim.metadata)];
    const mounted = spec.containers[0].volumeMounts.map((/** @type {any} */ mount) => mount.name);
    assert.deepEqual(volumes.map((/** @type {any} */ volume) => volume.name).sort(), mounted.sort(), file);
  }
});

/** @type {Array<{file: string, command: (documents: any[]) => string[]}>} */
const STORES = [
  { file: 'compose/compose.yaml', command: ([compose]) => unescaped(compose.services.store.command) },
  { file: 'swarm/stack.yaml', command: ([stack]) => unescaped(stack.services.store.command) },
  { file: 'kubernetes/store.yaml', command: ([, set]) => set.spec.template.spec.containers[0].command },
];

/**
 * @param {string[]} command with the dollar signs that Compose would take for its own doubled
 * @returns {string[]}
 */
function unescaped(command) {
  return command.map((word) => word.replaceAll('$$', '$'));
}

for (const { file, command } of STORES) {
  test(`the store of ${file} starts and asks for the password`, async (t) => {
    const password = 'a password with $HOME';
    const folder = temporaryDirectory('store-command');
    const port = await freePort();
    const socket = path.join(folder, 'store.sock');
    fs.symlinkSync(findServer(), path.join(folder, 'valkey-server'));
    fs.writeFileSync(path.join(folder, 'docker-entrypoint.sh'), '#!/bin/sh\nexec "$@"\n', { mode: 0o755 });
    fs.writeFileSync(path.join(folder, 'password'), `${password}\n`);
    const [shell, ...parameters] = command(/** @type {any[]} */ (readDocuments(textOf(file)))).map((word) =>
      word
        .replace(/\/run\/secrets\/[\w/-]+/g, path.join(folder, 'password'))
        .replace('dir /data', `dir ${folder}`)
        .replace(/^( *)appendonly yes$/m, `$1appendonly yes\n$1port ${port}\n$1unixsocket ${socket}`),
    );
    let log = '';
    const child = startProcess(shell, parameters, {
      cwd: folder,
      env: { PATH: `${folder}${path.delimiter}${process.env.PATH}` },
      onOutput: (text) => {
        log += text;
      },
    });
    t.after(() => child.kill().then(() => undefined));
    // The socket's file is there a moment before the server listens on it.
    const stranger = await until(() => resp.connect({ path: socket }), { message: 'the store starts' }).catch((error) => {
      throw new Error(`${error.message}; its log was:\n${log}`);
    });
    t.after(() => stranger.close());
    await assert.rejects(stranger.command('PING'), /NOAUTH/);
    const friend = await resp.connect({ path: socket, password });
    t.after(() => friend.close());
    assert.equal(await friend.command('PING'), 'PONG');
  });
}
