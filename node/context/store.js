'use strict';

/**
 * A context store as Node-RED wants it, on an open native context. What is at hand is given at once, with a
 * callback too, as Node-RED's memory store does.
 */

const { clone } = require('./clone.js');
const { NAMES, createNearCache, sizeOf, valueOf } = require('./near-cache.js');
const { OPERATION_KEY, isOperation } = require('./operations.js');
const paths = require('./paths.js');
const { createReads, isAway } = require('./reads.js');
const { createRequests } = require('./requests.js');
const { decode, encode } = require('./values.js');

/** Names that the global context has itself, and that Node-RED's stores leave out of its keys. */
const OWN_NAMES_OF_GLOBAL = new Set(['get', 'set', 'keys']);

/** @typedef {(error?: Error | null, ...values: any[]) => void} Callback */
/** @typedef {import('./paths.js').Path} Path */

/**
 * @param {import('../types').NativeContext} native
 * @param {object} [seeds] what Node-RED gives where the global context has no value
 */
function createStore(native, seeds = {}) {
  /** @type {import('../types').AboutContext} */
  const about = JSON.parse(native.about());
  const parse = paths.createParser((expression) => native.parse(expression));
  const near = createNearCache(native, about);
  const requests = createRequests();
  const reads = createReads(native, requests, near);

  /**
   * @param {string} scope
   * @param {any} key
   * @param {Callback} [callback]
   * @returns {any}
   */
  function get(scope, key, callback) {
    checkCallback(callback);
    if (Array.isArray(key)) return getMany(scope, key, callback);
    let value;
    try {
      const path = parse(key);
      const entry = near.find(scope, path.root);
      if (entry !== undefined) {
        const found = valueOf(entry);
        value = clone(path.rest.length === 0 ? found : paths.read(found, path.rest));
      } else if (callback) {
        reads.fetch(scope, path.root, path.rest, (error, found) => {
          if (error && isSeeded(error, scope, [path.root])) callback(undefined, undefined);
          else callback(error, found);
        });
        return undefined;
      } else {
        return paths.read(readNow(scope, [path.root])[0], path.rest);
      }
    } catch (error) {
      return fail(error, callback);
    }
    if (!callback) return value;
    callback(undefined, value);
    return undefined;
  }

  /**
   * @param {string} scope
   * @param {any[]} expressions
   * @param {Callback} [callback]
   * @returns {any[] | undefined}
   */
  function getMany(scope, expressions, callback) {
    /** @type {any[]} */
    const values = new Array(expressions.length).fill(undefined);
    /** @type {number[]} */
    const missing = [];
    /** @type {Path[]} */
    let wanted;
    try {
      wanted = expressions.map(parse);
      wanted.forEach(({ root, rest }, at) => {
        const entry = near.find(scope, root);
        if (entry === undefined) missing.push(at);
        else values[at] = clone(paths.read(valueOf(entry), rest));
      });
      if (!callback && missing.length > 0) {
        const roots = [...new Set(missing.map((at) => wanted[at].root))];
        const found = readNow(scope, roots);
        for (const at of missing) values[at] = clone(paths.read(found[roots.indexOf(wanted[at].root)], wanted[at].rest));
      }
    } catch (error) {
      return fail(error, callback);
    }
    if (!callback) return values;
    if (missing.length === 0) {
      callback(undefined, ...values);
      return undefined;
    }
    let open = missing.length;
    let failed = false;
    for (const at of missing) {
      reads.fetch(scope, wanted[at].root, wanted[at].rest, (reason, value) => {
        const error = reason && isSeeded(reason, scope, [wanted[at].root]) ? null : reason;
        if (failed) return;
        failed = Boolean(error);
        values[at] = value;
        open -= 1;
        if (error) callback(error);
        else if (open === 0) callback(undefined, ...values);
      });
    }
    return undefined;
  }

  /**
   * @param {string} scope
   * @param {string[]} roots
   * @returns {unknown[]} the values, each the caller's own
   */
  function readNow(scope, roots) {
    try {
      return reads.readNow(scope, roots);
    } catch (error) {
      if (!isSeeded(error, scope, roots)) throw error;
      return roots.map(() => undefined);
    }
  }

  /**
   * Modules and settings that Node-RED keeps in the global context must not depend on the store: while it is
   * away they are as if nothing else was stored.
   *
   * @param {unknown} error
   * @param {string} scope
   * @param {string[]} roots
   */
  function isSeeded(error, scope, roots) {
    return scope === 'global' && isAway(error) && roots.every((root) => Object.hasOwn(seeds, root));
  }

  /**
   * @param {string} scope
   * @param {any} key
   * @param {any} value
   * @param {Callback} [callback]
   */
  function set(scope, key, value, callback) {
    checkCallback(callback);
    if (key === OPERATION_KEY && isOperation(value)) {
      perform(scope, value, callback);
      return;
    }
    if (Array.isArray(key) && key.length === 0) {
      callback?.();
      return;
    }
    try {
      if (Array.isArray(key)) setMany(scope, key, Array.isArray(value) ? value : [value], callback);
      else setOne(scope, key, value, callback);
    } catch (error) {
      fail(error, callback);
    }
  }

  /**
   * @param {string} scope
   * @param {string} key
   * @param {any} value
   * @param {Callback} [callback]
   */
  function setOne(scope, key, value, callback) {
    const { root, rest } = parse(key);
    const text = encodeFor(scope, key, value);
    if (rest.length === 0) {
      const number = request(callback && written(callback, scope, [root]), (id) => native.set(id, scope, root, text));
      reads.onWritten(scope, root);
      keepSet(scope, root, value, text, number);
    } else {
      const number = request(callback && written(callback, scope, [root]), (id) => native.change(id, scope, [key], [text]));
      reads.onWritten(scope, root);
      near.change(scope, root, rest, text, number);
    }
  }

  /**
   * @param {string} scope
   * @param {string[]} expressions
   * @param {any[]} values
   * @param {Callback} [callback]
   */
  function setMany(scope, expressions, values, callback) {
    const wanted = expressions.map(parse);
    const given = expressions.map((_, at) => (at < values.length ? values[at] : null));
    const texts = expressions.map((expression, at) => encodeFor(scope, expression, given[at]));
    const roots = wanted.map(({ root }) => root);
    const number = request(callback && written(callback, scope, roots), (id) => native.change(id, scope, expressions, texts));
    wanted.forEach(({ root, rest }, at) => {
      reads.onWritten(scope, root);
      if (rest.length === 0) keepSet(scope, root, given[at], texts[at], number);
      else near.change(scope, root, rest, texts[at], number);
    });
  }

  /**
   * Keeps what a whole property is now: a primitive as it is, all else as text until it is read.
   *
   * @param {string} scope
   * @param {string} root
   * @param {any} value
   * @param {string | null} text
   * @param {number} number of the write
   */
  function keepSet(scope, root, value, text, number) {
    switch (typeof value) {
      case 'number':
        // Adding 0 makes -0 what JSON makes of it.
        near.set(scope, root, Number.isFinite(value) ? value + 0 : null, null, sizeOf(text), number);
        break;
      case 'string':
      case 'boolean':
      case 'undefined':
        near.set(scope, root, value, null, sizeOf(text), number);
        break;
      default:
        near.set(scope, root, undefined, text, sizeOf(text), number);
    }
  }

  /**
   * @param {string} scope
   * @param {string} key
   * @param {any} value
   * @returns {string | null} null where it is to be deleted
   */
  function encodeFor(scope, key, value) {
    if (value === undefined) return null;
    try {
      return encode(value);
    } catch (error) {
      throw withPlace(error, scope, key);
    }
  }

  /**
   * @param {Callback} callback
   * @param {string} scope
   * @param {string[]} roots
   * @returns {import('./requests.js').Handler}
   */
  function written(callback, scope, roots) {
    return (error) => {
      // What was not written is not what the property is.
      if (error) for (const root of roots) forget(scope, root, false);
      callback(error ?? undefined);
    };
  }

  /**
   * @param {string} scope
   * @param {string} root
   * @param {boolean} stays
   */
  function forget(scope, root, stays) {
    reads.onWritten(scope, root);
    near.forget(scope, root, stays);
  }

  /**
   * @param {import('./requests.js').Handler | undefined} handler
   * @param {(id: number) => number} send
   * @returns {number} the number of the write
   */
  function request(handler, send) {
    if (!handler) return send(0);
    const id = requests.add(handler);
    try {
      return send(id);
    } catch (error) {
      requests.cancel(id);
      throw error;
    }
  }

  /**
   * @param {string} scope
   * @param {{kind: string, expression: string, parameters: import('./operations.js').Arguments, taken: boolean}} operation
   * @param {Callback} [callback]
   */
  function perform(scope, operation, callback) {
    const { expression, kind, parameters } = operation;
    // Node-RED marks nothing: the one who sent it needs to know that a store of this package has it.
    Object.assign(operation, { taken: true });
    const answer = callback ?? ((error) => {
      if (error) throw error;
    });
    try {
      const { root } = parse(expression);
      const described = JSON.stringify(describe(scope, expression, kind, parameters));
      request((error, text) => {
        if (error) {
          forget(scope, root, false);
          answer(error);
        } else {
          answer(undefined, text === null ? undefined : decode(text));
        }
      }, (id) => native.operate(id, scope, expression, described));
      forget(scope, root, kind === 'increment' || kind === 'append');
    } catch (error) {
      answer(/** @type {Error} */ (error));
    }
  }

  /**
   * @param {string} scope
   * @param {string} expression
   * @param {string} kind
   * @param {import('./operations.js').Arguments} parameters
   * @returns {Record<string, unknown>} the operation as the native side reads it
   */
  function describe(scope, expression, kind, { by, value, expected, limit }) {
    const text = (/** @type {unknown} */ given) => encodeFor(scope, expression, given);
    switch (kind) {
      case 'increment': {
        const step = by === undefined ? 1 : by;
        if (typeof step !== 'number' || !Number.isFinite(step)) {
          throw refused(scope, expression, `increment needs a finite number, not ${typeof step === 'number' ? step : kindOf(step)}`);
        }
        return { kind, by: String(step) };
      }
      case 'append':
        if (value === undefined) throw refused(scope, expression, 'append needs a value, not undefined');
        if (limit === undefined) return { kind, value: text(value) };
        if (!Number.isSafeInteger(limit) || Number(limit) < 1) {
          throw refused(scope, expression, 'the limit of append must be a whole number from 1');
        }
        return { kind, value: text(value), limit };
      case 'compareAndSet':
        return { kind, expected: text(expected), value: text(value) };
      case 'getAndSet':
        return { kind, value: text(value) };
      case 'deleteIf':
        return { kind, expected: text(expected) };
      default:
        throw refused(scope, expression, `there is no operation ${kind}`);
    }
  }

  /**
   * @param {string} scope
   * @param {Callback} [callback]
   * @returns {string[] | undefined}
   */
  function keys(scope, callback) {
    checkCallback(callback);
    /** @type {string[]} */
    let names;
    try {
      const entry = near.find(scope, NAMES);
      if (entry !== undefined) {
        names = [...entry.value];
      } else if (callback) {
        reads.fetch(scope, NAMES, [], (error, found) => (error ? callback(error) : callback(null, visible(scope, found))));
        return undefined;
      } else {
        names = reads.namesNow(scope);
      }
    } catch (error) {
      return fail(error, callback);
    }
    if (!callback) return visible(scope, names);
    callback(null, visible(scope, names));
    return undefined;
  }

  /**
   * Forgets scopes before and after the store deletes them: what was read in between is old, and nobody
   * tells a process of its own writes.
   *
   * @param {(scope: string) => boolean} isGone
   * @param {() => Promise<void>} send
   */
  async function withoutScopes(isGone, send) {
    const forgetThem = () => {
      near.forgetScopes(isGone);
      reads.onScopesGone(isGone);
    };
    const done = send();
    forgetThem();
    try {
      await done;
    } finally {
      forgetThem();
    }
  }

  return {
    get,
    set,
    keys,

    /** @param {string} scope */
    delete: (scope) => withoutScopes((name) => name === scope, () => native.delete(scope)),

    /** @param {string[]} ids of the nodes and flows that are there */
    clean(ids) {
      const known = new Set(ids);
      return withoutScopes((scope) => scope !== 'global' && !known.has(scope.split(':')[0]), () => native.clean(ids));
    },

    /** Takes the answers that have come. */
    drain: () => requests.deliver(native.drain()),

    stats: () => ({ ...JSON.parse(native.counters()), ...near.counters() }),
  };
}

/**
 * @param {string} scope
 * @param {string[]} names
 */
function visible(scope, names) {
  return scope === 'global' ? names.filter((name) => !OWN_NAMES_OF_GLOBAL.has(name)) : names;
}

/** @param {unknown} callback */
function checkCallback(callback) {
  if (callback && typeof callback !== 'function') throw new Error('Callback must be a function');
}

/**
 * @param {unknown} error
 * @param {Callback} [callback] is given the error, else it is thrown
 * @returns {undefined}
 */
function fail(error, callback) {
  if (!callback) throw error;
  callback(/** @type {Error} */ (error));
  return undefined;
}

/**
 * @param {unknown} error of a value that cannot be stored
 * @param {string} scope
 * @param {string} key
 */
function withPlace(error, scope, key) {
  if (/** @type {{code?: string}} */ (error)?.code !== 'NRC_VALUE_INVALID') return error;
  return refused(scope, key, /** @type {Error} */ (error).message);
}

/**
 * @param {string} scope
 * @param {string} key
 * @param {string} why
 */
function refused(scope, key, why) {
  return Object.assign(new Error(`the value of ${JSON.stringify(key)} in the context ${scope} was not stored: ${why}`), { code: 'NRC_VALUE_INVALID' });
}

/** @param {unknown} value */
function kindOf(value) {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return `${typeof value === 'object' ? 'an' : 'a'} ${typeof value}`;
}

module.exports = { createStore };
