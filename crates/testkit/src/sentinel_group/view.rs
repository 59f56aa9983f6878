//! What Sentinels and servers say of the group.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::error::Result;
use crate::resp::Value;
use crate::server::Server;

/// What one Sentinel sees and finds well.
#[derive(Debug)]
pub(super) struct Seen {
    /// Whether it finds nothing wrong with the primary.
    primary: bool,
    replicas: BTreeSet<SocketAddr>,
    sentinels: BTreeSet<SocketAddr>,
}

impl Seen {
    /// Whether it sees exactly these Sentinels besides itself, and these replicas among others
    /// that are down.
    pub(super) fn shows(
        &self,
        replicas: &BTreeSet<SocketAddr>,
        sentinels: &BTreeSet<SocketAddr>,
    ) -> bool {
        self.primary && self.replicas.is_superset(replicas) && self.sentinels == *sentinels
    }
}

pub(super) async fn seen_by(sentinel: &Server, name: &str) -> Result<Seen> {
    let mut client = sentinel.connect().await?;
    let primary = client.command(&["SENTINEL", "MASTER", name]).await?;
    let replicas = client.command(&["SENTINEL", "REPLICAS", name]).await?;
    let sentinels = client.command(&["SENTINEL", "SENTINELS", name]).await?;
    Ok(Seen {
        primary: has(&fields(&primary), "flags", "master"),
        replicas: addresses(&replicas, |replica| {
            has(replica, "flags", "slave") && has(replica, "master-link-status", "ok")
        }),
        sentinels: addresses(&sentinels, |other| {
            // What else a flag says, such as `master_down`, may be of a primary of long ago.
            let flags = other.get("flags").copied().unwrap_or_default();
            !flags
                .split(',')
                .any(|flag| ["s_down", "disconnected"].contains(&flag))
        }),
    })
}

/// The primary of a group that a Sentinel gives to clients.
pub(super) async fn master_named_by(sentinel: &Server, name: &str) -> Option<SocketAddr> {
    let command = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name];
    match sentinel.command(&command).await.ok()?.elements() {
        [host, port] => format!("{}:{}", host.text()?, port.text()?).parse().ok(),
        _ => None,
    }
}

/// Whether a server says itself that it is a primary.
pub(super) async fn is_master(server: &Server) -> bool {
    let role = server.command(&["ROLE"]).await;
    role.is_ok_and(|role| role.elements().first().and_then(Value::text) == Some("master"))
}

/// Whether a server says itself that it has all data of a primary and follows it.
pub(super) async fn is_replica_of(server: &Server, primary: SocketAddr) -> bool {
    let Ok(role) = server.command(&["ROLE"]).await else {
        return false;
    };
    match role.elements() {
        [role, host, port, state, ..] => {
            role.text() == Some("slave")
                && host.text() == Some(primary.ip().to_string().as_str())
                && port.integer() == Some(primary.port().into())
                && state.text() == Some("connected")
        }
        _ => false,
    }
}

/// Addresses of those entries of a list that are well.
fn addresses(
    list: &Value,
    is_well: impl Fn(&BTreeMap<&str, &str>) -> bool,
) -> BTreeSet<SocketAddr> {
    let entries = list.elements().iter().map(fields);
    entries
        .filter(is_well)
        .filter_map(|entry| {
            format!("{}:{}", entry.get("ip")?, entry.get("port")?)
                .parse()
                .ok()
        })
        .collect()
}

fn has(entry: &BTreeMap<&str, &str>, field: &str, value: &str) -> bool {
    entry.get(field) == Some(&value)
}

/// Names and values as a map.
fn fields(value: &Value) -> BTreeMap<&str, &str> {
    let words: Vec<&str> = value.elements().iter().filter_map(Value::text).collect();
    words
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .collect()
}
