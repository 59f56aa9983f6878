//! The links themselves, and who holds them: as many holders as there are parts of this process that
//! want the same store.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;

use super::clock::StoreClock;
use super::greeting::Duties;
use super::link::{Begin, Link};
use super::locator::{self, Locator};
use super::route::Route;
use super::stream::Connector;
use super::subscriber;
use super::subscriptions::Subscriptions;
use super::tracking::{Holder, Tracker};
use super::{BULK_REPLY_LIMIT, closed};
use crate::config::ConnectionConfig;
use crate::error::Result;

/// The links that may be shared. They are few: a process has one store, rarely two.
static SHARED: Mutex<Vec<Weak<Links>>> = Mutex::new(Vec::new());

/// Numbers for holders.
static HOLDERS: AtomicU64 = AtomicU64::new(1);

/// The links of one configuration.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) config: ConnectionConfig,
    /// As it was asked for, part of what makes links the same.
    asked_timeout: Duration,
    pub(super) timeout: Duration,
    pub(super) commands: Link,
    pub(super) bulk: Link,
    pub(super) tracker: Arc<Tracker>,
    pub(super) subscriptions: Arc<Subscriptions>,
    pub(super) clock: Arc<StoreClock>,
    /// How many hold them; at none they end for good.
    holders: Mutex<usize>,
    stop: watch::Sender<bool>,
}

impl Links {
    /// Starts links that nobody shares.
    pub(super) fn start(config: &ConnectionConfig, timeout: Duration, name: &str) -> Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let route = Arc::new(Route {
            locator: Arc::new(Locator::new(config)?),
            connector: Connector::new(config)?,
        });
        locator::start(&route.locator, stopped.clone());
        let name = config.connection_name.as_deref().unwrap_or(name);
        let tracker = Arc::new(Tracker::new());
        let clock = Arc::new(StoreClock::new());
        let duties = Duties {
            tracker: Arc::clone(&tracker),
            clock: Arc::clone(&clock),
        };
        let commands = Link::start(
            Arc::clone(&route),
            config.clone(),
            name.to_owned(),
            Some(duties),
            timeout,
            Begin::AtOnce,
            stopped.clone(),
        );
        let bulk = Link::start(
            Arc::clone(&route),
            config.clone(),
            format!("{name}:bulk"),
            None,
            BULK_REPLY_LIMIT,
            Begin::AtFirstUse,
            stopped.clone(),
        );
        let subscriptions = Arc::new(Subscriptions::default());
        subscriber::start(route, config.clone(), Arc::clone(&subscriptions), stopped);
        Ok(Self {
            config: config.clone(),
            asked_timeout: timeout,
            timeout: config.command_timeout.unwrap_or(timeout),
            commands,
            bulk,
            tracker,
            subscriptions,
            clock,
            holders: Mutex::new(0),
            stop,
        })
    }

    /// Another hold on links of this very configuration, or on new ones.
    pub(super) fn shared(config: &ConnectionConfig, timeout: Duration, name: &str) -> Result<Hold> {
        let mut shared = lock(&SHARED);
        shared.retain(|links| links.strong_count() > 0);
        let same = shared.iter().filter_map(Weak::upgrade).find(|links| {
            links.asked_timeout == timeout && links.config == *config && links.commands.is_alive()
        });
        if let Some(hold) = same.and_then(Links::hold) {
            return Ok(hold);
        }
        let links = Arc::new(Self::start(config, timeout, name)?);
        shared.push(Arc::downgrade(&links));
        links.hold().ok_or_else(closed)
    }

    /// One more holder; none once the last has gone.
    pub(super) fn hold(self: Arc<Self>) -> Option<Hold> {
        let mut holders = lock(&self.holders);
        if *self.stop.borrow() {
            return None;
        }
        *holders += 1;
        drop(holders);
        Some(Hold {
            links: self,
            number: HOLDERS.fetch_add(1, Ordering::Relaxed),
            released: AtomicBool::new(false),
        })
    }
}

/// One holder's part in links; released at the latest when it is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) links: Arc<Links>,
    pub(super) number: Holder,
    released: AtomicBool,
}

impl Hold {
    pub(super) fn is_released(&self) -> bool {
        self.released.load(Ordering::SeqCst)
    }

    /// Gives the links back; the last to do so ends them.
    pub(super) fn release(&self) {
        if self.released.swap(true, Ordering::SeqCst) {
            return;
        }
        self.links.tracker.remove(self.number);
        self.links.subscriptions.remove(self.number);
        let mut holders = lock(&self.links.holders);
        *holders -= 1;
        if *holders == 0 {
            self.links.stop.send_replace(true);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.release();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
