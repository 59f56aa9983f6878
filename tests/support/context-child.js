'use strict';

/** The program of a process that `context-process.js` starts: `context-child.js <work module> <config>`. */

const { openSession } = require('./context-session');

const [work, config] = process.argv.slice(2);
/** @type {Record<string, (session: import('./context-session').Session, ...given: any[]) => any>} */
const functions = require(work);
const opening = openSession(JSON.parse(config));

/** @type {typeof functions} */
const own = {
  ready: () => {},
  end: async (session) => {
    await session.close();
    // The answer has to leave before the channel does.
    setImmediate(() => process.disconnect());
  },
};

/** @param {{id: number, name: string, given: any[]}} request */
async function answer({ id, name, given }) {
  try {
    const session = await opening;
    const value = await (own[name] ?? functions[name])(session, ...given);
    process.send?.({ id, value });
  } catch (error) {
    const { code, message, stack } = /** @type {NodeJS.ErrnoException} */ (error);
    process.send?.({ id, error: { code, message: code ? message : stack ?? message } });
  }
}

process.on('message', answer);
