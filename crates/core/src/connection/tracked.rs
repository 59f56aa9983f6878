//! One session on which the server tracks what the listeners wish, and the lease on it: the thin shell
//! around `tracking` and `lease`.

use std::sync::Arc;
use std::time::Instant;

use redis::RedisError;
use redis::aio::MultiplexedConnection;
use tokio::sync::watch;

use super::lease::{INTERVAL, Lease, Turn};
use super::link::is_of_the_link;
use super::tracking::{SessionNumber, Step, Tracker};
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
    ) -> Result<Self, RedisError> {
        let mut tracked = Self {
            wishes: tracker.wishes(),
            tracker,
            session,
            connection,
            ability,
            lease: None,
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
                error = hold(&self.tracker, self.session, &mut self.connection, &mut self.lease) => {
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
/// connection fails; waits for ever without a lease.
async fn hold(
    tracker: &Tracker,
    session: SessionNumber,
    connection: &mut MultiplexedConnection,
    lease: &mut Option<Lease>,
) -> RedisError {
    let Some(lease) = lease else {
        return std::future::pending().await;
    };
    let mut next = Instant::now() + INTERVAL;
    loop {
        let pause = tokio::time::sleep_until(next.into());
        let question = async {
            pause.await;
            let asked = Instant::now();
            let answer = redis::cmd("PING").exec_async(connection).await;
            answer.map(|()| asked)
        };
        tokio::pin!(question);
        let answered = loop {
            tokio::select! {
                answered = &mut question => break answered,
                () = tokio::time::sleep_until(lease.end().into()), if lease.holds() => {
                    act(tracker, session, lease.look(Instant::now()));
                }
            }
        };
        let now = Instant::now();
        match answered {
            Ok(asked) => {
                act(tracker, session, lease.answered(asked, now));
                next = now.max(asked + INTERVAL);
            }
            Err(error) if is_of_the_link(&error) => return error,
            // An answer as well, if not the one that was hoped for, say while the server loads; but not
            // one to build on.
            Err(_) => next = now + INTERVAL,
        }
    }
}

fn act(tracker: &Tracker, session: SessionNumber, turn: Turn) {
    match turn {
        Turn::None => {}
        Turn::Lost => tracker.set_leased(session, false),
        Turn::Regained => tracker.set_leased(session, true),
    }
}
