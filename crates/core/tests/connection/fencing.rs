//! What an old session still holds is never carried out after what a new one did.

use std::net::SocketAddr;
use std::sync::Arc;

use node_red_cluster_core::connection::{Connection, Lane, Repeat};
use node_red_cluster_core::error::Code;
use node_red_cluster_testkit::{Proxy, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::{IMPATIENT, SOON, ask, block, command, look, open, text, until};

/// A way to the server on which one early connection can be held up while later ones pass, as a network
/// does whose routes differ. Its end is not passed on, as nothing of it is.
struct Detour {
    address: SocketAddr,
    /// How many of the first connections are held up on the way to the server.
    held: watch::Sender<usize>,
    /// How many connections delivered what had been held, or found the server gone.
    delivered: watch::Sender<usize>,
    waiting: watch::Sender<usize>,
}

impl Detour {
    async fn to(target: SocketAddr) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let detour = Arc::new(Self {
            address: listener.local_addr().expect("an address"),
            held: watch::Sender::new(0),
            delivered: watch::Sender::new(0),
            waiting: watch::Sender::new(0),
        });
        let accepting = Arc::clone(&detour);
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(target).await.expect("the server");
                let detour = Arc::clone(&accepting);
                tokio::spawn(async move { detour.pass(number, client, server).await });
                number += 1;
            }
        });
        detour
    }

    async fn pass(&self, number: usize, client: TcpStream, server: TcpStream) {
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let back = tokio::spawn(async move {
            let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
        });
        let mut held = self.held.subscribe();
        let mut buffer = vec![0; 65_536];
        while let Ok(length) = from_client.read(&mut buffer).await {
            let holds = |held: &usize| number < *held;
            let was_held = holds(&held.borrow());
            if was_held && length > 0 {
                self.waiting.send_modify(|count| *count += 1);
            }
            if held.wait_for(|held| !holds(held)).await.is_err() || length == 0 {
                break;
            }
            let written = to_server.write_all(&buffer[..length]).await;
            if was_held {
                self.delivered.send_modify(|count| *count += 1);
            }
            if written.is_err() {
                break;
            }
        }
        // What was delivered is read by the server before it hears of the end.
        drop(to_server);
        let _ = back.await;
    }
}

async fn set(connection: &Connection, value: &str) -> Result<(), Code> {
    let request = command(&["SET", "k", value]);
    let reply = connection.run(Lane::Commands, &request, Repeat::Never);
    reply.await.map_err(|error| error.code())
}

#[tokio::test]
async fn a_write_that_a_slow_network_delivers_late_does_not_replace_a_newer_one() {
    let server = Server::start_default().await.expect("a server");
    let detour = Detour::to(server.address()).await;
    let connection = open(&block(detour.address), IMPATIENT);
    connection.ready(SOON).await.expect("the store");
    ask(&connection, &["PING"]).await.expect("a reply");

    detour.held.send_replace(1);
    assert_eq!(set(&connection, "old").await, Err(Code::OutcomeUnknown));
    assert!(*detour.waiting.borrow() >= 1, "the write is on its way");
    connection.ready(SOON).await.expect("the link is back");
    until("the newer write", async || {
        set(&connection, "new").await == Ok(())
    })
    .await;

    detour.held.send_replace(0);
    let mut delivered = detour.delivered.subscribe();
    delivered
        .wait_for(|count| *count >= 1)
        .await
        .expect("delivered");
    // The server reads in the order of arrival, so this look comes after the old write.
    assert_eq!(text(&server, &["GET", "k"]).await.unwrap(), "new");
    until("the old session is gone", async || {
        let clients = text(&server, &["CLIENT", "LIST"]).await.unwrap();
        clients.matches(" name=test ").count() == 1
    })
    .await;
    assert_eq!(text(&server, &["GET", "k"]).await.unwrap(), "new");
}

#[tokio::test]
async fn a_write_that_a_frozen_server_left_unread_does_not_replace_a_newer_one() {
    for round in 0..5 {
        let server = Server::start_default().await.expect("a server");
        let connection = open(&block(server.address()), IMPATIENT);
        connection.ready(SOON).await.expect("the store");
        server.pause().expect("frozen");
        assert_eq!(set(&connection, "old").await, Err(Code::OutcomeUnknown));
        until("the link is given up", async || !connection.is_up()).await;
        let (newer, ()) = tokio::join!(
            async {
                until("the newer write", async || {
                    set(&connection, "new").await == Ok(())
                })
                .await
            },
            async { server.resume().expect("going on") }
        );
        let () = newer;
        for _ in 0..5 {
            let value = text(&server, &["GET", "k"]).await.unwrap();
            assert_eq!(value, "new", "round {round}");
        }
    }
}

#[tokio::test]
async fn a_user_who_may_not_end_sessions_connects_all_the_same() {
    let rules = "on >secret ~* &* +@all -client +client|setname -info -time";
    let server = Server::builder().acl_user("cluster", rules).start().await;
    let server = server.expect("a server");
    let mut block = block(server.address());
    block["username"] = "cluster".into();
    block["password"] = "secret".into();
    let connection = open(&block, SOON);
    connection.ready(SOON).await.expect("the store");
    look(&server, &["CLIENT", "KILL", "TYPE", "normal"]).await;
    ask(&connection, &["SET", "k", "v"]).await.expect("a reply");
    assert_eq!(*connection.epochs().borrow(), 2);
}

#[tokio::test]
async fn after_a_restart_nobody_else_is_ended() {
    let mut server = Server::start_default().await.expect("a server");
    let proxy = Proxy::start(server.address()).await.expect("a proxy");
    let connection = open(&block(proxy.address()), SOON);
    connection.ready(SOON).await.expect("the store");
    let number = ask(&connection, &["CLIENT", "ID"]).await.unwrap().unwrap();
    let number: i64 = number.parse().expect("a number");
    proxy.refuse().await;
    server.kill().await.expect("killed");
    server.start().await.expect("started");
    // Whoever comes first after the restart gets numbers that were ours.
    let mut others = Vec::new();
    loop {
        let mut other = server.connect().await.expect("a client");
        let given = other.command(&["CLIENT", "ID"]).await.expect("a number");
        others.push(other);
        if given.integer() >= Some(number) {
            break;
        }
    }
    proxy.accept().await.expect("the port is back");
    connection.ready(SOON).await.expect("the link is back");
    for mut other in others {
        other.command(&["PING"]).await.expect("alive");
    }
}
