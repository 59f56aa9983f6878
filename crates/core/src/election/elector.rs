//! The elector of one lock: carries out what the lease asks for, and shows what came of it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::belief::BeliefWord;
use super::clock::{self, Moment};
use super::inner::{Inner, lock};
use super::lease::{Candidate, Lease, Request, Step};
use super::report::Report;
use super::scripts::{self, Election};
use super::standing::{Belief, Role, Standing};
use super::view::{Heard, Reply, Verdict};
use crate::connection::{Connection, Session};
use crate::error::{Error, Result};
use crate::fault;
use crate::supervised::supervised;

/// A reply is waited for at least so long, however short the lease: the link that is given up then is not only
/// that of elections.
const SHORTEST_LIMIT: Duration = Duration::from_secs(1);

/// What an elector is told.
#[derive(Debug)]
pub(super) enum Command {
    /// Give up the lease; answered when the store knows.
    Release(oneshot::Sender<()>),
    /// A message came.
    Heard(Heard),
    /// Messages may have been missed.
    Deaf,
    /// The store is away, or back.
    Outage(Option<Error>),
    /// The lease is to be so long, and whether nodes of this process disagree on that.
    Ttl(Duration, bool),
    /// The memory of the store is known better.
    Memory,
    /// Give up the lease and end.
    Stop,
}

/// An elector as others of this process see it.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) lock: String,
    pub(super) belief: BeliefWord,
    standing: std::sync::Mutex<Standing>,
    commands: mpsc::UnboundedSender<Command>,
    told: std::sync::Mutex<Told>,
}

/// What an elector that begins anew after a fault has to know of what the one before was told.
#[derive(Debug)]
struct Told {
    ttl: Duration,
    disagree: bool,
    stop: bool,
}

impl Handle {
    /// Starts an elector on the runtime of `inner`.
    pub(super) fn start(
        inner: &Arc<Inner>,
        lock: &str,
        ttl: Duration,
    ) -> (Arc<Self>, JoinHandle<()>) {
        let (commands, orders) = mpsc::unbounded_channel();
        let handle = Arc::new(Self {
            lock: lock.to_owned(),
            belief: BeliefWord::default(),
            standing: std::sync::Mutex::new(Standing {
                lock: lock.to_owned(),
                host: inner.host.clone(),
                role: Role::Nobody,
                warning: None,
            }),
            commands,
            told: std::sync::Mutex::new(Told {
                ttl,
                disagree: false,
                stop: false,
            }),
        });
        let orders = Arc::new(tokio::sync::Mutex::new(orders));
        let task = inner.runtime.spawn(supervised("an elector", {
            let (inner, handle) = (Arc::clone(inner), Arc::clone(&handle));
            move || {
                let elector = Elector::new(&inner, &handle);
                let (handle, orders) = (Arc::clone(&handle), Arc::clone(&orders));
                async move {
                    let (ttl, stop) = {
                        let told = handle.told();
                        (told.ttl, told.stop)
                    };
                    // What the one before held is over when its lease ends.
                    if !stop {
                        elector.run(ttl, &mut *orders.lock().await).await;
                    }
                }
            }
        }));
        (handle, task)
    }

    pub(super) fn tell(&self, command: Command) {
        match &command {
            Command::Ttl(ttl, disagree) => {
                let mut told = lock(&self.told);
                told.ttl = *ttl;
                told.disagree = *disagree;
            }
            Command::Stop => lock(&self.told).stop = true,
            _ => {}
        }
        // An elector that has ended needs no telling.
        let _ = self.commands.send(command);
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        lock(&self.told)
    }

    pub(super) fn standing(&self) -> Standing {
        lock(&self.standing).clone()
    }
}

struct Elector {
    election: Election,
    inner: Arc<Inner>,
    /// To the server that has the lock.
    connection: Connection,
    handle: Arc<Handle>,
    session: Option<Session>,
    report: Report,
    /// What was last made known.
    believed: Option<(u64, Moment)>,
    waiters: Vec<oneshot::Sender<()>>,
}

/// A request under way.
struct Work {
    request: Request,
    sent: Moment,
    ttl: Duration,
    outcome: Pin<Box<dyn Future<Output = Outcome> + Send>>,
}

enum Outcome {
    LoopAnswered,
    Replied(Result<Reply>),
    Told(Result<()>),
}

impl Drop for Elector {
    /// Also after a panic: whoever asks must not be told of a leadership that nobody renews.
    fn drop(&mut self) {
        self.handle.belief.clear();
        if let Some((token, _)) = self.believed.take() {
            self.inner.believe(&Belief::Ended {
                lock: self.handle.lock.clone(),
                token,
            });
        }
        lock(&self.handle.standing).role = Role::Nobody;
        self.inner.changed(&self.handle.lock);
    }
}

impl Elector {
    /// A candidate that nobody has seen before, also where it takes the place of one that failed.
    fn new(inner: &Arc<Inner>, handle: &Arc<Handle>) -> Self {
        let mut report = Report::new(
            handle.lock.clone(),
            inner.host.clone(),
            inner.known_outage(),
        );
        report.disagree = lock(&handle.told).disagree;
        Self {
            election: Election {
                lock: handle.lock.clone(),
                holder: uuid::Uuid::new_v4().to_string(),
                host: inner.host.clone(),
                channel: inner.channel.clone(),
                memory_key: inner.memory.key().to_owned(),
            },
            inner: Arc::clone(inner),
            connection: inner.connection_for(&handle.lock),
            handle: Arc::clone(handle),
            session: None,
            report,
            believed: None,
            waiters: Vec::new(),
        }
    }

    async fn run(mut self, ttl: Duration, orders: &mut mpsc::UnboundedReceiver<Command>) {
        let candidate = Candidate {
            id: self.election.holder.clone(),
            ttl,
            eligibility: self.inner.settings.standing,
            place: fastrand::f64(),
        };
        let mut lease = Lease::new(candidate, self.inner.floor(&self.election.lock));
        let mut epochs = self.connection.epochs();
        let mut work: Option<Work> = None;
        let mut stopping = false;
        loop {
            fault::point("elector");
            let now = clock::now();
            self.follow_session(&mut lease, now);
            lease.expire(now);
            if work.is_none() && !lease.owes() {
                // The store could not be told in time, and whoever asked learns it from there being no answer.
                self.waiters.clear();
            }
            self.show(&mut lease, now, work.as_ref());
            if stopping && work.is_none() && !lease.owes() {
                return;
            }
            let memory = self.inner.memory.memory();
            let run = self.session.as_ref().and_then(scripts::run_of);
            let ttl = lease.candidate().ttl;
            let memory_at = memory.intact_at(ttl).filter(|at| *at > now);
            let step = lease.next(now, memory.intact(now, run, ttl));
            let mut deadline = None;
            match step {
                Step::Send(request) => {
                    // A loop that hangs holds up only what needs it.
                    let waits_for_loop = work
                        .as_ref()
                        .is_some_and(|work| work.request == Request::Ask);
                    if work.is_none() || (waits_for_loop && request != Request::Ask) {
                        lease.begin(now, &request);
                        self.show(&mut lease, now, None);
                        work = Some(self.send(&lease, request, now));
                    }
                }
                Step::Wait(until) => {
                    if stopping
                        && work
                            .as_ref()
                            .is_some_and(|work| work.request == Request::Ask)
                    {
                        work = None;
                        continue;
                    }
                    deadline = until;
                }
            }
            let belief_ends = lease.holding(now).map(|holding| holding.until);
            let deadline = [deadline, belief_ends, memory_at]
                .into_iter()
                .flatten()
                .min();
            let time_passes = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep(deadline.since(clock::now())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                outcome = finish(&mut work) => self.finished(&mut lease, outcome),
                order = orders.recv() => match order {
                    Some(Command::Stop) | None => {
                        lease.stop(clock::now());
                        stopping = true;
                    }
                    Some(order) => self.obey(&mut lease, order),
                },
                changed = epochs.changed() => if changed.is_err() {
                    // The links are closed for good, and what was believed ends with its lease.
                    return;
                },
                () = time_passes => {}
            }
        }
    }

    /// Notices that the link was lost or is back.
    fn follow_session(&mut self, lease: &mut Lease, now: Moment) {
        let session = self.connection.session();
        if session == self.session {
            return;
        }
        match &session {
            Some(session) => lease.connected(now, scripts::run_of(session).map(str::to_owned)),
            None => lease.disconnected(),
        }
        self.session = session;
    }

    fn obey(&mut self, lease: &mut Lease, order: Command) {
        let now = clock::now();
        match order {
            Command::Release(done) => {
                if lease.release(now) || lease.owes() {
                    self.waiters.push(done);
                }
                // It holds nothing now, and what whoever asked has withdrawn is cleared.
                self.handle.belief.clear();
            }
            Command::Heard(Heard::Written(written)) => lease.heard(now, written),
            Command::Heard(Heard::Wanted { wanted, .. }) => lease.wanted(now, &wanted),
            Command::Deaf => lease.deaf(now),
            Command::Outage(outage) => self.report.outage = outage,
            Command::Ttl(ttl, disagree) => {
                lease.set_ttl(now, ttl);
                self.report.disagree = disagree;
            }
            Command::Memory | Command::Stop => {}
        }
    }

    fn send(&self, lease: &Lease, request: Request, now: Moment) -> Work {
        let ttl = lease.candidate().ttl;
        let outcome = self.outcome(lease, &request, ttl);
        Work {
            request,
            sent: now,
            ttl,
            outcome,
        }
    }

    fn outcome(
        &self,
        lease: &Lease,
        request: &Request,
        ttl: Duration,
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
        let connection = self.connection.clone();
        let inner = Arc::clone(&self.inner);
        if *request == Request::Ask {
            return Box::pin(async move {
                inner.event_loop.answer().await;
                Outcome::LoopAnswered
            });
        }
        let limit = (ttl / 3).max(SHORTEST_LIMIT).min(inner.settings.timeout);
        let Some(session) = self.session.clone() else {
            return Box::pin(std::future::pending());
        };
        if *request == Request::Want {
            let message = Heard::wanted(&self.election.lock, &self.election.holder);
            let request = scripts::publish(&self.election.channel, &message);
            return Box::pin(async move {
                let told = connection.run_on::<u64>(&session, &request, limit);
                Outcome::Told(told.await.map(|_| ()))
            });
        }
        let script = self
            .election
            .script(request, lease.candidate(), lease.floor(), &session);
        Box::pin(async move { Outcome::Replied(connection.run_on(&session, &script, limit).await) })
    }

    fn finished(&mut self, lease: &mut Lease, finished: (Work, Outcome)) {
        let now = clock::now();
        let (work, outcome) = finished;
        match outcome {
            Outcome::LoopAnswered => lease.loop_answered(now),
            Outcome::Replied(Ok(reply)) => {
                if let Request::Acquire {
                    memory: Some(_), ..
                } = work.request
                    && reply.verdict == Verdict::Held
                {
                    self.inner.memory.doubt();
                }
                lease.replied(now, work.sent, work.ttl, &work.request, reply);
                self.inner.raise_floor(&self.election.lock, lease.floor());
            }
            Outcome::Told(Ok(())) => {}
            Outcome::Replied(Err(error)) | Outcome::Told(Err(error)) => {
                lease.failed(now, &work.request, error);
            }
        }
        if !lease.owes() {
            for waiter in self.waiters.drain(..) {
                // Whoever asked may have given up.
                let _ = waiter.send(());
            }
        }
    }

    /// Makes known what changed.
    fn show(&mut self, lease: &mut Lease, now: Moment, work: Option<&Work>) {
        self.show_belief(lease, now, work);
        let standing = self.report.standing(lease, now);
        let mut shown = lock(&self.handle.standing);
        if *shown != standing {
            *shown = standing;
            drop(shown);
            self.inner.changed(&self.handle.lock);
        }
    }

    fn show_belief(&mut self, lease: &mut Lease, now: Moment, work: Option<&Work>) {
        let holding = lease
            .holding(now)
            .map(|holding| (holding.token, holding.until));
        if holding == self.believed {
            return;
        }
        let name = || self.handle.lock.clone();
        if let Some((token, _)) = self.believed
            && holding.is_none_or(|(newer, _)| newer != token)
        {
            self.handle.belief.clear();
            let waits_for = work.map(|work| &work.request);
            self.report.log_end(lease.take_end(), token, waits_for);
            self.inner.believe(&Belief::Ended {
                lock: name(),
                token,
            });
            self.believed = None;
        }
        if let Some((token, until)) = holding {
            self.handle.belief.set(token, until);
            let lock = name();
            if self.believed.is_some() {
                self.inner.believe(&Belief::Moved { lock, token, until });
            } else {
                self.report.log_begin(token, lease.candidate().ttl);
                self.inner.believe(&Belief::Began { lock, token, until });
            }
        }
        self.believed = holding;
    }
}

/// Waits for the request that is under way, and takes it out; for ever where there is none.
async fn finish(work: &mut Option<Work>) -> (Work, Outcome) {
    let Some(under_way) = work.as_mut() else {
        return std::future::pending().await;
    };
    let outcome = under_way.outcome.as_mut().await;
    match work.take() {
        Some(work) => (work, outcome),
        None => std::future::pending().await,
    }
}
