//! A second connection of a link, for requests that the server of our slot sends elsewhere while the slot is on
//! its way to another node (`ASK`). It is opened for the first of them, and closed once the slot has arrived, when it
//! fails, and with the link; after a move that was cancelled it stays, idle.
//!
//! Nothing ends its sessions at the server as [`super::greeting`] does: where its reply is lost, a repeat may be
//! overtaken by the first copy. A slot is under way for a moment, and both nodes have to be in trouble then.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ProtocolVersion};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::greeting::{greeting_error, identity};
use super::route::Route;
use crate::config::{ConnectionConfig, Endpoint, HostPort};
use crate::error::{Code, Error, Result};

/// At most one open detour.
pub(super) struct Detour {
    route: Arc<Route>,
    config: ConnectionConfig,
    open: Mutex<Option<Open>>,
}

struct Open {
    place: HostPort,
    connection: MultiplexedConnection,
    driver: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl std::fmt::Debug for Detour {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Detour").finish_non_exhaustive()
    }
}

impl Detour {
    pub(super) fn new(route: Arc<Route>, config: ConnectionConfig) -> Self {
        Self {
            route,
            config,
            open: Mutex::default(),
        }
    }

    /// A connection to there, within `limit`.
    ///
    /// # Errors
    /// `StoreNotReady`: the slot is under way, and the node that it goes to cannot be reached.
    pub(super) async fn to(
        &self,
        place: &HostPort,
        limit: Duration,
    ) -> Result<MultiplexedConnection> {
        let mut open = self.open.lock().await;
        if let Some(open) = &*open
            && open.place == *place
            && !open.driver.is_finished()
        {
            return Ok(open.connection.clone());
        }
        *open = None;
        let opened = tokio::time::timeout(limit, self.open(place)).await;
        let new = opened.unwrap_or_else(|_| {
            Err(Error::new(
                Code::StoreNotReady,
                format!("the node at {place}, to which our keys are moving, does not answer"),
            ))
        })?;
        let connection = new.connection.clone();
        *open = Some(new);
        Ok(connection)
    }

    /// It is no longer needed, or no longer trusted.
    pub(super) async fn close(&self) {
        *self.open.lock().await = None;
    }

    async fn open(&self, place: &HostPort) -> Result<Open> {
        let endpoint = Endpoint::Tcp(place.clone());
        let stream = self.route.connector.open(&endpoint).await;
        let stream = stream.map_err(|error| {
            Error::new(
                Code::StoreNotReady,
                format!(
                    "the node at {place}, to which our keys are moving, cannot be reached ({})",
                    error.message()
                ),
            )
        })?;
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let identity = identity(&self.config, ProtocolVersion::RESP2);
        let opened = MultiplexedConnection::new_with_config(&identity, stream, settings).await;
        let (connection, driver) = opened.map_err(|error| greeting_error(&self.config, error))?;
        Ok(Open {
            place: place.clone(),
            connection,
            driver: tokio::spawn(driver),
        })
    }
}
