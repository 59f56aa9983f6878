//! Requests for one session: in that session or not at all, and never twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use node_red_cluster_core::connection::{Connection, Request, Session};
use node_red_cluster_core::error::{Code, Result};
use node_red_cluster_testkit::{Direction, Proxy, Server};
use serde_json::json;
use tokio::time::Instant;

use crate::support::{
    IMPATIENT, PATIENT, SOON, ask, block, command, connect, look, open, server_knows, text, until,
};

/// Slack for a busy machine.
const SLACK: Duration = Duration::from_secs(1);

async fn server() -> Server {
    Server::start_default().await.expect("a server")
}

/// The session of a link that is up, or soon will be.
async fn session(connection: &Connection) -> Session {
    until("a session", async || connection.session().is_some()).await;
    connection.session().expect("a session")
}

async fn increment(connection: &Connection, session: &Session, limit: Duration) -> Result<i64> {
    let request = command(&["INCR", "count"]);
    connection.run_on(session, &request, limit).await
}

async fn count(server: &Server) -> u64 {
    let count = text(server, &["GET", "count"]).await;
    count.map_or(0, |count| count.parse().expect("a number"))
}

fn is_closed(connection: &Connection) -> bool {
    let known = connection.known_down();
    known.is_some_and(|error| error.code() == Code::Closed)
}

/// How the server's run and reign are named, by how it names itself and its data.
async fn run(server: &Server) -> Option<String> {
    let (about, replication) = (
        text(server, &["INFO", "server"]).await?,
        text(server, &["INFO", "replication"]).await?,
    );
    let half = |info: &str, name: &str| {
        let value = info.lines().find_map(|line| line.strip_prefix(name));
        value.map(|value| value.trim()[..20].to_owned())
    };
    Some(half(&about, "run_id:")? + &half(&replication, "master_replid:")?)
}

#[tokio::test]
async fn a_master_that_was_a_replica_in_between_is_another() {
    let (first, other) = (server().await, server().await);
    let server = first;
    let before = connect(server.address()).await.session().unwrap();
    let port = other.address().port().to_string();
    text(&server, &["REPLICAOF", "127.0.0.1", &port]).await;
    text(&server, &["REPLICAOF", "NO", "ONE"]).await;
    let after = connect(server.address()).await.session().unwrap();
    assert!(before.run.is_some());
    assert_ne!(after.run, before.run);
}

#[tokio::test]
async fn a_session_tells_which_server_it_leads_to() {
    let server = server().await;
    let connection = connect(server.address()).await;
    let expected = Session {
        epoch: 1,
        run: run(&server).await,
        clustered: false,
    };
    assert!(expected.run.is_some());
    assert_eq!(connection.session(), Some(expected.clone()));
    look(&server, &["CLIENT", "KILL", "TYPE", "normal"]).await;
    until("the next", async || {
        connection
            .session()
            .is_some_and(|session| session.epoch == 2)
    })
    .await;
    let next = Session {
        epoch: 2,
        ..expected
    };
    assert_eq!(connection.session(), Some(next));
    connection.close();
    assert_eq!(connection.session(), None);
}

#[tokio::test]
async fn a_server_of_a_cluster_says_so_also_where_it_may_not_be_asked_for_more() {
    if !server_knows(6, 2) {
        return; // HELLO without a version came with 6.2.
    }
    let server = Server::builder()
        .configuration_line("cluster-enabled yes")
        .acl_user("cluster", "on >secret ~* &* +@all -info")
        .start()
        .await
        .expect("a server");
    let connection = connect(server.address()).await;
    let all = connection.session().expect("a session");
    assert!(all.clustered);
    assert_eq!(all.run, run(&server).await);
    let mut block = block(server.address());
    block["username"] = json!("cluster");
    block["password"] = json!("secret");
    let connection = open(&block, PATIENT);
    connection.ready(SOON).await.expect("the store");
    let part = connection.session().expect("a session");
    assert!(part.clustered);
    assert_eq!(part.run, None);
}

#[tokio::test]
async fn a_server_that_speaks_the_older_protocol_says_so_too() {
    let server = Server::builder()
        .configuration_line("cluster-enabled yes")
        .configuration_line("rename-command HELLO \"\"")
        .start()
        .await
        .expect("a server");
    let connection = connect(server.address()).await;
    let session = connection.session().expect("a session");
    assert!(session.clustered);
    assert_eq!(session.run, run(&server).await);
}

#[tokio::test]
async fn what_was_asked_for_a_session_that_is_over_is_not_sent() {
    let server = server().await;
    let proxy = Proxy::start(server.address()).await.expect("a proxy");
    let connection = connect(proxy.address()).await;
    let first = session(&connection).await;
    assert_eq!(increment(&connection, &first, PATIENT).await.unwrap(), 1);
    for epoch in 2..=4 {
        let old = session(&connection).await;
        proxy.cut().await;
        // At this moment it may not be known yet, but the way is gone.
        let error = increment(&connection, &old, PATIENT).await;
        let error = error.expect_err("a cut");
        assert!(
            matches!(error.code(), Code::StoreUnreachable | Code::OutcomeUnknown),
            "{error}"
        );
        until("the next session", async || {
            connection.session().is_some_and(|new| new.epoch >= epoch)
        })
        .await;
        for session in [&first, &old] {
            let error = increment(&connection, session, PATIENT).await;
            let error = error.expect_err("over");
            assert_eq!(error.code(), Code::StoreUnreachable, "{error}");
        }
    }
    let new = session(&connection).await;
    assert_eq!(increment(&connection, &new, PATIENT).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn across_restarts_of_the_store_each_session_belongs_to_one_run_of_it() {
    let mut server = server().await;
    let connection = connect(server.address()).await;
    let seen = Arc::new(Mutex::new(BTreeMap::new()));
    let watcher = tokio::spawn({
        let (connection, seen) = (connection.clone(), Arc::clone(&seen));
        async move {
            // Every look that is possible, until the connection is closed.
            while !is_closed(&connection) {
                if let Some(session) = connection.session() {
                    let before = seen
                        .lock()
                        .unwrap()
                        .insert(session.epoch, session.run.clone());
                    assert!(before.is_none_or(|run| run == session.run), "{session:?}");
                }
                tokio::task::yield_now().await;
            }
        }
    });
    let mut expected = BTreeMap::new();
    for _ in 0..4 {
        let old = session(&connection).await;
        expected.insert(old.epoch, run(&server).await);
        until("the watcher saw it", async || {
            seen.lock().unwrap().contains_key(&old.epoch)
        })
        .await;
        increment(&connection, &old, PATIENT)
            .await
            .expect("a reply");
        server.kill().await.expect("killed");
        server.start().await.expect("started");
        connection.ready(SOON).await.expect("the store");
        until("the next session", async || {
            connection
                .session()
                .is_some_and(|new| new.epoch > old.epoch)
        })
        .await;
        let error = increment(&connection, &old, PATIENT).await;
        let error = error.expect_err("over");
        assert_eq!(error.code(), Code::StoreUnreachable, "{error}");
        assert_eq!(
            count(&server).await,
            0,
            "the new server has counted nothing"
        );
    }
    connection.close();
    watcher.await.expect("one run each");
    let seen = seen.lock().unwrap();
    for (epoch, run) in expected {
        assert_eq!(seen.get(&epoch), Some(&run));
    }
}

#[tokio::test]
async fn silence_is_an_unknown_outcome_within_the_limit_and_the_session_is_given_up() {
    for direction in [Direction::ToServer, Direction::ToClient, Direction::Both] {
        let server = server().await;
        let proxy = Proxy::start(server.address()).await.expect("a proxy");
        let connection = connect(proxy.address()).await;
        let old = session(&connection).await;
        proxy.blackhole(direction);
        let begin = Instant::now();
        let error = increment(&connection, &old, IMPATIENT).await;
        let passed = begin.elapsed();
        let error = error.expect_err("silence");
        assert_eq!(error.code(), Code::OutcomeUnknown, "{error}");
        assert!(
            passed >= IMPATIENT && passed < IMPATIENT + SLACK,
            "{passed:?}"
        );
        assert_eq!(connection.session(), None, "from this moment on");
        let again = increment(&connection, &old, IMPATIENT).await;
        let again = again.expect_err("given up");
        assert_eq!(again.code(), Code::StoreUnreachable, "{again}");

        proxy.heal().await.expect("healed");
        let new = session(&connection).await;
        assert!(new.epoch > old.epoch);
        assert_eq!(new.run, old.run);
        // What was under way was carried out once, if at all, and before the new session.
        let before = count(&server).await;
        assert!(before <= 1, "{direction:?}");
        let counted = increment(&connection, &new, PATIENT).await.unwrap();
        assert_eq!(counted, i64::try_from(before).unwrap() + 1);
    }
}

#[tokio::test]
async fn a_link_that_is_cut_before_the_reply_is_an_unknown_outcome_and_nothing_is_repeated() {
    let server = server().await;
    let proxy = Proxy::start(server.address()).await.expect("a proxy");
    let connection = connect(proxy.address()).await;
    let old = session(&connection).await;
    proxy.blackhole(Direction::ToClient);
    let (reply, ()) = tokio::join!(increment(&connection, &old, PATIENT), async {
        until("the increment", async || count(&server).await == 1).await;
        proxy.cut().await;
        proxy.heal().await.expect("healed");
    });
    let error = reply.expect_err("no reply");
    assert_eq!(error.code(), Code::OutcomeUnknown, "{error}");
    let new = session(&connection).await;
    assert_eq!(increment(&connection, &new, PATIENT).await.unwrap(), 2);
}

#[tokio::test]
async fn a_replica_is_named_at_once_and_the_session_is_given_up() {
    let primary = server().await;
    let replica = Server::builder().replica_of(&primary).start().await;
    let replica = replica.expect("a replica");
    let connection = connect(replica.address()).await;
    let old = session(&connection).await;
    let error = increment(&connection, &old, PATIENT).await;
    let error = error.expect_err("a replica");
    assert_eq!(error.code(), Code::StoreReadOnly, "{error}");
    let new = session(&connection).await;
    assert!(new.epoch > old.epoch);
}

#[tokio::test]
async fn a_busy_server_is_named_at_once_and_the_session_goes_on() {
    let server = Server::builder()
        .configuration_line("lua-time-limit 1")
        .start()
        .await
        .expect("a server");
    let connection = connect(server.address()).await;
    let session = session(&connection).await;
    let mut outside = server.connect().await.expect("a look from outside");
    let endless = outside.command(&["EVAL", "while true do end", "0"]);
    let (_, ()) = tokio::join!(endless, async {
        until("the server is busy", async || {
            server.command(&["PING"]).await.is_err()
        })
        .await;
        let error = increment(&connection, &session, PATIENT).await;
        let error = error.expect_err("busy");
        assert_eq!(error.code(), Code::StoreNotReady, "{error}");
        look(&server, &["SCRIPT", "KILL"]).await;
    });
    assert_eq!(increment(&connection, &session, PATIENT).await.unwrap(), 1);
    assert_eq!(connection.session(), Some(session));
}

#[tokio::test]
async fn a_script_that_the_server_lacks_is_sent_in_the_same_session() {
    let server = server().await;
    let connection = connect(server.address()).await;
    let session = session(&connection).await;
    let request = Request::Script {
        script: "return redis.call('INCR', KEYS[1])",
        keys: vec!["count".to_owned()],
        arguments: Vec::new(),
    };
    for expected in 1..=4 {
        let counted: i64 = connection
            .run_on(&session, &request, PATIENT)
            .await
            .expect("a reply");
        assert_eq!(counted, expected);
        if expected % 2 == 0 {
            look(&server, &["SCRIPT", "FLUSH"]).await;
        }
    }
    assert_eq!(connection.session(), Some(session));
}

#[tokio::test]
async fn a_session_of_a_closed_connection_is_closed() {
    let server = server().await;
    let connection = connect(server.address()).await;
    let session = session(&connection).await;
    ask(&connection, &["PING"]).await.expect("a reply");
    connection.close();
    let error = increment(&connection, &session, PATIENT).await;
    assert_eq!(error.expect_err("closed").code(), Code::Closed);
    assert_eq!(count(&server).await, 0);
}
