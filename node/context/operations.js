'use strict';

/**
 * Atomic operations on context. They travel through `set` of Node-RED's own context objects, so that
 * scopes, `$parent`, subflows and the names of stores mean what they always mean: the key is one that no
 * other store accepts, and the value is an `Operation`, which our store performs instead of storing it.
 */

/** No property expression, so that every other store refuses it before it writes anything. */
const OPERATION_KEY = '[cluster operation]';

/** Marks operations across copies of this package in one process. */
const BRAND = Symbol.for('node-red-cluster.operation');

const STORE_PREFIX = /^#:\(\S+?\)::/;
const PARENT = '$parent.';

/** @typedef {'increment' | 'append' | 'compareAndSet' | 'getAndSet' | 'deleteIf'} Kind */
/**
 * @typedef {object} Arguments
 * @property {unknown} [by] of `increment`, 1 where it is missing
 * @property {unknown} [value] of `append`, `compareAndSet` and `getAndSet`
 * @property {unknown} [expected] of `compareAndSet` and `deleteIf`
 * @property {unknown} [limit] of `append`: how many of the last items stay
 */
/** @typedef {(error?: Error | null, result?: any) => void} Callback */
/**
 * What `operate` needs of Node-RED's context objects.
 *
 * @typedef {{set(key: string, value: unknown, store: string | undefined, callback: Callback): void}} ContextObject
 */

/** One operation on its way to our store. */
class Operation {
  /**
   * @param {Kind} kind
   * @param {string} expression
   * @param {Arguments} parameters
   */
  constructor(kind, expression, parameters) {
    this.kind = kind;
    this.expression = expression;
    this.parameters = parameters;
    /** Whether a store of ours has taken it on. */
    this.taken = false;
    Object.defineProperty(this, BRAND, { value: true });
  }

  /** A store that would write it down after all fails here. */
  toJSON() {
    throw new Error('an atomic operation is not a value');
  }
}

/**
 * @param {unknown} value
 * @returns {value is Operation}
 */
function isOperation(value) {
  return typeof value === 'object' && value !== null && Reflect.get(value, BRAND) === true;
}

/**
 * Performs an atomic operation on a property of context.
 *
 * @param {ContextObject} contextObject `global`, `flow` or `context`, of a Function node or of `node.context()`
 * @param {Kind} kind
 * @param {string} key as in `get` and `set`: `$parent.` and `#:(store)::` work
 * @param {Arguments} parameters
 * @param {string} [store] name of the context store, else the one in the key, else the default
 * @param {Callback} [callback] `(error, result)`; without it the result is a promise
 * @returns {Promise<any> | undefined}
 */
function operate(contextObject, kind, key, parameters, store, callback) {
  if (callback) {
    if (typeof callback !== 'function') throw new Error('Callback must be a function');
    send(contextObject, kind, key, parameters, store, callback);
    return undefined;
  }
  return new Outcome((resolve, reject) => {
    send(contextObject, kind, key, parameters, store, (error, result) => (error ? reject(error) : resolve(result)));
  });
}

/**
 * @param {ContextObject} contextObject
 * @param {Kind} kind
 * @param {string} key
 * @param {Arguments} parameters
 * @param {string | undefined} store
 * @param {Callback} callback
 */
function send(contextObject, kind, key, parameters, store, callback) {
  const address = typeof key === 'string' && key.length > 0 ? readKey(key) : null;
  if (!address || address.expression === '$parent') {
    callback(Object.assign(new Error('Invalid context key'), { code: 'NRC_INVALID_REQUEST' }));
    return;
  }
  const operation = new Operation(kind, address.expression, parameters);
  contextObject.set(address.prefix + OPERATION_KEY, operation, store, (error, result) => {
    callback(operation.taken ? error : notTaken(kind, store ?? address.store, error), result);
  });
}

/**
 * Splits what Node-RED's context manager reads from the expression below the scope.
 *
 * @param {string} key
 */
function readKey(key) {
  const prefix = STORE_PREFIX.exec(key)?.[0] ?? '';
  let at = prefix.length;
  while (key.startsWith(PARENT, at)) at += PARENT.length;
  return { prefix: key.slice(0, at), expression: key.slice(at), store: prefix ? prefix.slice(3, -3) : undefined };
}

/**
 * @param {Kind} kind
 * @param {string | undefined} store
 * @param {Error | null | undefined} cause what another store made of the key
 */
function notTaken(kind, store, cause) {
  const message = cause
    ? `the context store "${store ?? 'default'}" has no atomic operations: ${kind} needs a store with the module node-red-cluster/context`
    : `${kind} found no context at that $parent`;
  return Object.assign(new Error(message, { cause }), { code: 'NRC_INVALID_REQUEST' });
}

/** @type {(line: string) => void} */
let complain = () => {};

/** @param {(line: string) => void} log takes the failures of operations that nobody waits for */
function complainTo(log) {
  complain = log;
}

/**
 * The result of an operation. If it fails and the flow neither awaits nor catches it, the failure goes to
 * the log: as an unhandled rejection it would end Node-RED.
 *
 * @extends {Promise<any>}
 */
class Outcome extends Promise {
  /** @override */
  static get [Symbol.species]() {
    return Promise;
  }

  /** @param {(resolve: (value: any) => void, reject: (reason: Error) => void) => void} executor */
  constructor(executor) {
    super(executor);
    this.awaited = false;
    super.then(undefined, (error) => setImmediate(() => {
      if (!this.awaited) complain(`an atomic operation that no flow waits for failed: ${error.message}`);
    }));
  }

  /**
   * @override
   * @param {any} [fulfilled]
   * @param {any} [rejected]
   * @returns {Promise<any>}
   */
  then(fulfilled, rejected) {
    this.awaited = true;
    return super.then(fulfilled, rejected);
  }
}

module.exports = { OPERATION_KEY, complainTo, isOperation, operate };
