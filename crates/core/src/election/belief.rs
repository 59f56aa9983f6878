//! The answer to "do I lead?", for whoever asks at each message: two words of memory and the clock.

use std::sync::atomic::{AtomicU64, Ordering};

use super::clock::{self, Moment};

/// What the elector last believed; judged by the clock whenever it is read, also if the elector itself had no
/// chance to run (a process that was stopped and goes on).
#[derive(Debug, Default)]
pub(super) struct BeliefWord {
    token: AtomicU64,
    /// Nanoseconds of the clock; 0 where it does not lead.
    until: AtomicU64,
}

impl BeliefWord {
    /// The token, if this process leads at this very moment.
    pub(super) fn token(&self) -> Option<u64> {
        let until = self.until.load(Ordering::Acquire);
        if until == 0 || clock::now() >= Moment::from_nanos(until) {
            return None;
        }
        Some(self.token.load(Ordering::Acquire))
    }

    /// Leads with this token until that moment. A new token is written only after the end of the old one, so
    /// that no reader sees the new end with the old token.
    pub(super) fn set(&self, token: u64, until: Moment) {
        self.token.store(token, Ordering::Release);
        self.until.store(until.as_nanos(), Ordering::Release);
    }

    /// Does not lead.
    pub(super) fn clear(&self) {
        self.until.store(0, Ordering::Release);
    }
}
