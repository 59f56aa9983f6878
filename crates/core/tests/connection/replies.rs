//! What the server says no to: what heals by itself is waited for, the rest is named.

use std::time::Duration;

use node_red_cluster_core::connection::{Connection, Lane, Repeat, Request};
use node_red_cluster_core::error::{Code, Result};
use node_red_cluster_testkit::Server;
use serde_json::json;

use crate::support::{
    BRIEF, IMPATIENT, PATIENT, SOON, ask, block, command, connect, look, open, server_knows, text,
    until,
};

/// Echoes its argument under a key.
const ECHO: &str = "redis.call('SET', KEYS[1], ARGV[1]) return ARGV[1]";

/// The same write as a command, as a transaction and as a script.
fn writes() -> [Request; 3] {
    let mut transaction = redis::pipe();
    transaction.atomic().cmd("SET").arg("k").arg("v");
    [
        command(&["SET", "k", "v"]),
        Request::Transaction(transaction),
        Request::Script {
            script: ECHO,
            keys: vec!["k".to_owned()],
            arguments: vec![b"v".to_vec()],
        },
    ]
}

async fn write(connection: &Connection, request: &Request) -> Result<redis::Value> {
    connection.run(Lane::Commands, request, Repeat::Never).await
}

async fn server() -> Server {
    Server::start_default().await.expect("a server")
}

/// An empty hash, which the older protocol has no shape of its own for.
async fn map(connection: &Connection) -> redis::Value {
    let request = command(&["HGETALL", "none"]);
    let reply = connection.run(Lane::Commands, &request, Repeat::Safe);
    reply.await.expect("a reply")
}

#[tokio::test]
async fn a_replica_is_named_and_waited_for_until_it_is_the_master() {
    let primary = server().await;
    let replica = Server::builder().replica_of(&primary).start().await;
    let replica = replica.expect("a replica");
    let impatient = open(&block(replica.address()), BRIEF);
    impatient.ready(SOON).await.expect("the replica");
    for request in writes() {
        let error = write(&impatient, &request).await.expect_err("a replica");
        assert_eq!(error.code(), Code::StoreReadOnly, "{request:?}: {error}");
    }

    let patient = connect(replica.address()).await;
    let mut epochs = patient.epochs();
    epochs.mark_unchanged();
    let [request, ..] = writes();
    let (reply, ()) = tokio::join!(write(&patient, &request), async {
        // The link is renewed, as the name of the master may lead elsewhere by now.
        epochs.changed().await.expect("the link lives");
        look(&replica, &["REPLICAOF", "NO", "ONE"]).await;
    });
    reply.expect("a reply");
    assert_eq!(text(&replica, &["GET", "k"]).await.unwrap(), "v");
}

#[tokio::test]
async fn a_busy_server_is_waited_for() {
    for request in writes() {
        let server = Server::builder()
            .configuration_line("lua-time-limit 1")
            .start()
            .await
            .expect("a server");
        let connection = connect(server.address()).await;
        let mut outside = server.connect().await.expect("a look from outside");
        let endless = outside.command(&["EVAL", "while true do end", "0"]);
        let (reply, _, ()) = tokio::join!(write(&connection, &request), endless, async {
            until("the server is busy", async || {
                let answer = server.command(&["PING"]).await;
                answer.is_err_and(|error| error.to_string().contains("BUSY"))
            })
            .await;
            let impatient = ask(&connection, &["GET", "k"]);
            let early = tokio::time::timeout(Duration::from_millis(200), impatient).await;
            assert!(early.is_err(), "it waits");
            look(&server, &["SCRIPT", "KILL"]).await;
        });
        reply.unwrap_or_else(|error| panic!("{request:?}: {error}"));
        assert_eq!(text(&server, &["GET", "k"]).await.unwrap(), "v");
    }
}

#[tokio::test]
async fn a_server_that_stays_busy_is_not_ready() {
    let server = Server::builder()
        .configuration_line("lua-time-limit 1")
        .start()
        .await
        .expect("a server");
    let connection = open(&block(server.address()), BRIEF);
    connection.ready(SOON).await.expect("the store");
    let mut outside = server.connect().await.expect("a look from outside");
    let endless = outside.command(&["EVAL", "while true do end", "0"]);
    let (_, ()) = tokio::join!(endless, async {
        until("the server is busy", async || {
            server.command(&["PING"]).await.is_err()
        })
        .await;
        for request in writes() {
            let error = write(&connection, &request).await.expect_err("busy");
            assert_eq!(error.code(), Code::StoreNotReady, "{request:?}: {error}");
        }
        look(&server, &["SCRIPT", "KILL"]).await;
    });
}

#[tokio::test]
async fn a_full_server_is_named_at_once() {
    let server = Server::builder()
        .configuration_line("maxmemory 1")
        .configuration_line("maxmemory-policy noeviction")
        .start()
        .await
        .expect("a server");
    let connection = connect(server.address()).await;
    for request in writes() {
        let error = write(&connection, &request).await.expect_err("full");
        assert_eq!(error.code(), Code::StoreOutOfMemory, "{request:?}: {error}");
        assert!(error.message().contains("maxmemory"), "{error}");
    }
    assert!(connection.is_up(), "the link is fine");
}

#[tokio::test]
async fn access_rules_are_named_at_once() {
    let server = Server::builder()
        .acl_user("reader", "on >secret ~* &* +@all -set")
        .start()
        .await
        .expect("a server");
    let mut block = block(server.address());
    block["username"] = json!("reader");
    block["password"] = json!("secret");
    let connection = open(&block, PATIENT);
    for request in writes() {
        let error = write(&connection, &request).await.expect_err("forbidden");
        assert_eq!(error.code(), Code::StorePermission, "{request:?}: {error}");
    }
    assert!(look(&server, &["GET", "k"]).await.is_nil());
}

#[tokio::test]
async fn access_rules_are_named_whatever_a_script_may_not_do() {
    let server = Server::builder()
        .acl_user(
            "script",
            "on >secret ~allowed resetchannels &allowed +@all -del",
        )
        .start()
        .await
        .expect("a server");
    let mut block = block(server.address());
    block["username"] = json!("script");
    block["password"] = json!("secret");
    let connection = open(&block, PATIENT);
    let scripts = [
        "return redis.call('DEL', KEYS[1])",
        "return redis.call('SET', 'forbidden', 'v')",
        "return redis.call('PUBLISH', 'forbidden', 'v')",
    ];
    // Rules for channels came with 6.2.
    let count = if server_knows(6, 2) { 3 } else { 2 };
    for script in &scripts[..count] {
        let request = Request::Script {
            script,
            keys: vec!["allowed".to_owned()],
            arguments: Vec::new(),
        };
        let error = write(&connection, &request).await.expect_err("forbidden");
        assert_eq!(error.code(), Code::StorePermission, "{script}: {error}");
    }
    assert!(connection.is_up(), "the link is fine");
}

#[tokio::test]
async fn other_errors_and_shapes_are_passed_on_with_the_servers_words() {
    let server = server().await;
    let connection = connect(server.address()).await;
    look(&server, &["RPUSH", "list", "a"]).await;
    let error = ask(&connection, &["GET", "list"])
        .await
        .expect_err("a list");
    assert_eq!(error.code(), Code::StoreReply, "{error}");
    assert!(error.message().contains("WRONGTYPE"), "{error}");
    let error = ask(&connection, &["LRANGE", "list", "0", "-1"]).await;
    assert_eq!(error.expect_err("no text").code(), Code::StoreReply);
}

#[tokio::test]
async fn a_script_that_the_server_forgot_is_sent_again() {
    let server = server().await;
    let connection = connect(server.address()).await;
    let [.., script] = writes();
    for _ in 0..2 {
        write(&connection, &script).await.expect("a reply");
        write(&connection, &script).await.expect("a reply, by hash");
        look(&server, &["DEL", "k"]).await;
        look(&server, &["SCRIPT", "FLUSH"]).await;
    }
    write(&connection, &script).await.expect("a reply");
    assert_eq!(text(&server, &["GET", "k"]).await.unwrap(), "v");
}

#[tokio::test]
async fn a_full_house_is_an_outage_that_heals() {
    let server = Server::builder()
        .configuration_line("maxclients 2")
        .start()
        .await
        .expect("a server");
    let outside = [server.connect().await, server.connect().await];
    let outside = outside.map(|client| client.expect("a look from outside"));
    let connection = open(&block(server.address()), PATIENT);
    connection.ready(IMPATIENT).await.expect_err("full");
    drop(outside);
    connection.ready(SOON).await.expect("room again");
    assert!(
        matches!(map(&connection).await, redis::Value::Map(_)),
        "still the newer protocol"
    );
}

#[tokio::test]
async fn a_server_without_the_newer_protocol_is_served_with_the_older_one() {
    let server = Server::builder()
        .configuration_line("rename-command HELLO \"\"")
        .start()
        .await
        .expect("a server");
    let connection = connect(server.address()).await;
    for request in writes() {
        write(&connection, &request).await.expect("a reply");
    }
    let fields = map(&connection).await;
    assert!(matches!(fields, redis::Value::Array(_)), "{fields:?}");
}
