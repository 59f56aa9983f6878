//! What can never work is told at once, not after a patient wait.

use std::time::Duration;

use node_red_cluster_core::connection::{Lane, Repeat};
use node_red_cluster_core::error::{Code, Error};
use node_red_cluster_testkit::Server;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{PATIENT, SOON, ask, block, command, look, open, until};

/// Much longer than any test may take: an error that comes in time did not wait for it.
const FOREVER: Duration = Duration::from_secs(3600);

/// The error of `ready`, and of a request, which come at once.
async fn refused(block: &Value) -> Error {
    let connection = open(block, FOREVER);
    let error = timeout(SOON, connection.ready(FOREVER))
        .await
        .expect("at once")
        .expect_err("refused");
    let again = timeout(SOON, ask(&connection, &["PING"]))
        .await
        .expect("at once")
        .expect_err("refused");
    assert_eq!(again, error);
    let ping = command(&["PING"]);
    let bulk = connection.run::<()>(Lane::Bulk, &ping, Repeat::Safe);
    let bulk = timeout(SOON, bulk).await.expect("at once");
    assert_eq!(bulk.expect_err("refused"), error);
    error
}

async fn server_with_password() -> Server {
    let server = Server::builder().password("right").start().await;
    server.expect("a server")
}

#[tokio::test]
async fn a_wrong_password() {
    let server = server_with_password().await;
    let mut block = block(server.address());
    block["password"] = json!("wrong");
    let error = refused(&block).await;
    assert_eq!(error.code(), Code::StoreAuthentication, "{error}");
    assert!(error.to_string().contains("NRC_STORE_AUTHENTICATION"));
    assert!(
        error.message().contains(&server.address().to_string()),
        "{error}"
    );
    assert!(!error.message().contains("wrong"), "{error}");
}

#[tokio::test]
async fn no_password_where_one_is_asked_for() {
    let server = server_with_password().await;
    let error = refused(&block(server.address())).await;
    assert_eq!(error.code(), Code::StoreAuthentication, "{error}");
}

#[tokio::test]
async fn an_unknown_user() {
    let server = server_with_password().await;
    let mut block = block(server.address());
    block["username"] = json!("nobody");
    block["password"] = json!("right");
    let error = refused(&block).await;
    assert_eq!(error.code(), Code::StoreAuthentication, "{error}");
}

#[tokio::test]
async fn a_database_that_does_not_exist() {
    let server = Server::start_default().await.expect("a server");
    let mut block = block(server.address());
    block["db"] = json!(16);
    let error = refused(&block).await;
    assert_eq!(error.code(), Code::ConfigInvalid, "{error}");
    assert!(error.message().contains("no database 16"), "{error}");
}

#[tokio::test]
async fn a_password_that_changes_later_is_an_outage_and_no_refusal() {
    let server = server_with_password().await;
    let mut block = block(server.address());
    block["password"] = json!("right");
    let connection = open(&block, PATIENT);
    connection.ready(SOON).await.expect("the store");

    look(&server, &["CONFIG", "SET", "requirepass", "other"]).await;
    look(&server, &["CLIENT", "KILL", "TYPE", "normal"]).await;
    // First the link is lost, and then the new one is refused.
    until("the refusal", async || {
        let ready = connection.ready(Duration::from_millis(50)).await;
        ready.is_err_and(|error| error.code() == Code::StoreAuthentication)
    })
    .await;

    look(&server, &["CONFIG", "SET", "requirepass", "right"]).await;
    ask(&connection, &["PING"]).await.expect("the link is back");
}
