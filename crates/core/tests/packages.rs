//! Packages in a real store: one revision whole or nothing, tarballs while they are needed, one restart at a time.

mod support;

use std::collections::BTreeSet;

use node_red_cluster_core::config::{Compression, Secret, SigningKeys};
use node_red_cluster_core::error::Code;
use node_red_cluster_core::packages::list::PackageList;
use node_red_cluster_core::packages::lock::Lock;
use node_red_cluster_core::packages::permit::RestartPermit;
use node_red_cluster_core::packages::store::{Head, Newest, PackageStore, Published, Saved};
use node_red_cluster_core::packages::tarball::Digest;
use node_red_cluster_core::signing::Keyring;
use serde_json::json;
use support::access::WORKER;
use support::{Store, until};

fn packages(store: &Store) -> PackageStore {
    PackageStore::new(store.connect(), store.keyspace.clone(), Compression::On)
}

fn revision(number: u64, version: &str) -> Published {
    let list = json!({ "packages": { "a": { "version": version } } });
    let lock = json!({ "packages": { "node_modules/a": { "version": version } } });
    Published {
        head: Head {
            number,
            id: format!("id-{number}-{version}"),
            hash: "hash".to_owned(),
            time: "2026-01-01T00:00:00Z".to_owned(),
            instance: "host:1".to_owned(),
        },
        list: PackageList::from_store(&list.to_string()).expect("a list"),
        lock: Lock::from_store(&lock.to_string()).expect("a lock file"),
    }
}

async fn save(packages: &PackageStore, seen: Option<&str>, published: &Published) -> Saved {
    let saved = packages.save(seen, published, &BTreeSet::new()).await;
    saved.expect("an answer")
}

#[tokio::test]
async fn a_revision_is_saved_whole_and_read_as_it_was() {
    let store = Store::start().await;
    let packages = packages(&store);
    assert_eq!(packages.newest().await.expect("an answer"), Newest::Nothing);
    assert_eq!(packages.load().await.expect("an answer"), None);
    let first = revision(1, "1.0.0");
    assert_eq!(save(&packages, None, &first).await, Saved::Saved);
    assert_eq!(
        packages.newest().await.expect("an answer"),
        Newest::Revision(first.head.clone())
    );
    assert_eq!(packages.load().await.expect("content"), Some(first.clone()));
    assert_eq!(
        store.text("nodered:packages").await.as_deref(),
        Some(r#"{"a":"1.0.0"}"#)
    );
    // A repeat, whose reply was lost the first time.
    assert_eq!(save(&packages, None, &first).await, Saved::Saved);
}

#[tokio::test]
async fn of_two_admins_that_save_at_once_one_is_told() {
    let store = Store::start().await;
    let packages = packages(&store);
    let first = revision(1, "1.0.0");
    assert_eq!(save(&packages, None, &first).await, Saved::Saved);
    assert_eq!(
        save(&packages, None, &revision(1, "2.0.0")).await,
        Saved::Mismatch
    );
    let second = revision(2, "2.0.0");
    assert_eq!(
        save(&packages, Some(&first.head.id), &second).await,
        Saved::Saved
    );
    assert_eq!(
        save(&packages, Some(&first.head.id), &revision(2, "3.0.0")).await,
        Saved::Mismatch
    );
    assert_eq!(packages.load().await.expect("content"), Some(second));
}

#[tokio::test]
async fn tarballs_are_there_before_the_revision_that_needs_them_and_go_after_the_next_but_one() {
    let store = Store::start().await;
    let packages = packages(&store);
    let bytes = [&b"one"[..], b"two", b"three"];
    let digest = bytes.map(Digest::of);
    let mut seen: Option<String> = None;
    for (index, bytes) in bytes.iter().enumerate() {
        let number = u64::try_from(index).expect("small") + 1;
        let published = revision(number, "1.0.0");
        let needed = BTreeSet::from([digest[index]]);
        let missing = packages.save(seen.as_deref(), &published, &needed).await;
        assert_eq!(
            missing.expect("an answer"),
            Saved::Missing(vec![digest[index]])
        );
        packages.put(digest[index], bytes).await.expect("room");
        let saved = packages.save(seen.as_deref(), &published, &needed).await;
        assert_eq!(saved.expect("an answer"), Saved::Saved);
        seen = Some(published.head.id);
    }
    let there = |digest| {
        let packages = packages.clone();
        async move { packages.tarball(digest).await.expect("an answer").is_some() }
    };
    assert!(
        !there(digest[0]).await,
        "neither this revision nor the one before needs it"
    );
    assert!(
        there(digest[1]).await,
        "who still installs the one before needs it"
    );
    assert!(there(digest[2]).await);
}

#[tokio::test]
async fn a_tarball_with_other_bytes_than_its_hash_says_is_refused() {
    let store = Store::start().await;
    let packages = packages(&store);
    let digest = Digest::of(b"good");
    let hex = digest.to_string();
    store
        .command(&["HSET", "nodered:packages-tarballs", &hex, "evil"])
        .await;
    let error = packages.tarball(digest).await.expect_err("other bytes");
    assert_eq!(error.code(), Code::ValueDamaged);
}

#[tokio::test]
async fn content_that_is_damaged_or_of_another_revision_is_never_followed() {
    let store = Store::start().await;
    let packages = packages(&store);
    save(&packages, None, &revision(1, "1.0.0")).await;
    let content = "nodered:packages-content";
    for (field, value) in [
        ("id", "another"),
        ("list", r#"{"packages":{"../x":{"version":"1.0.0"}}}"#),
        ("list", r#"{"packages":{"a":{"version":"9.9.9"}}}"#),
        (
            "lock",
            r#"{"packages":{"node_modules/a":{"version":"1.0.0","resolved":"http://evil/x"}}}"#,
        ),
        ("lock", "garbage"),
    ] {
        let before = store.command(&["HGET", content, field]).await;
        store.command(&["HSET", content, field, value]).await;
        let error = packages.load().await.expect_err(value);
        assert_eq!(error.code(), Code::ValueDamaged, "{value}: {error}");
        assert!(error.message().contains(content), "{error}");
        let before = before.bytes().expect("a value").to_vec();
        store
            .command(&[
                b"HSET".as_slice(),
                content.as_bytes(),
                field.as_bytes(),
                &before,
            ])
            .await;
    }
    assert!(packages.load().await.expect("whole again").is_some());
    store.command(&["DEL", "nodered:packages-revision"]).await;
    store.set("nodered:packages-revision", "a string").await;
    assert!(packages.newest().await.is_err());
}

#[tokio::test]
async fn switching_off_is_seen_by_everybody_and_loses_nothing() {
    let store = Store::start().await;
    let packages = packages(&store);
    let first = revision(1, "1.0.0");
    save(&packages, None, &first).await;
    assert!(packages.switch(false).await.expect("an answer"));
    assert!(
        !packages.switch(false).await.expect("an answer"),
        "it was so before"
    );
    assert_eq!(
        packages.newest().await.expect("an answer"),
        Newest::SwitchedOff
    );
    assert!(packages.switch(true).await.expect("an answer"));
    assert_eq!(packages.load().await.expect("content"), Some(first));
}

#[tokio::test]
async fn one_worker_at_a_time_has_the_permit_to_restart() {
    let store = Store::start().await;
    let permit = RestartPermit::new(store.connect_as(WORKER), store.keyspace.clone());
    let take = |place: &'static str, token: &'static str| {
        let permit = permit.clone();
        async move { permit.take("id", place, token).await.expect("an answer") }
    };
    let give_back = |place: &'static str, token: Option<&'static str>| {
        let permit = permit.clone();
        async move { permit.give_back(place, token).await.expect("an answer") }
    };
    assert!(take("host-1", "token-1").await);
    assert!(take("host-1", "token-1").await, "a repeat");
    assert!(!take("host-12", "token-2").await);
    assert!(!give_back("host-12", Some("token-2")).await);
    assert!(!give_back("host-12", None).await, "host-1 is another");
    assert!(give_back("host-1", Some("token-1")).await);
    assert!(take("host-12", "token-2").await);
    assert!(
        give_back("host-12", None).await,
        "a new container knows its id only"
    );
    assert!(!give_back("host-12", None).await);
}

#[tokio::test]
async fn a_worker_that_does_not_come_back_holds_up_the_others_for_a_limited_time() {
    let store = Store::start().await;
    let permit = RestartPermit::new(store.connect_as(WORKER), store.keyspace.clone());
    assert!(
        permit
            .take("host-1", "host:/data", "token-1")
            .await
            .expect("an answer")
    );
    let left = store.command(&["PTTL", "nodered:restart-permit"]).await;
    let left = left.integer().expect("a number");
    assert!((1..=300_000).contains(&left), "{left}");
    store
        .command(&["PEXPIRE", "nodered:restart-permit", "50"])
        .await;
    until("the permit is free", || {
        let permit = permit.clone();
        async move {
            permit
                .take("host-2", "host:/other", "token-2")
                .await
                .expect("an answer")
        }
    })
    .await;
}

const ONE: &str = "one-0123456789abcdef0123456789abcdef";
const TWO: &str = "two-0123456789abcdef0123456789abcdef";

fn signed(store: &Store, signs: &str, accepted: Option<&str>) -> PackageStore {
    let keys = SigningKeys {
        signs: Secret::new(signs),
        accepted: accepted.map(Secret::new),
    };
    packages(store).signed(Some(Keyring::new(&keys, "nodered:")))
}

/// A revision whose hash is that of its content.
fn hashed(number: u64, version: &str) -> Published {
    let mut published = revision(number, version);
    published.head.hash = published.list.hash(&published.lock).expect("a hash");
    published
}

/// Why the newest revision is refused.
async fn refusal(packages: &PackageStore) -> Option<Code> {
    match packages.newest().await.expect("an answer") {
        Newest::Refused { error, .. } => Some(error.code()),
        _ => None,
    }
}

#[tokio::test]
async fn without_a_key_nothing_of_signatures_is_written_or_asked_for() {
    let store = Store::start().await;
    let keyless = packages(&store);
    let keyed = signed(&store, ONE, None);
    save(&keyed, None, &hashed(1, "1.0.0")).await;
    let first = keyless.newest().await.expect("an answer");
    assert!(matches!(first, Newest::Revision(_)), "{first:?}");
    save(
        &keyless,
        Some(&hashed(1, "1.0.0").head.id),
        &revision(2, "2.0.0"),
    )
    .await;
    let fields = store.command(&["HKEYS", "nodered:packages-revision"]).await;
    let mut fields: Vec<_> = fields
        .elements()
        .iter()
        .filter_map(|field| field.text())
        .collect();
    fields.sort_unstable();
    assert_eq!(fields, ["hash", "id", "instance", "number", "sync", "time"]);
    assert_eq!(refusal(&keyed).await, Some(Code::SignatureMissing));
    let error = keyed.load().await.expect_err("refused");
    assert_eq!(error.code(), Code::SignatureMissing);
}

#[tokio::test]
async fn what_a_thief_changes_about_signed_packages_is_refused() {
    let store = Store::start().await;
    let packages = signed(&store, ONE, None);
    let published = hashed(1, "1.0.0");
    save(&packages, None, &published).await;
    assert_eq!(
        packages.load().await.expect("whole"),
        Some(published.clone())
    );
    let head = "nodered:packages-revision";
    for (field, value) in [
        ("number", "2"),
        ("id", "another"),
        ("hash", "another"),
        ("time", "2036-01-01T00:00:00Z"),
        ("instance", "another"),
        ("sync", "off"),
        ("syncTime", "2036-01-01T00:00:00Z"),
        ("syncSignature", "v1:0:0"),
        ("signature", "v1:0:0"),
    ] {
        let before = store.command(&["HGET", head, field]).await;
        let before = before.text().expect("a field").to_owned();
        store.command(&["HSET", head, field, value]).await;
        assert_eq!(
            refusal(&packages).await,
            Some(Code::SignatureInvalid),
            "{field}"
        );
        store.command(&["HSET", head, field, &before]).await;
        assert_eq!(refusal(&packages).await, None, "{field}");
    }
    let content = "nodered:packages-content";
    for (field, value) in [
        (
            "list",
            r#"{"packages":{"a":{"version":"1.0.0"}},"disabled":["a/b"]}"#,
        ),
        (
            "list",
            r#"{"packages":{"a":{"version":"1.0.0"}},"overrides":{"b":"1.0.0"}}"#,
        ),
        ("list", r#"{"packages":{}}"#),
        (
            "lock",
            r#"{"packages":{"node_modules/a":{"version":"1.0.0"},"node_modules/b":{"version":"1.0.0"}}}"#,
        ),
    ] {
        let before = store.command(&["HGET", content, field]).await;
        store.command(&["HSET", content, field, value]).await;
        let error = packages.load().await.expect_err(value);
        assert_eq!(error.code(), Code::SignatureInvalid, "{value}");
        let before = before.bytes().expect("a field").to_vec();
        store
            .command(&[
                b"HSET".as_slice(),
                content.as_bytes(),
                field.as_bytes(),
                &before,
            ])
            .await;
    }
    assert_eq!(packages.load().await.expect("whole"), Some(published));
}

#[tokio::test]
async fn packages_are_switched_off_and_on_by_signature_only() {
    let store = Store::start().await;
    let packages = signed(&store, ONE, None);
    save(&packages, None, &hashed(1, "1.0.0")).await;
    assert!(packages.switch(false).await.expect("switched"));
    assert!(!packages.switch(false).await.expect("so already"));
    assert_eq!(packages.newest().await.expect("off"), Newest::SwitchedOff);
    let head = "nodered:packages-revision";
    let off = ["syncTime", "syncSignature"].map(|field| (field, ["HGET", head, field]));
    let mut stolen = Vec::new();
    for (field, words) in off {
        let value = store.command(&words).await;
        stolen.push((field, value.text().expect("a field").to_owned()));
    }
    assert!(packages.switch(true).await.expect("switched"));
    assert_eq!(refusal(&packages).await, None);
    store.command(&["HSET", head, "sync", "off"]).await;
    for (field, value) in &stolen {
        store.command(&["HSET", head, field, value]).await;
    }
    assert_eq!(refusal(&packages).await, Some(Code::RevisionReplayed));
}

#[tokio::test]
async fn the_next_revision_takes_the_place_of_one_that_is_refused() {
    let store = Store::start().await;
    let strangers = signed(&store, TWO, None);
    save(&strangers, None, &hashed(7, "7.0.0")).await;
    let packages = signed(&store, ONE, None);
    let Newest::Refused { id, error } = packages.newest().await.expect("an answer") else {
        panic!("it is signed with another key");
    };
    assert_eq!(error.code(), Code::SignatureInvalid);
    assert_eq!(
        save(&packages, Some(&id), &hashed(2, "2.0.0")).await,
        Saved::Saved
    );
    assert_eq!(refusal(&packages).await, None);
    assert_eq!(refusal(&signed(&store, TWO, Some(ONE))).await, None);
}
