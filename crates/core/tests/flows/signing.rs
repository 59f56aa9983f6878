//! Revisions that are signed, and somebody who can write to the store and has no key.

use std::sync::Arc;

use node_red_cluster_core::config::Role;
use node_red_cluster_core::error::Code;
use node_red_cluster_core::flows::revision::{DeployType, RunState};
use node_red_cluster_core::flows::{Done, Job, Source};
use node_red_cluster_testkit::Server;
use serde_json::json;
use tempfile::TempDir;

use crate::cluster::{Instance, Options, field, named};
use crate::support::{access, look, text, until};

const ONE: &str = "one-0123456789abcdef0123456789abcdef";
const TWO: &str = "two-0123456789abcdef0123456789abcdef";

/// An instance with these keys that has not started yet; on the disk of an earlier life, if there is one.
fn keyed(
    role: Role,
    server: &Server,
    keys: &serde_json::Value,
    disk: Option<&Arc<TempDir>>,
) -> Instance {
    let mut options = Options::at(server);
    options.block["signingKey"] = keys.clone();
    options.disk = disk.cloned();
    Instance::new(role, options)
}

async fn admin(server: &Server) -> Instance {
    let admin = keyed(Role::Admin, server, &json!(ONE), None);
    admin.start().await;
    admin
}

async fn worker(server: &Server) -> Instance {
    let worker = keyed(Role::Worker, server, &json!(ONE), None);
    worker.start().await;
    worker.listen();
    worker
}

/// Why what the store has does not run here.
fn code(instance: &Instance) -> Option<Code> {
    let status = instance.flows.status();
    let error = status.borrow().error.clone();
    error.map(|error| error.code())
}

async fn refuses(instance: &Instance, expected: Code) {
    let running = instance.running();
    instance.rests().await;
    assert_eq!(code(instance), Some(expected));
    assert_eq!(instance.running(), running);
}

async fn set(server: &Server, field: &str, value: &str) {
    look(server, &["HSET", "nodered:revision", field, value]).await;
}

const KEYS: [&str; 5] = [
    "nodered:flows",
    "nodered:credentials",
    "nodered:revision",
    "nodered:history",
    "nodered:history:content",
];

async fn back_up(server: &Server, name: &str) {
    for key in KEYS {
        look(server, &["COPY", key, &format!("{name}:{key}"), "REPLACE"]).await;
    }
}

async fn put_back(server: &Server, name: &str) {
    for key in KEYS {
        look(server, &["COPY", &format!("{name}:{key}"), key, "REPLACE"]).await;
    }
}

#[tokio::test]
async fn without_a_key_nothing_of_signatures_is_written() {
    let server = access::server().await;
    let admin = Instance::admin(&server).await;
    let saved = admin.deploy(&named("a"), DeployType::Full).await;
    saved.expect("saved");
    let fields = look(&server, &["HKEYS", "nodered:revision"]).await;
    let mut fields: Vec<_> = fields
        .elements()
        .iter()
        .filter_map(|field| field.text())
        .collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "credentialsHash",
            "hash",
            "id",
            "instance",
            "number",
            "state",
            "time",
            "type",
            "user"
        ]
    );
    let entry = text(&server, &["HGET", "nodered:history", "1"]).await;
    assert!(!entry.expect("an entry").contains("ignature"));
    let file = admin.disk.path().join("last-good-revision");
    let file = std::fs::read(file).expect("a file");
    assert!(!String::from_utf8_lossy(&file).contains("igned"));
}

#[tokio::test]
async fn what_was_signed_is_followed_and_so_are_start_and_stop() {
    let server = access::server().await;
    let admin = admin(&server).await;
    let worker = worker(&server).await;
    for name in ["a", "b"] {
        let saved = admin.deploy(&named(name), DeployType::Nodes).await;
        saved.expect("saved");
        assert_eq!(worker.follow().await.flows, named(name));
    }
    for state in [RunState::Stop, RunState::Start, RunState::Stop] {
        admin.flows.publish_state(state).await.expect("saved");
        let job = worker.job().await;
        assert!(
            matches!(job, Job::State(wanted) if wanted == state),
            "{job:?}"
        );
        worker.end(job, Done::Applied).await;
        worker.rests().await;
        admin.rests().await;
    }
    assert_eq!((code(&worker), code(&admin)), (None, None));
    let keyless = Instance::worker(&server).await;
    assert_eq!(
        keyless.running(),
        Some(2),
        "who has no key asks for no signature"
    );
}

#[tokio::test]
async fn each_field_that_a_thief_changes_is_refused_and_the_next_deploy_heals_it() {
    let server = access::server().await;
    let admin = admin(&server).await;
    let worker = worker(&server).await;
    let mut number = 0;
    let changes = [
        ("number", "9"),
        ("number", "18446744073709551615"),
        ("id", "another"),
        ("hash", "0123"),
        ("credentialsHash", "0123"),
        ("credentialsSha256", "0123"),
        ("type", "nodes"),
        ("user", "eve"),
        ("time", "2036-01-01T00:00:00.000Z"),
        ("instance", "another"),
        ("state", "stop"),
        ("stateNumber", "7"),
        ("stateSignature", "v1:0:0"),
        ("signature", "v1:0:0"),
    ];
    for (field, value) in changes {
        number += 1;
        let saved = admin.deploy(&named(field), DeployType::Full).await;
        assert_eq!(saved.expect("saved").number, number, "after {field}");
        assert_eq!(worker.follow().await.number, number);
        assert_eq!(code(&worker), None, "{field}");
        set(&server, field, value).await;
        refuses(&worker, Code::SignatureInvalid).await;
        refuses(&admin, Code::SignatureInvalid).await;
    }
    look(&server, &["HDEL", "nodered:revision", "signature"]).await;
    refuses(&worker, Code::SignatureMissing).await;
    let saved = admin.deploy(&named("healed"), DeployType::Full).await;
    saved.expect("saved");
    assert_eq!(worker.follow().await.flows, named("healed"));
    assert_eq!((code(&worker), code(&admin)), (None, None));
}

#[tokio::test]
async fn an_admin_without_a_key_is_not_followed() {
    let server = access::server().await;
    let admin = admin(&server).await;
    let worker = worker(&server).await;
    admin
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    worker.follow().await;
    let keyless = Instance::admin(&server).await;
    let saved = keyless.deploy(&named("b"), DeployType::Full).await;
    assert_eq!(saved.expect("saved").number, 2);
    assert_eq!(
        field(&server, "signature").await,
        None,
        "no signature of what was before"
    );
    refuses(&worker, Code::SignatureMissing).await;
    refuses(&admin, Code::SignatureMissing).await;
    let saved = admin.deploy(&named("c"), DeployType::Full).await;
    assert_eq!(saved.expect("over what nobody with a key saved").number, 2);
    assert_eq!(worker.follow().await.flows, named("c"));
}

#[tokio::test]
async fn an_older_revision_is_put_right_by_an_admin_and_followed_by_nobody() {
    let server = access::server().await;
    let first = admin(&server).await;
    let follower = worker(&server).await;
    first
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    follower.follow().await;
    back_up(&server, "old").await;
    first
        .deploy(&named("b"), DeployType::Full)
        .await
        .expect("saved");
    follower.follow().await;
    put_back(&server, "old").await;

    // Starting anew, on the disk that knows of the newer one.
    for role in [Role::Worker, Role::Admin] {
        let disk = match role {
            Role::Worker => &follower.disk,
            Role::Admin => &first.disk,
        };
        let again = keyed(role, &server, &json!(ONE), Some(disk));
        let boot = again.start().await;
        assert_eq!(boot.source, Source::Disk);
        assert_eq!(again.running(), Some(2));
        assert_eq!(code(&again), Some(Code::RevisionReplayed));
    }
    first.flows.wake();
    let job = first.job().await;
    assert!(matches!(job, Job::Refill), "{job:?}");
    first.end(job, Done::Applied).await;
    assert_eq!(field(&server, "number").await.as_deref(), Some("2"));
    follower.rests().await;
    assert_eq!((follower.running(), code(&follower)), (Some(2), None));
}

#[tokio::test]
async fn a_run_state_of_before_is_refused_after_a_restart_too() {
    let server = access::server().await;
    let admin = admin(&server).await;
    let worker = worker(&server).await;
    admin
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    worker.follow().await;
    admin
        .flows
        .publish_state(RunState::Stop)
        .await
        .expect("saved");
    back_up(&server, "stopped").await;
    admin
        .flows
        .publish_state(RunState::Start)
        .await
        .expect("saved");
    worker.rests().await;
    put_back(&server, "stopped").await;
    refuses(&worker, Code::RevisionReplayed).await;
    let again = keyed(Role::Worker, &server, &json!(ONE), Some(&worker.disk));
    let boot = again.start().await;
    assert_eq!(boot.head.map(|head| head.state), Some(RunState::Start));
    assert_eq!(code(&again), Some(Code::RevisionReplayed));

    admin
        .flows
        .publish_state(RunState::Start)
        .await
        .expect("saved");
    worker.rests().await;
    assert_eq!(code(&worker), None);
}

#[tokio::test]
async fn a_new_worker_waits_for_something_signed() {
    let server = access::server().await;
    let keyless = Instance::admin(&server).await;
    keyless
        .deploy(&named("unsigned"), DeployType::Full)
        .await
        .expect("saved");
    let worker = keyed(Role::Worker, &server, &json!(ONE), None);
    let boot = worker.start().await;
    assert_eq!(
        (boot.source, boot.head.is_none()),
        (Source::Unreadable, true)
    );
    refuses(&worker, Code::SignatureMissing).await;

    // Flows without any revision, as the older package left them.
    look(&server, &["DEL", "nodered:revision"]).await;
    let other = keyed(Role::Worker, &server, &json!(ONE), None);
    let boot = other.start().await;
    assert_eq!(boot.source, Source::Unreadable);
    assert_eq!(code(&other), Some(Code::SignatureMissing));

    let admin = keyed(Role::Admin, &server, &json!(ONE), None);
    assert_eq!(admin.start().await.source, Source::Unreadable);
    admin
        .deploy(&named("signed"), DeployType::Full)
        .await
        .expect("saved");
    assert_eq!(worker.follow().await.flows, named("signed"));
    assert_eq!(other.follow().await.flows, named("signed"));
    assert_eq!(code(&worker), None);
}

#[tokio::test]
async fn an_admin_that_gets_a_key_signs_what_it_has_on_its_disk() {
    let server = access::server().await;
    let keyless = Instance::admin(&server).await;
    let saved = keyless.deploy(&named("a"), DeployType::Full).await;
    let saved = saved.expect("saved");
    let worker = worker(&server).await;
    refuses(&worker, Code::SignatureMissing).await;

    let admin = keyed(Role::Admin, &server, &json!(ONE), Some(&keyless.disk));
    assert_eq!(admin.start().await.source, Source::Store);
    assert_eq!(field(&server, "id").await.as_ref(), Some(&saved.id));
    assert_eq!(worker.follow().await.id, saved.id);
}

#[tokio::test]
async fn an_admin_that_gets_a_key_signs_nothing_else() {
    let thefts: [&[&str]; 4] = [
        &["SET", "nodered:credentials", r#"{"$":"forged"}"#],
        &["HSET", "nodered:revision", "user", "eve"],
        &["HSET", "nodered:revision", "state", "stop"],
        &["HSET", "nodered:revision", "id", "another"],
    ];
    for theft in thefts {
        let server = access::server().await;
        let keyless = Instance::admin(&server).await;
        keyless
            .deploy(&named("a"), DeployType::Full)
            .await
            .expect("saved");
        look(&server, theft).await;
        let admin = keyed(Role::Admin, &server, &json!(ONE), Some(&keyless.disk));
        assert_eq!(admin.start().await.source, Source::Disk, "{theft:?}");
        refuses(&admin, Code::SignatureMissing).await;
        assert_eq!(field(&server, "signature").await, None, "{theft:?}");
        let saved = admin.deploy(&named("b"), DeployType::Full).await;
        assert_eq!(saved.expect("saved").number, 2);
        let worker = worker(&server).await;
        assert_eq!((worker.running(), code(&worker)), (Some(2), None));
    }
}

#[tokio::test]
async fn credentials_that_were_changed_alone_come_from_the_history() {
    let server = access::server().await;
    let admin = admin(&server).await;
    admin
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    let good = text(&server, &["GET", "nodered:credentials"]).await;
    for (key, value) in [
        ("nodered:credentials", r#"{"$":"forged"}"#),
        ("nodered:flows", r#"[{"id":"evil","type":"exec"}]"#),
    ] {
        look(&server, &["SET", key, value]).await;
        let worker = keyed(Role::Worker, &server, &json!(ONE), None);
        let content = worker.start().await.content.expect("content");
        assert_eq!(content.flows, named("a"));
        assert_eq!(Some(content.credentials), good);
    }
    // The history too: nothing is left to start with.
    look(&server, &["DEL", "nodered:history:content"]).await;
    let worker = keyed(Role::Worker, &server, &json!(ONE), None);
    assert_eq!(worker.start().await.source, Source::Unreadable);
    assert_eq!(code(&worker), Some(Code::ValueDamaged));
}

#[tokio::test]
async fn a_history_that_was_changed_makes_nobody_restart_too_little() {
    let server = access::server().await;
    let admin = admin(&server).await;
    let worker = keyed(Role::Worker, &server, &json!(ONE), None);
    admin
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    worker.start().await;
    for name in ["b", "c"] {
        let saved = admin.deploy(&named(name), DeployType::Nodes).await;
        saved.expect("saved");
    }
    worker.flows.wake();
    assert_eq!(worker.follow().await.deploy_type, DeployType::Nodes);
    for name in ["d", "e"] {
        let saved = admin.deploy(&named(name), DeployType::Nodes).await;
        saved.expect("saved");
    }
    let third = text(&server, &["HGET", "nodered:history", "3"]).await;
    let third = third.expect("an entry");
    look(&server, &["HSET", "nodered:history", "4", &third]).await;
    worker.flows.wake();
    assert_eq!(worker.follow().await.deploy_type, DeployType::Full);
}

#[tokio::test]
async fn keys_are_changed_one_instance_after_the_other_and_nobody_refuses_anything() {
    let server = access::server().await;
    let mut leading = keyed(Role::Admin, &server, &json!(ONE), None);
    leading.start().await;
    leading
        .deploy(&named("0"), DeployType::Full)
        .await
        .expect("saved");
    let mut following = keyed(Role::Worker, &server, &json!(ONE), None);
    following.start().await;
    let steps = [json!([ONE, TWO]), json!([TWO, ONE]), json!(TWO)];
    for (step, keys) in steps.iter().enumerate() {
        for role in [Role::Admin, Role::Worker] {
            let disk = match role {
                Role::Admin => Arc::clone(&leading.disk),
                Role::Worker => Arc::clone(&following.disk),
            };
            let again = keyed(role, &server, keys, Some(&disk));
            assert_eq!(again.start().await.source, Source::Store, "{keys}");
            match role {
                Role::Admin => leading = again,
                Role::Worker => following = again,
            }
            let name = format!("{step} {role:?}");
            let saved = leading.deploy(&named(&name), DeployType::Full).await;
            saved.expect("saved");
            following.flows.wake();
            assert_eq!(following.follow().await.flows, named(&name));
            assert_eq!((code(&leading), code(&following)), (None, None));
        }
    }
}

#[tokio::test]
async fn a_restart_with_the_new_key_signs_what_the_old_one_signed() {
    let server = access::server().await;
    let before = admin(&server).await;
    before
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    let swapped = keyed(Role::Admin, &server, &json!([TWO, ONE]), Some(&before.disk));
    swapped.start().await;
    let worker = keyed(Role::Worker, &server, &json!(TWO), None);
    worker.start().await;
    assert_eq!((worker.running(), code(&worker)), (Some(1), None));
    let stranger = keyed(Role::Worker, &server, &json!(ONE), None);
    stranger.start().await;
    assert_eq!(
        (stranger.running(), code(&stranger)),
        (None, Some(Code::SignatureInvalid))
    );
}

#[tokio::test]
async fn an_emptied_store_is_refilled_signed_also_by_an_admin_whose_disk_was_not() {
    let server = access::server().await;
    let keyless = Instance::admin(&server).await;
    keyless
        .deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    look(&server, &["FLUSHALL"]).await;
    let admin = keyed(Role::Admin, &server, &json!(ONE), Some(&keyless.disk));
    assert_eq!(admin.start().await.source, Source::Disk);
    admin.flows.wake();
    let job = admin.job().await;
    assert!(matches!(job, Job::Refill), "{job:?}");
    admin.end(job, Done::Applied).await;
    let worker = worker(&server).await;
    assert_eq!((worker.running(), code(&worker)), (Some(1), None));
    look(&server, &["FLUSHALL"]).await;
    admin.flows.wake();
    let job = admin.job().await;
    admin.end(job, Done::Applied).await;
    worker.rests().await;
    admin.rests().await;
    assert_eq!((code(&worker), code(&admin)), (None, None));
}

#[tokio::test]
async fn an_admin_that_lost_its_disk_with_the_store_is_followed_again() {
    let server = access::server().await;
    let lost = admin(&server).await;
    let worker = worker(&server).await;
    for name in ["a", "b", "c"] {
        let saved = lost.deploy(&named(name), DeployType::Full).await;
        saved.expect("saved");
        worker.follow().await;
    }
    drop(lost);
    look(&server, &["FLUSHALL"]).await;
    let fresh = admin(&server).await;
    let saved = fresh.deploy(&named("new"), DeployType::Full).await;
    assert_eq!(saved.expect("saved").number, 1);
    // Its number is lower and its time later; a worker that starts goes by that at once.
    let again = keyed(Role::Worker, &server, &json!(ONE), Some(&worker.disk));
    assert_eq!(again.start().await.source, Source::Store);
    assert_eq!((again.running(), code(&again)), (Some(1), None));
}

#[tokio::test]
async fn of_two_admins_that_start_and_stop_at_once_both_are_believed() {
    let server = access::server().await;
    let one = admin(&server).await;
    one.deploy(&named("a"), DeployType::Full)
        .await
        .expect("saved");
    let other = admin(&server).await;
    let worker = keyed(Role::Worker, &server, &json!(ONE), None);
    worker.start().await;
    for _ in 0..10 {
        let (first, second) = tokio::join!(
            one.flows.publish_state(RunState::Stop),
            other.flows.publish_state(RunState::Start)
        );
        first.expect("saved");
        second.expect("saved");
    }
    let number = field(&server, "stateNumber").await;
    assert_eq!(number.as_deref(), Some("20"));
    until("the worker has no complaint", || async {
        worker.flows.wake();
        code(&worker).is_none()
    })
    .await;
}
