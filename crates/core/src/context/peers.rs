//! Stores of one process that share a link and a prefix. The store tells nobody of a change over the link that
//! made it, so they tell each other.

use std::sync::{Arc, Mutex, Weak};

use super::inner::Inner;
use super::lock;
use crate::keyspace::ContextKey;

static OPEN: Mutex<Vec<Weak<Inner>>> = Mutex::new(Vec::new());

/// From now on `inner` hears of the others, and they of it.
pub(super) fn join(inner: &Arc<Inner>) {
    let mut open = lock(&OPEN);
    open.retain(|other| other.strong_count() > 0);
    open.push(Arc::downgrade(inner));
}

/// The other stores that hold the same properties over the same link.
pub(super) fn of(inner: &Inner) -> Vec<Arc<Inner>> {
    let open = lock(&OPEN);
    if open.len() < 2 {
        return Vec::new();
    }
    let others = open.iter().filter_map(Weak::upgrade);
    others
        .filter(|other| !std::ptr::eq(Arc::as_ptr(other), inner) && other.shares_with(inner))
        .collect()
}

impl Inner {
    fn shares_with(&self, other: &Inner) -> bool {
        let (one, other) = (&self.settings, &other.settings);
        one.key_prefix == other.key_prefix
            && one.timeout == other.timeout
            && one.connection == other.connection
    }

    /// Tells the others what this one changed.
    pub(super) fn tell_peers(&self, changed: impl Fn() -> Vec<ContextKey>) {
        for peer in of(self) {
            for key in changed() {
                peer.near.invalidate(key);
            }
        }
    }
}
