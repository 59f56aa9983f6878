//! Where the server is that holds our keys as a master, at this moment and after it has moved.
//!
//! - `question`: one question to one server
//! - `sentinel`: what sentinels say of their group; `sentinels`: all of them asked; `listening`: what they say
//!   unasked
//! - `slots`: what a node says of the slots of its cluster; `nodes`: all of them asked
//!
//! Whoever connects asks anew each time. Whoever is connected watches [`Locator::target`]: once that is another
//! place, the old one is to be left.

mod listening;
mod nodes;
mod question;
mod sentinel;
mod sentinels;
mod slots;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::Cmd;
use tokio::sync::watch;

use self::nodes::Nodes;
use self::sentinels::Sentinels;
pub(super) use self::slots::redirection;
use crate::config::{ConnectionConfig, Endpoint, HostPort, Topology};
use crate::error::Result;
use crate::supervised::supervised;

/// How long what a server said of the place of a slot is believed without asking others: by then they know too.
const REDIRECTION_COUNTS: Duration = Duration::from_secs(2);

/// While the known place is in doubt, others are asked this often.
const DOUBT_INTERVAL: Duration = Duration::from_millis(400);

/// Finds the server.
pub(super) struct Locator {
    way: Way,
    /// The newest answer; none before the first.
    target: watch::Sender<Option<Endpoint>>,
    /// Where a server has just said that the slot is.
    redirection: Mutex<Option<(Endpoint, Instant)>>,
    /// Whether the known place does not serve.
    doubt: watch::Sender<bool>,
    /// Bumped by whoever knows that something has changed.
    news: watch::Sender<u64>,
}

enum Way {
    Fixed(Endpoint),
    Sentinels(Sentinels),
    Nodes(Nodes),
}

impl fmt::Debug for Locator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Locator")
            .field("target", &*self.target.borrow())
            .finish_non_exhaustive()
    }
}

impl Locator {
    /// # Errors
    /// Certificates or keys for sentinels that cannot be read.
    pub(super) fn new(config: &ConnectionConfig) -> Result<Self> {
        let way = match &config.topology {
            Topology::Standalone(endpoint) => Way::Fixed(endpoint.clone()),
            Topology::Sentinel(group) => Way::Sentinels(Sentinels::new(config, group)?),
            Topology::Cluster(cluster) => Way::Nodes(Nodes::new(config, cluster)?),
        };
        Ok(Self {
            way,
            target: watch::Sender::new(None),
            redirection: Mutex::default(),
            doubt: watch::Sender::new(false),
            news: watch::Sender::new(0),
        })
    }

    /// Whether the server can move, so that the one at a place may be the wrong one.
    pub(super) fn may_move(&self) -> bool {
        !matches!(self.way, Way::Fixed(_))
    }

    /// The place, asked for anew.
    ///
    /// # Errors
    /// Why nobody could say; `StoreAuthentication` where all who could refuse to talk to us.
    pub(super) async fn locate(&self) -> Result<Endpoint> {
        let redirection = self.redirection().clone();
        if let Some((endpoint, at)) = redirection
            && at.elapsed() < REDIRECTION_COUNTS
        {
            return Ok(endpoint);
        }
        self.ask().await
    }

    async fn ask(&self) -> Result<Endpoint> {
        let endpoint = match &self.way {
            Way::Fixed(endpoint) => endpoint.clone(),
            Way::Sentinels(sentinels) => Endpoint::Tcp(sentinels.master().await?),
            Way::Nodes(nodes) => Endpoint::Tcp(nodes.owner().await?),
        };
        self.aim_at(&endpoint);
        Ok(endpoint)
    }

    /// The newest known place, for whoever is connected.
    pub(super) fn target(&self) -> watch::Receiver<Option<Endpoint>> {
        self.target.subscribe()
    }

    /// A server said that our slot is elsewhere.
    pub(super) fn redirected(&self, to: HostPort) {
        let to = Endpoint::Tcp(to);
        *self.redirection() = Some((to.clone(), Instant::now()));
        self.aim_at(&to);
    }

    /// A place that was found cannot be used: others are to be asked where it is.
    pub(super) fn failed(&self, place: &Endpoint) {
        self.redirection()
            .take_if(|(endpoint, _)| endpoint == place);
    }

    /// Whether the known place serves. While it does not, others are asked now and then.
    pub(super) fn set_doubtful(&self, doubtful: bool) {
        self.doubt
            .send_if_modified(|doubt| std::mem::replace(doubt, doubtful) != doubtful);
    }

    /// A harmless question about our slot, to which only its owner has an answer; without slots a PING.
    pub(super) fn probe(&self) -> Cmd {
        match &self.way {
            Way::Fixed(_) | Way::Sentinels(_) => redis::cmd("PING"),
            Way::Nodes(nodes) => {
                let mut probe = redis::cmd("EXISTS");
                probe.arg(nodes.home());
                probe
            }
        }
    }

    /// Whether keys lie in slots.
    pub(super) fn has_slots(&self) -> bool {
        matches!(self.way, Way::Nodes(_))
    }

    fn aim_at(&self, endpoint: &Endpoint) {
        self.target.send_if_modified(|target| {
            let moved = target.as_ref() != Some(endpoint);
            if moved {
                tracing::debug!("the server with our keys is at {endpoint}");
                *target = Some(endpoint.clone());
            }
            moved
        });
    }

    fn redirection(&self) -> MutexGuard<'_, Option<(Endpoint, Instant)>> {
        self.redirection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the target right on the current runtime, until `stopped` turns true.
pub(super) fn start(locator: &Arc<Locator>, mut stopped: watch::Receiver<bool>) {
    if !locator.may_move() {
        return;
    }
    let locator = Arc::clone(locator);
    let kept = supervised("what finds the master of the store", move || {
        let locator = Arc::clone(&locator);
        async move {
            let news = || locator.news.send_modify(|count| *count += 1);
            let listening = async {
                match &locator.way {
                    Way::Sentinels(sentinels) => listening::listen(sentinels, news).await,
                    Way::Fixed(_) | Way::Nodes(_) => std::future::pending().await,
                }
            };
            tokio::select! {
                () = follow(&locator) => {}
                () = listening => {}
            }
        }
    });
    tokio::spawn(async move {
        tokio::select! {
            () = kept => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    });
}

/// Asks where the server is whenever there is a reason to.
async fn follow(locator: &Locator) {
    let mut doubt = locator.doubt.subscribe();
    let mut news = locator.news.subscribe();
    loop {
        let doubtful = *doubt.borrow_and_update();
        let pause = async {
            if doubtful {
                tokio::time::sleep(DOUBT_INTERVAL).await;
            } else {
                std::future::pending().await
            }
        };
        let changed = tokio::select! {
            () = pause => Ok(()),
            changed = doubt.changed() => changed,
            changed = news.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
        news.borrow_and_update();
        if let Err(error) = locator.ask().await {
            tracing::debug!("nobody says where the server with our keys is: {error}");
        }
    }
}
