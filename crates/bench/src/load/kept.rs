//! What an instance keeps of what it read and wrote, by the rules of `node/context/near-cache.js`: what may be
//! served is decided by the core, and told in words.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use node_red_cluster_core::context::Context;
use node_red_cluster_core::context::near::NOT_KEPT;

#[derive(Debug)]
struct Entry {
    text: Option<String>,
    generation: i32,
    tick: i32,
    /// The newest write of this process, until it is found settled.
    written: Option<u64>,
    /// Somebody else changed it while that write was on its way.
    poisoned: bool,
}

impl Entry {
    fn is_settled_and_poisoned(&self, settled: i32) -> bool {
        self.poisoned
            && self
                .written
                .is_none_or(|number| is_settled(number, settled))
    }
}

/// The values that one instance keeps.
#[derive(Debug)]
pub(crate) struct Kept {
    context: Context,
    entries: HashMap<String, Entry>,
    epoch: i32,
    /// The oldest that is served, in whole seconds.
    oldest: i32,
}

impl Kept {
    /// Of a context store that has been read nothing of.
    pub(crate) fn new(context: &Context) -> Self {
        let max_age = context.settings().context.near_cache.max_age.as_secs();
        Self {
            context: context.clone(),
            entries: HashMap::new(),
            epoch: context.words().epoch.load(Ordering::Acquire),
            oldest: i32::try_from(max_age.saturating_sub(1)).unwrap_or(i32::MAX),
        }
    }

    /// What may be served; `None` where the store has to be asked.
    pub(crate) fn find(&mut self, name: &str) -> Option<Option<&str>> {
        self.take_invalidated();
        let words = self.context.words();
        let settled = words.settled.load(Ordering::Acquire);
        if self.entries.get(name)?.is_settled_and_poisoned(settled) {
            self.entries.remove(name);
            return None;
        }
        let entry = self.entries.get_mut(name)?;
        entry.written = entry.written.filter(|number| !is_settled(*number, settled));
        let current = entry.generation == words.generation.load(Ordering::Acquire)
            && words.tick.load(Ordering::Relaxed) - entry.tick <= self.oldest;
        (current || entry.written.is_some()).then_some(entry.text.as_deref())
    }

    /// Keeps what was read under a generation.
    pub(crate) fn keep(&mut self, name: String, text: Option<String>, generation: i32) {
        self.take_invalidated();
        if generation != NOT_KEPT {
            self.put(name, text, generation, None);
        }
    }

    /// This instance set a property, by the write with this number.
    pub(crate) fn wrote(&mut self, name: String, text: String, number: u64) {
        let generation = self.context.words().generation.load(Ordering::Acquire);
        let generation = if generation & 1 == 0 {
            generation
        } else {
            NOT_KEPT
        };
        self.put(name, Some(text), generation, Some(number));
    }

    /// This instance changes a property and cannot say to what.
    pub(crate) fn forget(&mut self, name: &str) {
        self.entries.remove(name);
    }

    /// The names of all that is kept.
    pub(crate) fn names(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    fn put(&mut self, name: String, text: Option<String>, generation: i32, written: Option<u64>) {
        let tick = self.context.words().tick.load(Ordering::Relaxed);
        let entry = Entry {
            text,
            generation,
            tick,
            written,
            poisoned: false,
        };
        self.entries.insert(name, entry);
    }

    /// Acts on what changed elsewhere.
    fn take_invalidated(&mut self) {
        let words = self.context.words();
        let epoch = words.epoch.load(Ordering::Acquire);
        if epoch == self.epoch {
            return;
        }
        self.epoch = epoch;
        let settled = words.settled.load(Ordering::Acquire);
        for (_, name) in self.context.take_invalidated() {
            let Some(entry) = self.entries.get_mut(&name) else {
                continue;
            };
            let pending = entry
                .written
                .is_some_and(|number| !is_settled(number, settled));
            if pending {
                entry.poisoned = true;
            } else {
                self.entries.remove(&name);
            }
        }
    }
}

/// Whether a write is settled; the word wraps, so numbers are compared by their distance.
fn is_settled(number: u64, settled: i32) -> bool {
    settled.wrapping_sub(number as i32) >= 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_settled_once_the_word_has_reached_its_number_also_where_it_wraps() {
        assert!(!is_settled(5, 4));
        assert!(is_settled(5, 5));
        assert!(!is_settled(1 << 31, i32::MAX));
        assert!(is_settled(1 << 31, i32::MIN));
        assert!(is_settled(3, i32::MAX));
    }
}
