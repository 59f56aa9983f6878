//! An admin saves: what is in the store afterwards, and who is told what.

use std::io::Read as _;

use flate2::read::GzDecoder;
use node_red_cluster_core::config::{Role, Secret};
use node_red_cluster_core::credentials::Key;
use node_red_cluster_core::error::Code;
use node_red_cluster_core::flows::revision::DeployType;
use node_red_cluster_core::flows::{Credentials, Done, Job, Patience};
use node_red_cluster_testkit::{Direction, Proxy, Server, Value};
use serde_json::json;

use crate::cluster::{Instance, Options, deploy, field, named};
use crate::support::{access, block, look, text, until};

async fn server() -> Server {
    access::server().await
}

fn unpacked(archive: &Value) -> String {
    let mut text = String::new();
    let mut decoder = GzDecoder::new(archive.bytes().expect("an archive"));
    decoder.read_to_string(&mut text).expect("gzip of text");
    text
}

#[tokio::test]
async fn a_deploy_is_one_whole_revision_and_a_message() {
    let server = server().await;
    let mut listener = server.connect().await.expect("a listener");
    listener
        .command(&["SUBSCRIBE", "nodered:flows:updated"])
        .await
        .expect("subscribed");
    let admin = Instance::admin(&server).await;
    // White space and number formats are Node-RED's business and stay as they are.
    let flows = r#"[ {"id":"n1", "n": 1e21, "u":"\ud83d\ude00"} ]"#;
    let revision = admin.deploy(flows, DeployType::Nodes).await.expect("saved");

    assert_eq!(
        text(&server, &["GET", "nodered:flows"]).await.unwrap(),
        flows
    );
    let credentials = text(&server, &["GET", "nodered:credentials"])
        .await
        .unwrap();
    let key = Key::from_secret(&Secret::new("the cluster's secret"));
    let clear = r#"{"n1":{"password":"pw"}}"#;
    assert_eq!(
        key.decrypt(&credentials).expect("Node-RED's own form"),
        clear
    );

    assert_eq!(revision.number, 1);
    for (name, expected) in [
        ("number", "1"),
        ("id", &revision.id),
        ("hash", &revision.hash),
        ("type", "nodes"),
        ("user", "ada"),
        ("instance", "admin-1"),
        ("state", "start"),
        ("time", &revision.time),
    ] {
        assert_eq!(field(&server, name).await.unwrap(), expected, "{name}");
    }

    let message = listener.receive().await.expect("a message");
    let message: serde_json::Value =
        serde_json::from_slice(message.elements()[2].bytes().unwrap()).expect("JSON");
    assert_eq!(
        message,
        json!({
            "revision": 1, "id": revision.id, "type": "nodes", "user": "ada",
            "time": revision.time, "state": "start"
        })
    );

    let metadata = text(&server, &["HGET", "nodered:history", "1"])
        .await
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_str(&metadata).expect("JSON");
    assert_eq!(metadata["id"], json!(revision.id));
    let archive = look(&server, &["HGET", "nodered:history:content", "1"]).await;
    assert_eq!(
        unpacked(&archive),
        format!(r#"{{"flows":{flows},"credentials":{credentials}}}"#)
    );
    assert_eq!(admin.running(), Some(1));
    admin.rests().await;
}

#[tokio::test]
async fn unchanged_credentials_are_those_that_run() {
    let server = server().await;
    let admin = Instance::admin(&server).await;
    admin
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    let before = text(&server, &["GET", "nodered:credentials"]).await;
    let mut second = deploy(&named("b"), DeployType::Nodes);
    second.credentials = Credentials::Unchanged;
    admin
        .flows
        .publish(second, Patience::None)
        .await
        .expect("saved");
    assert_eq!(text(&server, &["GET", "nodered:credentials"]).await, before);
    assert_eq!(
        text(&server, &["GET", "nodered:flows"]).await.unwrap(),
        named("b")
    );
}

#[tokio::test]
async fn the_history_keeps_fifty_revisions_that_can_be_read() {
    let server = server().await;
    let admin = Instance::admin(&server).await;
    for number in 1..=53 {
        let revision = admin
            .deploy(&named(&format!("r{number}")), DeployType::Nodes)
            .await;
        assert_eq!(revision.expect("saved").number, number);
    }
    for key in ["nodered:history", "nodered:history:content"] {
        assert_eq!(
            look(&server, &["HLEN", key]).await.integer(),
            Some(50),
            "{key}"
        );
        assert_eq!(
            look(&server, &["HEXISTS", key, "3"]).await.integer(),
            Some(0)
        );
    }
    for number in [4, 53] {
        let number = number.to_string();
        let archive = look(&server, &["HGET", "nodered:history:content", &number]).await;
        assert!(unpacked(&archive).contains(&format!("\"name\":\"r{number}\"")));
    }
}

#[tokio::test]
async fn a_second_admin_with_a_stale_base_is_told_and_then_follows() {
    let server = server().await;
    let first = Instance::admin(&server).await;
    let second = Instance::admin(&server).await;
    first
        .deploy(&named("first"), DeployType::Full)
        .await
        .expect("saved");
    let error = second
        .deploy(&named("second"), DeployType::Full)
        .await
        .expect_err("stale");
    assert_eq!(error.code(), Code::VersionMismatch, "{error}");
    assert_eq!(
        text(&server, &["GET", "nodered:flows"]).await.unwrap(),
        named("first")
    );

    assert_eq!(second.follow().await.flows, named("first"));
    let revision = second.deploy(&named("second"), DeployType::Full).await;
    assert_eq!(revision.expect("saved").number, 2);
    first.flows.wake();
    assert_eq!(first.follow().await.flows, named("second"));
}

#[tokio::test]
async fn of_two_admins_that_save_at_once_one_wins_and_one_is_told() {
    let server = server().await;
    let first = Instance::admin(&server).await;
    let second = Instance::admin(&server).await;
    for round in 1..=5 {
        let (one, other) = (
            named(&format!("one {round}")),
            named(&format!("other {round}")),
        );
        let (a, b) = tokio::join!(
            first.deploy(&one, DeployType::Full),
            second.deploy(&other, DeployType::Full)
        );
        let (loser, won) = match (a, b) {
            (Ok(_), Err(error)) => (&second, (error, one)),
            (Err(error), Ok(_)) => (&first, (error, other)),
            both => panic!("one of them must win: {both:?}"),
        };
        assert_eq!(won.0.code(), Code::VersionMismatch);
        let followed = loser.follow().await;
        assert_eq!((followed.number, followed.flows), (round, won.1));
    }
}

#[tokio::test]
async fn a_deploy_is_based_on_what_ran_when_it_was_made() {
    let server = server().await;
    let first = Instance::admin(&server).await;
    let second = Instance::admin(&server).await;
    first
        .deploy(&named("first"), DeployType::Full)
        .await
        .expect("saved");
    second.flows.wake();
    let job = Job::Apply(second.apply().await);
    // The editor's flows were made before the other admin's revision ran here; they are large, so
    // that they are saved after it.
    let flows = named(&"second".repeat(500_000));
    let (revision, ()) = tokio::join!(
        second.deploy(&flows, DeployType::Full),
        second.end(job, Done::Applied)
    );
    let error = revision.expect_err("the first revision is not to be lost unseen");
    assert_eq!(error.code(), Code::VersionMismatch);
    assert_eq!(second.running(), Some(1));
    second.rests().await;
}

#[tokio::test]
async fn a_save_whose_reply_was_lost_is_saved_once() {
    let server = server().await;
    let proxy = Proxy::start(server.address()).await.expect("a proxy");
    let mut options = Options::at(&server);
    options.block = block(proxy.address());
    let admin = Instance::new(Role::Admin, options);
    admin.start().await;
    // The script is known to the server after this, so one request is one reply.
    admin
        .deploy(&named("first"), DeployType::Full)
        .await
        .expect("saved");
    proxy.blackhole(Direction::ToClient);
    let flows = named("a");
    let (revision, ()) = tokio::join!(admin.deploy(&flows, DeployType::Full), async {
        until("the save", async || {
            text(&server, &["HGET", "nodered:revision", "number"])
                .await
                .as_deref()
                == Some("2")
        })
        .await;
        proxy.cut().await;
        proxy.heal().await.expect("healed");
    });
    let revision = revision.expect("the repeat finds it saved");
    assert_eq!(field(&server, "id").await.unwrap(), revision.id);
    assert_eq!(
        look(&server, &["HLEN", "nodered:history"]).await.integer(),
        Some(2)
    );
    admin.rests().await;
    let next = admin.deploy(&named("b"), DeployType::Full).await;
    assert_eq!(next.expect("saved").number, 3);
}

#[tokio::test]
async fn the_credentials_of_a_project_are_encrypted_anew() {
    let server = server().await;
    let admin = Instance::admin(&server).await;
    let clear = r#"{"n1":{"token":"t"}}"#;
    let project = Secret::new("the project's");
    let encrypted = Key::from_secret(&project)
        .encrypt(clear)
        .expect("random numbers");
    let of_project = |text: &str, secret: Option<Secret>| Credentials::OfProject {
        text: text.to_owned(),
        secret,
    };
    let mut first = deploy(&named("a"), DeployType::Full);
    first.credentials = of_project(&encrypted, Some(project.clone()));
    let revision = admin
        .flows
        .publish(first, Patience::None)
        .await
        .expect("saved");
    let stored = text(&server, &["GET", "nodered:credentials"])
        .await
        .unwrap();
    let key = Key::from_secret(&Secret::new("the cluster's secret"));
    assert_eq!(key.decrypt(&stored).expect("the cluster's secret"), clear);

    let hash = revision.hash;
    let is_news = async |credentials: &Credentials| {
        let news = admin.flows.is_news(&hash, credentials).await;
        news.expect("readable")
    };
    assert!(!is_news(&of_project(&encrypted, Some(project))).await);
    assert!(!is_news(&of_project(clear, None)).await);
    assert!(!is_news(&Credentials::Unchanged).await);
    assert!(is_news(&of_project("{}", None)).await);
    assert!(
        admin
            .flows
            .is_news("other flows", &Credentials::Unchanged)
            .await
            .unwrap()
    );
}
