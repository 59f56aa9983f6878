//! Every way in which an operator may say where the store is and who logs in.

use node_red_cluster_core::connection::{Connection, Lane, Repeat};
use node_red_cluster_testkit::Server;
use serde_json::{Value, json};

use crate::support::{PATIENT, SOON, ask, block, command, look, open, text, until};

/// Writes through the links that a block describes, and returns them.
async fn written(block: &Value) -> Connection {
    let connection = open(block, PATIENT);
    connection.ready(SOON).await.expect("the store");
    assert!(connection.is_up());
    ask(&connection, &["SET", "reached", "yes"])
        .await
        .expect("a reply");
    connection
}

#[tokio::test]
async fn by_tcp() {
    let server = Server::start_default().await.expect("a server");
    let connection = written(&block(server.address())).await;
    assert_eq!(text(&server, &["GET", "reached"]).await.unwrap(), "yes");
    assert_eq!(connection.describe(), server.address().to_string());
}

#[tokio::test]
async fn by_host_name() {
    let server = Server::start_default().await.expect("a server");
    // The server listens on IPv4 only; the name may have an IPv6 address before it.
    written(&json!({ "role": "admin", "host": "localhost", "port": server.port() })).await;
    assert_eq!(text(&server, &["GET", "reached"]).await.unwrap(), "yes");
}

#[tokio::test]
async fn by_unix_socket() {
    let server = Server::start_default().await.expect("a server");
    let connection = written(&json!({ "role": "admin", "path": server.unix_path() })).await;
    assert_eq!(text(&server, &["GET", "reached"]).await.unwrap(), "yes");
    assert!(connection.describe().starts_with("unix socket "));
}

#[tokio::test]
async fn by_url_with_a_password() {
    let odd = "p@ss wörd/#";
    let server = Server::builder().password(odd).start().await;
    let server = server.expect("a server");
    let connection = written(&json!({ "role": "admin", "url": server.url() })).await;
    assert_eq!(text(&server, &["GET", "reached"]).await.unwrap(), "yes");
    assert!(!connection.describe().contains("p@ss"));
}

#[tokio::test]
async fn as_an_acl_user() {
    let server = Server::builder()
        .password("of the default user")
        .acl_user("cluster", "on >secret ~* &* +@all")
        .start()
        .await
        .expect("a server");
    let mut block = block(server.address());
    block["username"] = json!("cluster");
    block["password"] = json!("secret");
    let connection = written(&block).await;
    assert_eq!(
        ask(&connection, &["ACL", "WHOAMI"]).await.unwrap().unwrap(),
        "cluster"
    );
}

#[tokio::test]
async fn in_a_numbered_database_also_after_a_reconnect() {
    let server = Server::start_default().await.expect("a server");
    let mut block = block(server.address());
    block["db"] = json!(3);
    let connection = written(&block).await;
    assert!(look(&server, &["GET", "reached"]).await.is_nil());

    look(&server, &["CLIENT", "KILL", "TYPE", "normal"]).await;
    ask(&connection, &["SET", "again", "yes"]).await.unwrap();
    let mut outside = server.connect().await.expect("a look from outside");
    outside.command(&["SELECT", "3"]).await.expect("database 3");
    for key in ["reached", "again"] {
        let value = outside.command(&["GET", key]).await.expect("a value");
        assert_eq!(value.text(), Some("yes"), "{key}");
    }
}

#[tokio::test]
async fn each_link_shows_its_name_to_operators() {
    let server = Server::start_default().await.expect("a server");
    let mut block = block(server.address());
    block["connectionName"] = json!("plant-7");
    let connection = written(&block).await;
    let ping = command(&["PING"]);
    let reply = connection.run::<()>(Lane::Bulk, &ping, Repeat::Safe);
    reply.await.expect("a reply");
    until("both names", async || {
        let clients = text(&server, &["CLIENT", "LIST"]).await.unwrap();
        clients.contains(" name=plant-7 ") && clients.contains(" name=plant-7:bulk ")
    })
    .await;
}
