//! What an instance starts with.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::write::GzEncoder;
use node_red_cluster_core::config::{Role, Secret};
use node_red_cluster_core::credentials::Configured;
use node_red_cluster_core::error::Code;
use node_red_cluster_core::flows::revision::DeployType;
use node_red_cluster_core::flows::{Credentials, Patience, Source};
use node_red_cluster_testkit::Server;
use serde_json::json;

use crate::cluster::{Instance, Options, deploy, named};
use crate::support::{access, look, text};

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

#[tokio::test]
async fn an_empty_store_gives_nothing_and_the_first_deploy_follows() {
    let server = access::server().await;
    let admin = Instance::new(Role::Admin, Options::at(&server));
    assert_eq!(admin.start().await.source, Source::Nothing);
    let worker = Instance::new(Role::Worker, Options::at(&server));
    assert_eq!(worker.start().await.source, Source::Nothing);
    worker.listen();
    worker.rests().await;
    admin
        .deploy(&named("a"), DeployType::Nodes)
        .await
        .expect("saved");
    let applied = worker.follow().await;
    assert_eq!((applied.number, applied.deploy_type), (1, DeployType::Full));
}

#[tokio::test]
async fn a_worker_before_the_first_admin_waits_for_the_secret() {
    let server = access::server().await;
    let worker = Instance::new(Role::Worker, Options::at(&server));
    assert!(
        worker
            .keeper
            .establish(Vec::new())
            .await
            .expect("an answer")
            .is_none()
    );
    let boot = worker.flows.boot().await.expect("a start");
    worker.run(&boot).await;
    worker.listen();
    let admin = Instance::admin(&server).await;
    admin
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    assert_eq!(
        worker.follow().await.credentials,
        r#"{"n1":{"password":"pw"}}"#
    );
}

#[tokio::test]
async fn the_newest_revision_is_started_with() {
    let server = access::server().await;
    let admin = Instance::admin(&server).await;
    admin
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    for role in [Role::Admin, Role::Worker] {
        let instance = Instance::new(role, Options::at(&server));
        let boot = instance.start().await;
        assert_eq!(boot.source, Source::Store);
        assert_eq!(boot.content.expect("flows").flows, named("a"));
        instance.rests().await;
    }
}

#[tokio::test]
async fn without_the_store_the_disk_is_started_with_and_the_store_followed_later() {
    let mut server = access::guarded(Server::builder())
        .append_only()
        .start()
        .await
        .expect("a server");
    let admin = Instance::admin(&server).await;
    admin
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    let disk = Arc::clone(&Instance::worker(&server).await.disk);
    admin
        .deploy(&named("b"), DeployType::Nodes)
        .await
        .expect("saved");
    server.stop().await.expect("stopped");

    let mut options = Options::at(&server);
    options.disk = Some(disk);
    let worker = Instance::new(Role::Worker, options);
    let ready = worker.connection.ready(Duration::from_millis(100)).await;
    assert_eq!(ready.expect_err("away").code(), Code::StoreUnreachable);
    let kept = worker.flows.kept().await.expect("a revision on the disk");
    worker
        .keeper
        .assume(kept.secret.clone())
        .expect("the secret of settings.js");
    let boot = worker.flows.boot_from_disk(kept);
    assert_eq!(boot.source, Source::Disk);
    assert_eq!(boot.content.as_ref().expect("flows").flows, named("a"));
    worker.run(&boot).await;
    worker.listen();
    assert_eq!(worker.running(), Some(1));

    server.start().await.expect("started");
    let applied = worker.follow().await;
    assert_eq!(
        (applied.flows, applied.deploy_type),
        (named("b"), DeployType::Nodes)
    );
}

#[tokio::test]
async fn a_generated_secret_is_kept_on_the_disk_for_a_start_without_the_store() {
    let mut server = access::server().await;
    let generated = |server: &Server| Options {
        secret: Configured::Unset,
        ..Options::at(server)
    };
    let admin = Instance::new(Role::Admin, generated(&server));
    admin.start().await;
    admin
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    let worker = Instance::new(Role::Worker, generated(&server));
    worker.start().await;
    server.stop().await.expect("stopped");

    let reborn = Instance::new(
        Role::Worker,
        Options {
            disk: Some(Arc::clone(&worker.disk)),
            ..generated(&server)
        },
    );
    let kept = reborn.flows.kept().await.expect("a revision on the disk");
    reborn
        .keeper
        .assume(kept.secret.clone())
        .expect("a secret on the disk");
    let secret = reborn.keeper.known().expect("known");
    assert_eq!(
        secret
            .decrypt(&kept.content.credentials)
            .expect("the right secret"),
        r#"{"n1":{"password":"pw"}}"#
    );
    let stranger = Instance::new(Role::Worker, generated(&server));
    let error = stranger.keeper.assume(None).expect_err("nothing known");
    assert_eq!(error.code(), Code::SecretMismatch, "{error}");
}

#[tokio::test]
async fn an_admin_with_the_newest_disk_refills_an_empty_store_at_its_start() {
    let mut server = access::server().await;
    let admin = Instance::admin(&server).await;
    let saved = admin
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    let disk = Arc::clone(&admin.disk);
    drop(admin);
    server.stop().await.expect("stopped");
    server.start_empty().await.expect("started");

    let mut options = Options::at(&server);
    options.disk = Some(disk);
    let admin = Instance::new(Role::Admin, options);
    assert_eq!(admin.start().await.source, Source::Disk);
    admin.job().await;
    let id = text(&server, &["HGET", "nodered:revision", "id"]).await;
    assert_eq!(id, Some(saved.id));
}

#[tokio::test]
async fn what_the_older_package_wrote_is_published_once() {
    let flows = named(&"x".repeat(2000));
    let wrapped = format!("gzip:{}", STANDARD.encode(gzip(&flows)));
    for stored in [&flows, &wrapped] {
        let server = access::server().await;
        look(&server, &["SET", "nodered:flows", stored]).await;
        look(
            &server,
            &["SET", "nodered:credentials", r#"{"n1":{"user":"u"}}"#],
        )
        .await;
        let admin = Instance::new(Role::Admin, Options::at(&server));
        let boot = admin.start().await;
        assert_eq!((boot.source, &boot.head), (Source::Unversioned, &None));
        let content = boot.content.expect("flows");
        assert_eq!(content.flows, flows);

        let mut first = deploy(&content.flows, DeployType::Full);
        first.credentials = Credentials::Exported(content.credentials);
        let saved = admin
            .flows
            .publish(first, Patience::None)
            .await
            .expect("saved");
        assert_eq!(saved.number, 1);
        let worker = Instance::new(Role::Worker, Options::at(&server));
        assert_eq!(worker.start().await.source, Source::Store);
        let credentials = text(&server, &["GET", "nodered:credentials"])
            .await
            .unwrap();
        assert!(credentials.starts_with("{\"$\":"), "encrypted by now");
    }
}

#[tokio::test]
async fn unreadable_values_of_the_older_package_are_not_an_instruction_to_run_nothing() {
    let server = access::server().await;
    look(&server, &["SET", "nodered:flows", "gzip:garbage"]).await;
    let admin = Instance::new(Role::Admin, Options::at(&server));
    assert_eq!(admin.start().await.source, Source::Nothing);
    assert_eq!(
        text(&server, &["GET", "nodered:flows"]).await.unwrap(),
        "gzip:garbage"
    );
}

#[tokio::test]
async fn compressed_flows_are_read_by_every_instance() {
    let server = access::server().await;
    let mut options = Options::at(&server);
    options.block["enableCompression"] = json!(true);
    let admin = Instance::new(Role::Admin, options);
    admin.start().await;
    let flows = named(&"x".repeat(5000));
    admin.deploy(&flows, DeployType::Full).await.expect("saved");
    let stored = look(&server, &["GET", "nodered:flows"]).await;
    let stored = stored.bytes().expect("bytes").to_vec();
    assert!(
        stored.starts_with(&[0x1f, 0x8b]) && stored.len() < 500,
        "gzip"
    );
    let worker = Instance::new(Role::Worker, Options::at(&server));
    assert_eq!(worker.start().await.content.expect("flows").flows, flows);
}

#[tokio::test]
async fn a_worker_with_another_secret_does_not_start() {
    let server = access::server().await;
    Instance::admin(&server).await;
    let worker = Instance::new(
        Role::Worker,
        Options {
            secret: Configured::Text(Secret::new("another")),
            ..Options::at(&server)
        },
    );
    let error = worker
        .keeper
        .establish(Vec::new())
        .await
        .expect_err("another secret");
    assert_eq!(error.code(), Code::SecretMismatch, "{error}");
    assert!(error.message().contains("credentialSecret"), "{error}");
}
