//! What a test can do with a server.

mod support;

use std::io::ErrorKind;

use node_red_cluster_testkit::{Error, Release, Server, Value, eventually};
use support::{SOON, ask, hear, is_silent, say, text};
use tokio::net::TcpStream;

#[tokio::test]
async fn answers_on_its_port_and_to_the_outside_view() {
    let server = Server::start_default().await.expect("a server");
    let mut stream = TcpStream::connect(server.address()).await.expect("connect");
    assert_eq!(
        ask(&mut stream, "SET name value").await.expect("SET"),
        "+OK"
    );
    assert_eq!(
        text(server.command(&["GET", "name"]).await),
        Some("value".to_owned())
    );
    assert_eq!(server.url(), format!("redis://127.0.0.1:{}", server.port()));
}

#[tokio::test]
async fn hands_over_the_servers_refusal() {
    let server = Server::start_default().await.expect("a server");
    server
        .command(&["SET", "name", "value"])
        .await
        .expect("SET");
    let error = server
        .command(&["LPUSH", "name", "x"])
        .await
        .expect_err("wrong type");
    assert!(
        matches!(&error, Error::Refused { command, message }
            if command == "LPUSH" && message.starts_with("WRONGTYPE")),
        "{error}"
    );
}

#[tokio::test]
async fn listens_to_a_channel() {
    let server = Server::start_default().await.expect("a server");
    let mut listener = server.connect().await.expect("connect");
    listener
        .command(&["SUBSCRIBE", "news"])
        .await
        .expect("SUBSCRIBE");
    let heard = server
        .command(&["PUBLISH", "news", "hello"])
        .await
        .expect("PUBLISH");
    assert_eq!(heard.integer(), Some(1));
    let message = listener.receive().await.expect("a message");
    let words: Vec<_> = message.elements().iter().filter_map(Value::text).collect();
    assert_eq!(words, ["message", "news", "hello"]);
}

#[tokio::test]
async fn asks_strangers_for_the_password() {
    let server = Server::builder()
        .password("s3cret")
        .start()
        .await
        .expect("a server");
    assert_eq!(
        server.url(),
        format!("redis://:s3cret@127.0.0.1:{}", server.port())
    );
    let mut stream = TcpStream::connect(server.address()).await.expect("connect");
    let answer = ask(&mut stream, "PING").await.expect("an answer");
    assert!(answer.starts_with("-NOAUTH"), "{answer}");
    let answer = ask(&mut stream, "AUTH wrong").await.expect("an answer");
    assert!(answer.starts_with("-WRONGPASS"), "{answer}");
    assert_eq!(
        ask(&mut stream, "AUTH s3cret").await.expect("an answer"),
        "+OK"
    );
    assert_eq!(ask(&mut stream, "PING").await.expect("an answer"), "+PONG");
}

#[tokio::test]
async fn holds_users_to_their_rules_and_keeps_the_outside_view() {
    let server = Server::builder()
        .acl_user("worker", "on >w0rker ~nodered:* &nodered:* +@all -flushall")
        .acl_user("default", "off")
        .start()
        .await
        .expect("a server");
    let mut stream = TcpStream::connect(server.address()).await.expect("connect");
    assert_eq!(
        ask(&mut stream, "AUTH worker w0rker").await.expect("AUTH"),
        "+OK"
    );
    assert_eq!(
        ask(&mut stream, "SET nodered:flows []").await.expect("SET"),
        "+OK"
    );
    let mut forbidden = vec!["SET other 1", "FLUSHALL"];
    if Release::under_test().expect("a server").knows(6, 2) {
        forbidden.push("PUBLISH other 1");
    }
    for command in forbidden {
        let answer = ask(&mut stream, command).await.expect("an answer");
        assert!(answer.starts_with("-NOPERM"), "{command}: {answer}");
    }
    assert_eq!(
        text(server.command(&["GET", "nodered:flows"]).await),
        Some("[]".to_owned())
    );
}

#[tokio::test]
async fn takes_further_configuration() {
    let server = Server::builder()
        .configuration_line("maxmemory 100kb")
        .configuration_line("maxmemory-policy noeviction")
        .start()
        .await
        .expect("a server");
    // An empty server uses more than that, so every write is one too many.
    let error = server
        .command(&["SET", "name", "value"])
        .await
        .expect_err("full");
    assert!(error.to_string().contains("OOM"), "{error}");
}

#[tokio::test]
async fn shows_the_log_of_a_server_that_does_not_start() {
    let error = Server::builder()
        .configuration_line("no-such-option yes")
        .start()
        .await
        .expect_err("a wrong option");
    assert!(matches!(error, Error::Exited { .. }), "{error}");
    assert!(error.to_string().contains("no-such-option"), "{error}");
}

#[tokio::test]
async fn an_append_only_server_keeps_its_data_through_a_stop_and_a_crash() {
    let mut server = Server::builder()
        .append_only()
        .start()
        .await
        .expect("a server");
    let address = server.address();
    server.command(&["SET", "name", "1"]).await.expect("SET");
    server.stop().await.expect("stop");
    server.start().await.expect("start");
    assert_eq!(
        text(server.command(&["GET", "name"]).await),
        Some("1".to_owned())
    );

    server.command(&["SET", "name", "2"]).await.expect("SET");
    server.kill().await.expect("kill");
    server.start().await.expect("start");
    assert_eq!(
        text(server.command(&["GET", "name"]).await),
        Some("2".to_owned())
    );

    server.stop().await.expect("stop");
    server.start_empty().await.expect("start without data");
    assert!(
        server
            .command(&["GET", "name"])
            .await
            .expect("GET")
            .is_nil()
    );
    assert_eq!(server.address(), address, "same port throughout");
}

#[tokio::test]
async fn a_server_without_persistence_comes_back_empty() {
    let mut server = Server::start_default().await.expect("a server");
    server.command(&["SET", "name", "1"]).await.expect("SET");
    server.stop().await.expect("stop");
    server.start().await.expect("start");
    assert!(
        server
            .command(&["GET", "name"])
            .await
            .expect("GET")
            .is_nil()
    );
}

#[tokio::test]
async fn a_paused_server_is_silent_and_answers_later() {
    let server = Server::start_default().await.expect("a server");
    let mut stream = TcpStream::connect(server.address()).await.expect("connect");
    server.pause().expect("pause");
    say(&mut stream, "PING").await.expect("the kernel takes it");
    assert!(is_silent(&mut stream).await);
    server.resume().expect("resume");
    assert_eq!(hear(&mut stream).await.expect("an answer"), "+PONG");
}

#[tokio::test]
async fn a_paused_server_can_be_stopped() {
    let mut server = Server::start_default().await.expect("a server");
    server.pause().expect("pause");
    server.stop().await.expect("stop");
}

#[tokio::test]
async fn a_replica_follows_its_primary() {
    let primary = Server::builder()
        .password("s3cret")
        .start()
        .await
        .expect("a primary");
    let replica = Server::builder()
        .replica_of(&primary)
        .start()
        .await
        .expect("a replica");
    primary
        .command(&["SET", "name", "value"])
        .await
        .expect("SET");
    let copied = eventually("the replica's copy", SOON, || async {
        text(replica.command(&["GET", "name"]).await)
    });
    assert_eq!(copied.await.expect("a copy"), "value");
    let error = replica
        .command(&["SET", "name", "other"])
        .await
        .expect_err("read only");
    assert!(error.to_string().contains("READONLY"), "{error}");
}

#[tokio::test]
async fn a_stopped_server_refuses_connections_and_says_that_it_is_stopped() {
    let mut server = Server::start_default().await.expect("a server");
    assert!(matches!(server.start().await, Err(Error::AlreadyRunning)));
    assert!(matches!(
        server.start_empty().await,
        Err(Error::AlreadyRunning)
    ));
    server.stop().await.expect("stop");
    let error = TcpStream::connect(server.address())
        .await
        .expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(matches!(server.pause(), Err(Error::NotRunning)));
    assert!(matches!(server.stop().await, Err(Error::NotRunning)));
    assert!(matches!(server.kill().await, Err(Error::NotRunning)));
    assert!(matches!(
        server.command(&["PING"]).await,
        Err(Error::Io { .. })
    ));
    assert!(
        server.log().expect("the log").contains("bye bye"),
        "an orderly end"
    );
}

#[tokio::test]
async fn leaves_nothing_behind() {
    let server = Server::start_default().await.expect("a server");
    let (address, directory) = (server.address(), server.directory().to_owned());
    assert!(directory.exists());
    drop(server);
    assert!(!directory.exists());
    let error = TcpStream::connect(address).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn goes_back_to_data_that_were_saved() {
    let mut server = Server::builder()
        .append_only()
        .start()
        .await
        .expect("a server");
    server.command(&["SET", "name", "old"]).await.expect("SET");
    let saved = server.save_data().expect("a copy");
    server.command(&["SET", "name", "new"]).await.expect("SET");
    server.kill().await.expect("kill it");
    server.start_with(&saved).await.expect("start it");
    let name = text(server.command(&["GET", "name"]).await);
    assert_eq!(name.as_deref(), Some("old"));
}
