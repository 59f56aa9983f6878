//! The answer to "do I lead?", for whoever asks at each message: two words of memory and the clock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::clock::{self, Moment};

/// What the elector last believed; judged by the clock whenever it is read, also if the elector itself had no
/// chance to run (a process that was stopped and goes on).
#[derive(Debug, Default)]
pub(super) struct BeliefWord {
    token: AtomicU64,
    /// Nanoseconds of the clock; 0 where it does not lead.
    until: AtomicU64,
    /// Given up by whoever asked for that; the elector has yet to hear of it.
    withdrawn: AtomicBool,
}

impl BeliefWord {
    /// The token, if this process leads at this very moment.
    pub(super) fn token(&self) -> Option<u64> {
        let until = self.until.load(Ordering::Acquire);
        let over = until == 0 || clock::now() >= Moment::from_nanos(until);
        if over || self.withdrawn.load(Ordering::Acquire) {
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

    /// Does not lead any more, whatever the elector may write before it hears of it and clears this.
    pub(super) fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Release);
    }

    /// Does not lead.
    pub(super) fn clear(&self) {
        self.until.store(0, Ordering::Release);
        self.withdrawn.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_belief_is_judged_by_the_clock_and_can_be_withdrawn_before_the_elector_knows() {
        let word = BeliefWord::default();
        assert_eq!(word.token(), None);
        word.set(7, clock::now());
        assert_eq!(word.token(), None, "over at the moment at which it ends");
        let later = clock::now() + Duration::from_secs(3_600);
        word.set(7, later);
        assert_eq!(word.token(), Some(7));
        word.withdraw();
        word.set(7, later + Duration::from_secs(1));
        assert_eq!(word.token(), None, "a renewal that was under way");
        word.clear();
        word.set(8, later);
        assert_eq!(word.token(), Some(8));
    }
}
