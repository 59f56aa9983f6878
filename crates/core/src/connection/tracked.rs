//! One session on which the server tracks what the listeners wish, and the lease on it: the thin shell
//! around `tracking` and `lease`.

use std::sync::Arc;
use std::time::Instant;

use redis::RedisError;
use redis::aio::MultiplexedConnection;
use tokio::sync::watch;

use super::lease::{INTERVAL, Lease, Turn};
use super::link::is_of_the_link;
use super::locator::Locator;
use super::redirection::{self, Redirection};
use super::tracking::{SessionNumber, Step, Tracker};
use crate::config::Endpoint;
use crate::error::{Code, Error};

/// What a server can do about tracking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ability {
    /// It has no RESP3, and so no way to speak unasked.
    None,
    /// It tells of every change, those by ourselves among them.
    AllWrites,
    /// It spares us our own changes.
    ForeignWrites,
}

/// A session with its tracking; dropped, everything kept under it is lost.
#[derive(Debug)]
pub(super) struct Tracked {
    tracker: Arc<Tracker>,
    session: SessionNumber,
    connection: MultiplexedConnection,
    ability: Ability,
    lease: Option<Lease>,
    wishes: watch::Receiver<u64>,
    peer: Peer,
}

/// The server at the other end, as one that may have lost our keys to another.
#[derive(Debug)]
struct Peer {
    place: Endpoint,
    locator: Arc<Locator>,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.tracker.end(self.session);
    }
}

impl Tracked {
    /// Turns tracking on where somebody wishes it.
    ///
    /// # Errors
    /// Those of the connection only; a server that will not track is told to the listeners.
    pub(super) async fn start(
        tracker: Arc<Tracker>,
        session: SessionNumber,
        connection: MultiplexedConnection,
        ability: Ability,
        locator: Arc<Locator>,
        place: Endpoint,
    ) -> Result<Self, RedisError> {
        let mut tracked = Self {
            wishes: tracker.wishes(),
            tracker,
            session,
            connection,
            ability,
            lease: None,
            peer: Peer { place, locator },
        };
        tracked.reconcile().await?;
        Ok(tracked)
    }

    /// Follows the wishes of listeners and keeps the lease, until the connection fails.
    pub(super) async fn keep(&mut self) -> RedisError {
        loop {
            self.wishes.borrow_and_update();
            if let Err(error) = self.reconcile().await {
                return error;
            }
            tokio::select! {
                changed = self.wishes.changed() => {
                    if changed.is_err() {
                        // Nobody is left who could wish anything.
                        std::future::pending::<()>().await;
                    }
                }
                error = hold(&self.tracker, self.session, &mut self.connection, &mut self.lease, &self.peer) => {
                    return error;
                }
            }
        }
    }

    async fn reconcile(&mut self) -> Result<(), RedisError> {
        match self.tracker.step(self.session) {
            Step::Keep => Ok(()),
            Step::Off => {
                self.lease = None;
                let off = redis::cmd("CLIENT").arg("TRACKING").arg("OFF").to_owned();
                match off.exec_async(&mut self.connection).await {
                    Err(error) if is_of_the_link(&error) => Err(error),
                    _ => Ok(()),
                }
            }
            Step::Track(prefixes) => self.track(prefixes).await,
        }
    }

    async fn track(&mut self, prefixes: Vec<String>) -> Result<(), RedisError> {
        self.lease = None;
        if self.ability == Ability::None {
            let reason = "the store speaks RESP2 only, so it cannot tell which keys change";
            let reason = Error::new(Code::StoreReply, reason);
            self.tracker.refused(self.session, &reason);
            return Ok(());
        }
        let mut commands = redis::pipe();
        // Prefixes are added to those that the server has, and overlapping ones refused.
        commands.cmd("CLIENT").arg("TRACKING").arg("OFF");
        commands
            .cmd("CLIENT")
            .arg("TRACKING")
            .arg("ON")
            .arg("BCAST");
        for prefix in &prefixes {
            commands.arg("PREFIX").arg(prefix);
        }
        if self.ability == Ability::ForeignWrites {
            commands.arg("NOLOOP");
        }
        let asked = Instant::now();
        let replies = self
            .connection
            .send_packed_commands(&commands, 0, 2)
            .await?;
        let refused = replies
            .into_iter()
            .find_map(|reply| reply.extract_error().err());
        match refused {
            None => {
                self.lease = Some(Lease::new(asked));
                self.tracker.tracked(self.session, prefixes);
            }
            Some(error) => self.tracker.refused(self.session, &Error::from(error)),
        }
        Ok(())
    }
}

/// Renews the lease, and tells the tracker when it ends and when it is regained. Returns when the
/// connection fails; waits for ever without a lease, except where keys move: then it only looks after them.
async fn hold(
    tracker: &Tracker,
    session: SessionNumber,
    connection: &mut MultiplexedConnection,
    lease: &mut Option<Lease>,
    peer: &Peer,
) -> RedisError {
    if lease.is_none() && !peer.locator.may_move() {
        return std::future::pending().await;
    }
    let mut unheard;
    let (lease, tracks) = match lease {
        Some(lease) => (lease, true),
        None => {
            unheard = Lease::new(Instant::now());
            (&mut unheard, false)
        }
    };
    let tell = |turn| {
        if tracks {
            act(tracker, session, turn);
        }
        match turn {
            Turn::None => {}
            Turn::Lost => peer.locator.set_doubtful(true),
            Turn::Regained => peer.locator.set_doubtful(false),
        }
    };
    let mut next = Instant::now() + INTERVAL;
    loop {
        let pause = tokio::time::sleep_until(next.into());
        let question = async {
            pause.await;
            let asked = Instant::now();
            let answer = peer.locator.probe().exec_async(connection).await;
            (asked, answer)
        };
        tokio::pin!(question);
        let (asked, answer) = loop {
            tokio::select! {
                answered = &mut question => break answered,
                () = tokio::time::sleep_until(lease.end().into()), if lease.holds() => {
                    tell(lease.look(Instant::now()));
                }
            }
        };
        let now = Instant::now();
        match peer.understand(answer) {
            Answer::Ours => {
                let turn = lease.answered(asked, now);
                // Also where a request, not the lease, has suspended it.
                let suspended = turn == Turn::None && lease.holds();
                tell(if suspended { Turn::Regained } else { turn });
                next = now.max(asked + INTERVAL);
            }
            Answer::UnderWay => {
                lease.revoke();
                tell(Turn::Lost);
                next = now + INTERVAL;
            }
            // An answer as well, if not the one that was hoped for, say while the server loads; but not
            // one to build on.
            Answer::NotNow => next = now + INTERVAL,
            Answer::Gone(error) => return error,
        }
    }
}

/// What the answer to a probe means.
enum Answer {
    /// The server has all our keys.
    Ours,
    /// The slot of our keys is on its way to another node.
    UnderWay,
    NotNow,
    /// The connection is lost, or our keys are at another server.
    Gone(RedisError),
}

impl Peer {
    fn understand(&self, answer: Result<(), RedisError>) -> Answer {
        let Err(error) = answer else {
            return Answer::Ours;
        };
        if is_of_the_link(&error) {
            return Answer::Gone(error);
        }
        match redirection::read(&error, &self.place) {
            Some(Redirection::Ask(_)) => return Answer::UnderWay,
            Some(Redirection::Moved(to)) => {
                self.locator.redirected(to);
                return Answer::Gone(error);
            }
            None => {}
        }
        if error.code() == Some("CLUSTERDOWN") {
            self.locator.set_doubtful(true);
        }
        // Access rules that forbid to ask are an answer of the right server.
        if error.code() == Some("NOPERM") {
            return Answer::Ours;
        }
        Answer::NotNow
    }
}

fn act(tracker: &Tracker, session: SessionNumber, turn: Turn) {
    match turn {
        Turn::None => {}
        Turn::Lost => tracker.set_leased(session, false),
        Turn::Regained => tracker.set_leased(session, true),
    }
}
