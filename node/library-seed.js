'use strict';

/** Puts the library on an admin's disk into a store that has none. */

const fs = require('node:fs/promises');
const path = require('node:path');

/**
 * Entries that the store has already stay as they are.
 *
 * @param {import('./types').NativeCluster} cluster
 * @param {import('./types').LocalFiles} files
 * @param {string} userDir
 * @returns {Promise<number>} how many entries were put there
 */
async function seedLibrary(cluster, files, userDir) {
  const folder = path.join(userDir, 'lib');
  const types = await fs.readdir(folder, { withFileTypes: true }).catch(() => []);
  let count = 0;
  for (const type of types) {
    if (!type.isDirectory()) continue;
    const answer = JSON.parse(await cluster.libraryEntry(type.name, ''));
    if (answer.items.length === 0) count += await seedFolder(cluster, files, type.name, '');
  }
  return count;
}

/**
 * @param {import('./types').NativeCluster} cluster
 * @param {import('./types').LocalFiles} files
 * @param {string} type
 * @param {string} folder '' or a path that ends with a slash
 * @returns {Promise<number>}
 */
async function seedFolder(cluster, files, type, folder) {
  const listing = await files.getLibraryEntry(type, folder);
  if (typeof listing === 'string') return 0;
  let count = 0;
  for (const item of listing) {
    if (typeof item === 'string') {
      count += await seedFolder(cluster, files, type, `${folder}${item}/`);
    } else {
      const { fn, ...meta } = item;
      const body = await files.getLibraryEntry(type, folder + fn);
      if (typeof body === 'string') {
        await cluster.saveLibraryEntry(type, folder + fn, JSON.stringify(meta), body);
        count += 1;
      }
    }
  }
  return count;
}

module.exports = { seedLibrary };
