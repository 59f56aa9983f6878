'use strict';

/** The node `cluster-context`: the atomic operations on shared context, without code. */

const { operate } = require('../context/operations.js');

/**
 * @typedef {Record<string, unknown>} Message
 * @typedef {(error?: unknown, value?: any) => void} Callback
 * @typedef {(message: Message) => Promise<unknown>} Evaluate
 * @typedef {import('../context/operations.js').Arguments} Arguments
 * @typedef {import('../context/operations.js').Kind} Kind
 */

/**
 * @typedef {object} Config what the editor saves
 * @property {Kind} operation
 * @property {string} key with the store in front where it is not the default, as `#:(store)::key`
 * @property {'flow' | 'global'} keyType
 * @property {string} value
 * @property {string} valueType
 * @property {string} expected
 * @property {string} expectedType
 * @property {string | number} limit of elements that an append keeps; empty: all
 * @property {string} property of the message that takes the result
 */

/** The typed input of this node's own: nothing, so a key that does not exist. */
const ABSENT = 'absent';

/** @param {any} RED Node-RED's interface for nodes */
module.exports = function registerClusterContext(RED) {
  /**
   * @this {any}
   * @param {Config} config
   */
  function ClusterContext(config) {
    RED.nodes.createNode(this, config);
    const node = this;
    const { operation, key = '', keyType = 'global', property = 'payload' } = config;
    const evaluateValue = evaluator(node, config.value, config.valueType);
    const evaluateExpected = evaluator(node, config.expected, config.expectedType);

    /** @type {Record<string, (message: Message) => Promise<Arguments>>} what each operation takes */
    const argumentsOf = {
      increment: async (message) => ({ by: required(await evaluateValue(message)) }),
      append: async (message) => ({ value: required(await evaluateValue(message)), ...limitOf(config.limit) }),
      compareAndSet: async (message) => ({
        expected: await evaluateExpected(message),
        value: await evaluateValue(message),
      }),
      getAndSet: async (message) => ({ value: await evaluateValue(message) }),
      deleteIf: async (message) => ({ expected: await evaluateExpected(message) }),
    };

    /** @param {Message} message */
    async function perform(message) {
      if (!Object.hasOwn(argumentsOf, operation)) {
        throw new Error(RED._('cluster-context.errors.operation', { operation }));
      }
      const target = keyOf(key, message);
      const parameters = await argumentsOf[operation](message);
      const context = node.context()[keyType];
      return promised((callback) => operate(context, operation, target.key, parameters, target.store, callback));
    }

    node.on('input', async (/** @type {Message} */ message, /** @type {Callback} */ send, /** @type {Callback} */ done) => {
      try {
        const result = await perform(message);
        if (!RED.util.setMessageProperty(message, property, result, true)) {
          node.warn(RED._('cluster-context.errors.result', { property }));
        }
      } catch (error) {
        done(error);
        return;
      }
      send(message);
      done();
    });
  }

  /**
   * Gives what a typed input stands for, message by message.
   *
   * @param {any} node
   * @param {string} value
   * @param {string} type
   * @returns {Evaluate}
   */
  function evaluator(node, value, type) {
    if (type === ABSENT) return async () => undefined;
    if (type !== 'jsonata') {
      return (message) => promised((callback) => RED.util.evaluateNodeProperty(value, type, node, message, callback));
    }
    /** Parsed once; an expression that cannot be parsed fails at every message, for the Catch node. */
    let expression = /** @type {unknown} */ (undefined);
    return async (message) => {
      try {
        expression ??= RED.util.prepareJSONataExpression(value, node);
        return await promised((callback) => RED.util.evaluateJSONataExpression(expression, message, callback));
      } catch (cause) {
        // JSONata throws objects that are no errors, which would reach the log as "[object Object]".
        const { message: reason } = /** @type {Error} */ (cause);
        throw new Error(RED._('cluster-context.errors.expression', { reason }), { cause });
      }
    };
  }

  /**
   * Takes the store off the key and puts in what `[msg...]` in it stands for, as the Change node does.
   *
   * @param {string} typed
   * @param {Message} message
   * @returns {{key: string, store: string | undefined}}
   */
  function keyOf(typed, message) {
    const { key, store } = RED.util.parseContextStore(typed);
    if (!/\[msg/.test(key)) return { key, store };
    return { key: RED.util.normalisePropertyExpression(key, message, true), store };
  }

  /**
   * Refuses a value that is not there: a property that the message lacks is a mistake here, and
   * would otherwise count as the operation's default.
   *
   * @param {unknown} value
   * @returns {unknown}
   */
  function required(value) {
    if (value === undefined) throw new Error(RED._('cluster-context.errors.value'));
    return value;
  }

  /**
   * @param {string | number | undefined} limit
   * @returns {{limit?: number}}
   */
  function limitOf(limit) {
    return limit === undefined || limit === '' ? {} : { limit: Number(limit) };
  }

  RED.nodes.registerType('cluster-context', ClusterContext);
};

/**
 * @param {(callback: Callback) => void} action
 * @returns {Promise<any>}
 */
function promised(action) {
  return new Promise((resolve, reject) => {
    action((error, value) => (error ? reject(error) : resolve(value)));
  });
}
