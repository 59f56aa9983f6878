//! Sentinel groups and clusters for tests in other languages: a process that starts one and does with it what it is
//! told.
//!
//! Its first line of input is what to start, as JSON: `{"topology": "sentinel", "replicas": 2}` or
//! `{"topology": "cluster", "password": "secret"}`. Each further line is an order, such as `{"do": "failover"}`; see
//! [`sentinel::Order`] and [`cluster::Order`]. Each line is answered with one: `{"ok": ...}` or `{"error": "..."}`.
//! At the end of its input it ends everything.

mod cluster;
mod sentinel;
mod server;

use node_red_cluster_testkit::{Result, SentinelGroup, StoreCluster};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, stdin, stdout};

/// What to start.
#[derive(Deserialize)]
#[serde(tag = "topology", rename_all = "camelCase")]
enum Topology {
    Sentinel(sentinel::Options),
    Cluster(cluster::Options),
}

/// What was started.
enum Running {
    Sentinel(SentinelGroup),
    Cluster(StoreCluster),
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut lines = BufReader::new(stdin()).lines();
    let mut output = stdout();
    let mut running = None;
    while let Some(line) = lines.next_line().await? {
        let outcome = match &mut running {
            None => start(&line).await.map(|(started, description)| {
                running = Some(started);
                description
            }),
            Some(Running::Sentinel(group)) => match read(&line) {
                Ok(order) => said(sentinel::obey(group, order).await),
                Err(error) => Err(error),
            },
            Some(Running::Cluster(cluster)) => match read(&line) {
                Ok(order) => said(cluster::obey(cluster, order).await),
                Err(error) => Err(error),
            },
        };
        let answer = match outcome {
            Ok(value) => json!({ "ok": value }),
            Err(error) => json!({ "error": error }),
        };
        output.write_all(format!("{answer}\n").as_bytes()).await?;
        output.flush().await?;
    }
    Ok(())
}

async fn start(line: &str) -> std::result::Result<(Running, Value), String> {
    match read(line)? {
        Topology::Sentinel(options) => {
            let group = options.start().await.map_err(|error| error.to_string())?;
            let description = sentinel::describe(&group);
            Ok((Running::Sentinel(group), description))
        }
        Topology::Cluster(options) => {
            let cluster = options.start().await.map_err(|error| error.to_string())?;
            let description = cluster::describe(&cluster);
            Ok((Running::Cluster(cluster), description))
        }
    }
}

fn read<T: DeserializeOwned>(line: &str) -> std::result::Result<T, String> {
    serde_json::from_str(line).map_err(|error| format!("`{line}` is not understood: {error}"))
}

fn said(outcome: Result<Value>) -> std::result::Result<Value, String> {
    outcome.map_err(|error| error.to_string())
}
