//! Instances of one cluster, wired as the product wires them.

use std::sync::Arc;

use node_red_cluster_core::config::{Config, Role, Secret};
use node_red_cluster_core::connection::Connection;
use node_red_cluster_core::credentials::{Configured, SecretKeeper};
use node_red_cluster_core::error::Result;
use node_red_cluster_core::flows::last_good::LastGood;
use node_red_cluster_core::flows::revision::{DeployType, Revision};
use node_red_cluster_core::flows::store::RevisionStore;
use node_red_cluster_core::flows::{Apply, Boot, Credentials, Deploy, Done, Flows, Job, Patience};
use node_red_cluster_core::keyspace::Keyspace;
use node_red_cluster_core::signing::Keyring;
use node_red_cluster_testkit::Server;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::support::{PATIENT, SOON, access, block, configuration, open, text};

/// The credential secret of instances that are not told another one.
const SECRET: &str = "the cluster's secret";

/// One instance: its links, its flows and its own disk.
pub(crate) struct Instance {
    pub(crate) flows: Flows,
    pub(crate) connection: Connection,
    pub(crate) keeper: Arc<SecretKeeper>,
    pub(crate) disk: Arc<TempDir>,
    role: Role,
}

/// How an instance differs from the usual.
pub(crate) struct Options {
    pub(crate) block: Value,
    pub(crate) secret: Configured,
    /// The disk of an earlier life.
    pub(crate) disk: Option<Arc<TempDir>>,
}

impl Options {
    pub(crate) fn at(server: &Server) -> Self {
        Self {
            block: block(server.address()),
            secret: Configured::Text(Secret::new(SECRET)),
            disk: None,
        }
    }
}

impl Instance {
    /// An admin that has started and runs what it found.
    pub(crate) async fn admin(server: &Server) -> Self {
        let admin = Self::new(Role::Admin, Options::at(server));
        admin.start().await;
        admin
    }

    /// A worker that has started, listens and runs what it found.
    pub(crate) async fn worker(server: &Server) -> Self {
        let worker = Self::new(Role::Worker, Options::at(server));
        worker.start().await;
        worker.listen();
        worker
    }

    /// An instance that has not started yet.
    pub(crate) fn new(role: Role, options: Options) -> Self {
        let user = match role {
            Role::Admin => access::ADMIN,
            Role::Worker => access::WORKER,
        };
        let block = access::logged_in(options.block, user);
        let config: Config = configuration(&block);
        let keyspace = Keyspace::new(&config);
        let connection = open(&block, PATIENT);
        let disk = options
            .disk
            .unwrap_or_else(|| Arc::new(tempfile::tempdir().expect("a temporary directory")));
        let keeper = Arc::new(SecretKeeper::new(
            connection.clone(),
            keyspace.clone(),
            options.secret,
            role,
        ));
        let flows = Flows::new(
            RevisionStore::new(connection.clone(), keyspace.clone(), config.compression),
            LastGood::new(disk.path(), keyspace.prefix()),
            Arc::clone(&keeper),
            role,
            format!("{}-1", role.as_str()),
            config
                .signing
                .as_ref()
                .map(|keys| Keyring::new(keys, keyspace.prefix())),
        );
        Self {
            flows,
            connection,
            keeper,
            disk,
            role,
        }
    }

    /// Starts as the product does when the store is there.
    pub(crate) async fn start(&self) -> Boot {
        self.keeper.establish(Vec::new()).await.expect("a secret");
        let boot = self.flows.boot().await.expect("a start");
        self.run(&boot).await;
        boot
    }

    /// Runs what a start found.
    pub(crate) async fn run(&self, boot: &Boot) {
        self.flows.begin(boot).await.expect("a start");
        self.flows.booted(Vec::new());
    }

    /// Wakes at each message and whenever some may have been missed.
    pub(crate) fn listen(&self) {
        let (message, resumed) = (self.flows.clone(), self.flows.clone());
        self.connection
            .subscribe(
                vec!["nodered:flows:updated".to_owned()],
                move |_| message.wake(),
                move || resumed.wake(),
            )
            .expect("a subscription");
    }

    /// Saves these flows with credentials in clear, which are encrypted on the way.
    pub(crate) async fn deploy(&self, flows: &str, deploy_type: DeployType) -> Result<Revision> {
        assert_eq!(self.role, Role::Admin);
        self.flows
            .publish(deploy(flows, deploy_type), Patience::None)
            .await
    }

    /// The next job.
    pub(crate) async fn job(&self) -> Job {
        let job = timeout(SOON, self.flows.next_job()).await;
        job.expect("a job in time").expect("an open instance")
    }

    /// The next job, which is an apply.
    pub(crate) async fn apply(&self) -> Box<Apply> {
        match self.job().await {
            Job::Apply(apply) => apply,
            other => panic!("not an apply: {other:?}"),
        }
    }

    /// Applies the next revision, and returns it as it was before.
    pub(crate) async fn follow(&self) -> Applied {
        let apply = self.apply().await;
        let applied = Applied {
            number: apply.head.revision.number,
            id: apply.head.revision.id.clone(),
            deploy_type: apply.deploy_type,
            flows: apply.flows.concat(),
            credentials: apply.credentials.clone(),
        };
        self.end(Job::Apply(apply), Done::Applied).await;
        applied
    }

    pub(crate) async fn end(&self, job: Job, done: Done) {
        self.flows.done(job, done).await.expect("an end");
    }

    /// Looks at the store now, and asserts that there is nothing to do.
    pub(crate) async fn rests(&self) {
        self.flows.wake();
        // Two looks at a store on this machine take a few milliseconds.
        let idle = std::time::Duration::from_millis(150);
        let job = timeout(idle, self.flows.next_job()).await;
        assert!(job.is_err(), "nothing to do: {job:?}");
    }

    /// The number of the revision that runs here.
    pub(crate) fn running(&self) -> Option<u64> {
        self.flows.status().borrow().running
    }
}

/// A revision that was applied.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) number: u64,
    pub(crate) id: String,
    pub(crate) deploy_type: DeployType,
    pub(crate) flows: String,
    pub(crate) credentials: String,
}

/// A deploy by the user `ada`, with the credentials of one node.
pub(crate) fn deploy(flows: &str, deploy_type: DeployType) -> Deploy {
    Deploy {
        flows: flows.to_owned(),
        credentials: Credentials::Exported(r#"{"n1":{"password":"pw"}}"#.to_owned()),
        deploy_type,
        user: Some("ada".to_owned()),
    }
}

/// Flows that differ by a name.
pub(crate) fn named(name: &str) -> String {
    format!(r#"[{{"id":"n1","type":"inject","name":"{name}"}}]"#)
}

/// A field of the newest revision's metadata, seen from outside.
pub(crate) async fn field(server: &Server, name: &str) -> Option<String> {
    text(server, &["HGET", "nodered:revision", name]).await
}
