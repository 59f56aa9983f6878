//! What the store says of changed keys, handed on to who keeps values.

use std::sync::Arc;

use super::counters::Counters;
use super::near::Near;
use crate::connection::Invalidations;
use crate::error::Error;
use crate::keyspace::Keyspace;

/// Has no part in the connection, which holds it.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) near: Arc<Near>,
    pub(super) keyspace: Keyspace,
    pub(super) counters: Arc<Counters>,
}

impl Invalidations for Listener {
    fn invalidated(&self, keys: &[&[u8]]) {
        for key in keys {
            let key = std::str::from_utf8(key).ok();
            // Others write under the prefix too.
            if let Some(key) = key.and_then(|key| self.keyspace.context_key(key)) {
                self.near.invalidate(key);
            }
        }
    }

    fn all_invalidated(&self) {
        self.near.forget_all();
    }

    fn established(&self, _epoch: u64) {
        self.near.established();
    }

    fn lost(&self) {
        self.counters.losses.add(1);
        self.near.lost();
    }

    fn unavailable(&self, reason: &Error) {
        tracing::debug!("every read of the context asks the store: {reason}");
    }
}
