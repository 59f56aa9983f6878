//! The lease of one election as one process sees it: pure, told what happens and when, and asked what to do
//! next (`next`; `parts`: what it is made of). Nothing here waits, and nothing here looks at a clock.
//!
//! **At most one believes that it leads**, and nothing of that depends on the store's clock, on keys that
//! expire, on messages that arrive, or on what the store keeps over a restart:
//! - A leader believes until the moment *before* it sent the request that was granted, plus the lease's
//!   length, less [`MARGIN`]. A grant that comes late is worth less, one that comes too late nothing.
//! - Each grant writes a new, random beat. Another process takes over only if the very same record was there
//!   for the lease's whole length by its own clock since it first saw it; the script compares. Whoever sees a
//!   beat sees it after its request was sent, so that the leader's belief has ended by then.
//! - A record is taken at its word that nobody leads (`released`, never there) only if it was written in this
//!   run of this server, or by a server that has forgotten nothing since. A server that came back may have
//!   forgotten a later leader, so it is watched like a held one.

mod next;
mod parts;

use std::time::Duration;

use super::clock::Moment;
use super::view::{Record, Reply, Verdict, View, Written};
use crate::config::Standing as Eligibility;
use crate::error::{Code, Error};

pub(super) use parts::{Candidate, End, Holding, Request, Step};
use parts::{Curiosity, Link, Sight};

/// What a leader's belief is shorter than its lease: one part in this many. It covers clocks that run at
/// different speeds; real ones differ by one part in thousands.
const MARGIN: u32 = 100;

/// A renewal is due after one part in this many of the lease.
const RENEWAL: u32 = 3;

/// One that only stands in lets others go first, by one part in this many of the lease.
const COURTESY: u32 = 10;

/// Who was refused the lease asks nobody to give way for so many leases.
const UNABLE: u32 = 10;

/// Between two attempts that failed.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The state machine.
#[derive(Debug)]
pub(super) struct Lease {
    candidate: Candidate,
    link: Link,
    /// The run of the server before it was lost.
    last_run: Option<String>,
    holding: Option<Holding>,
    ended: Option<End>,
    sight: Option<Sight>,
    curiosity: Curiosity,
    /// The largest token that was ever seen.
    floor: u64,
    /// The length of the last lease that was seen.
    last_ttl: Duration,
    /// What has to be given up at the store, and until when that matters.
    owed: Option<(u64, Moment)>,
    stands_back_until: Option<Moment>,
    /// The token that was given up last: once there is a greater one, others had their turn.
    gave_up: u64,
    /// When a holder that stands in was last asked to give way.
    wanted_at: Option<Moment>,
    loop_answered: Option<Moment>,
    pause_until: Option<Moment>,
    trouble: Option<Error>,
    trouble_with_writes: bool,
    /// Until when nobody is asked to give way, as the store did not let this process take the lease.
    unable_until: Option<Moment>,
    stopped: bool,
}

impl Lease {
    /// One that begins. `floor` is the largest token of this election that this process knows of.
    pub(super) fn new(candidate: Candidate, floor: u64) -> Self {
        Self {
            candidate,
            link: Link::Down,
            last_run: None,
            holding: None,
            ended: None,
            sight: None,
            curiosity: Curiosity::Try,
            floor,
            last_ttl: Duration::ZERO,
            owed: None,
            stands_back_until: None,
            gave_up: 0,
            wanted_at: None,
            loop_answered: None,
            pause_until: None,
            trouble: None,
            trouble_with_writes: false,
            unable_until: None,
            stopped: false,
        }
    }

    pub(super) fn candidate(&self) -> &Candidate {
        &self.candidate
    }

    /// The largest token that was ever seen: what a new one has to exceed.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// What this process believes at this moment.
    pub(super) fn holding(&self, now: Moment) -> Option<Holding> {
        self.holding.filter(|holding| now < holding.until)
    }

    /// Why the last leadership ended, asked once.
    pub(super) fn take_end(&mut self) -> Option<End> {
        self.ended.take()
    }

    /// What the store was last known to have, and since when.
    pub(super) fn sight(&self) -> Option<(&View, Moment)> {
        self.sight.as_ref().map(|sight| (&sight.view, sight.since))
    }

    /// Why the store does not let this process take part, where it answered.
    pub(super) fn trouble(&self) -> Option<&Error> {
        self.trouble.as_ref()
    }

    /// Whether a lease has yet to be given up at the store.
    pub(super) fn owes(&self) -> bool {
        self.owed.is_some()
    }

    /// The leader, as far as it may still believe in itself.
    pub(super) fn leader(&self, now: Moment) -> Option<&Record> {
        let sight = self.sight.as_ref()?;
        let record = sight.view.record.as_ref()?;
        let alive = now.since(sight.since) < milliseconds(record.ttl) * 11 / 10;
        (!record.released && record.holder != self.candidate.id && alive).then_some(record)
    }

    /// A session with the store begins.
    pub(super) fn connected(&mut self, now: Moment, run: Option<String>) {
        if run.is_none() || run != self.last_run {
            // It may have gone back in time, and have forgotten what came after what it says now.
            self.sight = None;
        }
        self.last_run.clone_from(&run);
        self.link = Link::Up { run };
        self.pause_until = None;
        self.curiosity = Curiosity::Try;
        if let Some(holding) = &mut self.holding {
            holding.renew_at = holding.renew_at.min(now);
        }
    }

    /// The session is over.
    pub(super) fn disconnected(&mut self) {
        self.link = Link::Down;
    }

    /// Messages may have been missed.
    pub(super) fn deaf(&mut self, now: Moment) {
        self.watch_absence_anew(now);
        self.curiosity = self.curiosity.max(Curiosity::Look);
    }

    /// A message said that the record was written. It is believed in one thing only, that there is a new
    /// beat: that makes this process wait longer, never shorter.
    pub(super) fn heard(&mut self, now: Moment, written: Written) {
        if written.holder == self.candidate.id {
            return;
        }
        let Some(record) = self
            .sight
            .as_mut()
            .and_then(|sight| sight.view.record.as_mut())
        else {
            self.watch_absence_anew(now);
            self.curiosity = self.curiosity.max(Curiosity::Look);
            return;
        };
        let same_leader = record.token == written.token
            && record.holder == written.holder
            && record.run == written.run
            && !record.released;
        if same_leader && written.state == "held" {
            if record.beat != written.beat {
                record.beat = written.beat;
                if let Some(sight) = &mut self.sight {
                    sight.since = now;
                    sight.checked = now;
                }
            }
        } else if same_leader {
            self.curiosity = Curiosity::Try;
        } else {
            self.curiosity = self.curiosity.max(Curiosity::Look);
        }
        if let Some(holding) = &mut self.holding
            && written.token > holding.token
        {
            // Somebody says that the lease is lost: the store knows.
            holding.renew_at = holding.renew_at.min(now);
        }
    }

    /// Somebody asked a holder that only stands in to give way.
    pub(super) fn wanted(&mut self, now: Moment, by: &str) {
        if self.candidate.eligibility == Eligibility::Reserve && by != self.candidate.id {
            self.give_up(now, End::GaveWay);
        }
    }

    /// The event loop answered.
    pub(super) fn loop_answered(&mut self, now: Moment) {
        self.loop_answered = Some(now);
    }

    /// The length of the lease was changed in the settings.
    pub(super) fn set_ttl(&mut self, now: Moment, ttl: Duration) {
        if self.candidate.ttl != ttl {
            self.candidate.ttl = ttl;
            if let Some(holding) = &mut self.holding {
                holding.renew_at = holding.renew_at.min(now);
            }
        }
    }

    /// Gives up the lease if this process believes that it holds it: from this moment it does not. Returns
    /// whether it did.
    pub(super) fn release(&mut self, now: Moment) -> bool {
        self.give_up(now, End::Released)
    }

    /// Gives up the lease, and never stands again.
    pub(super) fn stop(&mut self, now: Moment) {
        self.give_up(now, End::Released);
        self.stopped = true;
    }

    /// Time passes.
    pub(super) fn expire(&mut self, now: Moment) {
        if self.holding.is_some() && self.holding(now).is_none() {
            self.lose(End::Expired);
        }
        if self.owed.is_some_and(|(_, until)| now >= until) {
            self.owed = None;
        }
        if self.stands_back_until.is_some_and(|until| now >= until) {
            self.stands_back_until = None;
        }
    }

    /// A request goes out now.
    pub(super) fn begin(&mut self, now: Moment, request: &Request) {
        match request {
            Request::Acquire { .. } => {
                self.loop_answered = None;
                self.curiosity = Curiosity::None;
            }
            Request::Renew { .. } => {
                self.loop_answered = None;
                // A lease that was made shorter holds for others from the moment at which the store has it.
                let until = self.end_of_lease(now);
                if let Some(holding) = &mut self.holding {
                    holding.until = holding.until.min(until);
                }
            }
            Request::Look => self.curiosity = Curiosity::None,
            Request::Want => self.wanted_at = Some(now),
            Request::Ask | Request::Release { .. } => {}
        }
    }

    /// The store replied to a request that went out at `sent`, when the lease was `ttl` long.
    pub(super) fn replied(
        &mut self,
        now: Moment,
        sent: Moment,
        ttl: Duration,
        request: &Request,
        reply: Reply,
    ) {
        // Before anything else: a process that was stopped while it waited must not get back what is over.
        self.expire(now);
        self.pause_until = None;
        let unchanged = self
            .sight
            .as_ref()
            .is_some_and(|sight| sight.view == reply.view);
        self.saw(now, reply.view);
        // That it could be read does not say that it can be written.
        let reads = matches!(reply.verdict, Verdict::Seen | Verdict::Held);
        if !reads || !self.trouble_with_writes || self.leader(now).is_some() {
            self.trouble = None;
        }
        let until = sent + belief(ttl);
        match (request, reply.verdict) {
            (Request::Acquire { .. }, Verdict::Acquired) => self.acquired(sent, ttl, now),
            (Request::Acquire { .. }, Verdict::Held) if unchanged => {
                // What looked free is not. Another look at once would say the same.
                self.pause_until = Some(now + SHORTEST_PAUSE);
            }
            (Request::Renew { token }, Verdict::Renewed) => {
                if let Some(holding) = &mut self.holding
                    && holding.token == *token
                {
                    holding.until = until;
                    holding.renew_at = sent + ttl / RENEWAL;
                }
            }
            (Request::Renew { token }, verdict)
                if self.holding.is_some_and(|holding| holding.token == *token) =>
            {
                self.lose(End::Lost);
                if verdict == Verdict::Foreign {
                    // Whoever wrote the lock believes in it. This process stops, and then says so.
                    self.owed = Some((*token, now + self.candidate.ttl));
                }
            }
            (Request::Release { token }, verdict) => {
                if self.owed.is_some_and(|(owed, _)| owed == *token) {
                    self.owed = None;
                }
                if verdict == (Verdict::Released { told: 1 }) && self.stands_back_until.is_some() {
                    // Nobody but this process heard of it. (Where not even that did, nothing can be said.)
                    self.stands_back_until = Some(now + self.candidate.ttl / COURTESY);
                }
            }
            _ => {}
        }
    }

    /// A request failed.
    pub(super) fn failed(&mut self, now: Moment, request: &Request, error: Error) {
        let pause = (self.candidate.ttl / 20).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        self.pause_until = Some(now + pause);
        // What an unanswered request did is seen when the store answers again.
        self.curiosity = self.curiosity.max(match request {
            Request::Acquire { .. } => Curiosity::Try,
            _ => Curiosity::Look,
        });
        // An outage shows in the link.
        let away = matches!(
            error.code(),
            Code::StoreUnreachable | Code::OutcomeUnknown | Code::Closed
        );
        if !away {
            self.trouble = Some(error);
            self.trouble_with_writes = *request != Request::Look;
            if matches!(request, Request::Acquire { .. }) {
                self.unable_until = Some(now + self.candidate.ttl * UNABLE);
            }
        }
    }

    fn acquired(&mut self, sent: Moment, ttl: Duration, now: Moment) {
        let Some(record) = self
            .sight
            .as_ref()
            .and_then(|sight| sight.view.record.as_ref())
        else {
            return;
        };
        let token = record.token;
        let until = sent + belief(ttl);
        if self.stopped {
            self.owed = Some((token, now + self.candidate.ttl));
        } else if now < until {
            self.holding = Some(Holding {
                token,
                until,
                renew_at: sent + ttl / RENEWAL,
            });
            self.wanted_at = None;
            self.unable_until = None;
        }
    }

    fn give_up(&mut self, now: Moment, why: End) -> bool {
        let Some(holding) = self.holding(now) else {
            return false;
        };
        self.lose(why);
        let ttl = self.candidate.ttl;
        self.owed = Some((holding.token, now + ttl));
        // Where the run of the server is not known, others have to watch the record for a lease first.
        let patience = if self.last_run.is_some() {
            ttl
        } else {
            ttl * 2
        };
        self.stands_back_until = Some(now + patience);
        self.gave_up = holding.token;
        true
    }

    /// An absent record has no beat by which a change and back would show. Whatever may have been one begins
    /// the watch anew.
    fn watch_absence_anew(&mut self, now: Moment) {
        if let Some(sight) = &mut self.sight
            && sight.view.record.is_none()
        {
            sight.since = now;
        }
    }

    fn lose(&mut self, why: End) {
        self.holding = None;
        self.ended = Some(why);
    }

    fn saw(&mut self, now: Moment, view: View) {
        self.floor = self.floor.max(view.token());
        if let Some(record) = &view.record {
            self.last_ttl = milliseconds(record.ttl);
            // One that only stands in had no turn of its own.
            let another = record.holder != self.candidate.id && !record.reserve;
            if record.token > self.gave_up && another {
                self.stands_back_until = None;
            }
        }
        let since = match &self.sight {
            Some(sight) if sight.view.mark() == view.mark() => sight.since,
            _ => now,
        };
        self.sight = Some(Sight {
            view,
            since,
            checked: now,
        });
    }

    fn end_of_lease(&self, sent: Moment) -> Moment {
        sent + belief(self.candidate.ttl)
    }
}

/// How long a leader believes in a lease of this length.
fn belief(ttl: Duration) -> Duration {
    ttl - ttl / MARGIN
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[cfg(test)]
mod tests;
