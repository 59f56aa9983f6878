//! Commands that are a help where they are allowed: without one of them everything goes on, a little less
//! well, and one line says so.

use std::time::Duration;

use node_red_cluster_core::config::Role;
use node_red_cluster_core::context::Patience;
use node_red_cluster_core::documents::Documents;
use node_red_cluster_core::flows::revision::DeployType;
use node_red_cluster_core::flows::{Done, Job};
use node_red_cluster_core::keyspace::Keyspace;
use node_red_cluster_testkit::{Server, eventually};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::cluster::{Instance, Options, named};
use crate::instance::{self, LOCK, TTL, leaders, lock, throughout};
use crate::log::{LIMITED, Log};
use crate::process::Process;
use crate::support::{PATIENT, access, configuration, look, open, until};

/// The slow poll that catches what no message told, and slack for a busy machine.
const POLLED: Duration = Duration::from_secs(20);

/// A store without a command, as a user with this name and password sees it.
struct Lacking {
    server: Server,
    login: Value,
}

/// Rules that allow everything but this.
async fn forbidding(rule: &str) -> Lacking {
    let rules = format!("on >{LIMITED} ~* &* +@all {rule}");
    let server = Server::builder().acl_user("limited", rules).start().await;
    Lacking {
        server: server.expect("a server"),
        login: json!({ "username": "limited", "password": LIMITED }),
    }
}

/// A server on which this command has another name.
async fn renamed(command: &str) -> Lacking {
    let line = format!("rename-command {command} \"\"");
    let builder = access::guarded(Server::builder());
    let server = builder.configuration_line(line).start().await;
    Lacking {
        server: server.expect("a server"),
        login: access::logged_in(json!({}), access::ADMIN),
    }
}

impl Lacking {
    fn options(&self) -> Options {
        let mut options = Options::at(&self.server);
        for (name, value) in self.login.as_object().into_iter().flatten() {
            options.block[name] = value.clone();
        }
        options
    }

    /// What one process writes the other reads, from the moment on at which the write is confirmed: no
    /// value that is kept is older than that.
    async fn context_is_right(&self, heard: bool) {
        let open = async || {
            let settings = crate::process::settings(self.server.address(), self.login.clone());
            let process = Process::begin(settings, None);
            process
                .context
                .ready(Patience::Endless)
                .await
                .expect("a store");
            process
        };
        let (one, other) = (open().await, open().await);
        for round in 0..20 {
            let text = round.to_string();
            one.set("global", "a", Some(&text)).await.expect("a write");
            let read = other.read("global", "a").await.expect("a read");
            assert_eq!(read.as_deref(), Some(&*text));
        }
        if heard {
            until("changes are heard of", async || {
                other.context.counters().near_cache
            })
            .await;
        } else {
            assert!(!other.context.counters().near_cache, "nothing is kept");
        }
        other.set("global", "b", Some("1")).await.expect("a write");
        assert_eq!(one.names("global").await, ["a", "b"]);
        one.set("global", "b", None).await.expect("a removal");
        assert_eq!(other.names("global").await, ["a"]);
    }

    /// A worker runs what an admin deploys, in this time.
    async fn deploys_are_followed(&self, limit: Duration) {
        let admin = Instance::new(Role::Admin, self.options());
        admin.start().await;
        admin
            .deploy(&named("first"), DeployType::Full)
            .await
            .expect("saved");
        let worker = Instance::new(Role::Worker, self.options());
        worker.start().await;
        worker.listen();
        assert_eq!(worker.running(), Some(1));
        admin
            .deploy(&named("second"), DeployType::Full)
            .await
            .expect("saved");
        let job = timeout(limit, worker.flows.next_job()).await;
        let job = job.expect("in time").expect("an open instance");
        let Job::Apply(apply) = &job else {
            panic!("not an apply: {job:?}");
        };
        assert_eq!(apply.flows.concat(), named("second"));
        worker.end(job, Done::Applied).await;
        assert_eq!(worker.running(), Some(2));
    }

    fn candidate(&self) -> instance::Instance {
        instance::Instance::with(self.server.address(), &self.login, &lock(LOCK, TTL))
    }

    /// Of two one leads, and the other takes over from it.
    async fn one_leads(&self) {
        let (one, other) = (self.candidate(), self.candidate());
        let both = [&one, &other];
        until("one leads", async || leaders(&both) == 1).await;
        throughout(TTL, || leaders(&both) == 1).await;
        let (leader, follower) = if one.leads() {
            (&one, &other)
        } else {
            (&other, &one)
        };
        let earlier = leader.token();
        leader.hang();
        let later = eventually("the other takes over", POLLED, async || follower.token()).await;
        assert!(later.expect("a takeover") > earlier.expect("a token"));
        assert_eq!(leaders(&both), 1);
    }

    /// Nobody leads, and nobody believes so.
    async fn nobody_leads(&self) {
        let (one, other) = (self.candidate(), self.candidate());
        throughout(3 * TTL, || !one.leads() && !other.leads()).await;
    }
}

/// One line with these words; nothing that repeats, although all of this was used by several.
fn said_once(log: &Log, words: &str, users: usize) {
    let lines = log.with(words);
    assert!(!lines.is_empty(), "{words}: {:#?}", log.all());
    // Each of these tests' instances has links of its own, as in a process of its own.
    assert!(lines.len() <= users, "{lines:#?}");
}

#[tokio::test]
async fn without_a_help_everything_goes_on_and_one_line_names_it() {
    for (rule, words) in [
        ("-client|id", "does not allow CLIENT ID: "),
        ("-client|info", "does not allow CLIENT INFO: "),
        ("-client|kill", "does not allow CLIENT KILL: "),
        ("-info", "does not allow INFO: "),
    ] {
        let log = Log::begin();
        let store = forbidding(rule).await;
        store.context_is_right(true).await;
        store.deploys_are_followed(Duration::from_secs(5)).await;
        store.one_leads().await;
        until(words, async || !log.with(words).is_empty()).await;
        // Two contexts and two candidates.
        said_once(&log, words, 4);
        assert!(log.with(words)[0].contains("docs/operations.md"), "{rule}");
        assert_eq!(
            log.with("does not allow").len(),
            log.with(words).len(),
            "nothing else is named"
        );
    }
}

#[tokio::test]
async fn a_name_in_the_list_of_clients_is_missed_by_nobody() {
    let log = Log::begin();
    let store = forbidding("-client|setname").await;
    store.context_is_right(true).await;
    store.deploys_are_followed(Duration::from_secs(5)).await;
    store.one_leads().await;
    assert_eq!(log.with("the store"), Vec::<String>::new());
}

#[tokio::test]
async fn without_tracking_every_value_is_read_from_the_store() {
    let log = Log::begin();
    let store = forbidding("-client|tracking").await;
    store.context_is_right(false).await;
    store.deploys_are_followed(Duration::from_secs(5)).await;
    store.one_leads().await;
    said_once(&log, "does not tell which keys change", 2);
}

#[tokio::test]
async fn a_server_of_the_older_protocol_serves_all_but_the_near_cache() {
    let log = Log::begin();
    let store = renamed("HELLO").await;
    store.context_is_right(false).await;
    store.deploys_are_followed(Duration::from_secs(5)).await;
    store.one_leads().await;
    assert!(
        !log.with("does not offer RESP3").is_empty(),
        "{:#?}",
        log.all()
    );
    said_once(&log, "does not tell which keys change", 2);
}

#[tokio::test]
async fn without_subscriptions_deploys_are_found_by_the_slow_poll() {
    let log = Log::begin();
    let store = forbidding("-subscribe").await;
    store.context_is_right(true).await;
    store.deploys_are_followed(POLLED).await;
    store.one_leads().await;
    said_once(&log, "listen to the channel nodered:flows:updated", 1);
    said_once(&log, "listen to the channel nodered:elections", 2);
}

#[tokio::test]
async fn without_the_time_nobody_leads_and_the_rest_goes_on() {
    for store in [forbidding("-time").await, renamed("TIME").await] {
        let log = Log::begin();
        store.context_is_right(true).await;
        store.deploys_are_followed(Duration::from_secs(5)).await;
        store.nobody_leads().await;
        until("a line", async || {
            !log.with("does not allow TIME: ").is_empty()
        })
        .await;
        said_once(&log, "does not allow TIME: ", 4);
    }
}

#[tokio::test]
async fn without_announcements_a_deploy_is_refused_whole() {
    for store in [forbidding("-publish").await, renamed("PUBLISH").await] {
        let admin = Instance::new(Role::Admin, store.options());
        admin.start().await;
        let error = admin.deploy(&named("first"), DeployType::Full).await;
        let error = error.expect_err("refused");
        assert!(error.message().contains("operations.md"), "{error}");
        for key in ["nodered:flows", "nodered:revision"] {
            assert_eq!(
                look(&store.server, &["EXISTS", key]).await.integer(),
                Some(0),
                "{key}"
            );
        }
        store.context_is_right(true).await;
        store.one_leads().await;
    }
}

#[tokio::test]
async fn without_scans_a_library_without_an_index_cannot_be_listed() {
    let store = forbidding("-scan").await;
    store.context_is_right(true).await;
    store.deploys_are_followed(Duration::from_secs(5)).await;
    store.one_leads().await;
    let config = configuration(&store.options().block);
    let documents = Documents::new(
        open(&store.options().block, PATIENT),
        Keyspace::new(&config),
        config.compression,
        config.session_ttl,
    );
    let error = documents.library_entry("flows", "/").await;
    let error = error.expect_err("refused").to_string();
    assert!(
        error.contains("scan") && error.contains("NRC_STORE_PERMISSION"),
        "{error}"
    );
}
