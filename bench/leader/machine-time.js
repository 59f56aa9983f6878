'use strict';

/** @returns {number} milliseconds by the one monotonic clock that all processes of a machine share */
function machineTime() {
  return Number(process.hrtime.bigint()) / 1e6;
}

module.exports = { machineTime };
