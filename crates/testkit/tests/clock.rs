//! What a test can do to the time of day.
#![cfg(target_os = "linux")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use node_red_cluster_testkit::{Clocks, Server, Shift, eventually};

const SOON: Duration = Duration::from_secs(5);

const HOUR: Duration = Duration::from_secs(3_600);

/// Waits until the server's clock differs from this machine's by so many seconds. A server reads
/// its clock now and then, not at each command.
async fn shows(server: &Server, ahead: i64) {
    eventually("the server's time", SOON, async || {
        let reply = server.command(&["TIME"]).await.ok()?;
        let told = reply.elements()[0].integer()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let now = i64::try_from(now.as_secs()).ok()?;
        (told - now - ahead).abs().le(&1).then_some(())
    })
    .await
    .unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test]
async fn a_servers_clock_is_set_while_it_runs_and_its_keys_expire_by_it() {
    let clocks = Clocks::new().expect("a C compiler");
    let clock = clocks.clock("store").expect("a clock");
    let server = Server::builder()
        .wall_clock(&clock)
        .start()
        .await
        .expect("a server");
    shows(&server, 0).await;
    server
        .command(&["SET", "key", "value", "EX", "1800"])
        .await
        .expect("a key");

    clock.set(Shift::Behind(HOUR)).expect("set it back");
    shows(&server, -3_600).await;
    let left = server
        .command(&["TTL", "key"])
        .await
        .expect("an answer")
        .integer();
    assert!(left.expect("seconds") > 5_000, "{left:?}");

    clock.set(Shift::Ahead(HOUR)).expect("set it forward");
    shows(&server, 3_600).await;
    eventually("the key's end", SOON, async || {
        let value = server.command(&["GET", "key"]).await.ok()?;
        value.is_nil().then_some(())
    })
    .await
    .expect("it expired");
}
