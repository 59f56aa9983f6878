'use strict';

/** `node-red-cluster up`: a whole cluster on one machine, as a user starts it. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { test } = require('node:test');
const { createApi } = require('./support/api');
const { ROOT, removeDirectory, temporaryDirectory } = require('./support/directories');
const { endpoint, tab } = require('./support/flows');
const { request } = require('./support/http');
const { freePort } = require('./support/ports');
const { startProcess } = require('./support/processes');
const { until } = require('./support/wait');

const PROGRAM = path.join(ROOT, 'bin', 'node-red-cluster.js');
const STARTED = /stop\s+Ctrl-C/;

/**
 * @param {import('node:test').TestContext} t
 * @param {string[]} args
 * @param {string} [cwd]
 */
function up(t, args, cwd = ROOT) {
  let output = '';
  const program = startProcess(process.execPath, [PROGRAM, 'up', ...args], {
    cwd,
    env: { ...process.env, NO_COLOR: '1' },
    onOutput: (text) => {
      output += text;
    },
  });
  t.after(async () => {
    program.signal('SIGINT');
    await program.exited;
  });
  return { ...program, output: () => output };
}

/**
 * @param {import('node:test').TestContext} t
 * @returns {string} a directory that is removed after the test
 */
function directoryOf(t) {
  const directory = temporaryDirectory('up');
  t.after(() => removeDirectory(directory));
  return directory;
}

/** @returns {Promise<number>} the first of three free ports in a row */
async function threeFreePorts() {
  for (;;) {
    const port = await freePort();
    const free = await Promise.all([port + 1, port + 2].map(isFree));
    if (free.every(Boolean)) return port;
  }
}

/** @param {number} port */
function isFree(port) {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/**
 * @param {string} directory
 * @returns {number[]} the processes that work for a cluster in this directory
 */
function processesOf(directory) {
  return fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    try {
      const command = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      return pid !== process.pid && (command.includes(directory) || fs.readlinkSync(`/proc/${pid}/cwd`).startsWith(directory));
    } catch {
      return false;
    }
  });
}

/**
 * @param {string} output
 * @param {string} name of an instance in the table
 */
function pidOf(output, name) {
  const line = output.match(new RegExp(`^${name} +(?:admin|worker) +(\\d+)`, 'm'));
  assert.ok(line, `${name} stands in the table`);
  return Number(line[1]);
}

test('up runs a cluster, restarts what crashes, keeps its data and leaves nothing behind', async (t) => {
  const directory = directoryOf(t);
  const port = await threeFreePorts();
  const args = ['--dir', directory, '--port', String(port)];
  const first = up(t, args);
  await until(() => STARTED.test(first.output()), { message: 'the cluster is started', timeout: 60_000 });

  const api = createApi(`http://127.0.0.1:${port}/admin`);
  await api.deploy([tab('tab'), ...endpoint('tab', 'hello', 'from every worker')]);
  const answers = (/** @type {number} */ offset) => async () => {
    const { text } = await request(`http://127.0.0.1:${port + offset}/api/hello`, { timeout: 500 });
    return text === 'from every worker';
  };
  for (const offset of [1, 2]) await until(answers(offset), { message: `worker ${offset} answers` });

  process.kill(pidOf(first.output(), 'worker-1'), 'SIGKILL');
  await until(() => /worker-1.*SIGKILL|worker-1.*signal 9|worker-1.*killed/i.test(first.output()), { message: 'the crash is told' });
  await until(answers(1), { message: 'worker 1 answers again', timeout: 30_000 });

  first.signal('SIGINT');
  assert.deepEqual(await first.exited, { code: 0, signal: null }, first.output());
  assert.deepEqual(processesOf(directory), [], 'no process is left');

  const second = up(t, args);
  await until(() => STARTED.test(second.output()), { message: 'the cluster is started again', timeout: 60_000 });
  for (const offset of [1, 2]) await until(answers(offset), { message: `worker ${offset} has its flows` });
  second.signal('SIGTERM');
  assert.equal((await second.exited).code, 0, second.output());
  assert.deepEqual(processesOf(directory), [], 'no process is left');
});

test('up names a port that is in use', async (t) => {
  const port = await threeFreePorts();
  const server = net.createServer();
  await new Promise((resolve) => {
    server.listen(port + 1, '127.0.0.1', () => resolve(undefined));
  });
  t.after(() => server.close());
  const directory = directoryOf(t);
  const program = up(t, ['--dir', directory, '--port', String(port)]);
  assert.equal((await program.exited).code, 2);
  assert.match(program.output(), new RegExp(`${port + 1}.*--port`, 's'));
  assert.deepEqual(processesOf(directory), []);
});

test('up says where a store does not answer', async (t) => {
  const nobody = await freePort();
  const args = ['--dir', directoryOf(t), '--port', String(await threeFreePorts())];
  const program = up(t, [...args, '--url', `redis://127.0.0.1:${nobody}`]);
  assert.equal((await program.exited).code, 2);
  assert.match(program.output(), new RegExp(`127\\.0\\.0\\.1:${nobody}`));
});

test('up says what it does not understand', async (t) => {
  for (const args of [['--workers', 'many'], ['--workers', '-1'], ['--port', '70000'], ['--wrokers', '2'], ['--url', 'nonsense']]) {
    const program = up(t, ['--dir', directoryOf(t), ...args]);
    assert.equal((await program.exited).code, 2, program.output());
    assert.ok(program.output().includes(args[0]) || program.output().includes(args[1]), program.output());
  }
});
