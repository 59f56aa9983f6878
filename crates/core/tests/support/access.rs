//! The access rules of docs/operations.md: who logs in to the servers of these tests as whom.
//!
//! The user `default` has a password that nobody is told, so that no instance gets in without a login.

use std::fs;

use node_red_cluster_testkit::{Server, ServerBuilder};
use serde_json::{Value, json};

use super::server_knows;

/// An admin by the document.
pub(crate) const ADMIN: &str = "nodered-admin";
/// A worker by the document, and whoever has the context only.
pub(crate) const WORKER: &str = "nodered-worker";

/// Of each of them.
pub(crate) const PASSWORD: &str = "password-of-the-documented-users";

/// A server of its own whose users are the documented ones.
pub(crate) async fn server() -> Server {
    let started = guarded(Server::builder()).start().await;
    started.expect("a server")
}

/// Adds the documented users.
pub(crate) fn guarded(builder: ServerBuilder) -> ServerBuilder {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
    let text = fs::read_to_string(path).expect("the document");
    [ADMIN, WORKER]
        .into_iter()
        .fold(builder.password("of-nobody"), |builder, user| {
            let beginning = format!("ACL SETUSER {user} ");
            let mut lines = text
                .lines()
                .filter_map(|line| line.strip_prefix(&beginning));
            // The document has the lines of Redis 6 behind the others.
            let rules = lines.nth(usize::from(!server_knows(7, 0)));
            let rules = rules.expect("a line in the document").trim();
            // Rules for channels came with 6.2.
            let of_channels = |word: &str| word.starts_with('&') || word == "resetchannels";
            let known = |word: &&str| server_knows(6, 2) || !of_channels(word);
            let rules: Vec<&str> = rules.split_whitespace().filter(known).collect();
            builder.acl_user(user, rules.join(" ").replace("PASSWORD", PASSWORD))
        })
}

/// Lets a block log in as this user, unless it says itself who logs in, or leads to servers that others
/// start.
pub(crate) fn log_in(block: &mut Value, user: &str) {
    let elsewhere = ["password", "cluster", "sentinels"];
    if elsewhere.iter().all(|name| block.get(name).is_none()) {
        block["username"] = json!(user);
        block["password"] = json!(PASSWORD);
    }
}

/// A block that logs in as this user.
pub(crate) fn logged_in(mut block: Value, user: &str) -> Value {
    log_in(&mut block, user);
    block
}
