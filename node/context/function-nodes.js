'use strict';

/**
 * Gives `global`, `flow` and `context` of Function nodes their atomic operations. A Function node offers no
 * place to add to its sandbox, but it hands the sandbox to `vm.createContext`, which is wrapped here, once
 * per process; every other caller of it gets what it always got.
 */

const vm = require('node:vm');

const { operate } = require('./operations.js');

const WRAPPED = Symbol.for('node-red-cluster.function-nodes');

/** @typedef {import('./operations.js').ContextObject} ContextObject */
/** @typedef {import('./operations.js').Kind} Kind */
/**
 * @typedef {object} Shape
 * @property {Kind} kind
 * @property {number} needed how many arguments must follow the key
 * @property {(keyof import('./operations.js').Arguments | 'options')[]} names of those before the name of the store
 */

/** @type {Shape[]} */
const SHAPES = [
  { kind: 'increment', needed: 0, names: ['by'] },
  { kind: 'append', needed: 1, names: ['value', 'options'] },
  { kind: 'compareAndSet', needed: 2, names: ['expected', 'value'] },
  { kind: 'getAndSet', needed: 1, names: ['value'] },
  { kind: 'deleteIf', needed: 1, names: ['expected'] },
];

/**
 * @param {Shape} shape
 * @param {ContextObject} contextObject
 * @returns {(...given: unknown[]) => Promise<any> | undefined} the method as a Function node calls it
 */
function method({ kind, needed, names }, contextObject) {
  return (...given) => {
    const callback = typeof given[given.length - 1] === 'function' ? given.pop() : undefined;
    const [key, ...rest] = given;
    // A missing value would mean `undefined`, that is, delete.
    if (rest.length < needed) throw misused(`${kind} needs a key and ${needed === 1 ? 'a value' : 'two values'}`);
    // The options of `append` may be left out.
    const named = kind === 'append' && typeof rest[1] === 'string' ? 1 : names.length;
    const store = rest[named];
    const { options, ...parameters } = Object.fromEntries(names.slice(0, named).map((name, at) => [name, rest[at]]));
    if (store && typeof store !== 'string') throw misused(`${kind}: the name of the context store must be a string`);
    return operate(
      contextObject,
      kind,
      /** @type {string} */ (key),
      options ? { ...parameters, limit: Reflect.get(options, 'limit') } : parameters,
      /** @type {string | undefined} */ (store || undefined),
      /** @type {import('./operations.js').Callback | undefined} */ (callback),
    );
  };
}

/** @param {string} message */
function misused(message) {
  return Object.assign(new Error(message), { code: 'NRC_INVALID_REQUEST' });
}

/**
 * @param {object} contextObject
 * @param {boolean} enumerable as its `get` and `set` are
 */
function addOperations(contextObject, enumerable) {
  for (const shape of SHAPES) {
    // A property of this name is a seed from `functionGlobalContext`, and stays.
    if (Object.hasOwn(contextObject, shape.kind)) continue;
    Object.defineProperty(contextObject, shape.kind, {
      configurable: true,
      enumerable,
      value: method(shape, /** @type {ContextObject} */ (contextObject)),
      writable: true,
    });
  }
}

/**
 * `context.flow` and `context.global` are the manager's own objects, made when they are first asked for.
 *
 * @param {object} context
 * @param {'flow' | 'global'} name
 */
function addOperationsBehind(context, name) {
  const property = Object.getOwnPropertyDescriptor(context, name);
  const read = property?.get;
  if (!property?.configurable || !read) return;
  Object.defineProperty(context, name, {
    ...property,
    get() {
      const behind = read.call(context);
      if (behind) addOperations(behind, false);
      return behind;
    },
  });
}

/**
 * @param {unknown} sandbox
 * @returns {sandbox is {context: object, flow: object, global: object}} whether it is a Function node's
 */
function isFunctionNode(sandbox) {
  return typeof sandbox === 'object' && sandbox !== null
    && ['__node__', 'context', 'flow', 'global'].every((name) => {
      const value = Object.getOwnPropertyDescriptor(sandbox, name)?.value;
      return typeof value === 'object' && value !== null;
    });
}

/** From now on Function nodes that are made have the operations. */
function equipFunctionNodes() {
  const create = vm.createContext;
  if (Reflect.get(create, WRAPPED)) return;
  /** @type {typeof create} */
  const createContext = function createContext(...given) {
    const [sandbox] = given;
    if (isFunctionNode(sandbox)) {
      for (const contextObject of [sandbox.context, sandbox.flow, sandbox.global]) addOperations(contextObject, true);
      addOperationsBehind(sandbox.context, 'flow');
      addOperationsBehind(sandbox.context, 'global');
    }
    return create.apply(vm, given);
  };
  Object.defineProperty(createContext, WRAPPED, { value: true });
  vm.createContext = createContext;
}

module.exports = { equipFunctionNodes };
