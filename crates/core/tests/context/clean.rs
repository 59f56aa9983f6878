//! Deleting scopes.

use node_red_cluster_core::context::Patience;
use node_red_cluster_core::keyspace::Scope;
use node_red_cluster_testkit::Server;
use serde_json::json;

use crate::process::{Process, settings};
use crate::support::{access, look};

async fn filled(server: &Server, revision: Option<&str>) -> Process {
    let settings = settings(server.address(), json!({}));
    let process = Process::begin(settings, revision.map(str::to_owned));
    process.context.ready(Patience::Endless).await.unwrap();
    for scope in ["global", "f1", "f2", "n1:f1", "n2:f1", "n1-x:f9"] {
        process.set(scope, "a", Some("1")).await.unwrap();
    }
    process
}

async fn scopes(process: &Process) -> Vec<&'static str> {
    let mut left = Vec::new();
    for scope in ["global", "f1", "f2", "n1:f1", "n2:f1", "n1-x:f9"] {
        if process.read(scope, "a").await.unwrap().is_some() {
            left.push(scope);
        }
    }
    left
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[tokio::test]
async fn the_newest_revision_deletes_the_scopes_of_what_is_gone() {
    let server = access::server().await;
    look(&server, &["HSET", "nodered:revision", "id", "r2"]).await;
    let process = filled(&server, Some("r2")).await;
    process.context.clean(ids(&["f1", "n1"])).await;
    assert_eq!(scopes(&process).await, ["global", "f1", "n1:f1"]);
    assert_eq!(process.names("f2").await, [""; 0]);
    process.context.clean(Vec::new()).await;
    assert_eq!(scopes(&process).await, ["global"]);
}

#[tokio::test]
async fn an_instance_that_is_behind_or_knows_no_revision_deletes_nothing() {
    let server = access::server().await;
    look(&server, &["HSET", "nodered:revision", "id", "r3"]).await;
    for revision in [Some("r2"), None] {
        let process = filled(&server, revision).await;
        process.context.clean(Vec::new()).await;
        assert_eq!(scopes(&process).await.len(), 6);
    }
}

#[tokio::test]
async fn a_scope_of_many_properties_is_deleted_without_holding_up_the_store() {
    let server = access::server().await;
    let process = filled(&server, None).await;
    let other = Process::open(server.address()).await;
    for number in 0..5000 {
        process.put(&number.to_string(), "1").unwrap();
    }
    process.context.delete(Scope::new("global")).await.unwrap();
    assert_eq!(process.names("global").await, [""; 0]);
    assert_eq!(other.names("global").await, [""; 0]);
    assert_eq!(other.read("global", "4999").await.unwrap(), None);
    assert_eq!(scopes(&process).await.len(), 5);
    process.set("global", "a", Some("1")).await.unwrap();
    assert_eq!(other.names("global").await, ["a"]);
}
