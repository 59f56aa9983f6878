//! What goes wrong at the moment, and what has been passed on so far.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// A direction through the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From clients to the target.
    ToServer,
    /// From the target to clients.
    ToClient,
    /// Both ways.
    Both,
}

impl Direction {
    fn covers(self, other: Self) -> bool {
        self == Self::Both || other == Self::Both || self == other
    }

    /// The other way.
    pub(super) fn reverse(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
            Self::Both => Self::Both,
        }
    }
}

/// Faults that connections live with; a cut ends them instead.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Where packets vanish.
    pub(super) blackhole: Option<Direction>,
    /// Added to the time that each packet takes, one way.
    pub(super) delay: Duration,
    /// Up to so much is added besides, another time for each packet.
    pub(super) jitter: Duration,
}

impl Faults {
    /// How long the packet that is sent now takes.
    pub(super) fn way(&self) -> Duration {
        // The standard library's hash keys are random: no crate for random numbers is needed.
        let random = RandomState::new().build_hasher().finish();
        let share = (random % 1_000) as u32;
        self.delay + self.jitter * share / 1_000
    }
}

/// Waits until packets pass in a direction, of [`Direction::Both`] in both. Never returns once
/// the proxy is gone.
pub(super) async fn passable(faults: &mut watch::Receiver<Faults>, direction: Direction) {
    let vanishes = |faults: &Faults| faults.blackhole.is_some_and(|way| way.covers(direction));
    if faults.wait_for(|faults| !vanishes(faults)).await.is_err() {
        // The proxy was dropped inside a blackhole; the connection is about to be reset.
        std::future::pending::<()>().await;
    }
}

/// Bytes passed on.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    to_server: AtomicU64,
    to_client: AtomicU64,
}

impl Traffic {
    pub(super) fn bytes(&self, direction: Direction) -> u64 {
        match direction {
            Direction::ToServer => self.to_server.load(Ordering::Relaxed),
            Direction::ToClient => self.to_client.load(Ordering::Relaxed),
            Direction::Both => self.bytes(Direction::ToServer) + self.bytes(Direction::ToClient),
        }
    }

    /// Adds what was passed on in one direction.
    pub(super) fn add(&self, direction: Direction, bytes: usize) {
        let counter = match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient | Direction::Both => &self.to_client,
        };
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
