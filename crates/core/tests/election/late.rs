//! Requests that arrive late, at a store that has forgotten what came between: the scripts alone decide what
//! they may still do, so they are asked alone.

use node_red_cluster_testkit::Server;

const LOCK: &str = "late:leader";
const RECORD: &str = "late:leader:election";
const RUN: &str = "run1";

/// A script as the elector sends it: behind the lines that all of them share.
macro_rules! script {
    ($name:literal) => {
        concat!(
            include_str!("../../src/scripts/election_record.lua"),
            include_str!(concat!("../../src/scripts/election_", $name, ".lua"))
        )
    };
}

async fn server() -> Server {
    Server::start_default().await.expect("a server")
}

/// What a script says, for this asker: the verdict, and the token that the record has then.
async fn ask(server: &Server, script: &str, who: &str, rest: &[&str]) -> (String, String) {
    let shared = [
        who,
        "host",
        "10000",
        "0",
        RUN,
        "late:elections",
        "\"l\"",
        "ab",
    ];
    let words = ["EVAL", script, "2", LOCK, RECORD].into_iter();
    let words: Vec<&str> = words.chain(shared).chain(rest.iter().copied()).collect();
    let reply = server.command(&words).await.expect("an answer");
    let text = |at: usize| reply.elements()[at].text().unwrap_or_default().to_owned();
    (text(0), text(4))
}

async fn acquire(server: &Server, who: &str, watched: &str) -> (String, String) {
    ask(server, script!("acquire"), who, &["0", watched, ""]).await
}

async fn field(server: &Server, name: &str) -> Option<String> {
    let value = server.command(&["HGET", RECORD, name]).await;
    value.expect("an answer").text().map(str::to_owned)
}

/// One that leads in an empty store; returns its token.
async fn leads(server: &Server, who: &str) -> String {
    let (verdict, token) = acquire(server, who, "absent ").await;
    assert_eq!(verdict, "acquired");
    token
}

#[tokio::test]
async fn a_release_that_comes_late_to_an_emptied_store_does_not_call_the_lease_free() {
    let server = server().await;
    let token = leads(&server, "first").await;
    server.command(&["FLUSHALL"]).await.expect("an answer");
    let (verdict, _) = ask(&server, script!("release"), "first", &[&token]).await;
    assert_eq!(verdict, "lost");
    assert_eq!(acquire(&server, "third", "").await.0, "held");
}

#[tokio::test]
async fn what_is_written_back_to_an_emptied_store_is_nobodys_word_until_the_next_renewal() {
    let server = server().await;
    let token = leads(&server, "first").await;
    server.command(&["FLUSHALL"]).await.expect("an answer");
    let (verdict, written) = ask(&server, script!("renew"), "first", &[&token]).await;
    assert_eq!((verdict.as_str(), written), ("renewed", token.clone()));
    assert_eq!(
        acquire(&server, "first", "").await.0,
        "held",
        "not even its own"
    );
    let (verdict, _) = ask(&server, script!("renew"), "first", &[&token]).await;
    assert_eq!(verdict, "renewed");
    assert_eq!(field(&server, "run").await.as_deref(), Some(RUN));
    assert_eq!(acquire(&server, "first", "").await.0, "acquired");
}

#[tokio::test]
async fn a_late_renewal_or_release_changes_nothing_of_another_leaders() {
    let server = server().await;
    let token = leads(&server, "first").await;
    let released = ask(&server, script!("release"), "first", &[&token]).await;
    assert_eq!(released.0, "released");
    let (verdict, newer) = acquire(&server, "second", "").await;
    assert_eq!(verdict, "acquired");
    // Also where the store's clock was set back, and the newer token is the lower one.
    for lower in [newer.as_str(), "5"] {
        let set = ["HSET", RECORD, "token", lower];
        server.command(&set).await.expect("an answer");
        for late in [script!("renew"), script!("release")] {
            assert_eq!(ask(&server, late, "first", &[&token]).await.0, "lost");
        }
        assert_eq!(field(&server, "holder").await.as_deref(), Some("second"));
        server.command(&["DEL", LOCK]).await.expect("an answer");
    }
}

#[tokio::test]
async fn a_foreign_lock_is_seen_before_anything_is_said_of_the_lease() {
    let server = server().await;
    let token = leads(&server, "first").await;
    server
        .command(&["SET", LOCK, "host-7"])
        .await
        .expect("an answer");
    let (verdict, _) = ask(&server, script!("renew"), "first", &[&token]).await;
    assert_eq!(verdict, "foreign");
    assert_eq!(field(&server, "state").await.as_deref(), Some("held"));
}

#[tokio::test]
async fn a_record_that_no_script_wrote_so_is_left_alone() {
    for (name, value) in [
        ("token", "007"),
        ("token", "99999999999999999999"),
        ("token", "9007199254740993"),
        ("ttl", "-1"),
        ("beat", "not hexadecimal"),
        ("state", "free"),
        ("host", &"x".repeat(300)),
        ("run", "a b"),
    ] {
        let server = server().await;
        leads(&server, "first").await;
        server
            .command(&["HSET", RECORD, name, value])
            .await
            .expect("an answer");
        assert_eq!(
            acquire(&server, "other", "").await.0,
            "foreign",
            "{name} {value}"
        );
    }
}
