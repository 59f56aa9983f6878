//! Values of properties that were updated lately, bounded in bytes: the next update of them needs no read.
//! What is outdated is noticed at the commit.

use std::collections::HashMap;
use std::sync::Arc;

use crate::context::stored::Stored;
use crate::keyspace::Scope;

/// Bytes that are kept.
const KEPT_BYTES: usize = 16 * 1024 * 1024;

/// Values of properties that were updated lately, bounded.
#[derive(Debug, Default)]
pub(super) struct Kept {
    values: HashMap<(Scope, String), Option<Arc<Stored>>>,
    bytes: usize,
}

impl Kept {
    /// The value as it was; the outer `None` is for not known.
    pub(super) fn get(&self, scope: &Scope, name: &str) -> Option<Option<Arc<Stored>>> {
        if self.values.is_empty() {
            return None;
        }
        self.values.get(&(scope.clone(), name.to_owned())).cloned()
    }

    pub(super) fn insert(&mut self, scope: &Scope, name: &str, value: Option<Arc<Stored>>) {
        self.remove(scope, name);
        let size = Self::size(name, value.as_deref());
        if self.bytes + size > KEPT_BYTES {
            self.values.clear();
            self.bytes = 0;
        }
        if size <= KEPT_BYTES {
            self.bytes += size;
            self.values.insert((scope.clone(), name.to_owned()), value);
        }
    }

    pub(super) fn remove(&mut self, scope: &Scope, name: &str) {
        if self.values.is_empty() {
            return;
        }
        if let Some(value) = self.values.remove(&(scope.clone(), name.to_owned())) {
            self.bytes -= Self::size(name, value.as_deref());
        }
    }

    fn size(name: &str, value: Option<&Stored>) -> usize {
        name.len() + value.map_or(0, Stored::size) + 128
    }
}
