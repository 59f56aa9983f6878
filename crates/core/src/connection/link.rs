//! One supervised link: connects, notices its end, reconnects with backoff, forever.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use redis::RedisError;
use redis::aio::MultiplexedConnection;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::backoff::Backoff;
use super::closed;
use super::detour::Detour;
use super::greeting::{Duties, Greeter, Greeting};
use super::route::Route;
use super::session::Session;
use super::tracking::Tracker;
use crate::config::{ConnectionConfig, Endpoint};
use crate::error::{Code, Error, Result};
use crate::fault;

/// A PING goes out this often on an open link, because nothing else notices a half-open peer.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// While the store is away, the log is reminded this often.
const REMIND: Duration = Duration::from_secs(30);

/// A connection that ends sooner than this belongs to the outage before it, which spares the server
/// and the log.
const SETTLED: Duration = Duration::from_secs(1);

/// The longest pause after such a connection: it did connect, so the store may serve again any moment.
const UNSETTLED_PAUSE: Duration = Duration::from_millis(200);

/// A link that is down for longer is known to be down, even if no attempt to connect has failed yet.
const BRIEF: Duration = Duration::from_millis(250);

/// The longest pause between attempts where the server can move: a failover is over at any moment.
const LONGEST_SEARCH: Duration = Duration::from_millis(500);

/// How long a server from which our keys have gone may take to answer what it was asked before.
const FAREWELL: Duration = Duration::from_millis(500);

/// The pause after a fault of this program, which may come back at once.
pub(super) const AFTER_FAULT: Duration = Duration::from_secs(1);

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

struct Supervisor {
    greeter: Greeter,
    route: Arc<Route>,
    duties: Option<Duties>,
    /// Where the store is looked for, for the log.
    place: String,
    name: String,
    ping_limit: Duration,
    state: watch::Sender<State>,
    epochs: watch::Sender<u64>,
    suspected: watch::Receiver<Suspect>,
    /// Connections that are no longer used but may still answer what was sent on them.
    retired: JoinSet<()>,
    /// That of the newest connection.
    epoch: u64,
    /// When the link was last lost, at first when it was begun.
    down_since: Instant,
    /// When the log last heard of an outage, unless a settled connection came after it.
    reported: Option<Instant>,
}

impl Drop for Supervisor {
    /// Also when the runtime is shut down with the link open.
    fn drop(&mut self) {
        if let Some(duties) = &self.duties {
            duties.tracker.close();
        }
    }
}

impl Supervisor {
    async fn run(mut self, mut wish: watch::Receiver<bool>, mut stopped: watch::Receiver<bool>) {
        let connected = async {
            if wish.wait_for(|wanted| *wanted).await.is_ok() {
                self.down_since = Instant::now();
                while outlived(self.keep_connected()).await.is_none() {
                    self.state.send_replace(State::Down {
                        reason: Some(fault::error()),
                        since: Instant::now(),
                        tried: true,
                    });
                    tokio::time::sleep(AFTER_FAULT).await;
                }
            }
        };
        tokio::select! {
            () = connected => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
        self.state.send_replace(State::Closed);
    }

    async fn keep_connected(&mut self) {
        let may_move = self.route.locator.may_move();
        let mut backoff = if may_move {
            Backoff::up_to(LONGEST_SEARCH)
        } else {
            Backoff::default()
        };
        let mut target = self.route.locator.target();
        let mut outage: Option<Outage> = None;
        loop {
            match self.greeter.connect(self.epoch + 1).await {
                Ok(greeting) => {
                    self.epoch += 1;
                    let epoch = self.epoch;
                    let connected = Instant::now();
                    self.report_connected(outage.take());
                    self.state.send_replace(State::Up {
                        connection: greeting.connection.clone(),
                        session: Session {
                            epoch,
                            run: greeting.facts.reign.clone(),
                            clustered: greeting.facts.clustered.unwrap_or(false),
                        },
                        place: greeting.place.clone(),
                    });
                    self.epochs.send_replace(epoch);
                    self.route.locator.set_doubtful(false);
                    let reason = self.live(greeting, epoch).await;
                    self.down_since = Instant::now();
                    let settled = connected.elapsed() >= SETTLED;
                    if settled {
                        backoff.reset();
                        self.reported = None;
                    }
                    self.report_outage(&mut outage, &reason);
                    self.state.send_replace(State::Down {
                        reason: Some(reason),
                        since: self.down_since,
                        tried: false,
                    });
                    if !settled {
                        tokio::time::sleep(backoff.next_pause().min(UNSETTLED_PAUSE)).await;
                    }
                }
                Err(error) => {
                    self.report_outage(&mut outage, &error);
                    // Before the first connect a refusal is a wrong setting; later it may be a
                    // password being rotated, and an application that runs must not give up.
                    let refused = self.epoch == 0 && cannot_heal(&error);
                    self.state.send_replace(if refused {
                        State::Refused { error }
                    } else {
                        State::Down {
                            reason: Some(error),
                            since: self.down_since,
                            tried: true,
                        }
                    });
                    target.borrow_and_update();
                    tokio::select! {
                        () = tokio::time::sleep(backoff.next_pause()) => {}
                        // Found at another place.
                        Ok(()) = target.changed() => {}
                    }
                }
            }
        }
    }

    /// Lives with an open connection until it ends, and says why it ended.
    async fn live(&mut self, greeting: Greeting, epoch: u64) -> Error {
        let Greeting {
            mut connection,
            mut driver,
            mut tracked,
            facts: _,
            place,
        } = greeting;
        let limit = self.ping_limit;
        let heartbeat = async move {
            loop {
                tokio::time::sleep(HEARTBEAT).await;
                fault::point("link");
                let ping = redis::cmd("PING");
                match tokio::time::timeout(limit, ping.exec_async(&mut connection)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return Error::from(error),
                    Err(_) => return silent(limit),
                }
            }
        };
        let tracking = async {
            match &mut tracked {
                Some(tracked) => Error::from(tracked.keep().await),
                None => std::future::pending().await,
            }
        };
        let suspected = async {
            let suspect = self.suspected.wait_for(|suspect| suspect.epoch >= epoch);
            let doubt = suspect.await.map(|suspect| suspect.doubt);
            match doubt {
                Ok(doubt) => doubt,
                // No handle is left: the link is about to be told to end.
                Err(_) => std::future::pending().await,
            }
        };
        let mut target = self.route.locator.target();
        let moved = async {
            let elsewhere =
                |target: &Option<Endpoint>| target.as_ref().is_some_and(|target| *target != place);
            if target.wait_for(elsewhere).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let doubt = tokio::select! {
            () = &mut driver => return lost("the connection was closed by the store or the network"),
            error = heartbeat => return error,
            error = tracking => return error,
            doubt = suspected => doubt,
            () = moved => Doubt::Moved,
        };
        match doubt {
            Doubt::Silent => lost("the server did not answer"),
            Doubt::NotMaster | Doubt::Moved | Doubt::Renamed => {
                // A server that was left behind by a failover may never answer.
                let limit = if doubt == Doubt::Moved {
                    limit.min(FAREWELL)
                } else {
                    limit
                };
                // At once, while its connection goes on for a moment.
                drop(tracked);
                // It answers, so nothing waits unread, and what waits for its answer is to get it.
                self.greeter.spare_last();
                while self.retired.try_join_next().is_some() {}
                // It ends by itself when the last request on it is answered.
                self.retired.spawn(async move {
                    let _ = tokio::time::timeout(limit, driver).await;
                });
                lost(match doubt {
                    Doubt::Moved => "the keys are at another server now",
                    Doubt::Renamed => "the server has another history now",
                    _ => "the server is no longer the master",
                })
            }
        }
    }

    /// Tells the log of an outage when it begins, and now and then while it lasts.
    fn report_outage(&mut self, outage: &mut Option<Outage>, error: &Error) {
        let outage = outage.get_or_insert_with(|| Outage {
            since: Instant::now(),
            reported: false,
        });
        if self.reported.is_some_and(|at| at.elapsed() < REMIND) {
            return;
        }
        self.reported = Some(Instant::now());
        outage.reported = true;
        tracing::warn!(
            "link {} to the store at {} is down, trying again until it is back: {error}",
            self.name,
            self.place
        );
    }

    fn report_connected(&self, outage: Option<Outage>) {
        match outage {
            Some(outage) if outage.reported => tracing::info!(
                "link {} to the store at {} is back after {:.1} s",
                self.name,
                self.place,
                outage.since.elapsed().as_secs_f64()
            ),
            _ => tracing::debug!("link {} to the store at {} is up", self.name, self.place),
        }
    }
}

/// The outcome of a part of a link; none where it panicked, of which the log has the place. The link goes on.
pub(super) async fn outlived<T>(part: impl Future<Output = T>) -> Option<T> {
    let part = fault::named("a link to the store", part);
    AssertUnwindSafe(part).catch_unwind().await.ok()
}

struct Outage {
    since: Instant,
    /// Whether the log knows of it, and is to know of its end.
    reported: bool,
}

/// Whether an error came from the connection rather than from the server.
pub(super) fn is_of_the_link(error: &RedisError) -> bool {
    error.is_io_error() || error.is_connection_dropped() || error.is_timeout()
}

fn cannot_heal(error: &Error) -> bool {
    matches!(
        error.code(),
        Code::StoreAuthentication | Code::ConfigInvalid
    )
}

fn lost(why: &str) -> Error {
    Error::new(Code::StoreUnreachable, why)
}

fn silent(limit: Duration) -> Error {
    Error::new(
        Code::StoreUnreachable,
        format!(
            "the store did not answer a heartbeat within {} ms",
            limit.as_millis()
        ),
    )
}
