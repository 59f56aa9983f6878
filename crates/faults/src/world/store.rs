//! The store, its data and its clock.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use node_red_cluster_testkit::{Client, Server, Shift, Value, WallClock, eventually};
use tokio::time::sleep;

use crate::failure::{Failure, Result};
use crate::schedule::{Fault, Step};
use crate::verify::Stored;

/// How long the store may take for what it does by itself.
const SOON: Duration = Duration::from_secs(15);

/// Keys beside the cluster's, so that loading takes a while: each of them is made to take longer.
const BALLAST: usize = 2_000;

/// Loading takes so long at least: time enough to see it.
const SHORTEST_LOADING: Duration = Duration::from_millis(500);

/// What a listener may have unread for a moment, and a message that is more.
const SMALL_BUFFER: &str = "pubsub 16kb 0 0";
const USUAL_BUFFER: &str = "pubsub 32mb 8mb 60";
const LARGE_MESSAGE: usize = 256 * 1024;

/// The server, and another that takes its place for a while.
pub(crate) struct Store {
    server: Server,
    standby: Server,
    clock: Option<WallClock>,
}

impl Store {
    /// Starts both.
    ///
    /// # Errors
    /// The testkit's.
    pub(super) async fn start(clock: Option<WallClock>) -> Result<Self> {
        let mut builder = Server::builder()
            .append_only()
            // What was acknowledged outlives SIGKILL anyway; this is about the machine's memory.
            .configuration_line("appendfsync everysec")
            .configuration_line("enable-debug-command local");
        if let Some(clock) = &clock {
            builder = builder.wall_clock(clock);
        }
        let server = builder.start().await?;
        let standby = Server::builder().replica_of(&server).start().await?;
        let store = Self {
            server,
            standby,
            clock,
        };
        store.put_ballast().await?;
        Ok(store)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// How many connections of instances the store has.
    ///
    /// # Errors
    /// The testkit's.
    pub(crate) async fn connections(&self) -> Result<usize> {
        let list = self.server.command(&["CLIENT", "LIST"]).await?;
        let list = list.text().unwrap_or_default();
        // The suite's own come by the unix socket, and a replica is none.
        let of_instances = list
            .lines()
            .filter(|line| line.contains(" addr=127.") && !line.contains("flags=S "));
        Ok(of_instances.count())
    }

    /// What the store has of the context and of the flows.
    ///
    /// # Errors
    /// The testkit's.
    pub(crate) async fn look(
        &self,
        prefix: &str,
        keys: impl IntoIterator<Item = String>,
        label: impl Fn(&str) -> Option<String>,
    ) -> Result<Stored> {
        let mut stored = Stored::default();
        let mut client = self.server.connect().await?;
        for key in keys {
            let at = format!("{prefix}context:global:{key}");
            if let Some(text) = client.command(&["GET", &at]).await?.text() {
                stored.context.insert(key, text.to_owned());
            }
        }
        let flows = client.command(&["GET", &format!("{prefix}flows")]).await?;
        stored.label = flows.text().and_then(&label);
        stored.history = history(&mut client, prefix).await?;
        Ok(stored)
    }

    /// What the store has of a lock, and what it is itself, for whoever looks into a violation.
    pub(crate) async fn describe(&self, lock: &str) -> String {
        let record = format!("{lock}:election");
        let commands: [&[&str]; 5] = [
            &["ROLE"],
            &["GET", lock],
            &["PTTL", lock],
            &["HGETALL", &record],
            &["TIME"],
        ];
        let mut texts = Vec::new();
        for command in commands {
            let answer = self.server.command(command).await;
            texts.push(format!("{}: {answer:?}", command[0]));
        }
        texts.join("; ")
    }

    /// Makes one fault and heals it. False where it cannot be made here.
    ///
    /// # Errors
    /// The testkit's, and a server that does not do what it is told.
    pub(super) async fn suffer(
        &mut self,
        step: &Step,
        instances: Option<&WallClock>,
    ) -> Result<bool> {
        match step.fault {
            Fault::StoreFrozen => {
                self.server.pause()?;
                sleep(step.span).await;
                self.server.resume()?;
            }
            Fault::StoreKilled => {
                self.server.kill().await?;
                sleep(step.span).await;
                self.server.start().await?;
            }
            Fault::StoreRestarted => {
                self.server.stop().await?;
                sleep(step.span).await;
                self.server.start().await?;
            }
            Fault::StoreLostItsData => {
                self.server.kill().await?;
                sleep(step.span).await;
                self.server.start_empty().await?;
                self.put_ballast().await?;
            }
            Fault::StoreEmptied => {
                self.command(&["FLUSHALL"]).await?;
                self.put_ballast().await?;
            }
            Fault::OutOfMemory => {
                self.limit_memory("noeviction", step.span).await?;
            }
            Fault::KeysEvicted => {
                self.limit_memory("allkeys-random", step.span).await?;
                self.put_ballast().await?;
            }
            Fault::Demoted => self.demote(step.span).await?,
            Fault::Loading => self.load(step.span).await?,
            Fault::ConnectionsKilled => self.kill_clients("normal").await?,
            Fault::ListenersKilled => self.kill_clients("pubsub").await?,
            Fault::OutputBufferFull => self.fill_output_buffers().await?,
            Fault::TooManyClients => self.refuse_clients(step.span).await?,
            Fault::StoreClockSet => return set_clock(self.clock.as_ref(), step).await,
            Fault::InstanceClockSet => return set_clock(instances, step).await,
            other => unreachable!("{other:?} is none of the store's"),
        }
        Ok(true)
    }

    async fn command(&self, words: &[&str]) -> Result<Value> {
        Ok(self.server.command(words).await?)
    }

    async fn configure(&self, name: &str, value: &str) -> Result<()> {
        self.command(&["CONFIG", "SET", name, value]).await?;
        Ok(())
    }

    async fn put_ballast(&self) -> Result<()> {
        let script = "for i = 1, tonumber(ARGV[1]) do redis.call('SET', 'ballast:' .. i, string.rep('x', 500)) end";
        self.command(&["EVAL", script, "0", &BALLAST.to_string()])
            .await?;
        Ok(())
    }

    /// The store has less room than it uses.
    async fn limit_memory(&self, policy: &str, span: Duration) -> Result<()> {
        let used = self.number("memory", "used_memory").await?;
        let evicted = self.number("stats", "evicted_keys").await?;
        self.configure("maxmemory-policy", policy).await?;
        self.configure("maxmemory", &(used * 9 / 10).to_string())
            .await?;
        if policy == "noeviction" {
            self.must_refuse("OOM").await?;
        }
        sleep(span).await;
        self.configure("maxmemory", "0").await?;
        self.configure("maxmemory-policy", "noeviction").await?;
        if policy != "noeviction" && self.number("stats", "evicted_keys").await? == evicted {
            return Err(Failure::new("the store evicted nothing"));
        }
        Ok(())
    }

    /// A fault that is none would prove nothing: a write from outside has to meet it.
    async fn must_refuse(&self, word: &str) -> Result<()> {
        match self.server.command(&["SET", "ballast:probe", "x"]).await {
            Err(error) if error.to_string().contains(word) => Ok(()),
            other => Err(Failure::new(format!(
                "a write is answered with {other:?} instead of {word}"
            ))),
        }
    }

    /// A figure of `INFO`.
    async fn number(&self, section: &str, name: &str) -> Result<u64> {
        let info = self.command(&["INFO", section]).await?;
        let number = info.text().and_then(|text| field(text, name));
        let number = number.and_then(|text| text.parse().ok());
        number.ok_or_else(|| Failure::new(format!("INFO of the store has no {name}")))
    }

    /// The standby becomes the master, which loses nothing, and this server its replica; then back.
    async fn demote(&self, span: Duration) -> Result<()> {
        hand_over(&self.server, &self.standby).await?;
        self.must_refuse("READONLY").await?;
        sleep(span).await;
        hand_over(&self.standby, &self.server).await
    }

    /// All data are loaded again, during which the server refuses everything.
    async fn load(&self, span: Duration) -> Result<()> {
        let micros = span.max(SHORTEST_LOADING).as_micros() / u128::try_from(BALLAST).unwrap_or(1);
        self.configure("loading-process-events-interval-bytes", "1024")
            .await?;
        self.configure("key-load-delay", &micros.to_string())
            .await?;
        let mut client = self.server.connect().await?;
        let mut reload = std::pin::pin!(client.command(&["DEBUG", "RELOAD"]));
        let refused = async {
            while self.must_refuse("LOADING").await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            outcome = &mut reload => {
                outcome?;
                return Err(Failure::new("the store loaded its data and refused nothing meanwhile"));
            }
            () = refused => {}
        }
        reload.await?;
        self.configure("key-load-delay", "0").await
    }

    async fn kill_clients(&self, kind: &str) -> Result<()> {
        self.command(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"])
            .await?;
        Ok(())
    }

    /// Listeners of all channels get more at once than they may have unread.
    async fn fill_output_buffers(&self) -> Result<()> {
        self.configure("client-output-buffer-limit", SMALL_BUFFER)
            .await?;
        let mut client = self.server.connect().await?;
        let message = "x".repeat(LARGE_MESSAGE);
        let channels = client.command(&["PUBSUB", "CHANNELS"]).await?;
        for channel in channels.elements().iter().filter_map(Value::text) {
            client.command(&["PUBLISH", channel, &message]).await?;
        }
        self.configure("client-output-buffer-limit", USUAL_BUFFER)
            .await
    }

    /// All connections are lost, and there is room for few.
    async fn refuse_clients(&self, span: Duration) -> Result<()> {
        // This one stays, and makes room again.
        let mut client = self.server.connect().await?;
        client
            .command(&["CONFIG", "SET", "maxclients", "4"])
            .await?;
        client
            .command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])
            .await?;
        sleep(span).await;
        client
            .command(&["CONFIG", "SET", "maxclients", "10000"])
            .await?;
        Ok(())
    }
}

/// Makes another server, which is a replica, the master of this one. Nothing is lost on the way.
async fn hand_over(from: &Server, to: &Server) -> Result<()> {
    let port = to.port().to_string();
    eventually("the replica to have all data", SOON, async || {
        let info = from.command(&["INFO", "replication"]).await.ok()?;
        info.text()?.contains("state=online").then_some(())
    })
    .await?;
    from.command(&["FAILOVER", "TO", "127.0.0.1", &port])
        .await?;
    eventually("the end of the handover", SOON, async || {
        let role = from.command(&["ROLE"]).await.ok()?;
        (role.elements().first()?.text()? == "slave").then_some(())
    })
    .await?;
    eventually("the new master", SOON, async || {
        let role = to.command(&["ROLE"]).await.ok()?;
        (role.elements().first()?.text()? == "master").then_some(())
    })
    .await?;
    Ok(())
}

async fn set_clock(clock: Option<&WallClock>, step: &Step) -> Result<bool> {
    let Some(clock) = clock else {
        return Ok(false);
    };
    let by = Duration::from_millis(step.shift.unsigned_abs());
    clock.set(if step.shift < 0 {
        Shift::Behind(by)
    } else {
        Shift::Ahead(by)
    })?;
    sleep(step.span).await;
    // Right again: that is the second jump.
    clock.set(Shift::NONE)?;
    Ok(true)
}

/// Hashes of the revisions by number.
async fn history(client: &mut Client, prefix: &str) -> Result<BTreeMap<u64, String>> {
    let all = client
        .command(&["HGETALL", &format!("{prefix}history")])
        .await?;
    let mut history = BTreeMap::new();
    for pair in all.elements().chunks(2) {
        let [number, revision] = pair else { continue };
        let number = number.text().and_then(|text| text.parse().ok());
        let revision: Option<serde_json::Value> = revision
            .text()
            .and_then(|text| serde_json::from_str(text).ok());
        let hash = revision.as_ref().and_then(|one| one.get("hash")?.as_str());
        if let (Some(number), Some(hash)) = (number, hash) {
            history.insert(number, hash.to_owned());
        }
    }
    Ok(history)
}

fn field<'text>(text: &'text str, name: &str) -> Option<&'text str> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}
