//! TLS, whether the server speaks it itself or the testkit does so in its place.

mod support;

use std::io::{self, ErrorKind};

use node_red_cluster_testkit::{Certificates, Identity, Server};
use support::{ask, tls};
use tokio::net::TcpStream;

/// PING over TLS, checking the server's certificate for `name`.
async fn ping(
    server: &Server,
    name: &'static str,
    trusted: &Certificates,
    identity: Option<&Identity>,
) -> io::Result<String> {
    let mut stream = tls::connect(server.address(), name, trusted, identity).await?;
    ask(&mut stream, "PING").await
}

#[tokio::test]
async fn speaks_tls_with_those_who_trust_its_authority() {
    let server = Server::builder().tls().start().await.expect("a server");
    assert_eq!(
        server.url(),
        format!("rediss://127.0.0.1:{}", server.port())
    );
    let trusted = server.certificates().expect("certificates");
    for name in ["localhost", "127.0.0.1"] {
        assert_eq!(
            ping(&server, name, trusted, None).await.expect(name),
            "+PONG"
        );
    }
    let error = ping(&server, "example.org", trusted, None)
        .await
        .expect_err("another name");
    assert!(error.to_string().contains("not valid for name"), "{error}");

    let other = Certificates::generate(tempfile::tempdir().expect("a directory").path())
        .expect("another authority");
    let error = ping(&server, "localhost", &other, None)
        .await
        .expect_err("not trusted");
    assert!(
        error.to_string().contains("UnknownIssuer") || error.to_string().contains("BadSignature"),
        "{error}"
    );
}

#[tokio::test]
async fn speaks_nothing_but_tls_on_its_port() {
    let server = Server::builder().tls().start().await.expect("a server");
    let mut stream = TcpStream::connect(server.address()).await.expect("connect");
    let answer = ask(&mut stream, "PING").await;
    assert!(answer.is_err(), "{answer:?}");
}

#[tokio::test]
async fn requires_a_client_certificate_of_its_authority() {
    let server = Server::builder()
        .tls_with_client_certificate()
        .start()
        .await
        .expect("a server");
    let trusted = server.certificates().expect("certificates");
    let answer = ping(&server, "localhost", trusted, Some(&trusted.client)).await;
    assert_eq!(answer.expect("an answer"), "+PONG");

    let without = ping(&server, "localhost", trusted, None).await;
    assert!(without.is_err(), "{without:?}");
    let other = Certificates::generate(tempfile::tempdir().expect("a directory").path())
        .expect("another authority");
    let foreign = ping(&server, "localhost", trusted, Some(&other.client)).await;
    assert!(foreign.is_err(), "{foreign:?}");
}

#[tokio::test]
async fn comes_back_with_the_same_certificates() {
    let mut server = Server::builder().tls().start().await.expect("a server");
    server.kill().await.expect("kill");
    let error = TcpStream::connect(server.address())
        .await
        .expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    server.start().await.expect("start");
    let trusted = server.certificates().expect("certificates");
    assert_eq!(
        ping(&server, "localhost", trusted, None)
            .await
            .expect("an answer"),
        "+PONG"
    );
}

#[tokio::test]
async fn writes_what_it_shows() {
    let server = Server::builder().tls().start().await.expect("a server");
    let made = server.certificates().expect("certificates");
    for pem in [&made.authority, &made.client.certificate, &made.client.key] {
        assert_eq!(
            std::fs::read_to_string(&pem.path).expect("a file"),
            pem.text
        );
        assert!(pem.path.starts_with(server.directory()));
    }
}
