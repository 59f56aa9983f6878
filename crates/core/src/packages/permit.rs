//! The permit to restart: of all workers of a cluster one has it. It is taken before a worker stops and given
//! back when it runs its flows again; where it does not come back, the permit ends by itself.

use std::time::{Duration, SystemTime};

use serde_json::json;

use super::message::Note;
use crate::connection::{Connection, Lane, Repeat, Request};
use crate::error::Result;
use crate::keyspace::Keyspace;

const TAKE: &str = include_str!("../scripts/permit_take.lua");
const RETURN: &str = include_str!("../scripts/permit_return.lua");

/// How long a worker may take from its stop until it runs its flows again: a new container may have to fetch
/// and build all its packages. Then the next worker restarts.
pub const LIMIT: Duration = Duration::from_secs(300);

/// The permit of one cluster.
#[derive(Debug, Clone)]
pub struct RestartPermit {
    connection: Connection,
    keyspace: Keyspace,
}

impl RestartPermit {
    /// The permit under a keyspace.
    pub fn new(connection: Connection, keyspace: Keyspace) -> Self {
        Self {
            connection,
            keyspace,
        }
    }

    /// Takes the permit for a worker; `token` is unique to this grant, `place` to where the worker runs, its host
    /// and user directory. Returns whether the worker has it.
    ///
    /// # Errors
    /// The store's.
    pub async fn take(&self, worker: &str, place: &str, token: &str) -> Result<bool> {
        let since = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let grant = json!({ "worker": worker, "place": place, "token": token, "since": since });
        let request = Request::Script {
            script: TAKE,
            keys: vec![self.keyspace.restart_permit()],
            arguments: vec![
                token.as_bytes().to_vec(),
                grant.to_string().into_bytes(),
                LIMIT.as_millis().to_string().into_bytes(),
            ],
        };
        // Safe to repeat: the script knows its own token.
        self.connection
            .run(Lane::Commands, &request, Repeat::Safe)
            .await
    }

    /// Gives the permit back if it is this worker's, by the token of the grant or, without one, by the place.
    /// Returns whether it was.
    ///
    /// # Errors
    /// The store's.
    pub async fn give_back(&self, place: &str, token: Option<&str>) -> Result<bool> {
        // As it stands in the JSON of the grant: `/data/1` must not be found in `/data/12`.
        let place = json!({ "place": place }).to_string();
        let request = Request::Script {
            script: RETURN,
            keys: vec![self.keyspace.restart_permit()],
            arguments: vec![
                token.unwrap_or_default().as_bytes().to_vec(),
                place.as_bytes()[1..place.len() - 1].to_vec(),
                self.keyspace.package_channel().as_bytes().to_vec(),
                Note::permit_free().to_text()?.into_bytes(),
            ],
        };
        self.connection
            .run(Lane::Commands, &request, Repeat::Safe)
            .await
    }
}
