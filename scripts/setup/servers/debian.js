'use strict';

/**
 * Servers from Debian's packages of another release, unpacked with the libraries that they need and never installed.
 * apt checks the packages as ever, in a state of its own, from the mirror that this machine uses.
 */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { ask, findOnPath, runStep } = require('../../support/run.js');
const { unusable } = require('../../support/stop.js');
const { swapFolder } = require('../folders.js');

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const SOURCES = ['/etc/apt/sources.list', '/etc/apt/sources.list.d'];
/** Names of files that are libraries, as a program asks for them. */
const LIBRARY = /\.so(\.[\d.]+)?$/;

/**
 * @param {string} folder
 * @param {string} suite Debian's name for the release
 * @param {string} program the package and its program, which have one name
 * @returns {void}
 */
function fetchFromDebian(folder, suite, program) {
  if (!findOnPath('apt-get') || !findOnPath('dpkg-deb') || !fs.existsSync(KEYRING)) {
    throw unusable(`it comes from Debian's packages, which need apt-get, dpkg-deb and ${KEYRING}.`);
  }
  const mirror = findMirror();
  if (!mirror) throw unusable('it comes from Debian\'s packages, and no mirror of Debian stands in /etc/apt.');
  const work = fs.mkdtempSync(path.join(os.tmpdir(), 'nrc-apt-'));
  try {
    const archives = download(work, mirror, suite, program);
    swapFolder(folder, (staging) => {
      for (const part of ['lib', 'libc']) fs.mkdirSync(path.join(staging, part));
      for (const archive of archives) take(archive, path.join(work, 'unpacked'), staging, program);
      writeStarter(staging);
    });
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

/**
 * Finds where this machine gets Debian's own packages from, in both forms of apt's lists.
 *
 * @returns {string | undefined}
 */
function findMirror() {
  const release = /^VERSION_CODENAME=(\w+)/m.exec(readIfThere('/etc/os-release'))?.[1];
  for (const list of SOURCES.flatMap(filesAt)) {
    const text = readIfThere(list).replace(/^#.*$/gm, '');
    for (const line of text.split('\n')) {
      const [, uri, suite] = /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s/.exec(line) ?? [];
      if (uri && suite === release) return uri;
    }
    for (const paragraph of text.split(/\n\s*\n/)) {
      const uri = /^URIs:\s*(\S+)/m.exec(paragraph)?.[1];
      const suites = /^Suites:\s*(.*)$/m.exec(paragraph)?.[1]?.split(/\s+/) ?? [];
      if (uri && release && suites.includes(release)) return uri;
    }
  }
  return undefined;
}

/**
 * Fetches a package and all that it needs, as on a machine that has nothing yet.
 *
 * @param {string} work
 * @param {string} mirror
 * @param {string} suite
 * @param {string} program
 * @returns {string[]} the packages' paths
 */
function download(work, mirror, suite, program) {
  const list = path.join(work, 'sources.list');
  const status = path.join(work, 'status');
  const archives = path.join(work, 'cache', 'archives');
  for (const directory of [archives, path.join(work, 'state', 'lists')]) fs.mkdirSync(path.join(directory, 'partial'), { recursive: true });
  const suites = suite.endsWith('-backports') ? [suite.replace('-backports', ''), suite] : [suite];
  fs.writeFileSync(list, suites.map((name) => `deb [signed-by=${KEYRING}] ${mirror} ${name} main\n`).join(''));
  fs.writeFileSync(status, '');
  const options = [
    '-qq',
    ...[
      `Dir::Etc::sourcelist=${list}`,
      'Dir::Etc::sourceparts=-',
      `Dir::State=${path.join(work, 'state')}`,
      `Dir::State::status=${status}`,
      `Dir::Cache=${path.join(work, 'cache')}`,
      'Acquire::Languages=none',
      // Its own user for downloads may not write here.
      `APT::Sandbox::User=${os.userInfo().username}`,
    ].flatMap((option) => ['-o', option]),
  ];
  runStep('apt-get', [...options, 'update'], { purpose: `read the list of Debian ${suite}` });
  const install = ['--yes', '--no-install-recommends', '--download-only', '--target-release', suite, 'install', program];
  runStep('apt-get', [...options, ...install], { purpose: `fetch ${program} of Debian ${suite}` });
  return fs.readdirSync(archives).filter((name) => name.endsWith('.deb')).map((name) => path.join(archives, name));
}

/**
 * Takes a package's libraries, and the server if it is there.
 *
 * @param {string} archive
 * @param {string} unpacked
 * @param {string} target
 * @param {string} program
 * @returns {void}
 */
function take(archive, unpacked, target, program) {
  runStep('dpkg-deb', ['--extract', archive, unpacked], { purpose: `unpack ${archive}` });
  const libraries = path.join(target, path.basename(archive).startsWith('libc6_') ? 'libc' : 'lib');
  for (const directory of libraryDirectories(unpacked)) {
    for (const name of fs.readdirSync(directory)) {
      const file = path.join(directory, name);
      // Links lead to where a package would be installed: those in the same folder are followed.
      if (LIBRARY.test(name) && fs.existsSync(file)) fs.copyFileSync(file, path.join(libraries, name));
    }
    fs.rmSync(directory, { recursive: true });
  }
  const server = path.join(unpacked, 'usr', 'bin', program);
  if (fs.existsSync(server)) fs.copyFileSync(server, path.join(target, 'program'));
}

/**
 * @param {string} root
 * @returns {string[]} such as `usr/lib/x86_64-linux-gnu`
 */
function libraryDirectories(root) {
  return [path.join(root, 'lib'), path.join(root, 'usr', 'lib')].flatMap((parent) =>
    fs.existsSync(parent) ? fs.readdirSync(parent).filter((name) => name.endsWith('-linux-gnu')).map((name) => path.join(parent, name)) : [],
  );
}

/**
 * Writes the program that starts the server with its libraries: with this machine's C library if that is new enough,
 * as what a test loads into the server was built for that one, else with the server's own.
 *
 * @param {string} folder
 * @returns {void}
 */
function writeStarter(folder) {
  const own = fs.readdirSync(path.join(folder, 'libc')).find((name) => name.startsWith('ld-linux'));
  const starters = [
    'LD_LIBRARY_PATH="$here/lib" exec "$here/program" "$@"',
    `exec "$here/libc/${own}" --library-path "$here/libc:$here/lib" "$here/program" "$@"`,
  ];
  const file = path.join(folder, 'server');
  for (const starter of starters) {
    fs.writeFileSync(file, `#!/bin/sh\nhere=$(dirname "$0")\n${starter}\n`, { mode: 0o755 });
    if (ask(file, ['--version']).succeeded) return;
  }
}

/**
 * @param {string} place a file or a directory of files
 * @returns {string[]}
 */
function filesAt(place) {
  if (!fs.existsSync(place)) return [];
  return fs.statSync(place).isDirectory() ? fs.readdirSync(place).sort().map((name) => path.join(place, name)) : [place];
}

/**
 * @param {string} file
 * @returns {string}
 */
function readIfThere(file) {
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
}

module.exports = { fetchFromDebian };
