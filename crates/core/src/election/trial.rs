//! Tries what an election needs, step by step, over links and on a lock of its own: for whoever sets up a
//! store and wants to know now what would go wrong later.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::Cmd;
use tokio::sync::{Notify, watch};

use super::lease::{Candidate, Request as Ask};
use super::scripts::{self, Election};
use super::view::{Heard, Lock, Reply, Verdict, View};
use crate::config::{ElectionSettings, Standing};
use crate::connection::{Connection, Lane, Repeat, Request, Session};
use crate::error::{Code, Error, Result};
use crate::host::host_name;
use crate::keyspace::Keyspace;

/// Longest wait for a link, and for one attempt at it: so the wait ends with the reason of an attempt.
const CONNECT_LIMIT: Duration = Duration::from_secs(4);
const ATTEMPT_LIMIT: Duration = Duration::from_secs(3);
/// Longest wait for a reply, and for a message.
const REPLY_LIMIT: Duration = Duration::from_secs(2);
/// Longest trial, without its cleaning up: whoever asked is a person in front of a dialog.
const LIMIT: Duration = Duration::from_secs(8);
/// Lease of the lock that is tried; its key is gone by itself after it.
const TTL: Duration = Duration::from_secs(10);

/// What a trial found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Where the store was looked for, without secrets.
    pub store: String,
    /// What was done, in order. The last one is the one that failed, if one did.
    pub steps: Vec<TrialStep>,
    /// Why an election would not work with these settings.
    pub failure: Option<Error>,
}

/// One step of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialStep {
    /// Whether it did what it should.
    pub passed: bool,
    /// What was done and found.
    pub text: String,
}

/// Tries settings. Takes 10 s at most, and leaves nothing in the store but the mark of its memory, which every
/// election sets.
pub async fn try_out(settings: &ElectionSettings) -> Trial {
    let mut steps = Vec::new();
    let failure = attempt(settings, &mut steps).await.err();
    if let Some(error) = &failure {
        steps.push(TrialStep {
            passed: false,
            text: error.message().to_owned(),
        });
    }
    Trial {
        store: settings.connection.describe(),
        steps,
        failure,
    }
}

async fn attempt(settings: &ElectionSettings, steps: &mut Vec<TrialStep>) -> Result<()> {
    let mut config = settings.connection.clone();
    config.connect_timeout = config.connect_timeout.min(ATTEMPT_LIMIT);
    let connection = Connection::open(&config, REPLY_LIMIT, "node-red-cluster:test")?;
    let keyspace = Keyspace::under(&settings.key_prefix);
    let attempt = Attempt {
        election: Election {
            lock: format!(
                "{}election-test:{}",
                keyspace.prefix(),
                uuid::Uuid::new_v4()
            ),
            holder: uuid::Uuid::new_v4().to_string(),
            host: host_name(),
            channel: keyspace.elections_channel(),
            memory_key: keyspace.election_memory(),
        },
        written: Mutex::default(),
        connection,
    };
    let outcome = tokio::time::timeout(LIMIT, attempt.run(steps)).await;
    attempt.clear().await;
    attempt.connection.close();
    outcome.unwrap_or_else(|_| {
        Err(Error::new(
            Code::StoreUnreachable,
            format!(
                "the store answers too slowly: after {} s this was not through",
                LIMIT.as_secs()
            ),
        ))
    })
}

struct Attempt {
    connection: Connection,
    election: Election,
    /// The keys that have to be removed.
    written: Mutex<Vec<String>>,
}

impl Attempt {
    async fn run(&self, steps: &mut Vec<TrialStep>) -> Result<()> {
        let mut done = |text: String| steps.push(TrialStep { passed: true, text });
        let began = Instant::now();
        self.connection.ready(CONNECT_LIMIT).await?;
        done(format!(
            "connected and logged in, in {} ms",
            milliseconds(began)
        ));
        let session = self.session()?;
        done(self.server(&session).await);
        let began = Instant::now();
        self.command::<String>(Cmd::new().arg("PING")).await?;
        done(format!("a round trip takes {} ms", milliseconds(began)));

        let (mut listens, heard) = self.listen()?;
        let listening = tokio::time::timeout(REPLY_LIMIT, listens.wait_for(|up| *up));
        let deaf = !matches!(listening.await, Ok(Ok(_)));
        self.lock(&session, &mut done).await?;
        let memory = scripts::memory(&self.election.memory_key);
        let marked = self
            .connection
            .run_on::<String>(&session, &memory, REPLY_LIMIT);
        marked.await.map_err(|error| {
            error.while_doing(
                "marking the memory of the store, so that the first leader need not wait",
            )
        })?;

        let channel = &self.election.channel;
        let came = tokio::time::timeout(REPLY_LIMIT, heard.notified());
        if deaf || came.await.is_err() {
            return Err(Error::new(
                Code::StorePermission,
                format!(
                    "no message came on the channel {channel}, so a change of leader would be noticed late: allow this user to subscribe and to publish there (ACL rule &{channel})"
                ),
            ));
        }
        done(format!("heard of it on the channel {channel}"));
        Ok(())
    }

    /// Takes, renews and releases the lock.
    async fn lock(&self, session: &Session, done: &mut impl FnMut(String)) -> Result<()> {
        let nothing = View {
            lock: Lock::Absent,
            record: None,
        };
        let acquire = Ask::Acquire {
            watched: nothing.mark(),
            memory: None,
        };
        let lock = self.election.lock.clone();
        let record = Keyspace::election_record(&lock, session.clustered);
        *self.written() = vec![lock, record];
        let taken = self.ask(session, &acquire, "taking a lock").await;
        if let Err(error) = &taken
            && error.code() == Code::StorePermission
        {
            // What could be written is gone by itself, and removing is forbidden too.
            self.written().clear();
        }
        let taken = taken?;
        expect(&taken, taken.verdict == Verdict::Acquired, "taking a lock")?;
        let token = taken.view.token();
        done(format!("took a lock, with the token {token}"));
        let renewed = self
            .ask(session, &Ask::Renew { token }, "renewing it")
            .await?;
        expect(&renewed, renewed.verdict == Verdict::Renewed, "renewing it")?;
        done("renewed it".to_owned());
        let released = self
            .ask(session, &Ask::Release { token }, "releasing it")
            .await?;
        let is_released = matches!(released.verdict, Verdict::Released { .. });
        expect(&released, is_released, "releasing it")?;
        done("released it".to_owned());
        Ok(())
    }

    async fn ask(&self, session: &Session, ask: &Ask, what: &str) -> Result<Reply> {
        let candidate = Candidate {
            id: self.election.holder.clone(),
            ttl: TTL,
            eligibility: Standing::Candidate,
            place: 0.0,
        };
        let request = self.election.script(ask, &candidate, 0, session);
        let reply = self.connection.run_on(session, &request, REPLY_LIMIT);
        reply.await.map_err(|error| error.while_doing(what))
    }

    /// Removes what this trial wrote; the lock would be gone by itself, the record beside it would not.
    async fn clear(&self) {
        let keys = std::mem::take(&mut *self.written());
        if keys.is_empty() {
            return;
        }
        let mut delete = Cmd::new();
        delete.arg("DEL").arg(&keys);
        if let Err(error) = self.command::<u64>(&delete).await {
            tracing::warn!(
                "keys of a connection test were left behind: {} ({error})",
                keys.join(", ")
            );
        }
    }

    fn written(&self) -> MutexGuard<'_, Vec<String>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the channel is listened to, and what is notified once the trial's lock is spoken of there.
    fn listen(&self) -> Result<(watch::Receiver<bool>, Arc<Notify>)> {
        let (up, listens) = watch::channel(false);
        let heard = Arc::new(Notify::new());
        let (lock, hears) = (self.election.lock.clone(), Arc::clone(&heard));
        self.connection.subscribe(
            vec![self.election.channel.clone()],
            move |message| {
                if Heard::parse(&message.payload).is_some_and(|heard| heard.lock() == lock) {
                    hears.notify_one();
                }
            },
            move || {
                up.send_replace(true);
            },
        )?;
        Ok((listens, heard))
    }

    fn session(&self) -> Result<Session> {
        self.connection.session().ok_or_else(|| {
            Error::new(
                Code::StoreUnreachable,
                "the link to the store was lost at once",
            )
        })
    }

    async fn server(&self, session: &Session) -> String {
        let mut info = Cmd::new();
        info.arg("INFO").arg("server");
        match self.command::<String>(&info).await {
            Ok(info) => {
                let mode = if session.clustered {
                    ", in cluster mode"
                } else {
                    ""
                };
                format!("the server is {}{mode}", kind(&info))
            }
            Err(error) => format!(
                "the server does not say what it is ({}); a released lock is then taken over only after its TTL",
                error.message()
            ),
        }
    }

    async fn command<T: redis::FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        let request = Request::Command(command.clone());
        self.connection
            .run(Lane::Commands, &request, Repeat::Safe)
            .await
    }
}

fn expect(reply: &Reply, as_expected: bool, what: &str) -> Result<()> {
    if as_expected {
        return Ok(());
    }
    Err(Error::new(
        Code::StoreReply,
        format!(
            "{what}: the store answered {:?}, although nobody else knows this lock",
            reply.verdict
        ),
    ))
}

/// Name and version of a server, as `INFO server` tells them.
fn kind(info: &str) -> String {
    let field = |name: &str| {
        let value = info
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.map(str::trim)
    };
    match (field("valkey_version"), field("redis_version")) {
        (Some(version), _) => format!("Valkey {version}"),
        (None, Some(version)) => format!("Redis {version}"),
        (None, None) => "of an unknown kind".to_owned(),
    }
}

fn milliseconds(since: Instant) -> String {
    format!("{:.2}", since.elapsed().as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_apart() {
        let valkey =
            "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.1\r\n";
        assert_eq!(kind(valkey), "Valkey 8.1.1");
        assert_eq!(kind("redis_version:6.2.0\r\n"), "Redis 6.2.0");
        assert_eq!(kind("x"), "of an unknown kind");
    }
}
