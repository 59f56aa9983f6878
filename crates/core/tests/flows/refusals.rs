//! A save that is refused: the reason is told, and nothing is half-written.

use node_red_cluster_core::config::{Role, Secret};
use node_red_cluster_core::credentials::{Configured, Key};
use node_red_cluster_core::error::Code;
use node_red_cluster_core::flows::revision::{DeployType, RunState};
use node_red_cluster_core::flows::{Credentials, Patience};
use node_red_cluster_testkit::{Server, Value};
use serde_json::json;

use crate::cluster::{Instance, Options, deploy, field, named};
use crate::support::{access, look, server_knows, text};

async fn server() -> Server {
    access::server().await
}

#[tokio::test]
async fn a_key_of_a_foreign_type_is_told_and_nothing_is_half_written() {
    for key in ["nodered:history", "nodered:history:content"] {
        let server = server().await;
        let mut listener = server.connect().await.expect("a listener");
        listener
            .command(&["SUBSCRIBE", "nodered:flows:updated"])
            .await
            .expect("subscribed");
        let admin = Instance::admin(&server).await;
        look(&server, &["SET", key, "foreign"]).await;
        let error = admin
            .deploy(&named("a"), DeployType::Full)
            .await
            .expect_err("foreign");
        assert_eq!(error.code(), Code::StoreReply, "{error}");
        assert!(error.message().contains("WRONGTYPE"), "{error}");
        let keys = look(&server, &["KEYS", "*"]).await;
        let mut keys: Vec<_> = keys.elements().iter().filter_map(Value::text).collect();
        keys.sort_unstable();
        assert_eq!(keys, [key, "nodered:secret"]);

        look(&server, &["DEL", key]).await;
        let saved = admin
            .deploy(&named("b"), DeployType::Full)
            .await
            .expect("saved");
        let message = listener.receive().await.expect("a message");
        let message = message.elements()[2].text().unwrap().to_owned();
        assert!(
            message.contains(&saved.id),
            "the refused one was not announced: {message}"
        );
    }
}

#[tokio::test]
async fn a_full_store_is_told_and_nothing_is_half_written() {
    let server = server().await;
    let admin = Instance::admin(&server).await;
    let first = admin
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    let mut listener = server.connect().await.expect("a listener");
    listener
        .command(&["SUBSCRIBE", "nodered:flows:updated"])
        .await
        .expect("subscribed");
    look(&server, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let error = admin
        .deploy(&named("b"), DeployType::Full)
        .await
        .expect_err("full");
    assert_eq!(error.code(), Code::StoreOutOfMemory, "{error}");
    assert_eq!(field(&server, "id").await.unwrap(), first.id);
    assert_eq!(
        text(&server, &["GET", "nodered:flows"]).await.unwrap(),
        named("a")
    );
    assert_eq!(
        look(&server, &["HLEN", "nodered:history:content"])
            .await
            .integer(),
        Some(1)
    );

    look(&server, &["CONFIG", "SET", "maxmemory", "0"]).await;
    let saved = admin
        .deploy(&named("b"), DeployType::Full)
        .await
        .expect("saved");
    let message = listener.receive().await.expect("a message");
    let message = message.elements()[2].text().unwrap().to_owned();
    assert!(
        message.contains(&saved.id),
        "the refused one was not announced: {message}"
    );
}

#[tokio::test]
async fn access_rules_without_the_channel_are_told_and_nothing_is_half_written() {
    if !server_knows(6, 2) {
        return; // Rules for channels came with 6.2.
    }
    let server = access::guarded(Server::builder())
        .acl_user("mute", "on >secret ~* resetchannels +@all")
        .start()
        .await
        .expect("a server");
    let mut options = Options::at(&server);
    options.block["username"] = json!("mute");
    options.block["password"] = json!("secret");
    let admin = Instance::new(Role::Admin, options);
    admin.start().await;
    let error = admin
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect_err("forbidden");
    assert_eq!(error.code(), Code::StorePermission, "{error}");
    assert_eq!(
        look(&server, &["DBSIZE"]).await.integer(),
        Some(1),
        "only the secret"
    );
}

#[tokio::test]
async fn credentials_under_another_secret_are_refused_and_nothing_is_saved() {
    let server = server().await;
    let admin = Instance::admin(&server).await;
    let foreign = Key::from_secret(&Secret::new("another"));
    let mut wrong = deploy(&named("a"), DeployType::Full);
    wrong.credentials = Credentials::Exported(foreign.encrypt("{}").expect("random numbers"));
    let error = admin
        .flows
        .publish(wrong, Patience::None)
        .await
        .expect_err("another secret");
    assert_eq!(error.code(), Code::SecretMismatch, "{error}");
    assert_eq!(
        look(&server, &["EXISTS", "nodered:flows", "nodered:revision"])
            .await
            .integer(),
        Some(0)
    );

    let mut options = Options::at(&server);
    options.secret = Configured::Text(Secret::new("another"));
    let stranger = Instance::new(Role::Admin, options);
    let error = stranger
        .keeper
        .establish(Vec::new())
        .await
        .expect_err("another secret");
    assert_eq!(error.code(), Code::SecretMismatch, "{error}");
    let error = stranger
        .deploy(&named("b"), DeployType::Full)
        .await
        .expect_err("another secret");
    assert_eq!(error.code(), Code::SecretMismatch, "{error}");
    assert_eq!(
        look(&server, &["EXISTS", "nodered:flows", "nodered:revision"])
            .await
            .integer(),
        Some(0)
    );
}

#[tokio::test]
async fn a_worker_saves_nothing() {
    let server = server().await;
    let admin = Instance::admin(&server).await;
    admin
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    let worker = Instance::worker(&server).await;
    let saved = worker
        .flows
        .publish(deploy(&named("b"), DeployType::Full), Patience::None)
        .await;
    assert_eq!(saved.expect_err("a worker").code(), Code::InvalidRequest);
    let stopped = worker.flows.publish_state(RunState::Stop).await;
    assert_eq!(stopped.expect_err("a worker").code(), Code::InvalidRequest);
    assert_eq!(field(&server, "state").await.unwrap(), "start");
}

#[tokio::test]
async fn what_is_no_list_of_nodes_is_refused() {
    let server = server().await;
    let admin = Instance::admin(&server).await;
    for flows in ["", "{}", "[{]"] {
        let error = admin
            .deploy(flows, DeployType::Full)
            .await
            .expect_err("no flows");
        assert_eq!(error.code(), Code::ValueDamaged, "{error}");
    }
    assert_eq!(
        look(&server, &["DBSIZE"]).await.integer(),
        Some(1),
        "only the secret"
    );
}
