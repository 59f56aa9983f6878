//! Changed keys are heard of in order, across everything that can happen to a link.

use std::sync::Arc;
use std::time::Duration;

use node_red_cluster_core::connection::Invalidations;
use node_red_cluster_core::error::Code;
use node_red_cluster_testkit::{Direction, Proxy, Server};
use tokio::time::{Instant, timeout};

use crate::support::ear::{Ear, Event, keys};
use crate::support::{PATIENT, SOON, ask, block, connect, look, open, server_knows, text, until};

/// How long a lease lasts, and slack for a busy machine.
const LEASE: Duration = Duration::from_secs(3);
const SLACK: Duration = Duration::from_secs(2);

#[tokio::test]
async fn changes_under_the_prefixes_are_heard_of_and_no_others() {
    let server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    let ear = Ear::on(&connection, &["n:context:", "n:names:"]);
    ear.until_last(Event::Established(1)).await;
    look(&server, &["SET", "n:flows", "1"]).await;
    look(&server, &["SET", "n:context:a", "1"]).await;
    ear.until_last(keys("n:context:a")).await;
    look(&server, &["ZADD", "n:names:g", "1", "a"]).await;
    ear.until_last(keys("n:names:g")).await;
    look(&server, &["FLUSHALL"]).await;
    ear.until_last(Event::All).await;
    assert_eq!(ear.events().len(), 4, "{:?}", ear.events());
}

#[tokio::test]
async fn tracking_that_is_asked_for_before_the_link_is_up_is_on_before_it_is() {
    let server = Server::start_default().await.expect("a server");
    let connection = open(&block(server.address()), PATIENT);
    let ear = Ear::on(&connection, &["n:"]);
    connection.ready(SOON).await.expect("the store");
    assert_eq!(ear.events(), [Event::Established(1)]);
}

#[tokio::test]
async fn own_writes_are_not_heard_of_and_those_of_others_before_the_next_reply() {
    let server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    let ear = Ear::on(&connection, &["n:"]);
    ear.until_last(Event::Established(1)).await;
    ask(&connection, &["SET", "n:own", "1"]).await.unwrap();
    ask(&connection, &["PING"]).await.unwrap();
    // Before 7.0 a server may take a foreign change for an own one, so own ones are heard of there too.
    let own = [Event::Established(1), keys("n:own")];
    let expected = if server_knows(7, 0) { &own[..1] } else { &own };
    assert_eq!(ear.events(), expected);
    look(&server, &["SET", "n:foreign", "1"]).await;
    ask(&connection, &["GET", "n:foreign"]).await.unwrap();
    assert_eq!(ear.last(), Some(keys("n:foreign")));
}

#[tokio::test]
async fn a_link_that_is_cut_is_lost_and_established_anew_each_time() {
    let server = Server::start_default().await.expect("a server");
    let proxy = Proxy::start(server.address()).await.expect("a proxy");
    let connection = connect(proxy.address()).await;
    let ear = Ear::on(&connection, &["n:"]);
    ear.until_last(Event::Established(1)).await;
    for epoch in 2..=4 {
        proxy.cut().await;
        ear.until_last(Event::Established(epoch)).await;
        look(&server, &["SET", "n:a", "1"]).await;
        ear.until_last(keys("n:a")).await;
    }
    let expected = |epoch| [Event::Established(epoch), keys("n:a"), Event::Lost];
    let mut expected: Vec<Event> = (1..=4).flat_map(expected).collect();
    expected.remove(1);
    expected.pop();
    assert_eq!(ear.events(), expected);
}

#[tokio::test]
async fn while_the_store_is_away_everything_is_lost() {
    let mut server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    let ear = Ear::on(&connection, &["n:"]);
    ear.until_last(Event::Established(1)).await;
    server.kill().await.expect("killed");
    ear.until_last(Event::Lost).await;
    server.start().await.expect("started");
    ear.until_last(Event::Established(2)).await;
}

#[tokio::test]
async fn a_silent_peer_costs_the_lease_in_time_and_the_same_link_regains_it() {
    let server = Server::start_default().await.expect("a server");
    let proxy = Proxy::start(server.address()).await.expect("a proxy");
    // So patient that the link itself outlives the silence.
    let connection = open(&block(proxy.address()), Duration::from_secs(60));
    let ear = Ear::on(&connection, &["n:"]);
    ear.until_last(Event::Established(1)).await;
    let silence = Instant::now();
    proxy.blackhole(Direction::ToClient);
    look(&server, &["SET", "n:unheard", "1"]).await;
    timeout(LEASE + SLACK, ear.until_last(Event::Lost))
        .await
        .expect("in time");
    assert!(silence.elapsed() <= LEASE + SLACK);
    assert!(connection.is_up());
    proxy.heal().await.expect("healed");
    ear.until_last(Event::Established(1)).await;
    let heard = ear.events();
    let expected = [
        Event::Established(1),
        Event::Lost,
        keys("n:unheard"),
        Event::Established(1),
    ];
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn a_quiet_link_keeps_its_lease() {
    let server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    let ear = Ear::on(&connection, &["n:"]);
    ear.until_last(Event::Established(1)).await;
    // That it lasts shows only in time: longer than a lease that nobody renews.
    let begin = Instant::now();
    until("more than a lease", async || {
        begin.elapsed() > LEASE + Duration::from_millis(500)
    })
    .await;
    assert_eq!(ear.events(), [Event::Established(1)]);
}

#[tokio::test]
async fn several_listeners_share_a_link_and_leave_it_one_by_one() {
    let server = Server::start_default().await.expect("a server");
    let config = crate::support::configuration(&block(server.address())).connection;
    let share = || node_red_cluster_core::connection::shared(&config, PATIENT, "test").unwrap();
    let (left, right) = (share(), share());
    let (first, second) = (Ear::on(&left, &["a:"]), Ear::on(&right, &["a:b:", "c:"]));
    until("both", async || {
        [first.last(), second.last()] == [Some(Event::Established(1)), Some(Event::Established(1))]
    })
    .await;
    first.forget();
    second.forget();
    look(&server, &["SET", "a:b:1", "1"]).await;
    first.until_last(keys("a:b:1")).await;
    second.until_last(keys("a:b:1")).await;
    look(&server, &["SET", "a:1", "1"]).await;
    first.until_last(keys("a:1")).await;
    assert_eq!(second.last(), Some(keys("a:b:1")));

    right.close();
    assert_eq!(second.last(), Some(Event::Lost), "at once");
    look(&server, &["SET", "a:b:2", "1"]).await;
    first.until_last(keys("a:b:2")).await;
    assert_eq!(second.last(), Some(Event::Lost));
    let late = right.track(
        vec!["a:".to_owned()],
        Arc::clone(&second) as Arc<dyn Invalidations>,
    );
    assert_eq!(late.expect_err("closed").code(), Code::Closed);
    left.close();
    assert_eq!(first.last(), Some(Event::Lost), "at once");
}

#[tokio::test]
async fn a_server_without_resp3_tracks_nothing_and_serves() {
    let server = Server::builder()
        .configuration_line("rename-command HELLO \"\"")
        .start()
        .await
        .expect("a server");
    let connection = connect(server.address()).await;
    let ear = Ear::on(&connection, &["n:"]);
    ear.until_last(Event::Unavailable(Code::StoreReply)).await;
    ask(&connection, &["SET", "n:a", "1"]).await.unwrap();
    assert_eq!(ear.events().len(), 1);
}

#[tokio::test]
async fn a_user_who_may_not_track_hears_so_and_is_served_until_the_rules_change() {
    // To forbid one subcommand came with 7.0, to allow one is older.
    let rules = "on >secret ~* &* +@all -client +client|setname +client|id";
    let server = Server::builder().acl_user("cluster", rules).start().await;
    let server = server.expect("a server");
    let mut block = block(server.address());
    block["username"] = "cluster".into();
    block["password"] = "secret".into();
    let connection = open(&block, PATIENT);
    let ear = Ear::on(&connection, &["n:"]);
    ear.until_last(Event::Unavailable(Code::StorePermission))
        .await;
    ask(&connection, &["SET", "n:a", "1"]).await.unwrap();
    assert!(connection.is_up());
    look(&server, &["ACL", "SETUSER", "cluster", "+client|tracking"]).await;
    look(&server, &["CLIENT", "KILL", "TYPE", "normal"]).await;
    until("established", async || {
        matches!(ear.last(), Some(Event::Established(_)))
    })
    .await;
}

#[tokio::test]
async fn only_the_link_for_small_commands_tracks_and_only_while_somebody_listens() {
    let server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    let trackers = async || {
        let clients = text(&server, &["CLIENT", "LIST"]).await.unwrap();
        // Flag t: the client tracks.
        let tracks = |line: &&str| {
            let mut words = line.split(' ');
            words.any(|word| {
                word.strip_prefix("flags=")
                    .is_some_and(|flags| flags.contains('t'))
            })
        };
        clients.lines().filter(tracks).count()
    };
    assert_eq!(trackers().await, 0);
    let _ear = Ear::on(&connection, &["n:"]);
    until("one", async || trackers().await == 1).await;
    connection.close();
    until("none", async || trackers().await == 0).await;
}

#[tokio::test]
async fn not_every_key_can_be_tracked() {
    let server = Server::start_default().await.expect("a server");
    let connection = connect(server.address()).await;
    for prefixes in [vec![], vec![String::new()]] {
        let refused = connection.track(prefixes, Arc::new(Ear::default()));
        assert_eq!(refused.expect_err("refused").code(), Code::InvalidRequest);
    }
}
