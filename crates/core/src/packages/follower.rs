//! What a worker does about a revision of the packages: pure, the clock is an argument.
//!
//! - never two installs at once, and always the newest revision next;
//! - nothing in the store, or a store that went back, is no instruction to remove anything: an admin puts back
//!   what the store lost; only when none did for a while is an older revision followed;
//! - what failed is tried again with growing pauses, or at once where something newer is there.

use std::time::{Duration, Instant};

use super::store::{Head, Newest};

/// How long an admin has to put back what the store lost.
const GRACE: Duration = Duration::from_secs(30);

/// First and longest pause before an install that failed is tried again.
const RETRY_FIRST: Duration = Duration::from_secs(2);
const RETRY_LONGEST: Duration = Duration::from_secs(300);

/// The state of one worker.
#[derive(Debug, Default)]
pub(super) struct Follower {
    /// What is installed here, or lies ready for the next start: the newer of both.
    has: Option<Head>,
    failed: Option<Failed>,
    behind_since: Option<Instant>,
}

#[derive(Debug)]
struct Failed {
    id: String,
    retry_at: Instant,
    pause: Duration,
}

impl Follower {
    /// What there is at the start, or now.
    pub(super) fn has(&mut self, head: Option<Head>) {
        self.has = head;
        self.failed = None;
        self.behind_since = None;
    }

    /// Whether this revision is to be installed now.
    pub(super) fn wants(&mut self, newest: &Newest, now: Instant) -> bool {
        let Newest::Revision(newest) = newest else {
            return false;
        };
        if let Some(has) = &self.has {
            if has.id == newest.id {
                self.behind_since = None;
                return false;
            }
            if newest.number < has.number {
                let since = *self.behind_since.get_or_insert(now);
                if now.duration_since(since) < GRACE {
                    return false;
                }
            } else {
                self.behind_since = None;
            }
        }
        match &self.failed {
            Some(failed) if failed.id == newest.id => now >= failed.retry_at,
            _ => true,
        }
    }

    /// Whether the revision with this id is here.
    pub(super) fn has_id(&self, id: &str) -> bool {
        self.has.as_ref().is_some_and(|has| has.id == id)
    }

    /// The store has an older revision than the newest that was here, and this worker never follows one. Returns
    /// whether it is still early.
    pub(super) fn holds_back(&mut self, now: Instant) -> bool {
        let since = *self.behind_since.get_or_insert(now);
        now.duration_since(since) < GRACE
    }

    /// Whether this revision is the one that is here.
    pub(super) fn is_at(&self, newest: &Newest) -> bool {
        matches!((newest, &self.has), (Newest::Revision(newest), Some(has)) if has.id == newest.id)
    }

    /// The install of this revision failed. Returns how long it is left alone.
    pub(super) fn failed(&mut self, id: &str, now: Instant) -> Duration {
        let pause = match &self.failed {
            Some(failed) if failed.id == id => (failed.pause * 2).min(RETRY_LONGEST),
            _ => RETRY_FIRST,
        };
        self.failed = Some(Failed {
            id: id.to_owned(),
            retry_at: now + pause,
            pause,
        });
        pause
    }

    /// Whether something waits for time to pass rather than for a message.
    pub(super) fn is_waiting(&self) -> bool {
        self.failed.is_some() || self.behind_since.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(number: u64, id: &str) -> Head {
        Head {
            number,
            id: id.into(),
            hash: String::new(),
            time: String::new(),
            instance: String::new(),
        }
    }

    fn revision(number: u64, id: &str) -> Newest {
        Newest::Revision(head(number, id))
    }

    #[test]
    fn what_is_not_here_is_installed_and_what_is_here_not_again() {
        let now = Instant::now();
        let mut follower = Follower::default();
        assert!(follower.wants(&revision(3, "c"), now));
        follower.has(Some(head(3, "c")));
        assert!(!follower.wants(&revision(3, "c"), now));
        assert!(follower.is_at(&revision(3, "c")) && !follower.is_at(&revision(4, "d")));
        assert!(follower.wants(&revision(4, "d"), now));
        assert!(
            follower.wants(&revision(3, "other"), now),
            "the same number is another"
        );
    }

    #[test]
    fn nothing_in_the_store_is_no_order_to_remove_anything() {
        let now = Instant::now();
        let mut follower = Follower::default();
        follower.has(Some(head(3, "c")));
        for newest in [Newest::Nothing, Newest::SwitchedOff] {
            assert!(!follower.wants(&newest, now + GRACE * 10));
        }
    }

    #[test]
    fn a_store_that_went_back_is_followed_after_the_grace_period_only() {
        let now = Instant::now();
        let mut follower = Follower::default();
        follower.has(Some(head(3, "c")));
        assert!(!follower.wants(&revision(2, "b"), now));
        assert!(follower.is_waiting());
        assert!(!follower.wants(&revision(3, "c"), now + GRACE / 2));
        assert!(
            !follower.wants(&revision(2, "b"), now + GRACE),
            "it begins anew"
        );
        assert!(follower.wants(&revision(2, "b"), now + GRACE * 2));
    }

    #[test]
    fn a_failure_is_tried_again_with_growing_pauses_and_a_newer_revision_at_once() {
        let now = Instant::now();
        let mut follower = Follower::default();
        assert_eq!(follower.failed("c", now), RETRY_FIRST);
        assert!(!follower.wants(&revision(3, "c"), now));
        assert!(follower.wants(&revision(3, "c"), now + RETRY_FIRST));
        assert_eq!(follower.failed("c", now), RETRY_FIRST * 2);
        assert!(follower.wants(&revision(4, "d"), now));
        for _ in 0..20 {
            follower.failed("c", now);
        }
        assert_eq!(follower.failed("c", now), RETRY_LONGEST);
    }
}
