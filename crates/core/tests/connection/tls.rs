//! TLS as the options ask for it.

use node_red_cluster_core::config::TlsConfig;
use node_red_cluster_core::connection::Connection;
use node_red_cluster_core::error::{Code, Error};
use node_red_cluster_testkit::{Certificates, Server};
use serde_json::{Value, json};

use crate::support::{IMPATIENT, PATIENT, SOON, ask, block, configuration, open};

/// A block with these `tls` options.
fn block_with(server: &Server, tls: Value) -> Value {
    let mut block = block(server.address());
    block["tls"] = tls;
    block
}

async fn accepted(server: &Server, tls: Value) {
    let connection = open(&block_with(server, tls), PATIENT);
    connection.ready(SOON).await.expect("a link");
    assert_eq!(ask(&connection, &["PING"]).await.unwrap().unwrap(), "PONG");
}

async fn refused(server: &Server, tls: Value) -> Error {
    let connection = open(&block_with(server, tls), IMPATIENT);
    let error = connection.ready(IMPATIENT).await.expect_err("no link");
    assert_eq!(error.code(), Code::StoreUnreachable, "{error}");
    assert!(!connection.is_up());
    error
}

fn authority(server: &Server) -> String {
    certificates(server).authority.text.clone()
}

fn certificates(server: &Server) -> &Certificates {
    server.certificates().expect("a server with TLS")
}

#[tokio::test]
async fn the_servers_own_authority_is_trusted_when_it_is_given() {
    let server = Server::builder().tls().start().await.expect("a server");
    accepted(&server, json!({ "ca": authority(&server) })).await;
}

#[tokio::test]
async fn another_authority_is_refused_and_the_reason_is_told() {
    let server = Server::builder().tls().start().await.expect("a server");
    let others = Certificates::generate(server.directory()).expect("certificates");
    let error = refused(&server, json!({ "ca": others.authority.text })).await;
    assert!(error.message().contains("certificate"), "{error}");
}

#[tokio::test]
async fn any_certificate_is_taken_where_the_options_say_so() {
    let server = Server::builder().tls().start().await.expect("a server");
    accepted(&server, json!({ "rejectUnauthorized": false })).await;
}

#[tokio::test]
async fn the_name_in_the_certificate_is_checked() {
    let server = Server::builder().tls().start().await.expect("a server");
    let ca = authority(&server);
    accepted(&server, json!({ "ca": ca, "servername": "localhost" })).await;
    let error = refused(&server, json!({ "ca": ca, "servername": "store.example" })).await;
    assert!(error.message().contains("store.example"), "{error}");
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let server = Server::builder()
        .tls_with_client_certificate()
        .start()
        .await;
    let server = server.expect("a server");
    let ca = authority(&server);
    let client = &certificates(&server).client;
    let (certificate, key) = (&client.certificate.text, &client.key.text);
    accepted(
        &server,
        json!({ "ca": ca, "cert": certificate, "key": key }),
    )
    .await;
    refused(&server, json!({ "ca": ca })).await;
}

#[tokio::test]
async fn a_plain_client_does_not_hang_at_a_server_with_tls() {
    let server = Server::builder().tls().start().await.expect("a server");
    let connection = open(&block(server.address()), IMPATIENT);
    let error = connection.ready(IMPATIENT).await.expect_err("no link");
    assert_eq!(error.code(), Code::StoreUnreachable, "{error}");
}

#[tokio::test]
async fn what_is_no_certificate_is_refused_before_anything_is_tried() {
    let block = json!({ "role": "admin", "host": "store.example", "tls": {} });
    let mut config = configuration(&block).connection;
    config.tls = Some(TlsConfig {
        ca: Some(b"not PEM".to_vec()),
        ..TlsConfig::default()
    });
    let error = Connection::open(&config, PATIENT, "test").expect_err("not a certificate");
    assert_eq!(error.code(), Code::ConfigInvalid, "{error}");
    assert!(error.message().contains("tls.ca"), "{error}");
}
