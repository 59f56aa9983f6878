//! What a lease does next: when it is renewed, tried for, looked at.

use std::time::Duration;

use super::{
    COURTESY, Curiosity, Lease, Link, RENEWAL, Request, SHORTEST_PAUSE, Sight, Step, milliseconds,
};
use crate::config::Standing as Eligibility;
use crate::election::clock::Moment;
use crate::election::memory::Intact;
use crate::election::view::{Lock, View};

/// Takeovers are spread over one part in this many of the lease, so that many followers do not come at once.
const SPREAD: f64 = 0.02;

/// A follower that heard nothing for so long reads the record, at the latest.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// An event loop that answered this long ago is taken to be alive.
const ALIVE: Duration = Duration::from_millis(50);

/// When the lease may be tried for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// Because the store says that it is free.
    AtOnce(Moment),
    /// Because nothing has changed until then.
    Watched(Moment),
}

impl Lease {
    /// What to do next. `memory` is known of a store that has forgotten nothing for the length of a lease.
    pub(in crate::election) fn next(&self, now: Moment, memory: Option<Intact<'_>>) -> Step {
        // A record that was seen and is gone was deleted, and its holder may not know it yet.
        let memory = memory.filter(|_| self.floor == 0);
        let belief = self.holding(now);
        let end = belief.map(|holding| holding.until);
        let Link::Up { run } = &self.link else {
            return Step::Wait(earliest([end, self.owed.map(|(_, until)| until)]));
        };
        if let Some(until) = self.pause_until.filter(|until| now < *until) {
            return Step::Wait(earliest([end, Some(until)]));
        }
        if let Some((token, _)) = self.owed {
            return Step::Send(Request::Release { token });
        }
        if let Some(holding) = belief {
            if now < holding.renew_at {
                return Step::Wait(earliest([Some(holding.renew_at), end]));
            }
            let token = holding.token;
            return self.when_alive(now, Request::Renew { token });
        }
        if self.stopped {
            return Step::Wait(None);
        }
        let stands = self.may_stand();
        let (Some(sight), Curiosity::None) = (&self.sight, self.curiosity) else {
            let eager = self.curiosity == Curiosity::Try && self.goes_first() && stands;
            if !eager {
                return Step::Send(Request::Look);
            }
            return self.when_alive(now, acquire(String::new(), memory));
        };
        let look_at = sight.checked + self.patience(&sight.view);
        if now >= look_at {
            return Step::Send(Request::Look);
        }
        let mut wake = [
            Some(look_at),
            self.stands_back_until,
            self.leader_is_gone_at(now, sight),
            None,
        ];
        if stands {
            let due = self.due(sight, run.as_deref(), memory);
            match due {
                Some(Due::AtOnce(at)) if now >= at => {
                    return self.when_alive(now, acquire(String::new(), memory));
                }
                Some(Due::Watched(at)) if now >= at => {
                    return self.when_alive(now, acquire(sight.view.mark(), memory));
                }
                Some(Due::AtOnce(at) | Due::Watched(at)) => wake[3] = Some(at),
                None => {}
            }
            if let Some(at) = self.want_at(sight) {
                if now >= at {
                    // Who could not take the lease must not take it from another.
                    return self.when_alive(now, Request::Want);
                }
                wake[1] = Some(at);
            }
        }
        Step::Wait(earliest(wake))
    }

    /// When this process may try to take the lease.
    fn due(&self, sight: &Sight, run: Option<&str>, memory: Option<Intact<'_>>) -> Option<Due> {
        let own = self.candidate.ttl;
        let courtesy = if self.goes_first() {
            Duration::ZERO
        } else {
            own / COURTESY
        };
        let at_once = Due::AtOnce(sight.since + courtesy);
        let watched = |length: Duration| Due::Watched(sight.since + length + courtesy);
        let spread = |ttl: Duration| ttl + ttl.mul_f64(SPREAD * self.candidate.place);
        match (&sight.view.record, &sight.view.lock) {
            (_, Lock::Foreign { .. }) => None,
            (Some(record), _) => {
                let fresh = run.is_some_and(|run| run == record.run);
                let ttl = milliseconds(record.ttl);
                if fresh && (record.released || record.holder == self.candidate.id) {
                    Some(at_once)
                } else if fresh {
                    Some(watched(spread(ttl)))
                } else {
                    // The leader that the store may have forgotten had a lease of its own length.
                    Some(watched(spread(ttl.max(own).max(self.last_ttl))))
                }
            }
            (None, lock) => Some(match memory {
                Some(memory) if *lock == Lock::Absent => {
                    Due::AtOnce(sight.since.max(memory.since) + courtesy)
                }
                _ => watched(spread(own.max(self.last_ttl))),
            }),
        }
    }

    /// When to ask a holder that only stands in to give way.
    fn want_at(&self, sight: &Sight) -> Option<Moment> {
        let record = sight.view.record.as_ref()?;
        let stands_in = record.reserve && !record.released && record.holder != self.candidate.id;
        if !stands_in || self.candidate.eligibility != Eligibility::Candidate {
            return None;
        }
        let at = match self.wanted_at {
            Some(at) => at + self.candidate.ttl / RENEWAL,
            None => sight.since,
        };
        Some(self.unable_until.map_or(at, |until| at.max(until)))
    }

    /// When a leader that is not heard of counts as gone, for whoever looks at the status.
    fn leader_is_gone_at(&self, now: Moment, sight: &Sight) -> Option<Moment> {
        let record = self.leader(now)?;
        Some(sight.since + milliseconds(record.ttl) * 11 / 10)
    }

    fn when_alive(&self, now: Moment, request: Request) -> Step {
        let alive = self
            .loop_answered
            .is_some_and(|answered| now.since(answered) < ALIVE);
        Step::Send(if alive { request } else { Request::Ask })
    }

    fn may_stand(&self) -> bool {
        self.candidate.eligibility != Eligibility::Observer && self.stands_back_until.is_none()
    }

    fn goes_first(&self) -> bool {
        self.candidate.eligibility == Eligibility::Candidate
    }

    /// How long silence is trusted before the record is read.
    fn patience(&self, view: &View) -> Duration {
        if let Lock::Foreign { ttl: Some(ttl), .. } = view.lock {
            return milliseconds(ttl).clamp(SHORTEST_PAUSE, self.candidate.ttl);
        }
        let ttl = view
            .record
            .as_ref()
            .map_or(self.candidate.ttl, |record| milliseconds(record.ttl));
        (ttl * 2 / RENEWAL).clamp(SHORTEST_PAUSE, LONGEST_SILENCE)
    }
}

fn acquire(watched: String, memory: Option<Intact<'_>>) -> Request {
    Request::Acquire {
        watched,
        memory: memory.map(|memory| memory.mark.to_owned()),
    }
}

fn earliest<const COUNT: usize>(moments: [Option<Moment>; COUNT]) -> Option<Moment> {
    moments.into_iter().flatten().min()
}
