//! Free TCP ports on 127.0.0.1 that stay free while a server is down.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, IoContext, Result};

/// Below every system's range for outgoing connections (32768 upwards on Linux, 49152 on macOS):
/// a port of that range could be lost to any connection while its server is stopped for a test.
const RANGE: Range<u16> = 12_000..32_000;

/// From the port of a cluster's node to that of its bus, which releases before 7.0 do not let
/// anybody choose.
pub(crate) const TO_BUS: u16 = 10_000;

/// More than enough: a pick fails only where something listens.
const ATTEMPTS: usize = 100;

/// What was picked in this process: a port is its server's also while that is stopped.
static PICKED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Whether a port is free and was never picked. It is from now on.
fn take(port: u16) -> Result<bool> {
    let mut picked = PICKED.lock().unwrap_or_else(PoisonError::into_inner);
    if picked.contains(&port) {
        return Ok(false);
    }
    listen(port)?;
    Ok(picked.insert(port))
}

/// A port on which nothing listens now, and that was not picked before. Another process may still
/// take it first, so whoever binds it must be ready to pick again.
///
/// # Errors
/// [`Error::Io`] when no port of the range could be bound.
pub(crate) fn pick() -> Result<u16> {
    for _ in 1..ATTEMPTS {
        let port = random_port();
        if take(port).unwrap_or(false) {
            return Ok(port);
        }
    }
    let port = random_port();
    listen(port).map(|_| port)
}

/// A port as by [`pick`] whose [bus port](TO_BUS) is free and in the range too.
///
/// # Errors
/// As [`pick`].
pub(crate) fn pick_with_bus() -> Result<u16> {
    let mut tried = 0;
    loop {
        let port = pick()?;
        let bus = port.saturating_add(TO_BUS);
        if RANGE.contains(&bus) {
            match take(bus) {
                Ok(true) => return Ok(port),
                Err(error) if tried > ATTEMPTS => return Err(error),
                Ok(false) | Err(_) => tried += 1,
            }
        }
    }
}

/// Listens on 127.0.0.1. The listener is non-blocking, as tokio wants it.
///
/// # Errors
/// [`Error::Io`], among others when the port is taken.
pub(crate) fn listen(port: u16) -> Result<TcpListener> {
    listen_at(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// As [`listen`], at any address of this machine.
///
/// # Errors
/// As there.
pub(crate) fn listen_at(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .action(format!("listen on {address}"))
}

/// Whether the operating system said that the port is taken.
pub(crate) fn is_taken(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse)
}

fn random_port() -> u16 {
    // The standard library's hash keys are random: no crate for random numbers is needed.
    let random = RandomState::new().build_hasher().finish();
    let width = u64::from(RANGE.end - RANGE.start);
    let offset = u16::try_from(random % width).expect("the remainder is less than the width");
    RANGE.start + offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picked_port_is_in_range_and_free() {
        let port = pick().expect("a free port");
        assert!(RANGE.contains(&port));
        let listener = listen(port).expect("it is free");
        let error = listen(port).expect_err("it is taken now");
        assert!(is_taken(&error), "{error}");
        drop(listener);
    }

    #[test]
    fn a_port_with_a_bus_leaves_room_for_it() {
        let port = pick_with_bus().expect("a free port");
        assert!(RANGE.contains(&(port + TO_BUS)), "{port}");
        listen(port + TO_BUS).expect("the bus port is free");
    }
}
