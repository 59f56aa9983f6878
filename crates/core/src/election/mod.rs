//! One leader of many instances: leases with fencing tokens.
//!
//! # Layout
//! - `lease`: the state machine of one lease (pure), where the rules are
//! - `view`: what the store said; `scripts`: what it is asked; `memory`: whether it forgot anything
//! - `elector`: the task that carries out what the lease asks for; `inner`: what electors of a store share
//! - `report`: what operators are told
//! - `belief`: the answer to "do I lead?" at each message; `event_loop`: whether the program can do its job
//! - [`clock`]: the clock by which leases are judged
//! - [`Standing`], [`Belief`]: what others see; `trial`: settings are tried before they are used
//!
//! # Promises
//! At most one process believes that it leads, by its own clock, whatever happens to processes, links, clocks
//! and the store, as long as the store is one: two masters that both take writes (a split brain) may have a
//! leader each for as long as they do. Tokens grow with each change of leader as long as anything
//! remembers the last one: the store, a process that takes part, or the store's clock. A leader that hangs or
//! is cut off stops believing before anybody else can begin. A dead leader is replaced within its lease and a
//! fiftieth of it; one that gave up at once.
//!
//! Not promised: that a job that a leader began is over when the next leader begins. That is what the token
//! is for.

mod belief;
pub mod clock;
mod elector;
mod event_loop;
mod inner;
mod lease;
mod memory;
mod report;
mod scripts;
mod standing;
mod trial;
mod view;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::config::{ElectionSettings, LockConfig};
use crate::connection;
use crate::error::{Code, Error, Result};
use crate::host::host_name;
use crate::keyspace::Keyspace;
use crate::supervised::supervised;
use crate::survey::Survey;

use elector::{Command, Handle};
pub use event_loop::EventLoop;
use inner::{Entry, Inner, lock};
pub use memory::MemoryWatch;
use scripts::Election;
pub use standing::{Belief, Released, Role, Standing};
pub use trial::{Trial, TrialStep, try_out};
use view::{Heard, Lock, Reply};

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use view::{fuzz_message, fuzz_reply};

/// How long the end of this process waits for the store to hear that its leases are given up.
const FAREWELL: Duration = Duration::from_millis(1500);

/// Numbers for candidacies.
static CANDIDACIES: AtomicU64 = AtomicU64::new(1);

/// The elections of this process at one store; cheap to clone.
#[derive(Debug, Clone)]
pub struct Elections {
    inner: Arc<Inner>,
    tasks: Arc<Mutex<Vec<tokio::task::JoinHandle<()>>>>,
}

impl Elections {
    /// Begins to connect, over the links that this process already has with the same configuration.
    /// `changed` is called, from any thread, when [`Elections::take_changed`] has something. Must be called
    /// on a tokio runtime; everything else may be called from any thread.
    ///
    /// # Errors
    /// As [`connection::shared`].
    pub fn open(
        settings: ElectionSettings,
        event_loop: Arc<EventLoop>,
        changed: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Self> {
        let connection = connection::shared(
            &settings.connection,
            settings.timeout,
            "node-red-cluster:leader",
        )?;
        let keyspace = Keyspace::under(&settings.key_prefix);
        let inner = Arc::new(Inner {
            channel: keyspace.elections_channel(),
            host: host_name(),
            connection: connection.clone(),
            elsewhere: Mutex::default(),
            event_loop,
            runtime: tokio::runtime::Handle::current(),
            electors: Mutex::default(),
            outage: Mutex::default(),
            changes: Mutex::default(),
            tell_change: changed,
            watchers: Mutex::default(),
            memory: MemoryWatch::shared(&connection, &settings.key_prefix),
            _survey: Survey::shared(&connection),
            floors: Mutex::default(),
            settings,
        });
        let (heard, resumed) = (Arc::downgrade(&inner), Arc::downgrade(&inner));
        connection.subscribe(
            vec![inner.channel.clone()],
            move |message| {
                let Some(inner) = heard.upgrade() else { return };
                let Some(heard) = Heard::parse(&message.payload) else {
                    let length = message.payload.len();
                    tracing::debug!(
                        "ignored a message of {length} bytes on {}: it is about no election",
                        inner.channel
                    );
                    return;
                };
                if let Some(entry) = lock(&inner.electors).get(heard.lock()) {
                    entry.handle.tell(Command::Heard(heard));
                }
            },
            move || {
                if let Some(inner) = resumed.upgrade() {
                    inner.tell_all(|| Command::Deaf);
                }
            },
        )?;
        let tasks = vec![
            tokio::spawn(supervised("what tells electors of the link", {
                let inner = Arc::clone(&inner);
                move || Arc::clone(&inner).watch_link()
            })),
            tokio::spawn(supervised("what tells electors of the store's memory", {
                let inner = Arc::clone(&inner);
                move || Arc::clone(&inner).watch_memory()
            })),
            tokio::spawn(supervised("what reviews the sessions of elections", {
                let inner = Arc::clone(&inner);
                move || Arc::clone(&inner).review_sessions()
            })),
        ];
        Ok(Self {
            inner,
            tasks: Arc::new(Mutex::new(tasks)),
        })
    }

    /// The settings of these elections.
    pub fn settings(&self) -> &ElectionSettings {
        &self.inner.settings
    }

    /// Where the store is, without secrets.
    pub fn store(&self) -> String {
        self.inner.connection.describe()
    }

    /// Stands in the election of a lock, from now on until the candidacy leaves. All candidacies of one lock
    /// are one candidate; the longest of their leases counts.
    pub fn join(&self, config: &LockConfig) -> Candidacy {
        let number = CANDIDACIES.fetch_add(1, Ordering::Relaxed);
        let mut electors = lock(&self.inner.electors);
        // One that a fault of this program ended serves nobody.
        electors.retain(|_, entry| !entry.task.is_finished());
        let entry = electors.entry(config.key.clone()).or_insert_with(|| {
            let (handle, task) = Handle::start(&self.inner, &config.key, config.ttl);
            Entry {
                handle,
                task,
                wishes: HashMap::new(),
            }
        });
        entry.wishes.insert(number, config.ttl);
        tell_wishes(entry);
        Candidacy {
            elections: self.clone(),
            handle: Arc::clone(&entry.handle),
            number,
            left: AtomicBool::new(false),
        }
    }

    /// Gives up a lock if this process leads: it does not from the moment of the call on. The outcome comes
    /// when the store knows, and others can take over.
    ///
    /// # Errors
    /// The store's; `OutcomeUnknown` where the lock was given up here, but the store could not be told:
    /// then others take over when the lease ends.
    pub async fn release(&self, name: &str) -> Result<Released> {
        let handle = lock(&self.inner.electors)
            .get(name)
            .map(|entry| Arc::clone(&entry.handle));
        let leading = handle.filter(|handle| handle.belief.token().is_some());
        let Some(handle) = leading else {
            return Ok(Released {
                released: false,
                host: self.inner.host.clone(),
                current_leader: self.look(name).await?,
            });
        };
        let (done, outcome) = tokio::sync::oneshot::channel();
        handle.belief.withdraw();
        handle.tell(Command::Release(done));
        // An error means that the lease was over before the order came.
        match tokio::time::timeout(self.inner.settings.timeout, outcome).await {
            Ok(Ok(())) => Ok(Released {
                released: true,
                host: self.inner.host.clone(),
                current_leader: None,
            }),
            Ok(Err(_)) => Ok(Released {
                released: false,
                host: self.inner.host.clone(),
                current_leader: self.look(name).await?,
            }),
            Err(_) => Err(Error::new(
                Code::OutcomeUnknown,
                format!(
                    "this instance no longer leads {name}, but the store could not be told; others take over when the lease ends"
                ),
            )),
        }
    }

    /// The host of the leader as the store has it.
    async fn look(&self, name: &str) -> Result<Option<String>> {
        let inner = &self.inner;
        let connection = inner.connection_for(name);
        connection.ready(inner.settings.timeout).await?;
        let session = connection
            .session()
            .ok_or_else(|| Error::new(Code::StoreUnreachable, "the link to the store was lost"))?;
        let request = Election::look(name, &session);
        let reply: Reply = connection
            .run_on(&session, &request, inner.settings.timeout)
            .await?;
        Ok(match (reply.view.lock, reply.view.record) {
            (Lock::Foreign { what, .. }, _) => report::host_in(&what),
            (Lock::Ours { .. }, Some(record)) if !record.released => Some(record.host),
            _ => None,
        })
    }

    /// The locks whose standing changed since the last call.
    pub fn take_changed(&self) -> BTreeSet<String> {
        std::mem::take(&mut *lock(&self.inner.changes))
    }

    /// The locks that this process leads at this moment, in order.
    pub fn leads(&self) -> Vec<String> {
        let mut leads: Vec<String> = lock(&self.inner.electors)
            .iter()
            .filter(|(_, entry)| entry.handle.belief.token().is_some())
            .map(|(name, _)| name.clone())
            .collect();
        leads.sort_unstable();
        leads
    }

    /// From now on `watcher` hears of each change of belief, from the threads of the runtime. It must be
    /// quick and must not call back.
    pub fn watch(&self, watcher: Box<dyn Fn(&Belief) + Send + Sync>) {
        lock(&self.inner.watchers).push(watcher);
    }

    /// Gives up what no candidacy is left for. A deploy ends nodes and begins them anew; this is for the
    /// moment after it.
    pub fn settle(&self) {
        lock(&self.inner.electors).retain(|_, entry| {
            let wanted = !entry.wishes.is_empty();
            if !wanted {
                entry.handle.tell(Command::Stop);
            }
            wanted
        });
    }

    /// Gives up everything and leaves; waits a moment for the store to hear of it. May be called twice.
    pub async fn close(&self) {
        let ended: Vec<_> = lock(&self.inner.electors)
            .drain()
            .map(|(_, entry)| {
                entry.handle.tell(Command::Stop);
                entry.task
            })
            .collect();
        let ended = futures_util::future::join_all(ended);
        if tokio::time::timeout(FAREWELL, ended).await.is_err() {
            tracing::warn!(
                "the store could not be told that this instance leads no more; others take over when its leases end"
            );
        }
        for task in lock(&self.tasks).drain(..) {
            task.abort();
        }
        self.inner.close();
    }

    fn leave(&self, handle: &Arc<Handle>, number: u64, removed: bool) {
        let mut electors = lock(&self.inner.electors);
        let Some(entry) = electors.get_mut(&handle.lock) else {
            return;
        };
        if !Arc::ptr_eq(&entry.handle, handle) || entry.wishes.remove(&number).is_none() {
            return;
        }
        if !entry.wishes.is_empty() {
            tell_wishes(entry);
        } else if removed {
            entry.handle.tell(Command::Stop);
            electors.remove(&handle.lock);
        }
    }
}

fn tell_wishes(entry: &Entry) {
    let longest = entry.wishes.values().max();
    let shortest = entry.wishes.values().min();
    if let Some(longest) = longest {
        entry
            .handle
            .tell(Command::Ttl(*longest, Some(longest) != shortest));
    }
}

/// One stand in an election, say that of a node.
#[derive(Debug)]
pub struct Candidacy {
    elections: Elections,
    handle: Arc<Handle>,
    number: u64,
    left: AtomicBool,
}

impl Candidacy {
    /// The fencing token if this process leads at this very moment, by its own clock. Costs no more than
    /// reading that.
    pub fn token(&self) -> Option<u64> {
        self.handle.belief.token()
    }

    /// How this process stands, as far as is known.
    pub fn standing(&self) -> Standing {
        self.handle.standing()
    }

    /// The key of the lock.
    pub fn lock(&self) -> &str {
        &self.handle.lock
    }

    /// Ends this candidacy. If it was the last and `removed` is true, the lock is given up at once, else at
    /// the next [`Elections::settle`], unless another candidacy has come by then.
    pub fn leave(&self, removed: bool) {
        if !self.left.swap(true, Ordering::Relaxed) {
            self.elections.leave(&self.handle, self.number, removed);
        }
    }
}

impl Drop for Candidacy {
    fn drop(&mut self) {
        self.leave(false);
    }
}
