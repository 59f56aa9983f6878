//! The cluster's credential secret on a real server: agreed on once, whoever comes first.

mod support;

use node_red_cluster_core::config::{Role, Secret};
use node_red_cluster_core::credentials::{ClusterSecret, Configured, Key, establish};
use node_red_cluster_core::error::{Code, Result};
use node_red_cluster_testkit::Value;
use support::Store;
use tokio::task::JoinSet;

fn text(secret: &str) -> Configured {
    Configured::Text(Secret::new(secret))
}

async fn ask(store: &Store, configured: &Configured, role: Role) -> Result<Option<ClusterSecret>> {
    establish(
        &store.connect(),
        &store.keyspace,
        configured,
        role,
        Vec::new(),
    )
    .await
}

async fn admin(store: &Store, configured: &Configured) -> ClusterSecret {
    let secret = ask(store, configured, Role::Admin).await.expect("a secret");
    secret.expect("an admin creates one")
}

#[tokio::test]
async fn ten_admins_that_start_at_once_have_one_secret() {
    let store = Store::start().await;
    let mut admins = JoinSet::new();
    for _ in 0..10 {
        let (connection, keyspace) = (store.connect(), store.keyspace.clone());
        admins.spawn(async move {
            establish(
                &connection,
                &keyspace,
                &Configured::Unset,
                Role::Admin,
                Vec::new(),
            )
            .await
        });
    }
    let mut texts: Vec<String> = Vec::new();
    for secret in admins.join_all().await {
        let secret = secret.expect("a secret").expect("an admin creates one");
        texts.push(secret.generated().expect("a generated one").to_owned());
    }
    texts.dedup();
    assert_eq!(texts.len(), 1);
    assert_eq!(
        store
            .command(&["HGET", "nodered:secret", "generated"])
            .await
            .text(),
        Some(texts[0].as_str())
    );
}

#[tokio::test]
async fn a_worker_creates_none_and_finds_the_admins() {
    let store = Store::start().await;
    let none = ask(&store, &Configured::Unset, Role::Worker).await;
    assert_eq!(none.expect("an answer"), None);
    assert_eq!(
        store.command(&["EXISTS", "nodered:secret"]).await.integer(),
        Some(0)
    );

    let created = admin(&store, &Configured::Unset).await;
    let found = ask(&store, &Configured::Unset, Role::Worker).await;
    assert_eq!(found.expect("an answer"), Some(created));
}

#[tokio::test]
async fn a_configured_secret_is_never_in_the_store() {
    let store = Store::start().await;
    let secret = admin(&store, &text("my own words")).await;
    let fields = store.command(&["HGETALL", "nodered:secret"]).await;
    let fields: Vec<&str> = fields.elements().iter().filter_map(Value::text).collect();
    assert_eq!(fields.len(), 4, "{fields:?}");
    assert!(fields.contains(&secret.fingerprint()), "{fields:?}");
    assert!(!fields.contains(&"my own words"), "{fields:?}");
    assert_eq!(
        store
            .command(&["HEXISTS", "nodered:secret", "generated"])
            .await
            .integer(),
        Some(0)
    );
    let created = store.command(&["HGET", "nodered:secret", "created"]).await;
    assert!(
        created.text().is_some_and(|time| time.ends_with('Z')),
        "{created:?}"
    );
}

#[tokio::test]
async fn a_secret_that_node_red_generated_earlier_is_adopted_unless_the_cluster_has_one() {
    let store = Store::start().await;
    let encrypted = Key::from_secret(&Secret::new("old"))
        .encrypt(r#"{"n":{"password":"p"}}"#)
        .expect("encrypted");
    let mut adopted = None;
    for candidate in ["old", "another"] {
        adopted = establish(
            &store.connect(),
            &store.keyspace,
            &Configured::Unset,
            Role::Admin,
            vec![Secret::new(candidate)],
        )
        .await
        .expect("a secret");
    }
    let adopted = adopted.expect("an admin creates one");
    assert_eq!(adopted.generated(), Some("old"));
    assert_eq!(
        adopted.decrypt(&encrypted).expect("readable"),
        r#"{"n":{"password":"p"}}"#
    );
}

#[tokio::test]
async fn whoever_disagrees_is_refused_and_changes_nothing() {
    let store = Store::start().await;
    admin(&store, &text("right")).await;
    let before = store.command(&["HGETALL", "nodered:secret"]).await;
    for configured in [text("wrong"), Configured::Unset, Configured::Disabled] {
        for role in [Role::Admin, Role::Worker] {
            let error = ask(&store, &configured, role).await.expect_err("refused");
            assert_eq!(error.code(), Code::SecretMismatch);
            assert!(error.message().contains("as on the admin"), "{error}");
        }
    }
    assert_eq!(store.command(&["HGETALL", "nodered:secret"]).await, before);
}

#[tokio::test]
async fn an_emptied_store_gets_its_secret_back() {
    let store = Store::start().await;
    let connection = store.connect();
    let secret = admin(&store, &Configured::Unset).await;
    store.command(&["FLUSHALL"]).await;

    secret
        .restore(&connection, &store.keyspace)
        .await
        .expect("restored");
    secret
        .restore(&connection, &store.keyspace)
        .await
        .expect("twice is as good as once");
    let found = ask(&store, &Configured::Unset, Role::Worker).await;
    assert_eq!(found.expect("an answer"), Some(secret.clone()));

    store.command(&["FLUSHALL"]).await;
    admin(&store, &text("another")).await;
    let error = secret
        .restore(&connection, &store.keyspace)
        .await
        .expect_err("refused");
    assert_eq!(error.code(), Code::SecretMismatch);
}

#[tokio::test]
async fn a_secret_that_lost_its_fingerprint_is_made_anew() {
    let store = Store::start().await;
    store
        .command(&["HSET", "nodered:secret", "generated", "left over"])
        .await;
    let secret = admin(&store, &text("mine")).await;
    assert_eq!(secret.generated(), None);
    let worker = ask(&store, &text("mine"), Role::Worker).await;
    assert_eq!(worker.expect("an answer"), Some(secret));
}
