//! Leaders of locks that lie in slots of their own, at other nodes than everything else.

use node_red_cluster_testkit::StoreCluster;
use serde_json::json;

use crate::cluster::{KEY, block, owner};
use crate::instance::{Instance, TTL, leaders, lock};
use crate::support::until;

/// The names of locks, one for each of three nodes.
async fn one_for_each_node(cluster: &StoreCluster) -> Vec<String> {
    let mut found: Vec<Option<String>> = vec![None; 3];
    for number in 0..1000 {
        let name = format!("job-{number}");
        found[owner(cluster, &name).await].get_or_insert(name);
        if found.iter().all(Option::is_some) {
            break;
        }
    }
    found.into_iter().flatten().collect()
}

#[tokio::test]
async fn each_lock_has_one_leader_wherever_it_lies_and_follows_its_slot() {
    let cluster = StoreCluster::builder()
        .replicas(0)
        .start()
        .await
        .expect("a cluster");
    let options = json!({ "cluster": block(&cluster)["cluster"] });
    let address = cluster.addresses()[0];
    let mut locks = one_for_each_node(&cluster).await;
    assert_eq!(locks.len(), 3);
    locks.push("{nodered}:leader".to_owned());
    for name in &locks {
        let start = || Instance::with(address, &options, &lock(name, TTL));
        let first = start();
        let token = first.must_lead().await;
        let second = start();
        second.must_follow().await;
        first.must_renew(2).await;
        first.hang();
        until("another leads", async || {
            assert!(leaders(&[&first, &second]) <= 1);
            second.leads()
        })
        .await;
        assert!(second.token() > Some(token));

        let slot = cluster.slot_of(name).await.expect("a slot");
        let to = (owner(&cluster, name).await + 1) % 3;
        cluster.move_slot(slot, to).await.expect("moved");
        cluster.settled().await.expect("settled");
        second.must_renew(2).await;
        assert!(leaders(&[&first, &second]) <= 1);
    }
    assert_eq!(
        owner(&cluster, KEY).await,
        owner(&cluster, "{nodered}:leader").await
    );
}
