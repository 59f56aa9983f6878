//! The handle on the elections of this process that `node/leader/elections.js` holds.
//!
//! Nodes join by JSON, and there is one core `Elections` for each distinct settings among them. Changes come
//! as one wake, after which JavaScript asks which candidacies are concerned; the same wake and answer prove
//! that its event loop lives.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use napi::bindgen_prelude::{ClassInstance, FnArgs, Function, PromiseRaw};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Status};
use napi_derive::napi;
use node_red_cluster_core::cluster::Cluster;
use node_red_cluster_core::config::{self, ElectionSettings, LockConfig};
use node_red_cluster_core::election::{self, Candidacy, Elections, EventLoop};
use node_red_cluster_core::error::{Code, Error};
use node_red_cluster_core::fault;

use crate::cluster::{ClusterHandle, runtime_of_core};
use crate::logging;
use crate::promise::{guarded, promise};
use crate::wire::{
    AboutElection, DescribedRelease, DescribedStanding, DescribedTrial, ElectionRequest, parse,
    to_json,
};

/// Wakes JavaScript; it does not keep the process alive.
type Wake = ThreadsafeFunction<(), (), (), Status, false, true>;

/// All elections of this process.
#[napi(js_name = "NativeElections")]
pub struct ElectionsHandle {
    shared: Arc<Shared>,
}

struct Shared {
    wake: Wake,
    /// Whether JavaScript was woken and has not answered yet, so that many changes are one wake.
    woken: AtomicBool,
    event_loop: Arc<EventLoop>,
    /// Shows what is led in the presence record, where the storage module opened one.
    cluster: Option<Cluster>,
    /// None once all is closed.
    stores: Mutex<Option<Vec<Store>>>,
    numbers: AtomicU32,
}

/// The elections at one store, and the candidacies of JavaScript's there.
struct Store {
    elections: Elections,
    /// The lock of each, by its id.
    candidacies: HashMap<u32, String>,
}

/// What a request comes to.
struct Checked {
    settings: ElectionSettings,
    lock: LockConfig,
    warnings: Vec<String>,
}

/// Opens the elections of this process; `log` is called with a level and a line, `wake` when `drain` is to be
/// called. `cluster` is what the storage module opened, where it did.
#[napi(catch_unwind)]
pub fn open_elections(
    log: Function<'_, FnArgs<(&'static str, String)>, ()>,
    wake: Function<'_, (), ()>,
    cluster: Option<ClassInstance<'_, ClusterHandle>>,
) -> napi::Result<ElectionsHandle> {
    logging::send_to(&log)?;
    let wake: Wake = wake.build_threadsafe_function().weak::<true>().build()?;
    let shared = Arc::new_cyclic(|shared: &Weak<Shared>| {
        let ask = Weak::clone(shared);
        Shared {
            wake,
            woken: AtomicBool::new(false),
            event_loop: EventLoop::new(Box::new(move || {
                if let Some(shared) = ask.upgrade() {
                    shared.wake_up();
                }
            })),
            cluster: cluster.map(|cluster| cluster.cluster()),
            stores: Mutex::new(Some(Vec::new())),
            numbers: AtomicU32::new(1),
        }
    });
    Ok(ElectionsHandle { shared })
}

#[napi]
impl ElectionsHandle {
    /// Makes a node a candidate.
    #[napi(catch_unwind)]
    pub fn join(&self, env: &Env, request: String) -> napi::Result<CandidacyHandle> {
        guarded(env, || {
            let checked = Checked::of(&request)?;
            let id = self.shared.numbers.fetch_add(1, Ordering::Relaxed);
            let mut stores = self.shared.stores();
            let store = self.shared.store(&mut stores, &checked.settings)?;
            let candidacy = Arc::new(store.elections.join(&checked.lock));
            store.candidacies.insert(id, checked.lock.key.clone());
            let about = checked.describe()?;
            drop(stores);
            Ok(CandidacyHandle {
                id,
                candidacy,
                about,
                shared: Arc::downgrade(&self.shared),
            })
        })
    }

    /// What a request comes to, as JSON, without joining.
    #[napi(catch_unwind)]
    pub fn check(&self, env: &Env, request: String) -> napi::Result<String> {
        guarded(env, || Checked::of(&request)?.describe())
    }

    /// The ids of candidacies whose standing changed since the last call; also tells that the event loop lives.
    #[napi(catch_unwind)]
    pub fn drain(&self, env: &Env) -> napi::Result<Vec<u32>> {
        guarded(env, || Ok(self.shared.drain()))
    }

    /// Gives up a lock if this process leads; resolves to the outcome as JSON.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn release<'env>(
        &self,
        env: &'env Env,
        request: String,
    ) -> napi::Result<PromiseRaw<'env, String>> {
        let (elections, key) = guarded(env, || {
            let checked = Checked::of(&request)?;
            let mut stores = self.shared.stores();
            let store = self.shared.store(&mut stores, &checked.settings)?;
            Ok((store.elections.clone(), checked.lock.key))
        })?;
        let work = async move {
            let released = elections.release(&key).await?;
            to_json(&DescribedRelease::new(released, key))
        };
        promise(env, work, |_, json| Ok(json))
    }

    /// Gives up what no candidacy is left for, and leaves stores where nobody is a candidate any more.
    #[napi(catch_unwind)]
    pub fn settle(&self, env: &Env) -> napi::Result<()> {
        guarded(env, || {
            let runtime = runtime_of_core()?;
            if let Some(stores) = self.shared.stores().as_mut() {
                stores.retain(|store| {
                    if store.candidacies.is_empty() {
                        let elections = store.elections.clone();
                        runtime.spawn(async move { elections.close().await });
                        return false;
                    }
                    store.elections.settle();
                    true
                });
            }
            self.shared.show_leads();
            Ok(())
        })
    }

    /// Gives up everything and leaves; no election is entered after this.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn close<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, ()>> {
        let stores = self.shared.stores().take().unwrap_or_default();
        let work = async move {
            let closing: Vec<_> = stores
                .into_iter()
                .map(|store| tokio::spawn(async move { store.elections.close().await }))
                .collect();
            for closed in closing {
                closed.await.map_err(|ended| fault::of_task(&ended))?;
            }
            Ok(())
        };
        promise(env, work, |_, ()| Ok(()))
    }

    /// Tries settings step by step; resolves to what was found as JSON.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn test<'env>(
        &self,
        env: &'env Env,
        request: String,
    ) -> napi::Result<PromiseRaw<'env, String>> {
        let work = async move {
            let described = match Checked::of(&request) {
                Ok(checked) => DescribedTrial::new(election::try_out(&checked.settings).await),
                Err(error) => DescribedTrial::refused(&error),
            };
            to_json(&described)
        };
        promise(env, work, |_, json| Ok(json))
    }

    /// The lock keys that this process leads, as JSON.
    #[napi(catch_unwind)]
    pub fn leads(&self, env: &Env) -> napi::Result<String> {
        guarded(env, || to_json(&self.shared.leads()))
    }
}

impl Shared {
    fn stores(&self) -> MutexGuard<'_, Option<Vec<Store>>> {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drain(&self) -> Vec<u32> {
        // Before anything is looked at, so that what changes meanwhile wakes again.
        self.woken.store(false, Ordering::SeqCst);
        self.event_loop.answered();
        let stores = self.stores();
        let mut ids = Vec::new();
        for store in stores.iter().flatten() {
            let changed = store.elections.take_changed();
            let concerned = store
                .candidacies
                .iter()
                .filter(|(_, lock)| changed.contains(*lock));
            ids.extend(concerned.map(|(id, _)| *id));
        }
        ids.sort_unstable();
        ids
    }

    fn wake_up(&self) {
        if !self.woken.swap(true, Ordering::SeqCst) {
            self.wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }

    /// The elections with these settings, begun where there are none yet.
    fn store<'stores>(
        self: &Arc<Self>,
        stores: &'stores mut Option<Vec<Store>>,
        settings: &ElectionSettings,
    ) -> Result<&'stores mut Store, Error> {
        let stores = stores.as_mut().ok_or_else(|| {
            Error::new(
                Code::Closed,
                "this instance has left its elections, it is about to end",
            )
        })?;
        let known = stores
            .iter()
            .position(|store| store.elections.settings() == settings);
        let position = match known {
            Some(position) => position,
            None => {
                let runtime = runtime_of_core()?;
                let _entered = runtime.enter();
                let shared = Arc::downgrade(self);
                let changed = Box::new(move || {
                    let Some(shared) = shared.upgrade() else {
                        return;
                    };
                    shared.wake_up();
                    if shared.cluster.is_some() {
                        // Not from here: the elections may be in the middle of a change.
                        runtime.spawn(async move { shared.show_leads() });
                    }
                });
                let event_loop = Arc::clone(&self.event_loop);
                stores.push(Store {
                    elections: Elections::open(settings.clone(), event_loop, changed)?,
                    candidacies: HashMap::new(),
                });
                stores.len() - 1
            }
        };
        Ok(&mut stores[position])
    }

    fn leads(&self) -> Vec<String> {
        let stores = self.stores();
        let leads = stores.iter().flatten().map(|store| store.elections.leads());
        let mut leads: Vec<String> = leads.flatten().collect();
        leads.sort_unstable();
        leads.dedup();
        leads
    }

    fn show_leads(&self) {
        if let Some(cluster) = &self.cluster {
            cluster.show_leads(|| self.leads());
        }
    }
}

impl Checked {
    fn of(request: &str) -> Result<Self, Error> {
        let request: ElectionRequest = parse(request)?;
        let environment = |name: &str| std::env::var(name).ok();
        let invalid =
            |error: config::ConfigError| Error::new(Code::ConfigInvalid, error.to_string());
        let parsed = config::parse_election(&request.settings, &request.node, &environment);
        let config::ParsedElection { settings, warnings } = parsed.map_err(invalid)?;
        let lock = config::parse_lock(&request.lock_key, &request.lock_ttl, &settings.key_prefix);
        Ok(Self {
            lock: lock.map_err(invalid)?,
            settings,
            warnings,
        })
    }

    fn describe(&self) -> Result<String, Error> {
        to_json(&AboutElection::new(
            &self.settings,
            &self.lock,
            &self.warnings,
        ))
    }
}

/// One node's part in an election.
#[napi(js_name = "NativeCandidacy")]
pub struct CandidacyHandle {
    id: u32,
    candidacy: Arc<Candidacy>,
    about: String,
    shared: Weak<Shared>,
}

#[napi]
impl CandidacyHandle {
    /// What `drain` calls it.
    #[napi(catch_unwind, getter)]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Store, prefix, lock and warnings about the settings, as JSON.
    #[napi(catch_unwind)]
    pub fn about(&self) -> String {
        self.about.clone()
    }

    /// The fencing token while this process leads by the clock of this very moment, else 0.
    #[napi(catch_unwind)]
    pub fn lead(&self) -> f64 {
        lead(&self.candidacy)
    }

    /// `lead` as a function of its own, for whoever asks at each message: to find out whose method is called
    /// costs several times as much as the answer.
    #[napi(catch_unwind, ts_return_type = "() => number")]
    pub fn lead_function<'env>(&self, env: &'env Env) -> napi::Result<Function<'env, (), f64>> {
        let candidacy = Arc::clone(&self.candidacy);
        env.create_function_from_closure("lead", move |_| {
            // Nothing above this catches what unwinds.
            Ok(catch_unwind(AssertUnwindSafe(|| lead(&candidacy))).unwrap_or(0.0))
        })
    }

    /// How this process stands, as JSON.
    #[napi(catch_unwind)]
    pub fn standing(&self, env: &Env) -> napi::Result<String> {
        guarded(env, || {
            to_json(&DescribedStanding::new(self.candidacy.standing()))
        })
    }

    /// The node ends, or is removed for good.
    #[napi(catch_unwind)]
    pub fn leave(&self, env: &Env, removed: bool) -> napi::Result<()> {
        guarded(env, || {
            self.candidacy.leave(removed);
            self.forget();
            Ok(())
        })
    }
}

/// Exact, as tokens stay below 2^53.
fn lead(candidacy: &Candidacy) -> f64 {
    candidacy.token().map_or(0.0, |token| token as f64)
}

impl CandidacyHandle {
    fn forget(&self) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        for store in shared.stores().iter_mut().flatten() {
            store.candidacies.remove(&self.id);
        }
    }
}

impl Drop for CandidacyHandle {
    fn drop(&mut self) {
        self.forget();
    }
}
