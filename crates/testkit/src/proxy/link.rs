//! One connection through the proxy.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::faults::{Direction, Faults, Traffic, passable};

/// Bytes read at once.
const PARCEL_SIZE: usize = 16 * 1024;

/// Parcels under way in one direction. Together with [`PARCEL_SIZE`] the most that a delay or a
/// blackhole holds before the sender's own buffers fill: 1 MiB.
const PARCELS: usize = 64;

/// All connections of a proxy.
#[derive(Debug, Default)]
pub(super) struct Links(Mutex<Vec<Link>>);

#[derive(Debug)]
struct Link {
    /// Resets the connection when sent to or dropped.
    cut: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Links {
    /// Connects a client to the target and passes on what they say.
    pub(super) fn open(
        &self,
        client: TcpStream,
        target: SocketAddr,
        faults: watch::Receiver<Faults>,
        traffic: Arc<Traffic>,
    ) {
        let (cut, order) = oneshot::channel();
        let task = tokio::spawn(carry(client, target, faults, traffic, order));
        let mut links = self.lock();
        links.retain(|link| !link.task.is_finished());
        links.push(Link { cut, task });
    }

    /// Resets all connections, and returns once they are.
    pub(super) async fn cut(&self) {
        let links = std::mem::take(&mut *self.lock());
        // First order all of them, then wait: they fall together.
        let tasks: Vec<JoinHandle<()>> = links
            .into_iter()
            .map(|Link { cut, task }| {
                drop(cut);
                task
            })
            .collect();
        for task in tasks {
            // It fails only with the runtime, and then there is no connection left either.
            let _ = task.await;
        }
    }

    /// Orders all connections to be reset, without waiting for it.
    pub(super) fn abandon(&self) {
        self.lock().clear();
    }

    /// How many connections are open.
    pub(super) fn count(&self) -> usize {
        self.lock()
            .iter()
            .filter(|link| !link.task.is_finished())
            .count()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Link>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection from its first to its last byte.
async fn carry(
    mut client: TcpStream,
    target: SocketAddr,
    mut faults: watch::Receiver<Faults>,
    traffic: Arc<Traffic>,
    mut order: oneshot::Receiver<()>,
) {
    let connected = tokio::select! {
        _ = &mut order => Err(cut()),
        connected = connect(target, &mut faults) => connected,
    };
    let Ok(mut server) = connected else {
        // What a client sees of a port that is closed behind a proxy.
        reset(&client);
        return;
    };
    let carried = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let both = async {
            tokio::try_join!(
                pump(
                    from_client,
                    to_server,
                    Direction::ToServer,
                    faults.clone(),
                    &traffic
                ),
                pump(
                    from_server,
                    to_client,
                    Direction::ToClient,
                    faults.clone(),
                    &traffic
                ),
            )
        };
        tokio::select! {
            _ = &mut order => Err(cut()),
            ended = both => ended,
        }
    };
    if carried.is_err() {
        reset(&client);
        reset(&server);
    }
}

fn cut() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

/// Connects to the target. A handshake needs both directions.
async fn connect(
    target: SocketAddr,
    faults: &mut watch::Receiver<Faults>,
) -> io::Result<TcpStream> {
    passable(faults, Direction::Both).await;
    TcpStream::connect(target).await
}

/// Makes the coming close of a socket a reset instead of an orderly end.
fn reset(stream: &TcpStream) {
    // It fails only on a socket that is closed already.
    let _ = stream.set_zero_linger();
}

/// Something under way. Empty bytes are the orderly end of the connection, an error its reset.
struct Parcel {
    due: Instant,
    content: io::Result<Vec<u8>>,
}

/// Passes on one direction of a connection until its orderly end.
///
/// Reading and writing are apart, so that a delay holds up no later packet, and so that a reset
/// too arrives only when a packet would.
///
/// # Errors
/// When either side has reset the connection and the other may know.
async fn pump(
    from: ReadHalf<'_>,
    to: WriteHalf<'_>,
    direction: Direction,
    faults: watch::Receiver<Faults>,
    traffic: &Traffic,
) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel(PARCELS);
    tokio::try_join!(
        collect(from, sender, faults.clone()),
        deliver(to, receiver, direction, faults, traffic),
    )
    .map(drop)
}

async fn collect(
    mut from: ReadHalf<'_>,
    sender: mpsc::Sender<Parcel>,
    faults: watch::Receiver<Faults>,
) -> io::Result<()> {
    loop {
        let mut bytes = Vec::with_capacity(PARCEL_SIZE);
        let content = from.read_buf(&mut bytes).await.map(|_| bytes);
        let last = content.as_ref().map_or(true, Vec::is_empty);
        let due = Instant::now() + faults.borrow().way();
        // The receiver goes away only together with this direction.
        if sender.send(Parcel { due, content }).await.is_err() || last {
            return Ok(());
        }
    }
}

async fn deliver(
    mut to: WriteHalf<'_>,
    mut receiver: mpsc::Receiver<Parcel>,
    direction: Direction,
    mut faults: watch::Receiver<Faults>,
    traffic: &Traffic,
) -> io::Result<()> {
    while let Some(Parcel { due, content }) = receiver.recv().await {
        sleep_until(due).await;
        passable(&mut faults, direction).await;
        let bytes = content?;
        let sent = if bytes.is_empty() {
            to.shutdown().await
        } else {
            to.write_all(&bytes).await
        };
        if let Err(error) = sent {
            // The receiving side has reset the connection: that news travels the other way.
            passable(&mut faults, direction.reverse()).await;
            return Err(error);
        }
        traffic.add(direction, bytes.len());
    }
    Ok(())
}
