//! A store that throws keys away when its memory is full.

use node_red_cluster_testkit::Server;

use crate::log::Log;
use crate::process::Process;
use crate::support::{access, look, until};

#[tokio::test]
async fn a_store_that_removes_keys_is_warned_of_once_and_again_when_it_is_another_policy() {
    let log = Log::begin();
    let server = access::guarded(Server::builder())
        .configuration_line("maxmemory 200mb")
        .configuration_line("maxmemory-policy allkeys-lru")
        .start()
        .await;
    let server = server.expect("a server");
    let process = Process::open(server.address()).await;
    let warnings = || log.with("removes keys by itself");
    until("a warning", async || !warnings().is_empty()).await;
    let [line] = &*warnings() else {
        panic!("one line: {:?}", warnings());
    };
    for word in ["WARN", "200 MiB", "allkeys-lru", "flows", "noeviction"] {
        assert!(line.contains(word), "{word}: {line}");
    }

    look(
        &server,
        &["CONFIG", "SET", "maxmemory-policy", "volatile-lru"],
    )
    .await;
    look(
        &server,
        &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"],
    )
    .await;
    until("a second warning", async || warnings().len() == 2).await;
    assert!(warnings()[1].contains("volatile-lru"));
    drop(process);
}

#[tokio::test]
async fn no_word_of_a_store_that_keeps_everything() {
    for lines in [
        &["maxmemory 200mb", "maxmemory-policy noeviction"][..],
        &["maxmemory 0", "maxmemory-policy allkeys-lru"],
    ] {
        let log = Log::begin();
        let builder = lines
            .iter()
            .fold(access::guarded(Server::builder()), |builder, line| {
                builder.configuration_line(*line)
            });
        let server = builder.start().await.expect("a server");
        let process = Process::open(server.address()).await;
        until("the question", async || {
            let stats = look(&server, &["INFO", "commandstats"]).await;
            // The greeting asks for two sections, the survey for the third.
            let text = stats.text().unwrap_or_default().to_owned();
            let calls = text.split("cmdstat_time:calls=").nth(1).map(str::to_owned);
            calls.is_some_and(|calls| !calls.starts_with("1,"))
        })
        .await;
        assert_eq!(log.with("removes keys"), Vec::<String>::new());
        drop(process);
    }
}
