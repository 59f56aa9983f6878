//! One supervised link: connects, notices its end, reconnects with backoff, forever. Here is what others have of
//! it; `supervisor` is the work behind it.

mod supervisor;

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::RedisError;
use redis::aio::MultiplexedConnection;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::closed;
use super::detour::Detour;
use super::greeting::{Duties, Greeter};
use super::route::Route;
use super::session::Session;
use super::tracking::Tracker;
use crate::config::{ConnectionConfig, Endpoint};
use crate::error::{Code, Error, Result};

use supervisor::Supervisor;
pub(super) use supervisor::{AFTER_FAULT, outlived};

/// A link that is down for longer is known to be down, even if no attempt to connect has failed yet.
const BRIEF: Duration = Duration::from_millis(250);

/// What a link is doing.
#[derive(Clone)]
pub(super) enum State {
    /// Not connected.
    Down {
        /// That of the last attempt, or why the connection before it ended.
        reason: Option<Error>,
        since: Instant,
        /// Whether an attempt to connect has failed since.
        tried: bool,
    },
    /// Connected.
    Up {
        connection: MultiplexedConnection,
        session: Session,
        /// The server at the other end.
        place: Endpoint,
    },
    /// Waiting cannot help: the configuration is wrong.
    Refused { error: Error },
    /// Closed by this process.
    Closed,
}

/// Why a connection is given up although it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It did not answer.
    Silent,
    /// It leads to a server that is no longer the master, but answers.
    NotMaster,
    /// Our keys are at another server now.
    Moved,
    /// The server has another history than was thought.
    Renamed,
}

/// When a link connects for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    AtOnce,
    /// When somebody first waits for it.
    AtFirstUse,
}

/// A handle on the supervised link.
#[derive(Debug)]
pub(super) struct Link {
    /// Whether it is to connect at all.
    wanted: watch::Sender<bool>,
    state: watch::Receiver<State>,
    epochs: watch::Receiver<u64>,
    suspect: watch::Sender<Suspect>,
    pub(super) route: Arc<Route>,
    pub(super) detour: Detour,
    /// On the link that tracks.
    tracker: Option<Arc<Tracker>>,
}

/// An open connection, for one request.
pub(super) struct Open {
    pub(super) connection: MultiplexedConnection,
    pub(super) epoch: u64,
    pub(super) place: Endpoint,
}

/// The newest connection that somebody wants to be given up.
#[derive(Debug, Clone, Copy)]
struct Suspect {
    epoch: u64,
    doubt: Doubt,
}

impl std::fmt::Debug for State {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            State::Down { .. } => "Down",
            State::Up { .. } => "Up",
            State::Refused { .. } => "Refused",
            State::Closed => "Closed",
        })
    }
}

impl Link {
    /// Starts the supervisor on the current runtime; `ping_limit` is how long a heartbeat may take.
    pub(super) fn start(
        route: Arc<Route>,
        config: ConnectionConfig,
        name: String,
        duties: Option<Duties>,
        ping_limit: Duration,
        begin: Begin,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let (wanted, wish) = watch::channel(begin == Begin::AtOnce);
        let (state_sender, state) = watch::channel(State::Down {
            reason: None,
            since: Instant::now(),
            tried: false,
        });
        let (epoch_sender, epochs) = watch::channel(0);
        let (suspect, suspected) = watch::channel(Suspect {
            epoch: 0,
            doubt: Doubt::Silent,
        });
        let tracker = duties.as_ref().map(|duties| Arc::clone(&duties.tracker));
        let detour = Detour::new(Arc::clone(&route), config.clone());
        let supervisor = Supervisor {
            place: config.describe(),
            route: Arc::clone(&route),
            greeter: Greeter::new(Arc::clone(&route), config, name.clone(), duties.clone()),
            duties,
            name,
            epoch: 0,
            down_since: Instant::now(),
            ping_limit,
            state: state_sender,
            epochs: epoch_sender,
            suspected,
            retired: JoinSet::new(),
            reported: None,
        };
        tokio::spawn(supervisor.run(wish, stopped));
        Self {
            wanted,
            state,
            epochs,
            suspect,
            route,
            detour,
            tracker,
        }
    }

    pub(super) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Whether its supervisor still runs; not so once the runtime that it was started on is gone.
    pub(super) fn is_alive(&self) -> bool {
        self.state.has_changed().is_ok()
    }

    /// Why the link is down, unless it is up or may be so in a moment.
    pub(super) fn known_down(&self) -> Option<Error> {
        match &*self.state.borrow() {
            State::Up { .. } => None,
            State::Down {
                reason,
                since,
                tried,
            } => {
                let known = *tried || since.elapsed() > BRIEF;
                known.then(|| reason.clone().unwrap_or_else(|| lost("the link is down")))
            }
            State::Refused { error } => Some(error.clone()),
            State::Closed => Some(closed()),
        }
    }

    pub(super) fn epochs(&self) -> watch::Receiver<u64> {
        self.epochs.clone()
    }

    /// The open connection, whose epoch is newer than `past_epoch`; waits for it up to `limit`.
    pub(super) async fn connected(&self, limit: Duration, past_epoch: u64) -> Result<Open> {
        self.wanted
            .send_if_modified(|wanted| !std::mem::replace(wanted, true));
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| match state {
            State::Down { .. } => false,
            // One that is about to be given up is none.
            State::Up { session, .. } => {
                session.epoch > past_epoch.max(self.suspect.borrow().epoch)
            }
            State::Refused { .. } | State::Closed => true,
        });
        let outcome = tokio::time::timeout(limit, settled).await;
        match outcome {
            Ok(Ok(settled)) => match &*settled {
                State::Up {
                    connection,
                    session,
                    place,
                } => Ok(Open {
                    connection: connection.clone(),
                    epoch: session.epoch,
                    place: place.clone(),
                }),
                State::Refused { error } => Err(error.clone()),
                State::Down { .. } | State::Closed => Err(closed()),
            },
            Ok(Err(_)) => Err(closed()),
            Err(_) => Err(match self.state() {
                State::Down {
                    reason: Some(reason),
                    ..
                } => reason,
                _ => Error::new(
                    Code::StoreUnreachable,
                    format!("the store did not answer within {} ms", limit.as_millis()),
                ),
            }),
        }
    }

    /// The session that is open at this moment, unless it is about to be given up.
    pub(super) fn session(&self) -> Option<(Open, Session)> {
        match self.state() {
            State::Up {
                connection,
                session,
                place,
            } if self.suspect.borrow().epoch < session.epoch => {
                let epoch = session.epoch;
                let open = Open {
                    connection,
                    epoch,
                    place,
                };
                Some((open, session))
            }
            _ => None,
        }
    }

    /// Our slot is on its way to another node, and the server of this link does not hear of changes
    /// made there. So nothing is kept until it has arrived.
    pub(super) fn slot_is_under_way(&self) {
        if let Some(tracker) = &self.tracker {
            tracker.suspend();
        }
    }

    /// Why a request for a session that is no longer open was not sent.
    pub(super) fn ended(&self, session: &Session) -> Error {
        match self.state() {
            State::Closed => closed(),
            _ => Error::new(
                Code::StoreUnreachable,
                format!(
                    "session {} with the store is over, nothing was sent",
                    session.epoch
                ),
            ),
        }
    }

    /// Asks for a new connection where the one of this epoch is still in use.
    pub(super) fn distrust(&self, epoch: u64, doubt: Doubt) {
        self.suspect.send_if_modified(|latest| {
            let newer = epoch > latest.epoch;
            if newer {
                *latest = Suspect { epoch, doubt };
            }
            newer
        });
    }
}

/// Whether an error came from the connection rather than from the server.
pub(super) fn is_of_the_link(error: &RedisError) -> bool {
    error.is_io_error() || error.is_connection_dropped() || error.is_timeout()
}

fn lost(why: &str) -> Error {
    Error::new(Code::StoreUnreachable, why)
}
