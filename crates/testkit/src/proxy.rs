//! A TCP proxy that does what networks do at their worst.
//!
//! - `faults`: what goes wrong at the moment, shared by all connections.
//! - `link`: one connection through the proxy.

mod faults;
mod link;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

pub use faults::Direction;
use faults::{Faults, Traffic};
use link::Links;

use crate::error::{IoContext, Result};
use crate::ports;
use crate::wait::INTERVAL;

/// How often another port is tried when another process was quicker.
const PORT_ATTEMPTS: usize = 5;

/// For longer than this a port that was just closed is not held by a process that is being started.
const TAKEN_LIMIT: Duration = Duration::from_secs(1);

/// A TCP proxy on this machine in front of one address.
///
/// It passes everything on until a fault is asked for. It keeps its port while it refuses
/// connections. Dropped, it closes its port and resets all connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Accepts connections; `None` while they are refused.
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

/// What the proxy shares with the task that accepts connections.
#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    faults: watch::Sender<Faults>,
    traffic: Arc<Traffic>,
    links: Links,
}

impl Proxy {
    /// Starts a proxy in front of `target`, which need not be up.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) when no port could be bound.
    pub async fn start(target: SocketAddr) -> Result<Self> {
        let (port, listener) = listen_somewhere()?;
        Ok(Self::open(loopback(port), listener, target))
    }

    /// Starts a proxy at an address of this machine of the caller's choice, such as one that a name moves to.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) when nobody may listen there, or somebody does already.
    pub async fn start_at(address: SocketAddr, target: SocketAddr) -> Result<Self> {
        Ok(Self::open(address, listen(address)?, target))
    }

    fn open(address: SocketAddr, listener: TcpListener, target: SocketAddr) -> Self {
        let shared = Arc::new(Shared {
            target,
            faults: watch::Sender::new(Faults::default()),
            traffic: Arc::new(Traffic::default()),
            links: Links::default(),
        });
        let acceptor = tokio::spawn(accept_all(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            acceptor: Mutex::new(Some(acceptor)),
        }
    }

    /// The proxy's TCP port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Where the proxy listens: 127.0.0.1, if it was not started elsewhere.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets all connections (RST on both sides), and returns once they are. New ones are
    /// welcome, and a connection that the kernel has not handed over yet counts as new.
    pub async fn cut(&self) {
        self.shared.links.cut().await;
    }

    /// Closes the port and resets all connections: new ones are refused until
    /// [`accept`](Self::accept).
    pub async fn refuse(&self) {
        let acceptor = self.acceptor().take();
        if let Some(acceptor) = acceptor {
            acceptor.abort();
            // Once it has ended, its listener is closed. That it was stopped is no news.
            let _ = acceptor.await;
        }
        self.cut().await;
    }

    /// Opens the port again after [`refuse`](Self::refuse).
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) when another process has taken the port.
    pub async fn accept(&self) -> Result<()> {
        let begin = Instant::now();
        loop {
            match self.try_accept() {
                // A process that another thread is just starting has the closed listener still open, until it runs.
                Err(error) if ports::is_taken(&error) && begin.elapsed() < TAKEN_LIMIT => {
                    sleep(INTERVAL).await;
                }
                outcome => return outcome,
            }
        }
    }

    fn try_accept(&self) -> Result<()> {
        let mut acceptor = self.acceptor();
        if acceptor.is_none() {
            let listener = listen(self.address)?;
            *acceptor = Some(tokio::spawn(accept_all(listener, Arc::clone(&self.shared))));
        }
        Ok(())
    }

    /// Lets packets vanish in one direction or both, without a reset; replaces an earlier
    /// blackhole.
    ///
    /// As with real packet loss nothing is lost for good: what was sent arrives after
    /// [`heal`](Self::heal), also the end of a connection that its sender has given up. The two
    /// directions of a connection are independent, but no new connection reaches the target
    /// before both are open; to its client it looks established, as the kernel answers for a
    /// port that is listened on.
    pub fn blackhole(&self, direction: Direction) {
        self.shared
            .faults
            .send_modify(|faults| faults.blackhole = Some(direction));
    }

    /// Delays everything by `delay` in each direction, so a round trip takes twice that longer.
    /// The throughput stays.
    pub fn delay(&self, delay: Duration) {
        self.delay_between(delay, delay);
    }

    /// Delays everything by a time between these two in each direction, another time for each
    /// packet. Their order stays, as TCP keeps it: a packet that was quick waits for a slow one.
    pub fn delay_between(&self, least: Duration, most: Duration) {
        self.shared.faults.send_modify(|faults| {
            faults.delay = least;
            faults.jitter = most.saturating_sub(least);
        });
    }

    /// Ends all faults: blackhole, delay and refusal. Connections that were reset stay reset.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub async fn heal(&self) -> Result<()> {
        self.shared.faults.send_replace(Faults::default());
        self.accept().await
    }

    /// How many connections are open now.
    pub fn connections(&self) -> usize {
        self.shared.links.count()
    }

    /// How many bytes have been passed on since the start.
    pub fn bytes(&self, direction: Direction) -> u64 {
        self.shared.traffic.bytes(direction)
    }

    fn acceptor(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.acceptor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(acceptor) = self.acceptor().take() {
            acceptor.abort();
        }
        self.shared.links.abandon();
    }
}

async fn accept_all(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => shared.links.open(
                client,
                shared.target,
                shared.faults.subscribe(),
                Arc::clone(&shared.traffic),
            ),
            // Out of file descriptors, as a rule: without a pause this would spin.
            Err(_) => sleep(INTERVAL).await,
        }
    }
}

fn listen_somewhere() -> Result<(u16, TcpListener)> {
    for _ in 1..PORT_ATTEMPTS {
        let port = ports::pick()?;
        match listen(loopback(port)) {
            Err(error) if ports::is_taken(&error) => {}
            outcome => return outcome.map(|listener| (port, listener)),
        }
    }
    let port = ports::pick()?;
    listen(loopback(port)).map(|listener| (port, listener))
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::from_std(ports::listen_at(address)?).action(format!("listen on {address}"))
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
