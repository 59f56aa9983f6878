//! Members on a real server: every place is one instance's, and everybody who is there is listed.

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use node_red_cluster_core::config::{Monitoring, Role};
use node_red_cluster_core::connection::Connection;
use node_red_cluster_core::members::{
    Failure, Heartbeat, Identity, Presence, Publication, Record, State, Status, list,
};
use node_red_cluster_testkit::{Proxy, eventually};
use support::access::{self, WORKER};
use support::{PATIENT, SOON, Store, block, open};
use tokio::task::JoinSet;

/// Records of an instance that is away are not renewed, but stay for the whole test.
const LASTING: Monitoring = Monitoring {
    enabled: true,
    heartbeat_interval: Duration::from_secs(3600),
    heartbeat_ttl: Duration::from_secs(7200),
};

fn identity(role: Role) -> Identity {
    Identity {
        host: "host".to_owned(),
        ..Identity::of_this_process(role, "4.1.0", "22.0.0")
    }
}

async fn claim(store: &Store, role: Role) -> Presence {
    let (connection, status) = (store.connect_as(WORKER), Status::default());
    Presence::claim(
        &connection,
        &store.keyspace,
        &LASTING,
        identity(role),
        &status,
    )
    .await
    .expect("a place")
}

fn heartbeat(store: &Store, connection: &Connection, monitoring: &Monitoring) -> Heartbeat {
    Heartbeat::start(
        connection,
        &store.keyspace,
        monitoring,
        identity(Role::Worker),
        Status::default(),
    )
}

async fn id_of(heartbeat: &Heartbeat) -> String {
    let mut id = heartbeat.id();
    let claimed = tokio::time::timeout(SOON, id.wait_for(Option::is_some)).await;
    let id = claimed.expect("in time").expect("a heart that beats");
    id.clone().expect("an id")
}

async fn listed(store: &Store) -> Vec<Record> {
    list(&store.connect_as(WORKER), &store.keyspace)
        .await
        .expect("a list")
}

async fn ids(store: &Store) -> Vec<String> {
    listed(store)
        .await
        .into_iter()
        .map(|record| record.id)
        .collect()
}

async fn stored(store: &Store, id: &str) -> Option<Record> {
    let json = store.text(&format!("nodered:cluster:worker:{id}")).await?;
    Some(serde_json::from_str(&json).expect("a record"))
}

#[tokio::test]
async fn twenty_instances_that_start_at_once_have_the_numbers_from_one_to_twenty() {
    let store = Store::start().await;
    let mut instances = JoinSet::new();
    for _ in 0..20 {
        let (connection, keyspace) = (store.connect_as(WORKER), store.keyspace.clone());
        instances.spawn(async move {
            let status = Status::default();
            Presence::claim(
                &connection,
                &keyspace,
                &LASTING,
                identity(Role::Worker),
                &status,
            )
            .await
        });
    }
    let claimed: BTreeSet<String> = instances
        .join_all()
        .await
        .into_iter()
        .map(|presence| presence.expect("a place").id().to_owned())
        .collect();
    let expected: BTreeSet<String> = (1..=20).map(|number| format!("host-{number}")).collect();
    assert_eq!(claimed, expected);
    let in_order: Vec<String> = (1..=20).map(|number| format!("host-{number}")).collect();
    assert_eq!(ids(&store).await, in_order);
}

#[tokio::test]
async fn the_smallest_free_number_is_taken_and_admins_have_numbers_of_their_own() {
    let store = Store::start().await;
    let first = claim(&store, Role::Worker).await;
    let second = claim(&store, Role::Worker).await;
    assert_eq!((first.id(), second.id()), ("host-1", "host-2"));
    assert_eq!(claim(&store, Role::Admin).await.id(), "host-1");
    first.remove().await.expect("removed");
    assert_eq!(claim(&store, Role::Worker).await.id(), "host-1");
    let roles: Vec<String> = listed(&store)
        .await
        .into_iter()
        .map(|record| record.role)
        .collect();
    assert_eq!(roles, ["admin", "worker", "worker"]);
}

#[tokio::test]
async fn among_many_instances_on_a_host_a_free_place_is_found_in_few_requests() {
    const TAKEN: usize = 450;
    let store = Store::start().await;
    for number in 1..=TAKEN {
        let key = store
            .keyspace
            .presence(Role::Worker, &format!("host-{number}"));
        store.set(&key, "somebody else's").await;
    }
    let freed = store.keyspace.presence(Role::Worker, "host-440");
    store.command(&["DEL", &freed]).await;
    // The scripts are known from the first claim on.
    assert_eq!(claim(&store, Role::Worker).await.id(), "host-440");
    let before = scripts(&store).await;
    assert_eq!(claim(&store, Role::Worker).await.id(), "host-451");
    let asked = scripts(&store).await - before;
    // The first place, three batches of 200, the free place.
    assert_eq!(asked, 5);
}

/// How many scripts were run so far.
async fn scripts(store: &Store) -> u64 {
    let stats = store.command(&["INFO", "commandstats"]).await;
    let stats = stats.text().expect("statistics").to_owned();
    let calls = stats.lines().filter_map(|line| {
        let calls = line.strip_prefix("cmdstat_evalsha:calls=")?;
        calls.split(',').next()?.parse::<u64>().ok()
    });
    calls.sum()
}

#[tokio::test]
async fn a_place_belongs_to_whoever_took_it_last() {
    let store = Store::start().await;
    let away = claim(&store, Role::Worker).await;
    store
        .command(&["DEL", "nodered:cluster:worker:host-1"])
        .await;
    let other = claim(&store, Role::Worker).await;
    assert_eq!(other.id(), away.id());

    let before = store.text("nodered:cluster:worker:host-1").await;
    let status = Status::default();
    assert_eq!(
        away.publish(&status).await.expect("an answer"),
        Publication::Lost
    );
    away.remove().await.expect("an answer");
    assert_eq!(store.text("nodered:cluster:worker:host-1").await, before);
    assert_eq!(
        other.publish(&status).await.expect("an answer"),
        Publication::Published
    );
}

#[tokio::test]
async fn an_expired_record_is_written_again_by_its_owner() {
    let store = Store::start().await;
    let presence = claim(&store, Role::Worker).await;
    store.command(&["FLUSHALL"]).await;
    assert!(ids(&store).await.is_empty());
    let published = presence.publish(&Status::default()).await;
    assert_eq!(published.expect("an answer"), Publication::Published);
    assert_eq!(ids(&store).await, ["host-1"]);
    let ttl = store
        .command(&["TTL", "nodered:cluster:worker:host-1"])
        .await;
    assert!(
        ttl.integer()
            .is_some_and(|ttl| (7100..=7200).contains(&ttl)),
        "{ttl:?}"
    );
}

#[tokio::test]
async fn who_has_gone_is_struck_off_and_what_cannot_be_read_is_passed_over() {
    let store = Store::start().await;
    let members = "nodered:cluster:members";
    claim(&store, Role::Worker).await;
    let gone = claim(&store, Role::Worker).await;
    store
        .command(&["DEL", &format!("nodered:cluster:worker:{}", gone.id())])
        .await;
    for (id, value) in [("bad", "{"), ("alien", r#"{"id":"host-1"}"#)] {
        store
            .set(&format!("nodered:cluster:worker:{id}"), value)
            .await;
        store
            .command(&["SADD", members, &format!("worker:{id}")])
            .await;
    }
    let moved = store
        .text("nodered:cluster:worker:host-1")
        .await
        .expect("a record");
    store.set("nodered:cluster:worker:moved", moved).await;
    store
        .set("nodered:cluster:worker:huge", "x".repeat(100_000))
        .await;
    store
        .command(&[
            "SADD",
            members,
            "worker:moved",
            "worker:huge",
            "nonsense",
            "king:x",
        ])
        .await;

    assert_eq!(ids(&store).await, ["host-1"]);
    let is_member = store
        .command(&["SISMEMBER", members, "worker:host-2"])
        .await;
    assert_eq!(is_member.integer(), Some(0));
    let is_member = store
        .command(&["SISMEMBER", members, "worker:host-1"])
        .await;
    assert_eq!(is_member.integer(), Some(1));
}

#[tokio::test]
async fn without_monitoring_nothing_is_written() {
    let store = Store::start().await;
    let off = Monitoring {
        enabled: false,
        ..LASTING
    };
    let connection = store.connect_as(WORKER);
    let heartbeat = heartbeat(&store, &connection, &off);
    let expected = format!("host-{}", std::process::id());
    assert_eq!(id_of(&heartbeat).await, expected);
    heartbeat.update(|status| status.state = State::Running);
    heartbeat.stop().await;
    connection.ready(SOON).await.expect("a link");
    assert_eq!(store.command(&["DBSIZE"]).await.integer(), Some(0));
}

#[tokio::test]
async fn a_heartbeat_renews_the_record() {
    let store = Store::start().await;
    let connection = store.connect_as(WORKER);
    let often = Monitoring {
        enabled: true,
        heartbeat_interval: Duration::from_millis(300),
        heartbeat_ttl: Duration::from_secs(60),
    };
    let heartbeat = heartbeat(&store, &connection, &often);
    let key = format!("nodered:cluster:worker:{}", id_of(&heartbeat).await);
    for _ in 0..3 {
        store.command(&["PEXPIRE", &key, "20000"]).await;
        eventually("a renewal", SOON, async || {
            let left = store.command(&["PTTL", &key]).await.integer()?;
            (left > 50_000).then_some(())
        })
        .await
        .expect("renewed");
    }
    heartbeat.stop().await;
}

#[tokio::test]
async fn a_change_is_seen_at_once_and_many_changes_are_few_writes() {
    let store = Store::start().await;
    let connection = store.connect_as(WORKER);
    let heartbeat = heartbeat(&store, &connection, &LASTING);
    let id = id_of(&heartbeat).await;
    store.command(&["CONFIG", "RESETSTAT"]).await;
    let begin = Instant::now();
    for number in 0..500 {
        heartbeat.update(|status| status.revision.wanted = Some(number));
        // Lets the heart beat between the changes.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    heartbeat.update(|status| {
        status.state = State::Running;
        status.revision.error = Some(Failure {
            code: "NRC_X".to_owned(),
            message: "why".to_owned(),
        });
    });
    let record = eventually("the last change", SOON, async || {
        stored(&store, &id)
            .await
            .filter(|record| record.status.state == State::Running)
    })
    .await
    .expect("published");
    assert_eq!(record.status.revision.wanted, Some(499));

    let allowed = begin.elapsed().as_millis() / 100 + 2;
    let statistics = store.command(&["INFO", "commandstats"]).await;
    let calls = statistics.text().and_then(|text| {
        text.split("cmdstat_set:calls=")
            .nth(1)?
            .split(',')
            .next()?
            .parse()
            .ok()
    });
    assert!(
        calls.is_some_and(|calls: u128| calls >= 2 && calls <= allowed),
        "{calls:?} of {allowed}"
    );
    heartbeat.stop().await;
}

#[tokio::test]
async fn a_record_is_back_as_soon_as_an_emptied_store_is() {
    let mut store = Store::start().await;
    let connection = store.connect_as(WORKER);
    let heartbeat = heartbeat(&store, &connection, &LASTING);
    let id = id_of(&heartbeat).await;
    store.server.kill().await.expect("killed");
    store.server.start_empty().await.expect("started");
    eventually("the record", SOON, async || stored(&store, &id).await)
        .await
        .expect("published again");
    heartbeat.stop().await;
    assert!(ids(&store).await.is_empty());
}

#[tokio::test]
async fn an_instance_that_starts_before_the_store_gets_its_place_later() {
    let store = Store::start().await;
    let proxy = Proxy::start(store.server.address()).await.expect("a proxy");
    proxy.refuse().await;
    let connection = open(&access::logged_in(block(proxy.address()), WORKER), PATIENT);
    let heartbeat = heartbeat(&store, &connection, &LASTING);
    heartbeat.update(|status| status.state = State::Waiting);
    connection
        .ready(Duration::from_millis(50))
        .await
        .expect_err("no store");
    assert_eq!(*heartbeat.id().borrow(), None);
    proxy.accept().await.expect("the port");
    let id = id_of(&heartbeat).await;
    let record = eventually("the state", SOON, async || {
        stored(&store, &id)
            .await
            .filter(|record| record.status.state == State::Waiting)
    });
    record.await.expect("published");
    heartbeat.stop().await;
}

#[tokio::test]
async fn an_instance_that_lost_its_place_while_away_takes_another() {
    let store = Store::start().await;
    let proxy = Proxy::start(store.server.address()).await.expect("a proxy");
    let connection = open(&access::logged_in(block(proxy.address()), WORKER), PATIENT);
    let heartbeat = heartbeat(&store, &connection, &LASTING);
    assert_eq!(id_of(&heartbeat).await, "host-1");
    proxy.refuse().await;
    store
        .command(&["DEL", "nodered:cluster:worker:host-1"])
        .await;
    assert_eq!(claim(&store, Role::Worker).await.id(), "host-1");
    proxy.accept().await.expect("the port");

    let mut id = heartbeat.id();
    let moved = id.wait_for(|id| id.as_deref() == Some("host-2"));
    drop(
        tokio::time::timeout(SOON, moved)
            .await
            .expect("in time")
            .expect("alive"),
    );
    assert_eq!(ids(&store).await, ["host-1", "host-2"]);
    heartbeat.stop().await;
    assert_eq!(ids(&store).await, ["host-1"]);
}

#[tokio::test]
async fn a_heartbeat_that_is_dropped_removes_its_record() {
    let store = Store::start().await;
    let connection = store.connect_as(WORKER);
    let heartbeat = heartbeat(&store, &connection, &LASTING);
    let id = id_of(&heartbeat).await;
    assert!(stored(&store, &id).await.is_some());
    drop(heartbeat);
    eventually("the end of the record", SOON, async || {
        stored(&store, &id).await.is_none().then_some(())
    })
    .await
    .expect("removed");
}
