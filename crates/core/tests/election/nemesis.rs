//! Makes trouble on several lanes at once, each of which makes one fault after the other and heals it itself.
//!
//! - `store`: what happens to the store; the rest is here

mod store;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::{Mutex as StdMutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use node_red_cluster_testkit::{Direction, Proxy, SavedData, Server, Shift, WallClock};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::elector::Order;
use super::hostile;
use super::life::{Chronicle, Home};

/// What is disturbed.
pub(crate) struct World {
    pub(crate) server: Mutex<Server>,
    /// The store's wall clock, where it can be set.
    pub(crate) wall_clock: Option<WallClock>,
    pub(crate) homes: Vec<Mutex<Home>>,
    pub(crate) proxies: Vec<Arc<Proxy>>,
    pub(crate) locks: Vec<String>,
    pub(crate) channel: String,
    pub(crate) ttl: Duration,
    pub(crate) chronicle: Chronicle,
    /// What the store had on its disk some time ago.
    saved: Mutex<Option<SavedData>>,
    done: StdMutex<BTreeMap<&'static str, u32>>,
}

/// A lane and its faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    Store,
    Processes,
    Links,
    Hands,
}

const LANES: [Lane; 4] = [Lane::Store, Lane::Processes, Lane::Links, Lane::Hands];

impl Lane {
    fn faults(self) -> &'static [&'static str] {
        match self {
            Self::Store => &[
                "store paused",
                "store killed, started with its data",
                "store stopped, started with its data",
                "store rolled back",
                "store rolled back to released locks",
                "store rolled back a moment",
                "store lost its data",
                "store emptied",
                "store's clock set",
                "store's clock set",
            ],
            Self::Processes => &[
                "process killed",
                "process killed while frozen",
                "process frozen",
                "process frozen",
                "event loop hangs",
                "event loop hangs",
                "process closed",
                "process's clock set",
            ],
            Self::Links => &[
                "link cut",
                "link refused",
                "link silent both ways",
                "link silent to the store",
                "link silent to the process",
                "link silent, then cut",
                "link slow",
                "all links cut",
                "all links slow",
                "connections killed",
                "listeners killed",
            ],
            Self::Hands => &[
                "lock released",
                "lock released",
                "lock left and joined",
                "lock deleted",
                "record deleted",
                "hostile messages",
                "hostile messages",
            ],
        }
    }
}

impl World {
    pub(crate) fn new(
        server: Server,
        wall_clock: Option<WallClock>,
        homes: Vec<Home>,
        (locks, channel, ttl): (Vec<String>, String, Duration),
        chronicle: Chronicle,
    ) -> Self {
        let proxies = homes.iter().map(|home| Arc::clone(&home.proxy)).collect();
        Self {
            server: Mutex::new(server),
            wall_clock,
            homes: homes.into_iter().map(Mutex::new).collect(),
            proxies,
            locks,
            channel,
            ttl,
            chronicle,
            saved: Mutex::default(),
            done: StdMutex::default(),
        }
    }

    /// How often each fault was made.
    pub(crate) fn done(&self) -> BTreeMap<&'static str, u32> {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.clone()
    }

    /// Makes trouble for so long. Everything is healed when it returns but the clocks, which stay wrong.
    pub(crate) async fn rage(&self, duration: Duration, random: &mut Rng) {
        let end = Instant::now() + duration;
        let quiet = LANES.map(|lane| random.f64() < if lane == Lane::Store { 0.3 } else { 0.2 });
        // On some rounds everything happens at once, on others there is time between.
        let pause = [200, 600, 1_500][random.usize(..3)];
        let witness = self.witness(end);
        let lanes = LANES.into_iter().zip(quiet).map(|(lane, quiet)| {
            let mut random = random.fork();
            async move {
                if !quiet || lane == Lane::Processes {
                    self.lane(lane, end, pause, &mut random).await;
                }
            }
        });
        tokio::join!(futures_util::future::join_all(lanes), witness);
        for proxy in &self.proxies {
            proxy.heal().await.expect("the proxy's port");
        }
    }

    /// Looks again and again what the store has, whenever it is there.
    async fn witness(&self, end: Instant) {
        let mut known = BTreeMap::new();
        while Instant::now() < end {
            sleep(Duration::from_millis(10)).await;
            let Ok(server) = self.server.try_lock() else {
                continue;
            };
            for lock in &self.locks {
                let record = format!("{lock}:election");
                let token = server.command(&["HGET", &record, "token"]).await;
                let token = token.ok().and_then(|token| token.integer());
                if let Some(token) = token.and_then(|token| u64::try_from(token).ok())
                    && known.insert(lock, token) != Some(token)
                {
                    self.chronicle.record(lock, token);
                }
            }
        }
    }

    async fn lane(&self, lane: Lane, end: Instant, pause: u64, random: &mut Rng) {
        let mut left: Vec<&'static str> = Vec::new();
        while Instant::now() < end {
            if left.is_empty() {
                // Each comes once before one comes again.
                left = lane.faults().to_vec();
                random.shuffle(&mut left);
            }
            let fault = left.pop().expect("one of them");
            let possible = match lane {
                Lane::Store => self.store(fault, random).await,
                Lane::Processes => self.process(fault, random).await,
                Lane::Links => self.link(fault, random).await,
                Lane::Hands => self.hands(fault, random).await,
            };
            if possible {
                let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
                *done.entry(fault).or_default() += 1;
            }
            let mut rest = Duration::from_millis(random.u64(..pause));
            if lane == Lane::Store {
                // While the store is away nobody leads for long, and nothing can go wrong.
                rest += self.ttl.mul_f64(random.f64() * 2.0);
            }
            sleep(rest).await;
        }
    }

    /// Mostly a moment, sometimes longer than a lease.
    fn span(&self, random: &mut Rng) -> Duration {
        let most = if random.f64() < 0.7 { 0.6 } else { 2.2 };
        self.ttl.mul_f64(0.02 + random.f64() * most)
    }

    /// The index of a process, more often than not of one that leads.
    fn victim(&self, random: &mut Rng) -> usize {
        let lock = &self.locks[random.usize(..self.locks.len())];
        let leader = self.chronicle.leader(lock).filter(|_| random.f64() < 0.7);
        let home = leader.and_then(|name| name.strip_prefix('p')?.split('#').next()?.parse().ok());
        home.unwrap_or_else(|| random.usize(..self.homes.len()))
    }

    async fn process(&self, fault: &str, random: &mut Rng) -> bool {
        let mut home = self.homes[self.victim(random)].lock().await;
        let span = self.span(random);
        let what = format!("{}: {fault} for {span:?}", home.name);
        match fault {
            "process killed" => {
                self.chronicle.note(what);
                home.kill().await;
                sleep(span).await;
                home.start();
            }
            "process killed while frozen" => {
                self.chronicle.note(what);
                home.pause();
                sleep(span).await;
                home.kill().await;
                home.start();
            }
            "process frozen" => {
                self.chronicle.note(what);
                home.pause();
                sleep(span).await;
                self.chronicle.note(format!("{}: goes on", home.name));
                home.resume();
            }
            "event loop hangs" => {
                let span = self.ttl + span;
                self.chronicle
                    .note(format!("{}: {fault} for {span:?}", home.name));
                home.order(&Order::Block(span)).await;
                sleep(span).await;
            }
            "process closed" => {
                self.chronicle.note(what);
                home.close().await;
                sleep(span).await;
                home.start();
            }
            _ => {
                let Some(clock) = &home.wall_clock else {
                    return false;
                };
                let (shift, ahead) = shift(random);
                self.chronicle
                    .note(format!("{}: its clock is {ahead} ms ahead", home.name));
                clock.set(shift).expect("a clock");
            }
        }
        true
    }

    async fn link(&self, fault: &str, random: &mut Rng) -> bool {
        let index = self.victim(random);
        let proxy = &self.proxies[index];
        let mut span = self.span(random);
        if fault.contains("silent") {
            // What was sent arrives when somebody else leads, more often than not.
            span = self.ttl.mul_f64(0.5 + 2.0 * random.f64());
        }
        self.chronicle
            .note(format!("p{index}: {fault} for {span:?}"));
        let slow = |proxy: &Proxy| {
            proxy.delay_between(Duration::from_millis(20), Duration::from_millis(200));
        };
        match fault {
            "link cut" => proxy.cut().await,
            "link refused" => {
                proxy.refuse().await;
                sleep(span).await;
            }
            "link silent both ways" => {
                proxy.blackhole(Direction::Both);
                sleep(span).await;
            }
            "link silent to the store" => {
                proxy.blackhole(Direction::ToServer);
                sleep(span).await;
            }
            "link silent to the process" => {
                proxy.blackhole(Direction::ToClient);
                sleep(span).await;
            }
            "link silent, then cut" => {
                proxy.blackhole([Direction::ToClient, Direction::ToServer][random.usize(..2)]);
                sleep(span).await;
                proxy.cut().await;
            }
            "link slow" => {
                slow(proxy);
                sleep(span * 2).await;
            }
            "all links slow" => {
                self.proxies.iter().for_each(|proxy| slow(proxy));
                sleep(span * 2).await;
            }
            "all links cut" => {
                let cuts = self.proxies.iter().map(|proxy| proxy.cut());
                futures_util::future::join_all(cuts).await;
            }
            _ => {
                let kind = if fault == "listeners killed" {
                    "pubsub"
                } else {
                    "normal"
                };
                let server = self.server.lock().await;
                // Its own connection may be among them.
                let _ = server.command(&["CLIENT", "KILL", "TYPE", kind]).await;
            }
        }
        for proxy in &self.proxies {
            proxy.heal().await.expect("the proxy's port");
        }
        self.chronicle.note(format!("p{index}: {fault}: healed"));
        true
    }

    async fn hands(&self, fault: &str, random: &mut Rng) -> bool {
        let lock = &self.locks[random.usize(..self.locks.len())];
        match fault {
            "lock released" => {
                for home in &self.homes {
                    self.chronicle.note(format!("{lock} is to be released"));
                    home.lock().await.order(&Order::Release(lock.clone())).await;
                }
            }
            "lock left and joined" => {
                let mut home = self.homes[self.victim(random)].lock().await;
                self.chronicle.note(format!("{}: leaves {lock}", home.name));
                home.order(&Order::Leave(lock.clone())).await;
                sleep(self.span(random)).await;
                self.chronicle.note(format!("{}: joins {lock}", home.name));
                home.order(&Order::Join(lock.clone())).await;
            }
            "lock deleted" | "record deleted" => {
                let record = format!("{lock}:election");
                let key = if fault == "lock deleted" {
                    lock
                } else {
                    &record
                };
                let server = self.server.lock().await;
                self.chronicle
                    .note_loss(format!("{key} is deleted by hand"));
                server.command(&["DEL", key]).await.expect("an answer");
            }
            _ => {
                for _ in 0..random.usize(1..30) {
                    let server = self.server.lock().await;
                    let message = hostile::message(&server, lock, random).await;
                    let words: [&[u8]; 3] = [b"PUBLISH", self.channel.as_bytes(), &message];
                    server.command(&words).await.expect("an answer");
                    drop(server);
                    self.chronicle.note(format!(
                        "message of {}",
                        String::from_utf8_lossy(&message[..message.len().min(200)])
                    ));
                    sleep(Duration::from_millis(random.u64(..60))).await;
                }
            }
        }
        true
    }
}

/// Up to an hour forward or back, often only a few seconds, sometimes right.
fn shift(random: &mut Rng) -> (Shift, i64) {
    let most = if random.bool() { 5_000 } else { 3_600_000 };
    let millis = random.u64(..most);
    let duration = Duration::from_millis(millis);
    let signed = i64::try_from(millis).expect("an hour");
    match random.u32(..5) {
        0 => (Shift::NONE, 0),
        1 | 2 => (Shift::Ahead(duration), signed),
        _ => (Shift::Behind(duration), -signed),
    }
}
