//! Values that decompress to 1 GB, and others that are too long: each is refused at its limit by an error that names
//! the key and the limit, and the process never holds so much.

mod support;

use std::io::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use node_red_cluster_core::config::{Compression, parse_context};
use node_red_cluster_core::context::{Context, Patience};
use node_red_cluster_core::documents::Documents;
use node_red_cluster_core::error::{Code, Error};
use node_red_cluster_core::flows::content::Content;
use node_red_cluster_core::flows::store::RevisionStore;
use node_red_cluster_core::keyspace::Scope;
use node_red_cluster_core::packages::store::PackageStore;
use support::access::{WORKER, logged_in};
use support::{Store, block};

/// What the bomb decompresses to.
const CONTENT: usize = 1 << 30;

/// What this process may hold at its peak, tests at once and the store's copies of the bomb included.
#[cfg(target_os = "linux")]
const PEAK: usize = 512 << 20;

/// About 1 MB.
fn bomb() -> &'static [u8] {
    static BOMB: OnceLock<Vec<u8>> = OnceLock::new();
    BOMB.get_or_init(|| {
        let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
        let blanks = vec![b' '; 1 << 20];
        for _ in 0..CONTENT >> 20 {
            encoder.write_all(&blanks).expect("memory");
        }
        encoder.finish().expect("memory")
    })
}

/// That an error refuses a value at its limit, and says where.
#[track_caller]
fn refused(error: &Error, key: &str, limit: usize) {
    assert_eq!(error.code(), Code::ValueTooLarge, "{error}");
    assert!(error.message().contains(key), "{error}");
    assert!(error.message().contains(&limit.to_string()), "{error}");
    #[cfg(target_os = "linux")]
    assert!(peak() < PEAK, "the process held {} bytes", peak());
}

/// The most that this process ever had in memory, in bytes.
#[cfg(target_os = "linux")]
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    let kilobytes: usize = kilobytes
        .and_then(|text| text.parse().ok())
        .expect("a size");
    kilobytes * 1024
}

fn documents(store: &Store) -> Documents {
    let day = Duration::from_secs(86_400);
    Documents::new(
        store.connect(),
        store.keyspace.clone(),
        Compression::Off,
        day,
    )
}

#[tokio::test]
async fn documents_and_the_library_refuse_a_bomb() {
    let store = Store::start().await;
    let documents = documents(&store);
    let limit = 16 << 20;
    store.set("nodered:settings", bomb()).await;
    let error = documents.settings().await.expect_err("a bomb");
    refused(&error, "nodered:settings", limit);
    let error = documents
        .save_settings("{}", "{}")
        .await
        .expect_err("a bomb");
    refused(&error, "nodered:settings", limit);
    store.set("nodered:sessions", bomb()).await;
    let error = documents.sessions().await.expect_err("a bomb");
    refused(&error, "nodered:sessions", limit);
    let key = store.keyspace.library_entry("functions", "a");
    store.set(&key, bomb()).await;
    let error = documents.library_entry("functions", "a").await;
    refused(&error.expect_err("a bomb"), &key, limit);
}

#[tokio::test]
async fn a_document_that_is_too_long_is_not_even_read() {
    let store = Store::start().await;
    let length = 100 << 20;
    // Made in the server: nothing of it is ever here.
    let last = (length - 1).to_string();
    store
        .command(&["SETRANGE", "nodered:settings", &last, "x"])
        .await;
    let error = documents(&store).settings().await.expect_err("too long");
    refused(&error, "nodered:settings", 16 << 20);
    assert!(error.message().contains(&length.to_string()), "{error}");
}

#[tokio::test]
async fn flows_credentials_and_the_history_refuse_a_bomb() {
    let store = Store::start().await;
    let revisions = RevisionStore::new(store.connect(), store.keyspace.clone(), Compression::Off);
    let limit = 256 << 20;
    store.set("nodered:flows", bomb()).await;
    let stored = revisions.load().await.expect("an answer").content;
    let error = stored.expect("a content").expect_err("a bomb");
    refused(&error, "nodered:flows", limit);
    store.set("nodered:flows", "[]").await;
    store.set("nodered:credentials", bomb()).await;
    let stored = revisions.load().await.expect("an answer").content;
    let error = stored.expect("a content").expect_err("a bomb");
    refused(&error, "nodered:credentials", limit);
    let put: [&[u8]; 4] = [b"HSET", b"nodered:history:content", b"7", bomb()];
    store.command(&put).await;
    let archive = revisions.archive(7).await.expect("an answer");
    let error = Content::from_archive(&archive.expect("an archive")).expect_err("a bomb");
    refused(&error, "", limit);
}

#[tokio::test]
async fn packages_refuse_a_bomb() {
    let store = Store::start().await;
    let packages = PackageStore::new(store.connect(), store.keyspace.clone(), Compression::Off);
    let key = store.keyspace.packages_content();
    let revision = store.keyspace.packages_revision();
    store
        .command(&["HSET", &revision, "number", "1", "id", "x"])
        .await;
    // About 1 MB, which a lock file may have.
    let content: Vec<&[u8]> = vec![
        b"HSET",
        key.as_bytes(),
        b"id",
        b"x",
        b"list",
        br#"{"packages":{}}"#,
        b"lock",
        bomb(),
    ];
    store.command(&content).await;
    let error = packages.load().await.expect_err("a bomb");
    refused(&error, &key, 8 << 20);
    store.set(&store.keyspace.packages_types(), bomb()).await;
    let error = packages.types().await.expect_err("a bomb");
    refused(&error, "", 1 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn context_refuses_a_bomb() {
    let store = Store::start().await;
    let block = logged_in(block(store.server.address()), WORKER);
    let parsed = parse_context(&block.to_string(), "null", &|_| None).expect("settings");
    let context = Context::open(parsed.config, Box::new(|| {}), Box::new(|| None));
    let context = context.expect("a context");
    context.ready(Patience::Endless).await.expect("the store");
    let scope = Scope::new("global".to_owned());
    store
        .set(&store.keyspace.context_value(&scope, "name"), bomb())
        .await;
    let read = tokio::task::spawn_blocking({
        let context = context.clone();
        move || context.read_now(&scope, vec!["name".to_owned()])
    });
    let error = read.await.expect("no panic").expect_err("a bomb");
    // `maxValueBytes`, and the stamp of an update beside the text.
    refused(&error, "name", (64 << 20) + 64);
    context.close().await;
}
