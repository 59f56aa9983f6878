//! How long the silence of a peer may last: a pure state machine.
//!
//! A half-open connection is noticed by nothing: the server is frozen or behind a broken network, changes
//! go unheard, and what is kept here looks right for ever. So a PING goes out now and then, and each reply
//! renews the lease from the moment *before* its PING was sent: whatever the server did until it read the
//! PING was heard of before the reply.

use std::time::{Duration, Instant};

/// A PING goes out this often.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// How long a lease lasts: two PINGs may go unanswered, which is a long pause of a healthy server.
pub(super) const VALIDITY: Duration = Duration::from_secs(3);

/// A lease on the truth of what is kept.
#[derive(Debug)]
pub(super) struct Lease {
    /// When the newest question that was answered went out.
    asked: Instant,
    /// Whether its end was not noticed yet.
    holds: bool,
}

/// What becomes of what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It stays as it is.
    None,
    /// Nothing that was kept may be served.
    Lost,
    /// From now on something may be kept again.
    Regained,
}

impl Lease {
    /// A lease from a first question, which was answered.
    pub(super) fn new(asked: Instant) -> Self {
        Self { asked, holds: true }
    }

    /// When it ends if nothing is heard.
    pub(super) fn end(&self) -> Instant {
        self.asked + VALIDITY
    }

    /// Whether it has not been found ended.
    pub(super) fn holds(&self) -> bool {
        self.holds
    }

    /// A question that went out at `asked` was answered `now`.
    ///
    /// A lease that ran out is regained by an answer on the same connection. Nothing was missed, as the
    /// stream keeps its order, but what was kept has been declared lost and cannot be brought back: it
    /// was not served meanwhile, and its owner has dropped it.
    pub(super) fn answered(&mut self, asked: Instant, now: Instant) -> Turn {
        self.asked = self.asked.max(asked);
        if now >= self.end() {
            return self.look(now);
        }
        if self.holds {
            return Turn::None;
        }
        self.holds = true;
        Turn::Regained
    }

    /// What is kept is no longer right, for another reason than silence.
    pub(super) fn revoke(&mut self) {
        self.holds = false;
    }

    /// The time is `now`.
    pub(super) fn look(&mut self, now: Instant) -> Turn {
        if self.holds && now >= self.end() {
            self.holds = false;
            return Turn::Lost;
        }
        Turn::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_lease_that_is_renewed_in_time_goes_on() {
        let begin = Instant::now();
        let mut lease = Lease::new(begin);
        for second in 1..100 {
            let asked = begin + second * SECOND;
            assert_eq!(lease.answered(asked, asked + SECOND), Turn::None);
            assert_eq!(lease.end(), asked + VALIDITY);
            assert_eq!(lease.look(asked + 2 * SECOND), Turn::None);
        }
    }

    #[test]
    fn it_ends_once_after_three_seconds_of_silence_from_the_last_answered_question() {
        let begin = Instant::now();
        let mut lease = Lease::new(begin);
        let asked = begin + SECOND;
        // The answer was two seconds under way: the lease is as old as its question.
        assert_eq!(lease.answered(asked, begin + 3 * SECOND), Turn::None);
        let end = begin + 4 * SECOND;
        assert_eq!(lease.look(end - Duration::from_millis(1)), Turn::None);
        assert!(lease.holds());
        assert_eq!(lease.look(end), Turn::Lost);
        assert!(!lease.holds());
        assert_eq!(lease.look(end + SECOND), Turn::None);
    }

    #[test]
    fn a_timely_answer_regains_it_and_a_late_one_does_not() {
        let begin = Instant::now();
        let mut lease = Lease::new(begin);
        assert_eq!(lease.look(begin + 5 * SECOND), Turn::Lost);
        // Asked before the silence, answered at its end: old news.
        assert_eq!(
            lease.answered(begin + SECOND, begin + 5 * SECOND),
            Turn::None
        );
        assert_eq!(
            lease.answered(begin + 5 * SECOND, begin + 6 * SECOND),
            Turn::Regained
        );
        assert_eq!(lease.end(), begin + 8 * SECOND);
    }

    #[test]
    fn an_answer_that_comes_before_anybody_looked_keeps_or_ends_it_by_its_own_age() {
        let begin = Instant::now();
        let mut lease = Lease::new(begin);
        assert_eq!(
            lease.answered(begin + 9 * SECOND, begin + 10 * SECOND),
            Turn::None
        );
        assert_eq!(
            lease.answered(begin + 10 * SECOND, begin + 14 * SECOND),
            Turn::Lost
        );
    }
}
