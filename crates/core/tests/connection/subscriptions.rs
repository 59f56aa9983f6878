//! Subscriptions of several holders over one socket.

use node_red_cluster_core::connection::{Connection, Lane, Repeat, shared};
use node_red_cluster_core::error::Code;
use node_red_cluster_testkit::{Proxy, Server};
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;

use crate::events::{Event, Events, message, publish, subscriptions};
use crate::support::{
    PATIENT, SOON, ask, block, command, configuration, look, server_knows, text, until,
};

/// One more holder of the links that a block describes.
fn share(block: &Value) -> Connection {
    shared(&configuration(block).connection, PATIENT, "test").expect("options")
}

async fn server() -> Server {
    Server::start_default().await.expect("a server")
}

/// How many clients the server has besides the one that looks.
async fn clients(server: &Server) -> usize {
    let clients = text(server, &["CLIENT", "LIST"]).await.expect("a list");
    clients.lines().count() - 1
}

#[tokio::test]
async fn a_process_has_a_socket_for_commands_one_for_messages_and_one_for_bulk_once_they_are_used()
{
    let server = server().await;
    let block = block(server.address());
    let holders: [Connection; 3] = std::array::from_fn(|_| share(&block));
    for holder in &holders {
        ask(holder, &["PING"]).await.expect("a reply");
    }
    assert_eq!(clients(&server).await, 1);
    let mut ears = Vec::new();
    for (holder, channel) in holders.iter().zip(["a", "b", "b"]) {
        ears.push(Events::begun(holder, &[channel]).await);
    }
    assert_eq!(clients(&server).await, 2);
    for holder in &holders {
        let ping = command(&["PING"]);
        let reply = holder.run::<()>(Lane::Bulk, &ping, Repeat::Safe);
        reply.await.expect("a reply");
    }
    assert_eq!(clients(&server).await, 3);
    for holder in &holders {
        holder.close();
    }
    until("no link", async || clients(&server).await == 0).await;
}

#[tokio::test]
async fn everyone_hears_his_own_channels_and_whoever_leaves_takes_only_his_own() {
    let server = server().await;
    let block = block(server.address());
    let (stays, goes) = (share(&block), share(&block));
    let mut stay = Events::begun(&stays, &["a", "b"]).await;
    let before = subscriptions(&server).await;
    let mut go = Events::begun(&goes, &["b", "c"]).await;
    for channel in ["a", "b", "c"] {
        publish(&server, channel, "1").await;
    }
    assert_eq!(stay.next().await, message("a", "1"));
    assert_eq!(stay.next().await, message("b", "1"));
    assert_eq!(go.next().await, message("b", "1"));
    assert_eq!(go.next().await, message("c", "1"));

    goes.close();
    go.end().await;
    until("nobody needs c", async || {
        let heard = look(&server, &["PUBLISH", "c", "2"]).await;
        heard.integer() == Some(0)
    })
    .await;
    publish(&server, "b", "2").await;
    assert_eq!(stay.next().await, message("b", "2"));
    assert!(stay.is_quiet(), "it was not disturbed");
    assert_eq!(subscriptions(&server).await, before, "the same socket");
    let late = goes.subscribe(vec!["a".to_owned()], |_| (), || ());
    assert_eq!(late.expect_err("closed").code(), Code::Closed);
}

#[tokio::test]
async fn one_who_comes_late_is_told_of_his_beginning_and_nobody_else_is() {
    let server = server().await;
    let block = block(server.address());
    let (first, second) = (share(&block), share(&block));
    let mut early = Events::begun(&first, &["a"]).await;
    let mut same = Events::begun(&second, &["a"]).await;
    let mut more = Events::begun(&first, &["a", "b"]).await;
    publish(&server, "a", "1").await;
    for events in [&mut early, &mut same, &mut more] {
        assert_eq!(events.next().await, message("a", "1"));
        assert!(events.is_quiet());
    }
    assert_eq!(subscriptions(&server).await.len(), 1);
}

#[tokio::test]
async fn the_socket_ends_with_the_last_listener_and_comes_again_with_the_next() {
    let server = server().await;
    let block = block(server.address());
    let (stays, goes) = (share(&block), share(&block));
    for round in 0..3 {
        let goes = share(&block);
        let mut events = Events::begun(&goes, &["a"]).await;
        publish(&server, "a", &round.to_string()).await;
        assert_eq!(events.next().await, message("a", &round.to_string()));
        drop(goes);
        events.end().await;
        until("no socket", async || {
            subscriptions(&server).await.is_empty()
        })
        .await;
    }
    ask(&stays, &["PING"]).await.expect("a reply");
    assert_eq!(*stays.epochs().borrow(), 1, "commands were not touched");
    goes.close();
}

#[tokio::test]
async fn after_each_reconnect_everyone_is_told_and_hears_again() {
    let mut server = server().await;
    let proxy = Proxy::start(server.address()).await.expect("a proxy");
    let block = block(proxy.address());
    let (left, right) = (share(&block), share(&block));
    let mut first = Events::begun(&left, &["a", "b"]).await;
    let mut second = Events::begun(&right, &["b"]).await;
    for round in 0..3 {
        match round {
            0 => proxy.cut().await,
            1 => {
                look(&server, &["CLIENT", "KILL", "TYPE", "pubsub"]).await;
            }
            _ => {
                server.kill().await.expect("killed");
                server.start().await.expect("started");
            }
        }
        assert_eq!(first.next().await, Event::Resumed);
        assert_eq!(second.next().await, Event::Resumed);
        publish(&server, "b", &round.to_string()).await;
        assert_eq!(first.next().await, message("b", &round.to_string()));
        assert_eq!(second.next().await, message("b", &round.to_string()));
    }
}

#[tokio::test]
async fn a_listener_that_panics_harms_no_other() {
    let server = server().await;
    let block = block(server.address());
    let (bad, good) = (share(&block), share(&block));
    let (sender, mut called) = unbounded_channel();
    let again = sender.clone();
    bad.subscribe(
        vec!["a".to_owned()],
        move |message| {
            sender.send(message.channel).expect("a listener");
            panic!("on purpose");
        },
        move || {
            again.send("resumed".to_owned()).expect("a listener");
            panic!("on purpose");
        },
    )
    .expect("a subscription");
    assert_eq!(called.recv().await.unwrap(), "resumed");
    let mut events = Events::begun(&good, &["a"]).await;
    let before = subscriptions(&server).await;
    for round in 0..3 {
        publish(&server, "a", &round.to_string()).await;
        assert_eq!(events.next().await, message("a", &round.to_string()));
        assert_eq!(called.recv().await.unwrap(), "a");
    }
    assert!(events.is_quiet());
    assert_eq!(subscriptions(&server).await, before, "the same socket");
}

#[tokio::test]
async fn a_listener_may_close_its_own_connection_and_subscribe_others() {
    let server = server().await;
    let block = block(server.address());
    let (closes, stays) = (share(&block), share(&block));
    let (sender, mut heard) = unbounded_channel();
    let (own, other) = (closes.clone(), stays.clone());
    closes
        .subscribe(
            vec!["a".to_owned()],
            |_| (),
            move || {
                own.close();
                let sender = sender.clone();
                let resumed = move || sender.send(()).expect("a listener");
                other
                    .subscribe(vec!["b".to_owned()], |_| (), resumed)
                    .expect("a subscription");
            },
        )
        .expect("a subscription");
    let told = tokio::time::timeout(SOON, heard.recv()).await;
    told.expect("in time").expect("a subscription");
    publish(&server, "b", "1").await;
}

#[tokio::test]
async fn a_forbidden_channel_keeps_nobody_else_from_his_own() {
    if !server_knows(6, 2) {
        return; // Rules for channels came with 6.2.
    }
    let rules = "on >secret ~* resetchannels &a &b +@all";
    let server = Server::builder().acl_user("cluster", rules).start().await;
    let server = server.expect("a server");
    let mut block = block(server.address());
    block["username"] = json!("cluster");
    block["password"] = json!("secret");
    let (left, right) = (share(&block), share(&block));
    let mut waits = Events::of(&left, &["a", "forbidden"]);
    let mut hears = Events::begun(&right, &["a", "b"]).await;
    publish(&server, "a", "1").await;
    assert_eq!(hears.next().await, message("a", "1"));
    assert!(waits.is_quiet());
    look(&server, &["ACL", "SETUSER", "cluster", "&forbidden"]).await;
    assert_eq!(waits.next().await, Event::Resumed);
    publish(&server, "forbidden", "2").await;
    assert_eq!(waits.next().await, message("forbidden", "2"));
    assert!(hears.is_quiet());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holders_that_come_and_go_at_once_all_hear_what_they_asked_for() {
    let server = server().await;
    let block = block(server.address());
    let stays = share(&block);
    let mut stay = Events::begun(&stays, &["channel 0"]).await;
    let mut holders = JoinSet::new();
    for number in 0..16 {
        let (block, outside) = (block.clone(), server.connect().await);
        let mut outside = outside.expect("a look from outside");
        holders.spawn(async move {
            for round in 0..20 {
                let holder = share(&block);
                let channel = format!("channel {}", (number + round) % 4);
                let own = format!("own {number}");
                let mut events = Events::begun(&holder, &[&channel, &own]).await;
                let payload = round.to_string();
                let publish = ["PUBLISH", &own, &payload];
                let heard = outside.command(&publish).await.expect("a count");
                assert_eq!(heard.integer(), Some(1));
                assert_eq!(events.next().await, message(&own, &payload));
                holder.close();
                events.end().await;
            }
        });
    }
    while let Some(ended) = holders.join_next().await {
        ended.expect("its own messages");
    }
    assert!(stay.is_quiet());
    publish(&server, "channel 0", "last").await;
    assert_eq!(stay.next().await, message("channel 0", "last"));
    until("only one channel is left", async || {
        let channels = look(&server, &["PUBSUB", "CHANNELS"]).await;
        matches!(channels.elements(), [only] if only.text() == Some("channel 0"))
    })
    .await;
}
