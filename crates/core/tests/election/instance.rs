//! An elector as an instance has it: with links that it shares with no other, and an event loop.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use node_red_cluster_core::config::{ElectionSettings, LockConfig, parse_election};
use node_red_cluster_core::election::{Belief, Candidacy, Elections, EventLoop, Role};
use node_red_cluster_testkit::eventually;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::{SOON, until};

/// The shortest lease that can be configured: these tests wait for some to end.
pub(crate) const TTL: Duration = Duration::from_secs(1);
pub(crate) const LOCK: &str = "nodered:leader";

/// One elector of one lock.
pub(crate) struct Instance {
    pub(crate) elections: Elections,
    pub(crate) candidacy: Candidacy,
    beliefs: Arc<Mutex<Vec<(Instant, Belief)>>>,
    hangs: Arc<AtomicBool>,
    /// Asks that the event loop has not answered.
    wakes: mpsc::UnboundedSender<()>,
}

static OPENED: AtomicU32 = AtomicU32::new(0);

/// Settings of an instance of its own, with further options.
pub(crate) fn settings(address: SocketAddr, options: &Value) -> ElectionSettings {
    let mut block = json!({
        "host": address.ip().to_string(),
        "port": address.port(),
        // Links are shared by those who are configured alike.
        "connectionName": format!("election-{}", OPENED.fetch_add(1, Ordering::Relaxed)),
    });
    for (name, value) in options.as_object().into_iter().flatten() {
        block[name] = value.clone();
    }
    match parse_election(&block.to_string(), "null", &|_| None) {
        Ok(parsed) => parsed.settings,
        Err(error) => panic!("{block} is refused: {error}"),
    }
}

/// How a lock is to be held.
pub(crate) fn lock(key: &str, ttl: Duration) -> LockConfig {
    let key = key.to_owned();
    LockConfig { key, ttl }
}

impl Instance {
    /// Stands for [`LOCK`].
    pub(crate) fn start(address: SocketAddr) -> Self {
        Self::with(address, &json!({}), &lock(LOCK, TTL))
    }

    /// An admin, which stands in while nobody else can lead.
    pub(crate) fn reserve(address: SocketAddr) -> Self {
        Self::with(address, &json!({ "role": "admin" }), &lock(LOCK, TTL))
    }

    pub(crate) fn with(address: SocketAddr, options: &Value, lock: &LockConfig) -> Self {
        let (wakes, mut asked) = mpsc::unbounded_channel();
        let asking = wakes.clone();
        let event_loop = EventLoop::new(Box::new(move || {
            let _ = asking.send(());
        }));
        let hangs = Arc::new(AtomicBool::new(false));
        tokio::spawn({
            let (hangs, event_loop) = (Arc::clone(&hangs), Arc::clone(&event_loop));
            async move {
                while asked.recv().await.is_some() {
                    if !hangs.load(Ordering::SeqCst) {
                        event_loop.answered();
                    }
                }
            }
        });
        let settings = settings(address, options);
        let elections = Elections::open(settings, event_loop, Box::new(|| {})).expect("elections");
        let beliefs = Arc::new(Mutex::new(Vec::new()));
        elections.watch(Box::new({
            let beliefs = Arc::clone(&beliefs);
            move |belief| {
                let mut beliefs = beliefs.lock().unwrap_or_else(PoisonError::into_inner);
                beliefs.push((Instant::now(), belief.clone()));
            }
        }));
        let candidacy = elections.join(lock);
        Self {
            elections,
            candidacy,
            beliefs,
            hangs,
            wakes,
        }
    }

    pub(crate) fn token(&self) -> Option<u64> {
        self.candidacy.token()
    }

    pub(crate) fn leads(&self) -> bool {
        self.token().is_some()
    }

    pub(crate) fn role(&self) -> Role {
        self.candidacy.standing().role
    }

    /// The token of the leader that it follows.
    pub(crate) fn follows(&self) -> Option<u64> {
        match self.role() {
            Role::Follower { token, .. } => Some(token),
            _ => None,
        }
    }

    pub(crate) fn beliefs(&self) -> Vec<(Instant, Belief)> {
        let beliefs = self.beliefs.lock().unwrap_or_else(PoisonError::into_inner);
        beliefs.clone()
    }

    /// When it last began to lead.
    pub(crate) fn began(&self) -> Option<Instant> {
        let mut beliefs = self.beliefs().into_iter().rev();
        beliefs.find_map(|(at, belief)| matches!(belief, Belief::Began { .. }).then_some(at))
    }

    /// How often it renewed its lease.
    pub(crate) fn renewals(&self) -> usize {
        let beliefs = self.beliefs();
        let moved = |(_, belief): &&(Instant, Belief)| matches!(belief, Belief::Moved { .. });
        beliefs.iter().filter(moved).count()
    }

    /// Waits until it leads, and returns its token.
    pub(crate) async fn must_lead(&self) -> u64 {
        let leads = eventually("it leads", SOON, async || self.token()).await;
        leads.unwrap_or_else(|error| panic!("{error}: {:?}", self.role()))
    }

    /// Waits until it follows another.
    pub(crate) async fn must_follow(&self) -> u64 {
        let follows = eventually("it follows", SOON, async || self.follows()).await;
        follows.unwrap_or_else(|error| panic!("{error}: {:?}", self.role()))
    }

    /// Waits until it has renewed its lease so many times more.
    pub(crate) async fn must_renew(&self, times: usize) {
        let before = self.renewals();
        until("renewals", async || self.renewals() >= before + times).await;
    }

    pub(crate) async fn release(&self) -> bool {
        let released = self.elections.release(self.candidacy.lock()).await;
        released.expect("the store's answer").released
    }

    /// The event loop answers nobody.
    pub(crate) fn hang(&self) {
        self.hangs.store(true, Ordering::SeqCst);
    }

    /// The event loop answers again, first those who asked meanwhile.
    pub(crate) fn go_on(&self) {
        self.hangs.store(false, Ordering::SeqCst);
        let _ = self.wakes.send(());
    }
}

/// How many of these lead at this moment.
pub(crate) fn leaders(instances: &[&Instance]) -> usize {
    instances.iter().filter(|instance| instance.leads()).count()
}

/// Watches for a while that a condition holds at each look.
pub(crate) async fn throughout(duration: Duration, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        assert!(holds(), "it does not hold any more");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
