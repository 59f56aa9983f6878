//! Replies that are lost, and peers that fall silent without a word.

use std::time::Duration;

use node_red_cluster_core::connection::{Connection, Lane, Repeat};
use node_red_cluster_core::error::{Code, Result};
use node_red_cluster_testkit::{Direction, Proxy, Server};
use tokio::time::{Instant, timeout};

use crate::support::{IMPATIENT, PATIENT, SOON, ask, block, command, open, text, until};

/// Longest time until a silent peer is noticed: the heartbeat's interval and limit, and slack for a
/// busy machine.
const NOTICED: Duration = Duration::from_secs(9);

struct Setup {
    server: Server,
    proxy: Proxy,
    connection: Connection,
}

impl Setup {
    async fn with_limit(limit: Duration) -> Self {
        let server = Server::start_default().await.expect("a server");
        let proxy = Proxy::start(server.address()).await.expect("a proxy");
        let connection = open(&block(proxy.address()), limit);
        connection.ready(SOON).await.expect("the store");
        // Both links, so that none of them is still connecting when a fault begins.
        for lane in [Lane::Commands, Lane::Bulk] {
            until("a reply", async || {
                let ping = command(&["PING"]);
                let reply = connection.run::<()>(lane, &ping, Repeat::Safe);
                reply.await.is_ok()
            })
            .await;
        }
        Self {
            server,
            proxy,
            connection,
        }
    }

    /// Increments `count` while replies are withheld, and does `then` once the server has counted.
    async fn increment_in_silence(
        &self,
        lane: Lane,
        repeat: Repeat,
        then: impl AsyncFnOnce(),
    ) -> Result<i64> {
        self.proxy.blackhole(Direction::ToClient);
        let request = command(&["INCR", "count"]);
        let (reply, ()) = tokio::join!(self.connection.run(lane, &request, repeat), async {
            until("the increment", async || self.count().await == "1").await;
            then().await;
        });
        reply
    }

    async fn count(&self) -> String {
        let count = text(&self.server, &["GET", "count"]).await;
        count.unwrap_or_default()
    }

    /// Heals the network, and waits until the links work.
    async fn recover(&self) {
        self.proxy.heal().await.expect("healed");
        self.connection.ready(SOON).await.expect("the link is back");
        ask(&self.connection, &["PING"]).await.expect("a reply");
    }
}

#[tokio::test]
async fn a_lost_reply_to_what_must_not_be_repeated_is_an_unknown_outcome() {
    for lane in [Lane::Commands, Lane::Bulk] {
        let setup = Setup::with_limit(PATIENT).await;
        let cut = async || setup.proxy.cut().await;
        let reply = setup.increment_in_silence(lane, Repeat::Never, cut).await;
        let error = reply.expect_err("no reply");
        assert_eq!(error.code(), Code::OutcomeUnknown, "{error}");
        setup.recover().await;
        assert_eq!(setup.count().await, "1", "counted once");
    }
}

#[tokio::test]
async fn a_lost_reply_to_what_may_be_repeated_is_repeated_until_there_is_one() {
    for lane in [Lane::Commands, Lane::Bulk] {
        let setup = Setup::with_limit(PATIENT).await;
        let cut_and_heal = async || {
            setup.proxy.cut().await;
            setup.proxy.heal().await.expect("healed");
        };
        // Not that an increment may be repeated, but it shows how often it was carried out.
        let reply = setup.increment_in_silence(lane, Repeat::Safe, cut_and_heal);
        assert_eq!(reply.await.expect("a reply"), 2);
    }
}

#[tokio::test]
async fn silence_instead_of_a_reply_ends_at_the_limit_and_the_link_is_renewed() {
    let setup = Setup::with_limit(IMPATIENT).await;
    let begin = Instant::now();
    let nothing = async || ();
    let reply = setup.increment_in_silence(Lane::Commands, Repeat::Never, nothing);
    let error = reply.await.expect_err("silence");
    assert_eq!(error.code(), Code::OutcomeUnknown, "{error}");
    assert!(begin.elapsed() >= IMPATIENT);
    until("the link is given up", async || !setup.connection.is_up()).await;

    setup.recover().await;
    assert!(*setup.connection.epochs().borrow() >= 2);
    assert_eq!(setup.count().await, "1");
}

#[tokio::test]
async fn a_half_open_peer_is_noticed_without_any_request() {
    let setup = Setup::with_limit(IMPATIENT).await;
    let mut epochs = setup.connection.epochs();
    let before = *epochs.borrow_and_update();
    setup.proxy.blackhole(Direction::Both);
    let down = until("the silence is noticed", async || !setup.connection.is_up());
    timeout(NOTICED, down).await.expect("in time");

    setup.recover().await;
    assert!(epochs.has_changed().expect("the link lives"));
    assert_eq!(*epochs.borrow(), before + 1);
}

#[tokio::test]
async fn a_frozen_server_loses_nothing_when_it_goes_on_in_time() {
    let setup = Setup::with_limit(PATIENT).await;
    setup.server.pause().expect("frozen");
    let bytes = setup.proxy.bytes(Direction::ToServer);
    let (reply, ()) = tokio::join!(ask(&setup.connection, &["SET", "k", "v"]), async {
        until("the request", async || {
            setup.proxy.bytes(Direction::ToServer) > bytes
        })
        .await;
        setup.server.resume().expect("going on");
    });
    reply.expect("a reply");
    assert_eq!(*setup.connection.epochs().borrow(), 1, "no reconnect");
}
