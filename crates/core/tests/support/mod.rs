//! What every integration test needs: a configuration as an operator writes it, connections, a look
//! at the store from outside.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

pub(crate) mod access;
pub(crate) mod ear;
mod store;

use std::net::SocketAddr;
use std::time::Duration;

use node_red_cluster_core::config::{Config, parse};
use node_red_cluster_core::connection::{Connection, Lane, Repeat, Request};
use node_red_cluster_core::error::{Code, Result};
use node_red_cluster_testkit::{Release, Server, Value, eventually};
use serde_json::json;

#[allow(unused_imports, reason = "each test binary uses its own part of this")]
pub(crate) use store::Store;

/// Long enough for every condition that comes true.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// The limit of requests that are to succeed: longer than any restart of a server takes.
pub(crate) const PATIENT: Duration = Duration::from_secs(10);

/// The limit of requests that are to fail for want of an answer.
pub(crate) const IMPATIENT: Duration = Duration::from_millis(300);

/// The limit of requests that are to be refused in words: longer than a busy machine lets an answer wait.
pub(crate) const BRIEF: Duration = Duration::from_secs(2);

/// The `valkey` block of an admin at this address, to be extended by a test.
pub(crate) fn block(address: SocketAddr) -> serde_json::Value {
    json!({ "role": "admin", "host": address.ip().to_string(), "port": address.port() })
}

/// Reads a block as the product does, without an environment.
pub(crate) fn configuration(block: &serde_json::Value) -> Config {
    match parse(&block.to_string(), &|_| None) {
        Ok(parsed) => parsed.config,
        Err(error) => panic!("{block} is refused: {error}"),
    }
}

/// Opens the links that a block describes.
pub(crate) fn open(block: &serde_json::Value, timeout: Duration) -> Connection {
    Connection::open(&configuration(block).connection, timeout, "test").expect("options")
}

/// Opens links to a server and waits for the one for small commands.
pub(crate) async fn connect(address: SocketAddr) -> Connection {
    let connection = open(&block(address), PATIENT);
    connection.ready(SOON).await.expect("the store");
    connection
}

/// Waits until the link says why it is refused: before, it says that it is still being tried.
pub(crate) async fn until_refused(connection: &Connection, code: Code, words: &str) {
    until(words, async || {
        let ready = connection.ready(Duration::from_millis(50)).await;
        ready.is_err_and(|error| error.code() == code && error.message().contains(words))
    })
    .await;
}

/// One command.
pub(crate) fn command(words: &[&str]) -> Request {
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(word);
    }
    Request::Command(command)
}

/// Runs a small command that may be repeated and returns its reply as text.
pub(crate) async fn ask(connection: &Connection, words: &[&str]) -> Result<Option<String>> {
    connection
        .run(Lane::Commands, &command(words), Repeat::Safe)
        .await
}

/// Whether the server under test is as new as this version of Redis. A test of what came with a version ends where
/// it is not.
pub(crate) fn server_knows(major: u32, minor: u32) -> bool {
    let release = Release::under_test().expect("a server");
    release.knows(major, minor)
}

/// Runs a command from outside and returns its answer.
pub(crate) async fn look(server: &Server, words: &[&str]) -> Value {
    match server.command(words).await {
        Ok(value) => value,
        Err(error) => panic!("{words:?}: {error}"),
    }
}

/// The text of an answer from outside.
pub(crate) async fn text(server: &Server, words: &[&str]) -> Option<String> {
    look(server, words).await.text().map(str::to_owned)
}

/// Waits until a condition holds.
pub(crate) async fn until<F>(what: &str, mut holds: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let waited = eventually(what, SOON, || {
        let answer = holds();
        async move { answer.await.then_some(()) }
    });
    waited.await.unwrap_or_else(|error| panic!("{error}"));
}
