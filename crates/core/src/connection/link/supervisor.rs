//! What keeps a link connected: each connect, its life and its end.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Doubt, State, Suspect, lost};
use crate::config::Endpoint;
use crate::connection::backoff::Backoff;
use crate::connection::greeting::{Duties, Greeter, Greeting};
use crate::connection::route::Route;
use crate::connection::session::Session;
use crate::error::{Code, Error};
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

/// The longest pause between attempts where the server can move: a failover is over at any moment.
const LONGEST_SEARCH: Duration = Duration::from_millis(500);

/// How long a server from which our keys have gone may take to answer what it was asked before.
const FAREWELL: Duration = Duration::from_millis(500);

/// The pause after a fault of this program, which may come back at once.
pub(in crate::connection) const AFTER_FAULT: Duration = Duration::from_secs(1);

/// The work behind one link.
pub(super) struct Supervisor {
    pub(super) greeter: Greeter,
    pub(super) route: Arc<Route>,
    pub(super) duties: Option<Duties>,
    /// Where the store is looked for, for the log.
    pub(super) place: String,
    pub(super) name: String,
    pub(super) ping_limit: Duration,
    pub(super) state: watch::Sender<State>,
    pub(super) epochs: watch::Sender<u64>,
    pub(super) suspected: watch::Receiver<Suspect>,
    /// Connections that are no longer used but may still answer what was sent on them.
    pub(super) retired: JoinSet<()>,
    /// That of the newest connection.
    pub(super) epoch: u64,
    /// When the link was last lost, at first when it was begun.
    pub(super) down_since: Instant,
    /// When the log last heard of an outage, unless a settled connection came after it.
    pub(super) reported: Option<Instant>,
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
    /// Connects and reconnects until told to stop.
    pub(super) async fn run(
        mut self,
        mut wish: watch::Receiver<bool>,
        mut stopped: watch::Receiver<bool>,
    ) {
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
pub(in crate::connection) async fn outlived<T>(part: impl Future<Output = T>) -> Option<T> {
    let part = fault::named("a link to the store", part);
    AssertUnwindSafe(part).catch_unwind().await.ok()
}

struct Outage {
    since: Instant,
    /// Whether the log knows of it, and is to know of its end.
    reported: bool,
}

fn cannot_heal(error: &Error) -> bool {
    matches!(
        error.code(),
        Code::StoreAuthentication | Code::ConfigInvalid
    )
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
