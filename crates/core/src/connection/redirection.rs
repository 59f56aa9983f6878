//! A node of a cluster that does not have a key says which one does.

use redis::RedisError;

use super::locator::redirection;
use crate::config::{Endpoint, HostPort};

/// Where a request is to be sent instead; it was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Redirection {
    /// From now on.
    Moved(HostPort),
    /// This once, while the slot is under way to there.
    Ask(HostPort),
}

/// What an error of the server at `place` says of that, if anything.
pub(super) fn read(error: &RedisError, place: &Endpoint) -> Option<Redirection> {
    let word = error.code()?;
    if word != "MOVED" && word != "ASK" {
        return None;
    }
    let Endpoint::Tcp(asked) = place else {
        return None;
    };
    // `<slot> <host>:<port>`
    let address = error.detail()?.split_whitespace().nth(1)?;
    let to = redirection(address, asked)?;
    Some(if word == "ASK" {
        Redirection::Ask(to)
    } else {
        Redirection::Moved(to)
    })
}
