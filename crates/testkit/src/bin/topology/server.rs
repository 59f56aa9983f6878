//! What can be done to a single server, and how it is described.

use node_red_cluster_testkit::{Result, Server, Value as Answer};
use serde::Deserialize;
use serde_json::{Value, json};

/// What is done to a server.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Deed {
    Kill,
    Stop,
    Start,
    Pause,
    Resume,
}

pub(crate) async fn obey(server: &mut Server, deed: Deed) -> Result<Value> {
    match deed {
        Deed::Kill => server.kill().await?,
        Deed::Stop => server.stop().await?,
        Deed::Start => server.start().await?,
        Deed::Pause => server.pause()?,
        Deed::Resume => server.resume()?,
    }
    Ok(Value::Null)
}

/// Runs a command from outside, with all rights.
pub(crate) async fn command(server: &Server, words: &[String]) -> Result<Value> {
    server.command(words).await.map(|answer| json(&answer))
}

pub(crate) fn describe(servers: &[Server]) -> Value {
    let each = servers.iter().map(|server| {
        let address = server.address();
        json!({
            "host": address.ip().to_string(),
            "port": address.port(),
            "running": server.answers(),
        })
    });
    each.collect()
}

fn json(answer: &Answer) -> Value {
    match answer {
        Answer::Status(text) | Answer::Error(text) => json!(text),
        Answer::Integer(integer) => json!(integer),
        Answer::Bytes(bytes) => json!(String::from_utf8_lossy(bytes)),
        Answer::Nil => Value::Null,
        Answer::Array(values) => values.iter().map(json).collect(),
    }
}
