'use strict';

/**
 * What this process keeps of the shared context, as private values: a read that finds something here costs
 * some nanoseconds. Whether something may be served is decided in Rust and told by four words of shared
 * memory. Absent properties are kept too, and under the empty name the list of a scope's names.
 */

const { UNKNOWN, write } = require('./paths.js');
const { decode, decodeStored } = require('./values.js');

/** The shared words. */
const EPOCH = 0;
const GENERATION = 1;
const TICK = 2;
const SETTLED = 3;

/** The generation of what is not served once its write is settled. */
const NOT_KEPT = 0;

/** The name under which a scope's names are kept. No property has it. */
const NAMES = '';

/** What an entry takes beside its value, in bytes: measured at 100,000 entries. */
const OVERHEAD = 200;
/** How many bytes a parsed value takes for each character of its text: measured with objects of 10 KB. */
const PARSED = 2;

/** How many entries in a row may be found to be held by pending writes before eviction gives up. */
const PATIENCE = 64;

/**
 * @typedef {object} Entry
 * @property {string} scope
 * @property {string} name
 * @property {any} value private; undefined where there is no such property. Of names: a Set
 * @property {string | null} text the value as text, as long as nobody asked for it
 * @property {number} size in bytes, estimated
 * @property {number} generation served while it is the current one
 * @property {number} tick when it was read or written
 * @property {number} number of the newest write, where `pending`
 * @property {boolean} pending this process wrote it, and the write was not settled when last looked at
 * @property {boolean} poisoned someone else changed it while the write was pending
 * @property {boolean} queued it stands among the written ones
 * @property {boolean} used since eviction last came by
 * @property {Entry} next in the ring of all entries
 * @property {Entry} previous
 */

/**
 * @param {import('../types').NativeContext} native
 * @param {import('../types').AboutContext} about
 */
function createNearCache(native, about) {
  const { words, hits } = native;
  const { enabled, maxBytes } = about.nearCache;
  const keepsLast = about.offlineReads === 'last-known';
  // Ticks are whole seconds: two that differ by n are up to n + 1 seconds apart.
  const oldest = Math.max(0, Math.floor(about.nearCache.maxAge / 1000) - 1);
  /** @type {Map<string, Map<string, Entry>>} */
  const scopes = new Map();
  let seen = words[EPOCH];
  let bytes = 0;
  let count = 0;
  let evictions = 0;
  /** @type {Entry | null} where eviction goes on */
  let hand = null;
  /** @type {(scope: string, name: string) => void} */
  let onInvalidated = () => {};
  /** @type {Entry[]} the entries of pending writes, older ones first as far as that matters */
  const written = [];
  let oldestWritten = 0;

  /**
   * @param {string} scope
   * @param {string} name
   * @returns {Entry | undefined} what may be served
   */
  function find(scope, name) {
    if (words[EPOCH] !== seen) takeInvalidated();
    const names = scopes.get(scope);
    if (names === undefined) return undefined;
    const entry = names.get(name);
    if (entry === undefined || !mayServe(entry)) return undefined;
    entry.used = true;
    hits[0] += 1;
    return entry;
  }

  /** @param {Entry} entry looked up after what changed elsewhere was taken */
  function mayServe(entry) {
    if (entry.pending && !isPending(entry)) settle(entry);
    return entry.pending || (entry.generation === words[GENERATION] && words[TICK] - entry.tick <= oldest);
  }

  /** Acts on what changed elsewhere. */
  function takeInvalidated() {
    seen = words[EPOCH];
    const pairs = native.takeInvalidated();
    for (let at = 0; at < pairs.length; at += 2) {
      onInvalidated(pairs[at], pairs[at + 1]);
      const entry = scopes.get(pairs[at])?.get(pairs[at + 1]);
      if (entry === undefined) continue;
      if (entry.pending && isPending(entry)) entry.poisoned = true;
      else drop(entry);
    }
  }

  /** @param {Entry} entry */
  function isPending(entry) {
    return ((words[SETTLED] - entry.number) | 0) < 0;
  }

  /**
   * Looks at the oldest writes, two for each new one: an entry that nobody reads must not be taken for
   * pending for ever, as the numbers of writes begin again some day.
   */
  function settleSome() {
    for (let looks = 0; looks < 2 && oldestWritten < written.length; looks += 1) {
      const entry = written[oldestWritten];
      if (entry.pending && isPending(entry)) {
        // Written again since it was queued, or the oldest of all.
        if (written.length - oldestWritten === 1) return;
        written.push(entry);
      } else {
        entry.queued = false;
        if (entry.pending) settle(entry);
      }
      oldestWritten += 1;
    }
    if (oldestWritten > 1024 && oldestWritten * 2 > written.length) {
      written.splice(0, oldestWritten);
      oldestWritten = 0;
    }
  }

  /** @param {Entry} entry whose write is settled */
  function settle(entry) {
    entry.pending = false;
    if (entry.poisoned || !enabled) drop(entry);
  }

  /** @param {Entry} entry not to be served any more */
  function drop(entry) {
    entry.pending = false;
    entry.generation = NOT_KEPT;
    if (!keepsLast) remove(entry);
  }

  /** @param {Entry} entry */
  function remove(entry) {
    entry.pending = false;
    entry.generation = NOT_KEPT;
    const names = scopes.get(entry.scope);
    if (names?.get(entry.name) !== entry) return;
    names.delete(entry.name);
    if (names.size === 0) scopes.delete(entry.scope);
    if (hand === entry) hand = entry.next === entry ? null : entry.next;
    entry.previous.next = entry.next;
    entry.next.previous = entry.previous;
    count -= 1;
    grow(-entry.size);
  }

  /** @param {number} by bytes */
  function grow(by) {
    bytes += by;
    // For the counters in Rust, which have no other way to know.
    hits[1] = bytes;
    hits[2] = count;
    hits[3] = evictions;
  }

  /**
   * @param {string} scope
   * @param {string} name
   * @returns {Entry} the entry that is there, or a new one
   */
  function place(scope, name) {
    let names = scopes.get(scope);
    if (names === undefined) {
      names = new Map();
      scopes.set(scope, names);
    }
    const known = names.get(name);
    if (known !== undefined) return known;
    const entry = createEntry(scope, name);
    if (hand === null) hand = entry;
    else {
      // Before the hand: the last place it comes to.
      entry.next = hand;
      entry.previous = hand.previous;
      hand.previous.next = entry;
      hand.previous = entry;
    }
    names.set(name, entry);
    count += 1;
    grow(entry.size);
    return entry;
  }

  /**
   * @param {Entry} entry
   * @param {any} value
   * @param {string | null} text
   * @param {number} size in bytes
   */
  function fill(entry, value, text, size) {
    const by = OVERHEAD + entry.name.length + size - entry.size;
    entry.value = value;
    entry.text = text;
    entry.size += by;
    entry.poisoned = false;
    entry.tick = words[TICK];
    grow(by);
    if (bytes > maxBytes) evict();
  }

  /** Second chance in the order of insertion. */
  function evict() {
    let held = 0;
    while (hand !== null && bytes > maxBytes && held < PATIENCE) {
      const entry = hand;
      hand = entry.next;
      if (entry.pending && isPending(entry)) held += 1;
      else if (entry.used) entry.used = false;
      else {
        evictions += 1;
        remove(entry);
      }
    }
  }

  /**
   * @param {string} scope
   * @param {string} name
   * @param {any} value
   * @param {string | null} text
   * @param {number} size in bytes
   * @param {number} generation
   */
  function store(scope, name, value, text, size, generation) {
    const entry = place(scope, name);
    entry.pending = false;
    entry.generation = generation;
    fill(entry, value, text, size);
    return entry;
  }

  return {
    find,

    /** @param {(scope: string, name: string) => void} listener hears of each change by someone else */
    listen(listener) {
      onInvalidated = listener;
    },

    /**
     * As `find`, for what is no read of a flow.
     *
     * @param {string} scope
     * @param {string} name
     * @returns {Entry | undefined}
     */
    peek(scope, name) {
      if (words[EPOCH] !== seen) takeInvalidated();
      const entry = scopes.get(scope)?.get(name);
      return entry !== undefined && mayServe(entry) ? entry : undefined;
    },

    /** Hears of changes before something that was read is kept. */
    refresh() {
      if (words[EPOCH] !== seen) takeInvalidated();
    },

    /**
     * Keeps what was read.
     *
     * @param {string} scope
     * @param {string} name
     * @param {string | null} text
     * @param {number} generation 0: not to be kept
     * @returns {Entry | undefined}
     */
    keep(scope, name, text, generation) {
      const size = sizeOf(text);
      if (!enabled || generation === NOT_KEPT || size > maxBytes) return undefined;
      return store(scope, name, undefined, text, size, generation);
    },

    /**
     * Keeps the list of a scope's names.
     *
     * @param {string} scope
     * @param {string[]} names
     * @param {number} generation
     * @returns {Entry | undefined}
     */
    keepNames(scope, names, generation) {
      const size = sizeOfNames(names);
      if (!enabled || generation === NOT_KEPT || size > maxBytes) return undefined;
      return store(scope, NAMES, new Set(names), null, size, generation);
    },

    /**
     * This process set or deleted a whole property: served from now on.
     *
     * @param {string} scope
     * @param {string} name
     * @param {any} value where it is none that flows could change: a primitive, undefined for deleted
     * @param {string | null} text of any other
     * @param {number} size in bytes
     * @param {number} number of the write
     */
    set(scope, name, value, text, size, number) {
      const entry = place(scope, name);
      markWritten(entry, number);
      fill(entry, value, text, size);
      listName(scope, name, value !== undefined || text !== null, number);
    },

    /**
     * This process set or deleted something below a property.
     *
     * @param {string} scope
     * @param {string} name
     * @param {(string | number)[]} rest
     * @param {string | null} text null deletes
     * @param {number} number of the write
     */
    change(scope, name, rest, text, number) {
      if (words[EPOCH] !== seen) takeInvalidated();
      const entry = scopes.get(scope)?.get(name);
      if (entry !== undefined && mayServe(entry)) {
        const { poisoned } = entry;
        const changed = changedValue(entry, rest, text);
        if (changed === UNKNOWN) remove(entry);
        else {
          const size = entry.size - OVERHEAD - entry.name.length;
          markWritten(entry, number);
          fill(entry, changed, null, size + sizeOf(text));
          entry.poisoned = poisoned;
        }
      } else if (entry !== undefined) remove(entry);
      if (text !== null) listName(scope, name, true, number);
    },

    /**
     * This process changes a property and cannot say to what.
     *
     * @param {string} scope
     * @param {string} name
     * @param {boolean} stays whether the property exists afterwards
     */
    forget(scope, name, stays) {
      const entry = scopes.get(scope)?.get(name);
      if (entry !== undefined) remove(entry);
      const list = scopes.get(scope)?.get(NAMES);
      if (list !== undefined && !(stays && list.value.has(name))) remove(list);
    },

    /**
     * @param {(scope: string) => boolean} isGone
     */
    forgetScopes(isGone) {
      for (const [scope, names] of [...scopes]) {
        if (!isGone(scope)) continue;
        for (const entry of [...names.values()]) remove(entry);
      }
    },

    /**
     * What is known of a property that may not be served: older than promised.
     *
     * @param {string} scope
     * @param {string} name
     * @returns {Entry | undefined}
     */
    lastKnown: (scope, name) => (keepsLast ? scopes.get(scope)?.get(name) : undefined),

    counters: () => ({ entries: count, bytes, evictions }),
  };

  /**
   * @param {Entry} entry
   * @param {number} number
   */
  function markWritten(entry, number) {
    const generation = words[GENERATION];
    entry.number = number;
    entry.pending = true;
    if (!entry.queued) {
      entry.queued = true;
      written.push(entry);
    }
    settleSome();
    // While changes may be missed the generation is odd: then only until the write is settled.
    entry.generation = enabled && (generation & 1) === 0 ? generation : NOT_KEPT;
  }

  /**
   * @param {string} scope
   * @param {string} name
   * @param {boolean} present
   * @param {number} number of the write
   */
  function listName(scope, name, present, number) {
    const entry = scopes.get(scope)?.get(NAMES);
    if (entry === undefined || entry.value.has(name) === present) return;
    if (words[EPOCH] !== seen) takeInvalidated();
    if (!mayServe(entry)) {
      remove(entry);
      return;
    }
    const { poisoned } = entry;
    if (present) entry.value.add(name);
    else entry.value.delete(name);
    markWritten(entry, number);
    fill(entry, entry.value, null, entry.size - OVERHEAD + (present ? 1 : -1) * sizeOfNames([name]));
    entry.poisoned = poisoned;
  }
}

/** @param {string | null} text */
function sizeOf(text) {
  return text === null ? 0 : text.length * PARSED;
}

/** @param {string[]} names */
function sizeOfNames(names) {
  return names.reduce((size, name) => size + 40 + name.length, 0);
}

/**
 * @param {string} scope
 * @param {string} name
 * @returns {Entry} alone in its ring
 */
function createEntry(scope, name) {
  const entry = /** @type {Entry} */ ({
    scope,
    name,
    value: undefined,
    text: null,
    size: OVERHEAD + name.length,
    generation: NOT_KEPT,
    tick: 0,
    number: 0,
    pending: false,
    poisoned: false,
    queued: false,
    used: false,
  });
  entry.next = entry;
  entry.previous = entry;
  return entry;
}

/**
 * @param {Entry} entry
 * @param {(string | number)[]} rest
 * @param {string | null} text null deletes
 * @returns {any} its value with the change, UNKNOWN where that cannot be told here
 */
function changedValue(entry, rest, text) {
  try {
    return write(valueOf(entry), rest, text === null ? undefined : decode(text));
  } catch {
    // What is kept is damaged: the store says so to the one who writes.
    return UNKNOWN;
  }
}

/**
 * @param {Entry} entry
 * @returns {any} its private value
 */
function valueOf(entry) {
  if (entry.text !== null) {
    entry.value = decodeStored(entry.scope, entry.name, entry.text);
    entry.text = null;
  }
  return entry.value;
}

module.exports = { NAMES, createNearCache, sizeOf, valueOf };
