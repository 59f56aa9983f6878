//! What all instances did, until it is told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use node_red_cluster_core::election::clock;

use crate::protocol::{Deployed, History, Nanos, Operation};

use super::leads::Leads;

/// Filled from many tasks.
#[derive(Debug, Default)]
pub(super) struct Tally {
    history: Mutex<History>,
    pub(super) leads: Leads,
}

impl Tally {
    pub(super) fn operation(&self, operation: Operation) {
        self.history().operations.push(operation);
    }

    pub(super) fn deploy(&self, deploy: Deployed) {
        self.history().deploys.push(deploy);
    }

    /// What must never happen.
    pub(super) fn alarm(&self, text: String) {
        self.history().alarms.push(text);
    }

    /// Every panic of this process is one of the product's or of the suite's own, and an alarm.
    pub(super) fn hear_panics(self: &Arc<Self>) {
        let tally = Arc::clone(self);
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            tally.alarm(format!("a panic: {panic}"));
            before(panic);
        }));
    }

    /// All since the last call.
    pub(super) fn take(&self) -> History {
        let mut history = std::mem::take(&mut *self.history());
        history.leads = self.leads.take();
        history
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A moment on the clock of the elections, which nobody sets.
pub(super) fn now() -> Nanos {
    clock::now().as_nanos()
}
