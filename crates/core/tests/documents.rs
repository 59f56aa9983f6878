//! Settings and sessions on a real server: what two savers save at once is kept, of both.

mod support;

use std::io::Read as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use node_red_cluster_core::config::Compression;
use node_red_cluster_core::documents::Documents;
use node_red_cluster_core::error::Code;
use support::Store;
use tokio::task::JoinSet;

const DAY: Duration = Duration::from_secs(86_400);

fn documents_with(store: &Store, compression: Compression) -> Documents {
    Documents::new(store.connect(), store.keyspace.clone(), compression, DAY)
}

fn documents(store: &Store) -> Documents {
    documents_with(store, Compression::Off)
}

fn in_an_hour() -> u128 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("a clock").as_millis() + 3_600_000
}

fn session(token: &str) -> String {
    format!(
        r#"{{"{token}":{{"user":"ada","expires":{}}}}}"#,
        in_an_hour()
    )
}

fn keys_of(json: &str) -> Vec<String> {
    let object: serde_json::Value = serde_json::from_str(json).expect("JSON");
    object
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect()
}

#[tokio::test]
async fn settings_are_saved_as_they_are_and_nothing_is_there_before() {
    let store = Store::start().await;
    let documents = documents(&store);
    assert_eq!(documents.settings().await.expect("an answer"), None);
    let mine = r#"{"z":{"n":9007199254740993,"e":1e21},"a":[],"__proto__":{"x":1}}"#;
    assert_eq!(
        documents.save_settings("{}", mine).await.expect("saved"),
        mine
    );
    assert_eq!(
        documents.settings().await.expect("an answer").as_deref(),
        Some(mine)
    );
    assert_eq!(store.text("nodered:settings").await.as_deref(), Some(mine));
    assert_eq!(
        store.command(&["TTL", "nodered:settings"]).await.integer(),
        Some(-1)
    );
}

#[tokio::test]
async fn two_admins_that_save_settings_at_once_lose_nothing() {
    const SAVES: usize = 40;
    let store = Store::start().await;
    let mut admins = JoinSet::new();
    for admin in ["one", "two"] {
        let documents = documents(&store);
        admins.spawn(async move {
            let mut base = "{}".to_owned();
            for save in 0..SAVES {
                // Each adds to what it saw: a section, and a user in the section that both write.
                let mut mine: serde_json::Value = serde_json::from_str(&base).expect("JSON");
                mine[format!("{admin}-{save}")] = save.into();
                mine["users"][format!("{admin}-{save}")] = save.into();
                base = documents
                    .save_settings(&base, &mine.to_string())
                    .await
                    .expect("saved");
            }
        });
    }
    admins.join_all().await;
    let stored = store.text("nodered:settings").await.expect("settings");
    let stored: serde_json::Value = serde_json::from_str(&stored).expect("JSON");
    for admin in ["one", "two"] {
        for save in 0..SAVES {
            let name = format!("{admin}-{save}");
            assert_eq!(stored[&name], save, "{name}");
            assert_eq!(stored["users"][&name], save, "{name}");
        }
    }
}

#[tokio::test]
async fn sections_that_others_changed_are_kept_and_ones_that_i_removed_are_gone() {
    let store = Store::start().await;
    let documents = documents(&store);
    let base = r#"{"a":1,"b":1,"c":1}"#;
    store
        .set("nodered:settings", r#"{"a":1,"b":2,"c":1,"d":4}"#)
        .await;
    let merged = documents.save_settings(base, r#"{"a":9,"b":1}"#).await;
    assert_eq!(merged.expect("saved"), r#"{"a":9,"b":2,"d":4}"#);
}

#[tokio::test]
async fn settings_of_the_older_package_are_read_and_saved_compressed() {
    let store = Store::start().await;
    let documents = documents_with(&store, Compression::On);
    // printf '{"a":1}' | gzip -n | base64 -w0
    store
        .set(
            "nodered:settings",
            "gzip:H4sIAAAAAAAAA6tWSlSyMqwFAK+sG1YHAAAA",
        )
        .await;
    let base = documents.settings().await.expect("read").expect("settings");
    assert_eq!(base, r#"{"a":1}"#);

    let large = format!(r#"{{"a":1,"b":"{}"}}"#, "x".repeat(5000));
    documents.save_settings(&base, &large).await.expect("saved");
    let stored = store.command(&["GET", "nodered:settings"]).await;
    let stored = stored.bytes().expect("bytes");
    assert!(stored.len() < 500, "{}", stored.len());
    let mut text = String::new();
    flate2::read::GzDecoder::new(stored)
        .read_to_string(&mut text)
        .expect("gzip");
    assert_eq!(text, large);
    assert_eq!(documents.settings().await.expect("read"), Some(large));
}

#[tokio::test]
async fn damaged_settings_are_an_error_that_names_them_and_the_next_save_heals_them() {
    let store = Store::start().await;
    let documents = documents(&store);
    for damaged in [
        &b"{\"a\":"[..],
        b"[]",
        b"\xff",
        b"\x1f\x8b\x08",
        b"gzip:AAAA",
        b"",
    ] {
        store.set("nodered:settings", damaged).await;
        let error = documents.settings().await.expect_err("damaged");
        assert_eq!(error.code(), Code::ValueDamaged, "{damaged:?}");
        assert!(error.message().contains("nodered:settings"), "{error}");
    }
    documents
        .save_settings("{}", r#"{"a":1}"#)
        .await
        .expect("saved");
    assert_eq!(
        store.text("nodered:settings").await.as_deref(),
        Some(r#"{"a":1}"#)
    );
}

#[tokio::test]
async fn a_save_into_an_emptied_store_writes_all_that_the_admin_has() {
    let store = Store::start().await;
    let documents = documents(&store);
    let mine = r#"{"a":1,"b":2}"#;
    documents.save_settings("{}", mine).await.expect("saved");
    store.command(&["FLUSHALL"]).await;
    documents.save_settings(mine, mine).await.expect("saved");
    assert_eq!(store.text("nodered:settings").await.as_deref(), Some(mine));
}

#[tokio::test]
async fn what_is_not_an_object_is_not_saved() {
    let store = Store::start().await;
    let documents = documents(&store);
    for text in ["", "[]", "null", "{"] {
        let error = documents.save_settings("{}", text).await.expect_err(text);
        assert_eq!(error.code(), Code::InvalidRequest);
        let error = documents.save_sessions("{}", text).await.expect_err(text);
        assert_eq!(error.code(), Code::InvalidRequest);
    }
    assert_eq!(store.command(&["DBSIZE"]).await.integer(), Some(0));
}

#[tokio::test]
async fn logins_at_two_admins_at_once_are_all_kept() {
    const LOGINS: usize = 30;
    let store = Store::start().await;
    let mut admins = JoinSet::new();
    for admin in ["one", "two"] {
        let documents = documents(&store);
        admins.spawn(async move {
            // An admin that never learns of the other's sessions, as Node-RED reads them once.
            let mut base = serde_json::json!({});
            for login in 0..LOGINS {
                let mut mine = base.clone();
                mine[format!("{admin}-{login}")] =
                    serde_json::json!({ "user": admin, "expires": in_an_hour() as u64 });
                documents
                    .save_sessions(&base.to_string(), &mine.to_string())
                    .await
                    .expect("saved");
                base = mine;
            }
        });
    }
    admins.join_all().await;
    let stored = documents(&store).sessions().await.expect("sessions");
    assert_eq!(keys_of(&stored).len(), 2 * LOGINS);
}

#[tokio::test]
async fn sessions_have_a_lifetime_and_expired_ones_go() {
    let store = Store::start().await;
    let documents = documents(&store);
    assert_eq!(documents.sessions().await.expect("an answer"), "{}");
    store
        .set(
            "nodered:sessions",
            r#"{"old":{"user":"eve","expires":1000}}"#,
        )
        .await;
    let mine = session("new");
    let merged = documents.save_sessions("{}", &mine).await.expect("saved");
    assert_eq!(merged, mine);
    assert_eq!(documents.sessions().await.expect("sessions"), mine);
    let ttl = store.command(&["TTL", "nodered:sessions"]).await.integer();
    assert!(
        ttl.is_some_and(|ttl| (86_300..=86_400).contains(&ttl)),
        "{ttl:?}"
    );
}

#[tokio::test]
async fn a_logout_removes_the_session_everywhere() {
    let store = Store::start().await;
    let documents = documents(&store);
    let one = session("one");
    documents.save_sessions("{}", &one).await.expect("saved");
    documents
        .save_sessions("{}", &session("two"))
        .await
        .expect("saved");
    let merged = documents.save_sessions(&one, "{}").await.expect("saved");
    assert_eq!(keys_of(&merged), ["two"]);
}

#[tokio::test]
async fn damaged_sessions_mean_logging_in_again() {
    let store = Store::start().await;
    let documents = documents(&store);
    store.set("nodered:sessions", "{\"a\":").await;
    assert_eq!(documents.sessions().await.expect("an answer"), "{}");
    let mine = session("a");
    assert_eq!(
        documents.save_sessions("{}", &mine).await.expect("saved"),
        mine
    );
}
