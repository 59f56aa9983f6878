//! A server with the keyspace of a cluster in it.

use node_red_cluster_core::connection::Connection;
use node_red_cluster_core::keyspace::Keyspace;
use node_red_cluster_testkit::{Server, Value};

use super::{PATIENT, block, configuration, open};

/// A server of its own, and the keys that a cluster with default settings has there.
pub(crate) struct Store {
    pub(crate) server: Server,
    pub(crate) keyspace: Keyspace,
}

impl Store {
    pub(crate) async fn start() -> Self {
        let server = Server::start_default().await.expect("a server");
        let keyspace = Keyspace::new(&configuration(&block(server.address())));
        Self { server, keyspace }
    }

    /// The links of one more instance.
    pub(crate) fn connect(&self) -> Connection {
        open(&block(self.server.address()), PATIENT)
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
