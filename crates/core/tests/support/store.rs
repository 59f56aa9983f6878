//! A server with the keyspace of a cluster in it.

use node_red_cluster_core::connection::Connection;
use node_red_cluster_core::keyspace::Keyspace;
use node_red_cluster_testkit::{Server, Value};

use super::access::{self, ADMIN};
use super::{PATIENT, block, configuration, open};

/// A server of its own with the documented users, and the keys that a cluster with default settings has there.
pub(crate) struct Store {
    pub(crate) server: Server,
    pub(crate) keyspace: Keyspace,
}

impl Store {
    pub(crate) async fn start() -> Self {
        let server = access::server().await;
        let keyspace = Keyspace::new(&configuration(&block(server.address())));
        Self { server, keyspace }
    }

    /// The links of one more instance, with the rights of an admin.
    pub(crate) fn connect(&self) -> Connection {
        self.connect_as(ADMIN)
    }

    /// The links of one more instance, with the rights of this user.
    pub(crate) fn connect_as(&self, user: &str) -> Connection {
        open(
            &access::logged_in(block(self.server.address()), user),
            PATIENT,
        )
    }

    /// Runs a command from outside and returns its answer.
    pub(crate) async fn command(&self, arguments: &[impl AsRef<[u8]>]) -> Value {
        let answer = self.server.command(arguments).await;
        answer.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Writes a string from outside.
    pub(crate) async fn set(&self, key: &str, value: impl AsRef<[u8]>) {
        self.command(&[b"SET".as_slice(), key.as_bytes(), value.as_ref()])
            .await;
    }

    /// Reads a string from outside.
    pub(crate) async fn text(&self, key: &str) -> Option<String> {
        let value = self.command(&["GET", key]).await;
        value.text().map(str::to_owned)
    }
}
