'use strict';

/**
 * Reads that the near cache cannot answer. Those of one property in one moment share one fetch. A fetch that
 * was overtaken (the flow has meanwhile read or written the property by another way) is made again, so that
 * no callback is given a value older than one that the flow has seen.
 */

const { clone } = require('./clone.js');
const { NAMES, valueOf } = require('./near-cache.js');
const paths = require('./paths.js');
const { guarded } = require('./requests.js');
const { decodeStored } = require('./values.js');

/** How often a fetch is made again before its value is given all the same: reads must not starve. */
const TRIES = 10;

/**
 * @callback Waiter
 * @param {Error | null} error
 * @param {any} [value] the waiter's own: the addressed part, or the list of names
 * @returns {void}
 */
/**
 * @typedef {object} Fetch
 * @property {string} scope
 * @property {string} name
 * @property {{rest: (string | number)[], give: Waiter}[]} waiters
 * @property {boolean} joinable nothing has changed since it was sent
 * @property {boolean} overtaken
 * @property {boolean} done
 * @property {number} tries
 * @property {Fetch | null} older one of the same property that was sent before and is not done
 */

/** Codes of errors that say no more than that the store is away. */
const AWAY = new Set(['NRC_STORE_UNREACHABLE', 'NRC_STORE_NOT_READY']);

/**
 * @param {import('../types').NativeContext} native
 * @param {import('./requests.js').Requests} requests
 * @param {ReturnType<typeof import('./near-cache.js').createNearCache>} near
 */
function createReads(native, requests, near) {
  /** @type {Map<string, Fetch>} the newest fetch of each property */
  const fetches = new Map();
  /** @type {{scope: string, changed: Set<string>} | null} the synchronous read under way */
  let reading = null;

  near.listen((scope, name) => {
    if (reading?.scope === scope) reading.changed.add(name);
    const fetch = fetches.size > 0 ? fetches.get(keyOf(scope, name)) : undefined;
    if (fetch) fetch.joinable = false;
  });

  /**
   * @param {string} scope
   * @param {string} name
   */
  function keyOf(scope, name) {
    return `${scope.length}:${scope}${name}`;
  }

  /**
   * @param {Fetch | null | undefined} newest
   */
  function overtake(newest) {
    for (let fetch = newest; fetch; fetch = fetch.older) {
      fetch.joinable = false;
      fetch.overtaken = true;
    }
  }

  /**
   * @param {string} scope
   * @param {string} name
   * @param {(string | number)[]} rest
   * @param {Waiter} give
   * @param {number} tries
   */
  function fetchFor(scope, name, rest, give, tries) {
    const key = keyOf(scope, name);
    const newest = fetches.get(key);
    if (newest?.joinable) {
      newest.waiters.push({ rest, give });
      newest.tries = Math.max(newest.tries, tries);
      return;
    }
    /** @type {Fetch} */
    const fetch = {
      scope, name, waiters: [{ rest, give }], joinable: true, overtaken: false, done: false, tries, older: newest ?? null,
    };
    const id = requests.add((error, text, generation) => finish(key, fetch, error, text, generation));
    try {
      if (name === NAMES) native.names(id, scope);
      else native.read(id, scope, name);
    } catch (error) {
      requests.cancel(id);
      give(/** @type {Error} */ (error));
      return;
    }
    fetches.set(key, fetch);
  }

  /**
   * @param {string} key
   * @param {Fetch} fetch
   * @param {Error | null} error
   * @param {string | null} text
   * @param {number} generation
   */
  function finish(key, fetch, error, text, generation) {
    near.refresh();
    fetch.done = true;
    fetch.older = null;
    if (fetches.get(key) === fetch) fetches.delete(key);
    const { scope, name, waiters } = fetch;
    if (error) {
      for (const { give } of waiters) guarded(() => give(error));
      return;
    }
    let entry = near.peek(scope, name);
    if (entry === undefined) {
      if (fetch.overtaken && fetch.tries < TRIES) {
        for (const { rest, give } of waiters) guarded(() => fetchFor(scope, name, rest, give, fetch.tries + 1));
        return;
      }
      const keepUnder = fetch.joinable ? generation : 0;
      entry = name === NAMES
        ? near.keepNames(scope, JSON.parse(text ?? '[]'), keepUnder)
        : near.keep(scope, name, text, keepUnder);
    }
    try {
      hand(fetch, entry, text);
    } catch (damage) {
      for (const { give } of waiters) guarded(() => give(/** @type {Error} */ (damage)));
    }
  }

  /**
   * Hands the value to the waiters, each a copy of its own.
   *
   * @param {Fetch} fetch
   * @param {import('./near-cache.js').Entry | undefined} entry what is kept
   * @param {string | null} text what was fetched, for where nothing is kept
   */
  function hand({ scope, name, waiters }, entry, text) {
    if (name === NAMES) {
      const names = entry ? entry.value : JSON.parse(text ?? '[]');
      for (const { give } of waiters) guarded(() => give(null, [...names]));
    } else if (waiters.length === 1 && (entry === undefined || entry.text !== null)) {
      // What is kept stays text until someone asks again: many values are read once between two changes.
      const [{ rest, give }] = waiters;
      const own = parse(scope, name, entry === undefined ? text : entry.text);
      guarded(() => give(null, paths.read(own, rest)));
    } else {
      const value = entry === undefined ? parse(scope, name, text) : valueOf(entry);
      for (const { rest, give } of waiters) {
        const own = clone(paths.read(value, rest));
        guarded(() => give(null, own));
      }
    }
  }

  return {
    /**
     * @param {string} scope
     * @param {string} name
     * @param {(string | number)[]} rest
     * @param {Waiter} give
     */
    fetch(scope, name, rest, give) {
      fetchFor(scope, name, rest, give, 0);
    },

    /**
     * Reads at once, with the event loop waiting.
     *
     * @param {string} scope
     * @param {string[]} names
     * @returns {unknown[]} the values, each the caller's own
     */
    readNow(scope, names) {
      reading = { scope, changed: new Set() };
      try {
        const pairs = native.readNow(scope, names);
        near.refresh();
        return names.map((name, at) => {
          const text = /** @type {string | null} */ (pairs[at * 2]);
          overtake(fetches.get(keyOf(scope, name)));
          if (!reading?.changed.has(name)) near.keep(scope, name, text, Number(pairs[at * 2 + 1]));
          return parse(scope, name, text);
        });
      } catch (error) {
        return lastKnown(scope, names, error);
      } finally {
        reading = null;
      }
    },

    /**
     * @param {string} scope
     * @returns {string[]}
     */
    namesNow(scope) {
      reading = { scope, changed: new Set() };
      try {
        const [text, generation] = native.namesNow(scope);
        near.refresh();
        overtake(fetches.get(keyOf(scope, NAMES)));
        const names = JSON.parse(text);
        if (!reading.changed.has(NAMES)) near.keepNames(scope, names, generation);
        return names;
      } catch (error) {
        return /** @type {string[][]} */ (lastKnown(scope, [NAMES], error))[0];
      } finally {
        reading = null;
      }
    },

    /**
     * This process writes a property; what is being fetched of it is older.
     *
     * @param {string} scope
     * @param {string} name
     */
    onWritten(scope, name) {
      if (fetches.size === 0) return;
      overtake(fetches.get(keyOf(scope, name)));
      overtake(fetches.get(keyOf(scope, NAMES)));
    },

    /** @param {(scope: string) => boolean} isGone */
    onScopesGone(isGone) {
      for (const fetch of fetches.values()) {
        if (isGone(fetch.scope)) overtake(fetch);
      }
    },
  };

  /**
   * @param {string} scope
   * @param {string[]} names
   * @param {unknown} error why they cannot be read
   * @returns {unknown[]} what was known last, where the operator chose that
   */
  function lastKnown(scope, names, error) {
    if (!isAway(error)) throw error;
    return names.map((name) => {
      const entry = near.lastKnown(scope, name);
      if (entry === undefined) throw error;
      return name === NAMES ? [...entry.value] : clone(valueOf(entry));
    });
  }
}

/**
 * @param {unknown} error
 * @returns {boolean} whether it says no more than that the store is away
 */
function isAway(error) {
  return AWAY.has(/** @type {{code?: string} | null} */ (error)?.code ?? '');
}

/**
 * @param {string} scope
 * @param {string} name
 * @param {string | null} text
 */
function parse(scope, name, text) {
  return text === null ? undefined : decodeStored(scope, name, text);
}

module.exports = { createReads, isAway };
