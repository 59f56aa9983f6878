//! What this process may keep of values that it has read: the coherence of the near cache.
//!
//! The values themselves are kept by the JavaScript side, where alone they can be handed out in nanoseconds.
//! Here it is decided what may be kept and for how long, by three means:
//! - a **generation**: everything kept belongs to one; it ends when a change may have been missed (the link or
//!   its lease was lost, the whole store was emptied, too many changes wait to be taken);
//! - a **list of invalidated keys**, which the reader takes before it looks up anything;
//! - a **ticket per fetch**: a change that is heard of while a fetch is under way poisons it, and its value is
//!   handed out but not kept. Without this one racing read in fourteen stays stale for good.
//!
//! Pure: events in, decisions out.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, Ordering};

use super::lock;
use crate::keyspace::{ContextKey, Scope};

/// With so many invalidated keys not yet taken, forgetting everything is cheaper.
const MOST_INVALIDATED: usize = 10_000;

/// The generation of a value that must not be kept.
pub const NOT_KEPT: i32 = 0;

/// What the reader of kept values sees without a call: one word each, written here only.
///
/// Even generations are served, odd ones are not, and 0 is never one.
#[derive(Debug)]
#[repr(C)]
pub struct Words {
    /// Changes whenever there are invalidated keys to take.
    pub epoch: AtomicI32,
    /// What is kept may be served while its generation equals this one.
    pub generation: AtomicI32,
    /// Seconds since the start, coarse.
    pub tick: AtomicI32,
    /// The newest write that is settled, wrapping.
    pub settled: AtomicI32,
}

/// How many words there are, for whoever maps them.
pub const WORDS: usize = 4;

/// One fetch of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// The state of coherence; shared by the link, the reader and the writer.
#[derive(Debug)]
pub struct Near {
    words: Words,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Fetches under way by key.
    fetches: HashMap<ContextKey, Vec<Fetch>>,
    issued: u64,
    invalidated: Vec<ContextKey>,
    /// Changes heard of, for the counters.
    heard: u64,
    /// Changes of the set of scopes that were heard of or may have been missed.
    scopes_changed: u64,
}

#[derive(Debug)]
struct Fetch {
    ticket: Ticket,
    /// Of the moment at which it began; [`NOT_KEPT`] once something spoke against keeping its value.
    generation: i32,
}

impl Default for Near {
    fn default() -> Self {
        Self {
            words: Words {
                epoch: AtomicI32::new(0),
                generation: AtomicI32::new(1),
                tick: AtomicI32::new(0),
                settled: AtomicI32::new(0),
            },
            state: Mutex::default(),
        }
    }
}

impl Near {
    /// The words, which live as long as this.
    pub fn words(&self) -> &Words {
        &self.words
    }

    /// The link hears of every change from now on.
    pub fn established(&self) {
        let mut state = lock(&self.state);
        state.scopes_changed += 1;
        let generation = self.generation();
        if generation & 1 == 1 {
            self.set_generation(generation.wrapping_add(1));
        }
    }

    /// Changes may be missed from now on: nothing kept is served any more.
    pub fn lost(&self) {
        let _state = lock(&self.state);
        let generation = self.generation();
        if generation & 1 == 0 {
            self.set_generation(generation.wrapping_add(1));
        }
    }

    /// Everything changed: what was kept is forgotten, what is read from now on may be kept.
    pub fn forget_all(&self) {
        let mut state = lock(&self.state);
        self.forget_everything(&mut state);
    }

    /// A key changed, or this process is about to change it.
    pub fn invalidate(&self, key: ContextKey) {
        let mut state = lock(&self.state);
        state.heard += 1;
        if key == ContextKey::Scopes {
            state.scopes_changed += 1;
            return;
        }
        poison(&mut state, &key);
        if state.invalidated.len() == MOST_INVALIDATED {
            self.forget_everything(&mut state);
        } else {
            state.invalidated.push(key);
            self.bump_epoch();
        }
    }

    /// This process writes the key: what is being fetched of it is older. What is kept of it is the
    /// writer's business, who keeps what he wrote.
    pub fn poison(&self, scope: &Scope, name: &str) {
        let mut state = lock(&self.state);
        if !state.fetches.is_empty() {
            let key = ContextKey::Value(scope.clone(), name.to_owned());
            poison(&mut state, &key);
        }
    }

    /// Changes whenever the set of scopes may have changed; `None` while that is not heard of.
    pub fn scopes_changed(&self) -> Option<u64> {
        let state = lock(&self.state);
        (self.generation() & 1 == 0).then_some(state.scopes_changed)
    }

    /// Whether anything kept may be served.
    pub fn is_serving(&self) -> bool {
        self.generation() & 1 == 0
    }

    /// Before the fetch of a key is sent.
    pub fn begin(&self, key: &ContextKey) -> Ticket {
        let mut state = lock(&self.state);
        state.issued += 1;
        let ticket = Ticket(state.issued);
        let fetch = Fetch {
            ticket,
            generation: self.generation(),
        };
        match state.fetches.get_mut(key) {
            Some(fetches) => fetches.push(fetch),
            None => {
                state.fetches.insert(key.clone(), vec![fetch]);
            }
        }
        ticket
    }

    /// The fetch ends: the generation under which its value may be kept, or [`NOT_KEPT`]. To be asked by
    /// whoever keeps it, at the moment of keeping: a later change is then in the list of invalidated keys.
    pub fn settle(&self, key: &ContextKey, ticket: Ticket) -> i32 {
        let mut state = lock(&self.state);
        let Some(fetches) = state.fetches.get_mut(key) else {
            return NOT_KEPT;
        };
        let Some(at) = fetches.iter().position(|fetch| fetch.ticket == ticket) else {
            return NOT_KEPT;
        };
        let fetch = fetches.swap_remove(at);
        if fetches.is_empty() {
            state.fetches.remove(key);
        }
        let current = self.generation();
        if current & 1 == 0 && fetch.generation == current {
            current
        } else {
            NOT_KEPT
        }
    }

    /// The keys that changed since the last call.
    pub fn take_invalidated(&self) -> Vec<ContextKey> {
        std::mem::take(&mut lock(&self.state).invalidated)
    }

    /// How many changes were heard of.
    pub fn heard(&self) -> u64 {
        lock(&self.state).heard
    }

    fn forget_everything(&self, state: &mut State) {
        state.invalidated.clear();
        state.scopes_changed += 1;
        for fetch in state.fetches.values_mut().flatten() {
            fetch.generation = NOT_KEPT;
        }
        self.set_generation(self.generation().wrapping_add(2));
    }

    fn generation(&self) -> i32 {
        self.words.generation.load(Ordering::Relaxed)
    }

    fn set_generation(&self, generation: i32) {
        let generation = if generation == NOT_KEPT {
            2
        } else {
            generation
        };
        self.words.generation.store(generation, Ordering::Release);
    }

    fn bump_epoch(&self) {
        self.words.epoch.fetch_add(1, Ordering::Release);
    }
}

fn poison(state: &mut State, key: &ContextKey) {
    if state.fetches.is_empty() {
        return;
    }
    if let Some(fetches) = state.fetches.get_mut(key) {
        for fetch in fetches {
            fetch.generation = NOT_KEPT;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ContextKey {
        ContextKey::Value(Scope::new("global"), name.to_owned())
    }

    fn serving() -> Near {
        let near = Near::default();
        near.established();
        near
    }

    fn generation(near: &Near) -> i32 {
        near.words().generation.load(Ordering::Relaxed)
    }

    #[test]
    fn nothing_is_kept_before_changes_are_heard_of() {
        let near = Near::default();
        let ticket = near.begin(&key("a"));
        assert_eq!(near.settle(&key("a"), ticket), NOT_KEPT);
        assert_eq!(generation(&near) & 1, 1);
    }

    #[test]
    fn an_undisturbed_fetch_is_kept_under_the_current_generation() {
        let near = serving();
        let ticket = near.begin(&key("a"));
        assert_eq!(near.settle(&key("a"), ticket), generation(&near));
    }

    #[test]
    fn a_change_during_a_fetch_poisons_it_and_no_other() {
        let near = serving();
        let racing = near.begin(&key("a"));
        let other = near.begin(&key("b"));
        near.invalidate(key("a"));
        assert_eq!(near.settle(&key("a"), racing), NOT_KEPT);
        assert_eq!(near.settle(&key("b"), other), generation(&near));
        let later = near.begin(&key("a"));
        assert_eq!(near.settle(&key("a"), later), generation(&near));
    }

    #[test]
    fn a_change_between_the_reply_and_the_keeping_is_in_the_list() {
        let near = serving();
        let ticket = near.begin(&key("a"));
        let kept_under = near.settle(&key("a"), ticket);
        let before = near.words().epoch.load(Ordering::Relaxed);
        near.invalidate(key("a"));
        assert_eq!(kept_under, generation(&near));
        assert_ne!(before, near.words().epoch.load(Ordering::Relaxed));
        assert_eq!(near.take_invalidated(), [key("a")]);
        assert_eq!(near.take_invalidated(), []);
    }

    #[test]
    fn an_own_write_poisons_fetches_without_a_word_to_the_reader() {
        let near = serving();
        let ticket = near.begin(&key("a"));
        near.poison(&Scope::new("global"), "a");
        assert_eq!(near.settle(&key("a"), ticket), NOT_KEPT);
        assert_eq!(near.take_invalidated(), []);
    }

    #[test]
    fn a_lost_link_ends_the_generation_for_good() {
        let near = serving();
        let first = generation(&near);
        let ticket = near.begin(&key("a"));
        near.lost();
        assert_ne!(generation(&near), first);
        near.established();
        assert_ne!(generation(&near), first);
        assert_eq!(near.settle(&key("a"), ticket), NOT_KEPT);
        near.lost();
        near.lost();
        near.established();
        assert_eq!(generation(&near) & 1, 0);
    }

    #[test]
    fn an_emptied_store_forgets_everything_and_goes_on() {
        let near = serving();
        let first = generation(&near);
        let ticket = near.begin(&key("a"));
        near.forget_all();
        assert_eq!(near.settle(&key("a"), ticket), NOT_KEPT);
        assert_ne!(generation(&near), first);
        assert_eq!(generation(&near) & 1, 0);
    }

    #[test]
    fn a_list_that_nobody_takes_does_not_grow_for_ever() {
        let near = serving();
        let first = generation(&near);
        for number in 0..=MOST_INVALIDATED {
            near.invalidate(key(&number.to_string()));
        }
        assert_ne!(generation(&near), first);
        assert!(near.take_invalidated().is_empty());
    }

    #[test]
    fn two_fetches_of_one_key_are_told_apart() {
        let near = serving();
        let first = near.begin(&key("a"));
        near.invalidate(key("a"));
        let second = near.begin(&key("a"));
        assert_eq!(near.settle(&key("a"), second), generation(&near));
        assert_eq!(near.settle(&key("a"), first), NOT_KEPT);
    }
}
