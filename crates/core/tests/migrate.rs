//! Context in the shapes in which the older package wrote it gets its place, on a real server.

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};

use node_red_cluster_core::connection::Connection;
use node_red_cluster_core::context::migrate::{
    Action, Conflicts, Counts, Event, Finding, Migration, Proceed, Reason, Report,
};
use node_red_cluster_core::error::Code;
use node_red_cluster_core::keyspace::{Keyspace, Scope};
use node_red_cluster_testkit::{Proxy, Value};
use support::{BRIEF, PATIENT, Store, access, block, configuration, open};
use tokio::sync::oneshot;

const GLOBAL: &str = "nodered:context:global:";
const GLOBAL_TWICE: &str = "nodered:nodered:context:global:";

/// A store with what the older package left, and what a migration says about it.
struct Older {
    store: Store,
    connection: Connection,
}

/// How a migration went.
struct Run {
    report: Report,
    findings: Vec<Finding>,
}

impl Run {
    fn total(&self) -> Counts {
        self.report.total()
    }

    fn reason(&self, key: &str) -> &Reason {
        let found = self.findings.iter().find(|finding| finding.key == key);
        let Some(found) = found else {
            panic!("{key} is not among {:?}", self.findings);
        };
        &found.reason
    }
}

impl Older {
    async fn start() -> Self {
        let store = Store::start().await;
        let connection = store.connect();
        Self { store, connection }
    }

    /// Writes strings as the older package did: many in one command, or it would take minutes.
    async fn write(&self, values: impl IntoIterator<Item = (String, String)>) {
        let values: Vec<_> = values.into_iter().collect();
        for part in values.chunks(5000) {
            let mut command = vec!["MSET"];
            command.extend(part.iter().flat_map(|(key, value)| [&**key, &**value]));
            self.store.command(&command).await;
        }
    }

    async fn migrate(&self, action: Action, conflicts: Conflicts) -> Run {
        migrate(&self.connection, &self.store.keyspace, action, conflicts).await
    }

    async fn apply(&self) -> Run {
        self.migrate(Action::Apply, Conflicts::Keep).await
    }

    async fn names(&self, key: &str) -> Vec<String> {
        texts(&self.store.command(&["ZRANGE", key, "0", "-1"]).await)
    }

    async fn scopes(&self) -> Vec<String> {
        let scopes = self.store.command(&["SMEMBERS", "nodered:context-scopes"]);
        let mut scopes = texts(&scopes.await);
        scopes.sort();
        scopes
    }

    /// Every key with the server's own image of its value.
    async fn everything(&self) -> BTreeMap<String, Value> {
        let keys = texts(&self.store.command(&["KEYS", "*"]).await);
        let mut client = self.store.server.connect().await.expect("a client");
        let mut everything = BTreeMap::new();
        for key in keys {
            let image = client.command(&["DUMP", &key]).await.expect("an image");
            everything.insert(key, image);
        }
        everything
    }
}

fn texts(value: &Value) -> Vec<String> {
    let texts = value.elements().iter().map(|text| text.text());
    texts.map(|text| text.expect("text").to_owned()).collect()
}

async fn migrate(
    connection: &Connection,
    keyspace: &Keyspace,
    action: Action,
    conflicts: Conflicts,
) -> Run {
    let mut migration = Migration::new(connection, keyspace, action, conflicts);
    let mut findings = Vec::new();
    let done = migration.run(|event| {
        if let Event::Found(finding) = event {
            findings.push(finding);
        }
        Proceed::Yes
    });
    done.await.expect("a migration");
    assert!(migration.report().complete);
    Run {
        report: migration.report().clone(),
        findings,
    }
}

/// How long the server worked on a call of a command, on average.
fn microseconds_per_call(statistics: &str, command: &str) -> f64 {
    let begin = format!("cmdstat_{command}:");
    let line = statistics.lines().find(|line| line.starts_with(&begin));
    let time = line.and_then(|line| line.split("usec_per_call=").nth(1)?.split(',').next());
    let time = time.unwrap_or_else(|| panic!("{command} is not in {statistics}"));
    time.parse().expect("a number")
}

/// Work of somebody else that a migration waits for at a certain point.
struct Interlude {
    begin: Option<oneshot::Sender<()>>,
    end: mpsc::Receiver<()>,
}

impl Interlude {
    fn new(work: impl Future<Output = ()> + Send + 'static) -> Self {
        let (begin, begun) = oneshot::channel();
        let (ended, end) = mpsc::channel();
        tokio::spawn(async move {
            begun.await.expect("the migration reaches that point");
            work.await;
            ended.send(()).expect("the migration waits");
        });
        let begin = Some(begin);
        Self { begin, end }
    }

    /// Lets it happen, once.
    fn happen(&mut self) {
        if let Some(begin) = self.begin.take() {
            begin.send(()).expect("it waits");
            tokio::task::block_in_place(|| self.end.recv().expect("it did its work"));
        }
    }
}

fn pairs(prefix: &str, names: impl IntoIterator<Item = usize>) -> Vec<(String, String)> {
    let names = names.into_iter();
    names
        .map(|name| (format!("{prefix}k{name:05}"), format!("{{\"n\":{name}}}")))
        .collect()
}

#[tokio::test]
async fn properties_of_every_scope_are_registered_in_the_order_of_their_names() {
    let older = Older::start().await;
    for (key, value) in [
        ("nodered:context:global:b", "1"),
        ("nodered:context:global:a", r#"{"x":[]}"#),
        ("nodered:context:flow:f1:count", "2"),
        ("nodered:context:node:n1:f1:a:b", "\"colon\""),
        // printf '"zipped"' | gzip -n | base64 -w0
        (
            "nodered:context:global:zipped",
            "gzip:H4sIAAAAAAAAA1OqyiwoSE1RAgBqzZKxCAAAAA==",
        ),
    ] {
        older.store.set(key, value).await;
    }
    let before = older.everything().await;
    let run = older.apply().await;
    assert_eq!(run.findings, []);
    assert_eq!(run.total().registered, 5);
    assert_eq!(run.report.scopes[&Scope::new("global")].registered, 3);
    let global = older.names("nodered:context-names:global").await;
    assert_eq!(global, ["a", "b", "zipped"]);
    let node = older.names("nodered:context-names:node:n1:f1").await;
    assert_eq!(node, ["a:b"]);
    assert_eq!(older.scopes().await, ["f1", "global", "n1:f1"]);
    let after = older.everything().await;
    for (key, value) in before {
        assert_eq!(after[&key], value, "{key} is as it was");
    }
}

#[tokio::test]
async fn a_preview_says_what_applying_does_and_changes_nothing() {
    let older = Older::start().await;
    older.write(pairs(GLOBAL, 0..150)).await;
    older.write(pairs(GLOBAL_TWICE, 100..250)).await;
    older.store.set(&format!("{GLOBAL}k00100"), "other").await;
    older.store.set(&format!("{GLOBAL}k00101"), "101").await;
    older.store.set(&format!("{GLOBAL}a[0]"), "1").await;
    for conflicts in [Conflicts::Keep, Conflicts::Overwrite] {
        let before = older.everything().await;
        let preview = older.migrate(Action::Preview, conflicts).await;
        assert_eq!(older.everything().await, before);
        let applied = older.migrate(Action::Apply, conflicts).await;
        assert_eq!(applied.report, preview.report, "{conflicts:?}");
        assert_eq!(applied.findings, preview.findings, "{conflicts:?}");
    }
    assert_eq!(older.apply().await.total().changed(), 0);
}

#[tokio::test]
async fn keys_with_the_prefix_twice_are_moved_whole() {
    let older = Older::start().await;
    let large = format!("\"{}\"", "x".repeat(3_000_000));
    for (scope, value) in [
        ("global:a", "1"),
        ("flow:f1:a", &large),
        ("node:n1:f1:a", r#"{"a":{"b":1}}"#),
    ] {
        let key = format!("nodered:nodered:context:{scope}");
        older.store.set(&key, value).await;
    }
    let ttl = ["EXPIRE", "nodered:nodered:context:global:a", "1000"];
    older.store.command(&ttl).await;
    let run = older.apply().await;
    assert_eq!(run.total().moved, 3);
    assert_eq!(run.findings, []);
    let read = older.store.text("nodered:context:flow:f1:a").await;
    assert_eq!(read.as_deref(), Some(large.as_str()));
    let ttl = older.store.command(&["TTL", "nodered:context:global:a"]);
    assert!(ttl.await.integer() > Some(900), "its lifetime is kept");
    let left = older.store.command(&["KEYS", "nodered:nodered:*"]).await;
    assert_eq!(left.elements(), []);
    assert_eq!(older.names("nodered:context-names:flow:f1").await, ["a"]);
    assert_eq!(older.scopes().await, ["f1", "global", "n1:f1"]);
}

#[tokio::test]
async fn another_value_is_written_over_only_when_asked_for() {
    let older = Older::start().await;
    let (a, b) = (format!("{GLOBAL}a"), format!("{GLOBAL}b"));
    let (a_twice, b_twice) = (format!("{GLOBAL_TWICE}a"), format!("{GLOBAL_TWICE}b"));
    older.store.set(&a, "2").await;
    older.store.set(&a_twice, "1").await;
    older.store.set(&b, "[1]").await;
    older.store.set(&b_twice, "[1]").await;

    let kept = older.apply().await;
    assert_eq!((kept.total().conflicts, kept.total().dropped), (1, 1));
    assert_eq!(kept.reason(&a_twice), &Reason::OtherValue);
    assert_eq!(kept.findings.len(), 1);
    assert_eq!(older.store.text(&a).await.as_deref(), Some("2"));
    assert_eq!(older.store.text(&a_twice).await.as_deref(), Some("1"));
    assert_eq!(older.store.text(&b).await.as_deref(), Some("[1]"));
    assert_eq!(older.store.text(&b_twice).await, None);

    let asked = older.migrate(Action::Apply, Conflicts::Overwrite).await;
    assert_eq!((asked.total().replaced, asked.findings), (1, Vec::new()));
    assert_eq!(older.store.text(&a).await.as_deref(), Some("1"));
    assert_eq!(older.store.text(&a_twice).await, None);
}

#[tokio::test]
async fn what_is_not_understood_is_reported_and_left() {
    let older = Older::start().await;
    let cases: [(&str, &[u8]); 9] = [
        // set('a[0].b', 1) and set('a["x.y"]', 1) of the older package.
        ("nodered:context:global:a[0]", br#"{"b":1}"#),
        ("nodered:context:global:a[\"x", br#"{"y\"]":1}"#),
        ("nodered:nodered:context:flow:f1:a[1]", b"1"),
        // set('gone', undefined) of the older package.
        ("nodered:context:global:gone", b""),
        ("nodered:context:global:text", b"no JSON"),
        ("nodered:nodered:context:global:cut", b"{\"a\":"),
        ("nodered:context:global:bytes", b"\"\xff\""),
        ("nodered:context:global:zip", b"gzip:bm8="),
        ("nodered:context:what:is", b"1"),
    ];
    for (key, value) in cases {
        older.store.set(key, value).await;
    }
    let nobody = format!("{GLOBAL}{}", "n".repeat(1025));
    older.store.set(&nobody, "1").await;
    let before = older.everything().await;
    let run = older.apply().await;
    assert_eq!(older.everything().await, before);
    assert_eq!(run.total().undecided(), 10);
    assert_eq!(run.total().changed(), 0);
    assert_eq!(run.report.without_scope, 1);
    for (key, _) in &cases[..3] {
        assert_eq!(run.reason(key), &Reason::Expression);
    }
    for (key, _) in &cases[3..8] {
        assert!(matches!(run.reason(key), Reason::Value(_)), "{key}");
    }
    assert!(matches!(run.reason(cases[8].0), Reason::Key(_)));
    assert!(matches!(run.reason(&nobody), Reason::Key(_)));
}

#[tokio::test]
async fn keys_of_another_type_are_reported_and_left() {
    let older = Older::start().await;
    let (list, hash) = (format!("{GLOBAL}list"), format!("{GLOBAL_TWICE}hash"));
    let (set, value) = (format!("{GLOBAL}a"), format!("{GLOBAL_TWICE}a"));
    older.store.command(&["RPUSH", &list, "1"]).await;
    older.store.command(&["HSET", &hash, "a", "1"]).await;
    older.store.command(&["SADD", &set, "1"]).await;
    older.store.set(&value, "1").await;
    let before = older.everything().await;
    let run = older.migrate(Action::Apply, Conflicts::Overwrite).await;
    assert_eq!(older.everything().await, before);
    assert_eq!(run.reason(&list), &Reason::Type("list".to_owned()));
    assert_eq!(run.reason(&hash), &Reason::Type("hash".to_owned()));
    assert_eq!(run.reason(&set), &Reason::Type("set".to_owned()));
    assert_eq!(run.reason(&value), &Reason::OtherType("set".to_owned()));
    assert_eq!((run.total().conflicts, run.total().left), (1, 3));
}

#[tokio::test]
async fn names_set_since_keep_their_time_and_come_after_those_found() {
    let older = Older::start().await;
    older.write(pairs(GLOBAL, [3, 1, 2])).await;
    older.store.set(&format!("{GLOBAL}k00002"), "\"new\"").await;
    let names = "nodered:context-names:global";
    for (score, name) in [
        ("1795381200000001", "k00002"),
        ("1795381200000000", "k00009"),
    ] {
        older.store.command(&["ZADD", names, score, name]).await;
    }
    let scope = ["SADD", "nodered:context-scopes", "global"];
    older.store.command(&scope).await;
    older.store.set(&format!("{GLOBAL}k00009"), "9").await;
    let twice = format!("{GLOBAL_TWICE}k00002");
    older.store.set(&twice, "\"new\"").await;
    let total = older.apply().await.total();
    assert_eq!((total.registered, total.in_order, total.dropped), (2, 2, 1));
    let order = ["k00001", "k00003", "k00009", "k00002"];
    assert_eq!(older.names(names).await, order);
}

#[tokio::test]
async fn other_keys_and_other_prefixes_are_not_touched() {
    let older = Older::start().await;
    let others = [
        "nodered:flows",
        "nodered:library:functions:context:global:a",
        "nodered:settings",
        "other:context:global:a",
        "other:other:context:global:a",
        "other:nodered:context:global:a",
        "nodered:other:context:global:a",
        "nodered:nodered:nodered:context:global:a",
        "xnodered:context:global:a",
        "context:global:a",
    ];
    for key in others {
        older.store.set(key, "{}").await;
    }
    let before = older.everything().await;
    older.write(pairs(GLOBAL_TWICE, 0..10)).await;
    assert_eq!(older.apply().await.total().moved, 10);
    let mut after = older.everything().await;
    assert_eq!(after.len(), before.len() + 12, "values, names, scopes");
    after.retain(|key, _| before.contains_key(key));
    assert_eq!(after, before);

    let allowed = ["ACL", "SETUSER", access::ADMIN, "~other:*"];
    older.store.command(&allowed).await;
    let other = block(older.store.server.address());
    let mut other = other.as_object().expect("an object").clone();
    other.insert("keyPrefix".to_owned(), "other:".into());
    let other = Keyspace::new(&configuration(&other.into()));
    let ours = older.everything().await;
    let run = migrate(&older.connection, &other, Action::Apply, Conflicts::Keep).await;
    assert_eq!((run.total().registered, run.total().dropped), (1, 1));
    let mut after = older.everything().await;
    for key in ["other:context-names:global", "other:context-scopes"] {
        assert!(after.remove(key).is_some(), "{key}");
    }
    let mut expected = ours;
    expected.remove("other:other:context:global:a");
    assert_eq!(after, expected);
}

#[tokio::test]
async fn a_cluster_whose_prefix_is_ours_twice_keeps_its_context() {
    let older = Older::start().await;
    older.write(pairs(GLOBAL_TWICE, 0..5)).await;
    older.write(pairs(GLOBAL, 0..3)).await;
    older.store.set("nodered:nodered:flows", "[]").await;
    let run = older.migrate(Action::Apply, Conflicts::Overwrite).await;
    assert_eq!((run.total().registered, run.total().changed()), (3, 3));
    let mark = Reason::OtherCluster("nodered:nodered:flows".to_owned());
    assert_eq!(run.reason("nodered:nodered:"), &mark);
    assert!(!run.report.is_decided());
    let theirs = older.store.command(&["KEYS", "nodered:nodered:context:*"]);
    assert_eq!(theirs.await.elements().len(), 5);
}

#[tokio::test]
async fn twenty_thousand_keys_are_migrated_and_a_second_run_changes_nothing() {
    let older = Older::start().await;
    older.write(pairs(GLOBAL, 0..8000)).await;
    older.write(pairs(GLOBAL_TWICE, 8000..16_000)).await;
    let nodes = (0..4000).map(|node| {
        let key = format!("nodered:context:node:n{node}:f{}:count", node % 50);
        (key, node.to_string())
    });
    older.write(nodes).await;
    older.store.command(&["CONFIG", "RESETSTAT"]).await;

    let run = older.apply().await;
    assert_eq!(run.findings, []);
    assert_eq!((run.total().registered, run.total().moved), (12_000, 8000));
    assert_eq!(run.report.scopes.len(), 4001);
    let statistics = older.store.command(&["INFO", "commandstats"]).await;
    let statistics = statistics.text().expect("text");
    assert!(!statistics.contains("cmdstat_keys:"), "{statistics}");
    for command in ["scan", "evalsha", "mget"] {
        let time = microseconds_per_call(statistics, command);
        assert!(time < 5000.0, "{command} holds the server up for {time} µs");
    }
    let names = older.names("nodered:context-names:global").await;
    assert_eq!(names.len(), 16_000);
    assert!(names.is_sorted());
    assert_eq!(older.scopes().await.len(), 4001);

    let before = older.everything().await;
    let again = older.apply().await;
    assert_eq!(
        (again.total().in_order, again.total().changed()),
        (20_000, 0)
    );
    assert_eq!(older.everything().await, before);
}

#[tokio::test]
async fn a_migration_that_was_stopped_goes_on_when_it_is_run_again() {
    let older = Older::start().await;
    older.write(pairs(GLOBAL, 0..500)).await;
    older.write(pairs(GLOBAL_TWICE, 500..1000)).await;
    let keyspace = &older.store.keyspace;
    let mut migration = Migration::new(&older.connection, keyspace, Action::Apply, Conflicts::Keep);
    let stopped = migration.run(|event| match event {
        Event::Done { keys, .. } if keys >= 700 => Proceed::No,
        _ => Proceed::Yes,
    });
    stopped.await.expect("stopped in order");
    assert!(!migration.report().complete);
    let first = migration.report().total();
    assert_eq!((first.registered, first.moved), (500, 200));

    let second = older.apply().await.total();
    assert_eq!((second.in_order, second.moved), (700, 300));
    let names = older.names("nodered:context-names:global").await;
    assert_eq!(names.len(), 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_lost_the_store_goes_on_when_it_is_run_again() {
    let older = Older::start().await;
    older.write(pairs(GLOBAL_TWICE, 0..2000)).await;
    let proxy = Proxy::start(older.store.server.address()).await;
    let proxy = Arc::new(proxy.expect("a proxy"));
    let connection = open(
        &access::logged_in(block(proxy.address()), access::ADMIN),
        BRIEF,
    );
    connection.ready(PATIENT).await.expect("the store");
    let keyspace = &older.store.keyspace;
    let mut loss = Interlude::new({
        let proxy = Arc::clone(&proxy);
        async move { proxy.refuse().await }
    });
    let mut migration = Migration::new(&connection, keyspace, Action::Apply, Conflicts::Keep);
    let lost = migration.run(|event| {
        if matches!(event, Event::Done { keys, .. } if keys >= 1000) {
            loss.happen();
        }
        Proceed::Yes
    });
    assert_eq!(lost.await.expect_err("lost").code(), Code::StoreUnreachable);
    assert_eq!(migration.report().total().moved, 1000);

    let again = older.apply().await.total();
    assert_eq!((again.in_order, again.moved), (1000, 1000));
    let left = older.store.command(&["KEYS", "nodered:nodered:*"]).await;
    assert_eq!(left.elements(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_running_cluster_does_meanwhile_is_kept() {
    let older = Older::start().await;
    older.write(pairs(GLOBAL, 0..300)).await;
    older.write(pairs(GLOBAL_TWICE, 300..600)).await;
    let mut client = older.store.server.connect().await.expect("a client");
    // After the keys were found and before they are looked at.
    let mut cluster = Interlude::new(async move {
        for name in ["k00000", "k00599"] {
            let set = ["SET", &format!("{GLOBAL}{name}"), "\"newer\""];
            client.command(&set).await.expect("set");
        }
        let delete = ["DEL", &format!("{GLOBAL}k00001")];
        client.command(&delete).await.expect("deleted");
    });
    let keyspace = &older.store.keyspace;
    let mut migration = Migration::new(&older.connection, keyspace, Action::Apply, Conflicts::Keep);
    let done = migration.run(|event| {
        if event == Event::Searched(600) {
            cluster.happen();
        }
        Proceed::Yes
    });
    done.await.expect("a migration");
    let total = migration.report().total();
    assert_eq!(
        (total.registered, total.moved, total.conflicts),
        (299, 299, 1)
    );
    for name in ["k00000", "k00599"] {
        let value = older.store.text(&format!("{GLOBAL}{name}")).await;
        assert_eq!(value.as_deref(), Some("\"newer\""));
    }
    let names = older.names("nodered:context-names:global").await;
    assert!(!names.contains(&"k00001".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_property_that_is_deleted_meanwhile_is_not_registered() {
    const ROUNDS: usize = 2000;
    let older = Older::start().await;
    let mut client = older.store.server.connect().await.expect("a client");
    let cluster = tokio::spawn(async move {
        let (key, names) = (format!("{GLOBAL}a"), "nodered:context-names:global");
        for round in 0..ROUNDS {
            client.command(&["SET", &key, "1"]).await.expect("set");
            for words in [
                &["MULTI"] as &[&str],
                &["DEL", &key],
                &["ZREM", names, "a"],
                &["EXEC"],
            ] {
                client.command(words).await.expect("deleted");
            }
            // Time for a migration that had seen it.
            for _ in 0..5 {
                let known = client.command(&["ZSCORE", names, "a"]).await;
                assert!(known.expect("a score").is_nil(), "round {round}");
            }
        }
    });
    let mut registered = 0;
    while !cluster.is_finished() {
        registered += older.apply().await.total().registered;
    }
    cluster.await.expect("never registered without a value");
    assert!(registered > 0, "they met");
}
