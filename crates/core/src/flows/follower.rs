//! The follower: decides from what the store says and what this instance runs what to do next.
//!
//! A pure state machine; the clock is an argument. Its promises:
//! - never two applies at once, and always the newest revision next;
//! - an empty store is never an instruction to run nothing;
//! - a revision that could not be applied is not tried again by itself, unless trying again can help;
//! - a store that went back in time is followed only after a grace period, in which an admin that
//!   still knows the newer revision puts it back.

use std::time::{Duration, Instant};

use super::revision::{Head, Revision, RunState};
use crate::config::Role;

/// How long an admin has to put back a revision that the store lost, before workers go back with it.
pub(super) const GRACE: Duration = Duration::from_secs(30);

/// First and longest pause before an apply that may succeed later is tried again.
const RETRY_FIRST: Duration = Duration::from_secs(2);
const RETRY_LONGEST: Duration = Duration::from_secs(60);

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing, until something changes.
    Rest,
    /// Apply this revision, and the run state with it.
    Apply(Head),
    /// The revision is the same, only the run state changed.
    SetState(RunState),
    /// The store lost the revision that runs here: put it back (admins only).
    Restore,
    /// The store is empty or behind: keep running what runs, look again.
    Hold,
}

/// How an apply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It runs.
    Applied,
    /// It failed and will fail again.
    Refused,
    /// It failed for a reason that may pass.
    Postponed,
}

/// The state of one instance that follows.
#[derive(Debug)]
pub(super) struct Follower {
    role: Role,
    running: Option<Revision>,
    state: RunState,
    applying: Option<Head>,
    failed: Option<Failed>,
    behind_since: Option<Instant>,
}

#[derive(Debug)]
struct Failed {
    id: String,
    retry_at: Option<Instant>,
    pause: Duration,
}

impl Follower {
    pub(super) fn new(role: Role) -> Self {
        Self {
            role,
            running: None,
            state: RunState::Start,
            applying: None,
            failed: None,
            behind_since: None,
        }
    }

    /// What this instance runs.
    pub(super) fn running(&self) -> Option<&Revision> {
        self.running.as_ref()
    }

    /// The run state that this instance is in.
    pub(super) fn state(&self) -> RunState {
        self.state
    }

    /// The instance runs this now: after its start, after a deploy of its own.
    pub(super) fn runs(&mut self, head: &Head) {
        self.running = Some(head.revision.clone());
        self.state = head.state;
        self.failed = None;
        self.behind_since = None;
    }

    /// What this instance began with does not run.
    pub(super) fn runs_nothing(&mut self) {
        self.running = None;
    }

    /// The run state changed here, by this instance's own editor or on the cluster's behalf.
    pub(super) fn set_state(&mut self, state: RunState) {
        self.state = state;
    }

    /// Something changed that may let a refused revision be applied (a node type was registered).
    pub(super) fn forgive(&mut self) {
        self.failed = None;
    }

    /// Decides. After `Apply` nothing else is decided until [`Follower::applied`].
    pub(super) fn decide(&mut self, stored: Option<&Head>, now: Instant) -> Decision {
        if self.applying.is_some() {
            return Decision::Rest;
        }
        let decision = self.compare(stored, now);
        if decision != Decision::Hold {
            self.behind_since = None;
        }
        if let Decision::Apply(head) = &decision {
            self.applying = Some(head.clone());
        }
        decision
    }

    fn compare(&mut self, stored: Option<&Head>, now: Instant) -> Decision {
        let Some(stored) = stored else {
            return match (&self.running, self.role) {
                (Some(_), Role::Admin) => Decision::Restore,
                (Some(_), Role::Worker) => Decision::Hold,
                (None, _) => Decision::Rest,
            };
        };
        if let Some(running) = &self.running {
            if running.id == stored.revision.id {
                return if self.state == stored.state {
                    Decision::Rest
                } else {
                    Decision::SetState(stored.state)
                };
            }
            if stored.revision.number < running.number {
                if self.role == Role::Admin {
                    return Decision::Restore;
                }
                let since = *self.behind_since.get_or_insert(now);
                if now.duration_since(since) < GRACE {
                    return Decision::Hold;
                }
            }
        }
        match &self.failed {
            Some(failed) if failed.id == stored.revision.id => match failed.retry_at {
                Some(at) if now >= at => Decision::Apply(stored.clone()),
                _ => Decision::Rest,
            },
            _ => Decision::Apply(stored.clone()),
        }
    }

    /// The store has an older revision than the one that was newest here, and this instance never follows one.
    /// Returns whether it is still early: an admin that knows the newest may be about to put it back.
    pub(super) fn holds_back(&mut self, now: Instant) -> bool {
        let since = *self.behind_since.get_or_insert(now);
        now.duration_since(since) < GRACE
    }

    /// Whether an apply was decided that has not ended.
    pub(super) fn is_applying(&self) -> bool {
        self.applying.is_some()
    }

    /// The store moved on between the decision and the load: this is what is applied.
    pub(super) fn retarget(&mut self, head: &Head) {
        if self.applying.is_some() {
            self.applying = Some(head.clone());
        }
    }

    /// The apply that was decided will not take place; it is decided anew.
    pub(super) fn abandon(&mut self) {
        self.applying = None;
    }

    /// Whether something is waiting for time to pass rather than for a message.
    pub(super) fn is_waiting(&self) -> bool {
        self.behind_since.is_some()
            || self
                .failed
                .as_ref()
                .is_some_and(|failed| failed.retry_at.is_some())
    }

    /// An apply ended; what it was is forgotten unless it failed.
    pub(super) fn applied(&mut self, outcome: Outcome, now: Instant) {
        let Some(head) = self.applying.take() else {
            return;
        };
        if outcome == Outcome::Applied {
            self.runs(&head);
            return;
        }
        let id = head.revision.id;
        let pause = match &self.failed {
            Some(failed) if failed.id == id => (failed.pause * 2).min(RETRY_LONGEST),
            _ => RETRY_FIRST,
        };
        self.failed = Some(Failed {
            id,
            retry_at: (outcome == Outcome::Postponed).then(|| now + pause),
            pause,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::revision::DeployType;

    fn head(number: u64, id: &str) -> Head {
        Head {
            revision: Revision {
                number,
                id: id.into(),
                hash: format!("hash of {id}"),
                credentials_hash: String::new(),
                deploy_type: DeployType::Full,
                user: None,
                time: String::new(),
                instance: String::new(),
            },
            state: RunState::Start,
            seal: None,
        }
    }

    fn worker_at(number: u64, id: &str) -> Follower {
        let mut follower = Follower::new(Role::Worker);
        follower.runs(&head(number, id));
        follower
    }

    #[test]
    fn a_newer_revision_is_applied_once_and_not_while_another_is() {
        let now = Instant::now();
        let mut follower = worker_at(1, "a");
        let second = head(2, "b");
        assert_eq!(
            follower.decide(Some(&second), now),
            Decision::Apply(second.clone())
        );
        assert_eq!(follower.decide(Some(&head(3, "c")), now), Decision::Rest);
        follower.applied(Outcome::Applied, now);
        assert_eq!(follower.decide(Some(&second), now), Decision::Rest);
        assert_eq!(
            follower.decide(Some(&head(5, "e")), now),
            Decision::Apply(head(5, "e"))
        );
    }

    #[test]
    fn a_new_worker_applies_whatever_is_there() {
        let mut follower = Follower::new(Role::Worker);
        let now = Instant::now();
        assert_eq!(follower.decide(None, now), Decision::Rest);
        assert_eq!(
            follower.decide(Some(&head(9, "i")), now),
            Decision::Apply(head(9, "i"))
        );
    }

    #[test]
    fn an_empty_store_stops_nobody_and_is_refilled_by_an_admin() {
        let now = Instant::now();
        assert_eq!(
            worker_at(4, "d").decide(None, now + GRACE * 10),
            Decision::Hold
        );
        let mut admin = Follower::new(Role::Admin);
        admin.runs(&head(4, "d"));
        assert_eq!(admin.decide(None, now), Decision::Restore);
    }

    #[test]
    fn a_store_that_went_back_is_followed_after_the_grace_period_only() {
        let now = Instant::now();
        let mut follower = worker_at(4, "d");
        let older = head(3, "c");
        assert_eq!(follower.decide(Some(&older), now), Decision::Hold);
        assert_eq!(
            follower.decide(Some(&older), now + GRACE / 2),
            Decision::Hold
        );
        assert_eq!(
            follower.decide(Some(&older), now + GRACE),
            Decision::Apply(older)
        );
    }

    #[test]
    fn the_grace_period_starts_anew_when_the_store_recovers() {
        let now = Instant::now();
        let mut follower = worker_at(4, "d");
        assert_eq!(follower.decide(Some(&head(3, "c")), now), Decision::Hold);
        assert_eq!(follower.decide(Some(&head(4, "d")), now), Decision::Rest);
        assert_eq!(
            follower.decide(Some(&head(3, "c")), now + GRACE),
            Decision::Hold
        );
    }

    #[test]
    fn the_same_number_with_another_id_is_another_revision() {
        let now = Instant::now();
        let other = head(4, "x");
        assert_eq!(
            worker_at(4, "d").decide(Some(&other), now),
            Decision::Apply(other)
        );
    }

    #[test]
    fn a_refused_revision_waits_for_a_newer_one_or_for_forgiveness() {
        let now = Instant::now();
        let mut follower = worker_at(1, "a");
        let bad = head(2, "b");
        assert_eq!(
            follower.decide(Some(&bad), now),
            Decision::Apply(bad.clone())
        );
        follower.applied(Outcome::Refused, now);
        assert_eq!(follower.running().map(|r| r.number), Some(1));
        assert_eq!(
            follower.decide(Some(&bad), now + RETRY_LONGEST * 9),
            Decision::Rest
        );
        follower.forgive();
        assert_eq!(follower.decide(Some(&bad), now), Decision::Apply(bad));
        follower.applied(Outcome::Refused, now);
        assert_eq!(
            follower.decide(Some(&head(3, "c")), now),
            Decision::Apply(head(3, "c"))
        );
    }

    #[test]
    fn a_postponed_revision_is_tried_again_with_growing_pauses() {
        let now = Instant::now();
        let mut follower = worker_at(1, "a");
        let next = head(2, "b");
        follower.decide(Some(&next), now);
        follower.applied(Outcome::Postponed, now);
        assert_eq!(follower.decide(Some(&next), now), Decision::Rest);
        let later = now + RETRY_FIRST;
        assert_eq!(
            follower.decide(Some(&next), later),
            Decision::Apply(next.clone())
        );
        follower.applied(Outcome::Postponed, later);
        assert_eq!(
            follower.decide(Some(&next), later + RETRY_FIRST),
            Decision::Rest
        );
        assert_eq!(
            follower.decide(Some(&next), later + RETRY_FIRST * 2),
            Decision::Apply(next)
        );
    }

    #[test]
    fn stopping_the_flows_is_followed_without_an_apply() {
        let mut follower = worker_at(4, "d");
        let mut stopped = head(4, "d");
        stopped.state = RunState::Stop;
        assert_eq!(
            follower.decide(Some(&stopped), Instant::now()),
            Decision::SetState(RunState::Stop)
        );
        follower.set_state(RunState::Stop);
        assert_eq!(
            follower.decide(Some(&stopped), Instant::now()),
            Decision::Rest
        );
    }
}
