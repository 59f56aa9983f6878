'use strict';

/** Errors that end a script with one sentence instead of a stack trace, and the exit codes that go with them. */

/** Something failed: a build, a test, a download. */
const FAILED = 1;
/** The machine lacks something, or the arguments make no sense: the user has to act first. */
const UNUSABLE = 2;

/**
 * @typedef {Error & {exitCode: number}} Stop
 */

/**
 * Makes an error for something that the user has to install, or has to write otherwise.
 *
 * @param {string} sentence what is missing or wrong and what to type
 * @returns {Stop}
 */
function unusable(sentence) {
  return Object.assign(new Error(sentence), { exitCode: UNUSABLE });
}

/**
 * Makes an error for a step that failed and has already said why.
 *
 * @param {string} sentence which step failed
 * @returns {Stop}
 */
function failed(sentence) {
  return Object.assign(new Error(sentence), { exitCode: FAILED });
}

/**
 * @param {unknown} error
 * @returns {error is Stop} whether it was made here, so that its sentence says all
 */
function isStop(error) {
  return error instanceof Error && 'exitCode' in error;
}

/**
 * Runs a script's main function: its number becomes the exit code, and an error made here is
 * printed as its sentence alone.
 *
 * @param {() => Promise<number> | number} main
 * @returns {Promise<void>}
 */
async function runMain(main) {
  try {
    process.exitCode = await main();
  } catch (error) {
    console.error(isStop(error) ? error.message : error);
    process.exitCode = isStop(error) ? error.exitCode : FAILED;
  }
}

module.exports = { failed, isStop, runMain, unusable };
