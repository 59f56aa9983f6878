//! What the subject lives in: a store, and for each instance a way to it of its own.
//!
//! - `store`: the server, its data and its clock, and what goes wrong with them
//! - `network`: the ways to it and its name, and what goes wrong with them
//! - `names`: a hosts file of the subject's own

mod names;
mod network;
mod store;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use node_red_cluster_testkit::{Clocks, WallClock};

use crate::failure::{Failure, Result};
use crate::schedule::Round;

pub(crate) use names::Names;
pub(crate) use network::Network;
pub(crate) use store::Store;

/// What the faults were, and what follows from them.
#[derive(Debug, Default)]
pub(crate) struct Log {
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    /// How often each fault was made.
    done: BTreeMap<&'static str, u32>,
    /// Faults that could not be made, and why.
    skipped: BTreeMap<&'static str, String>,
    /// What ended each epoch.
    losses: Vec<String>,
}

impl Log {
    /// A fault was made, and is over.
    pub(crate) fn done(&self, fault: &'static str) {
        *self.notes().done.entry(fault).or_default() += 1;
    }

    /// A fault cannot be made here.
    pub(crate) fn skipped(&self, fault: &'static str, reason: &str) {
        self.notes().skipped.insert(fault, reason.to_owned());
    }

    /// The store lost data, and does not lose any more: a new epoch begins.
    pub(crate) fn lost(&self, fault: &'static str) {
        self.notes().losses.push(fault.to_owned());
    }

    /// The number of the present epoch.
    pub(crate) fn epoch(&self) -> u32 {
        u32::try_from(self.notes().losses.len()).expect("so many losses take years")
    }

    pub(crate) fn losses(&self) -> Vec<String> {
        self.notes().losses.clone()
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u32> {
        self.notes().done.clone()
    }

    pub(crate) fn reasons(&self) -> BTreeMap<&'static str, String> {
        self.notes().skipped.clone()
    }

    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that is broken and healed.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) network: Network,
    pub(crate) log: Log,
    /// The time of day of the instances.
    pub(crate) clock: Option<WallClock>,
}

impl World {
    /// Starts a store and the ways to it.
    pub(crate) async fn start(instances: usize) -> Result<Self> {
        let clocks = match Clocks::new() {
            Ok(clocks) => Ok(clocks),
            Err(error) => Err(error.to_string()),
        };
        let clock = |name: &str| match &clocks {
            Ok(clocks) => clocks.clock(name).map(Some),
            Err(_) => Ok(None),
        };
        let store = Store::start(clock("store")?).await?;
        let names = Names::private();
        let log = Log::default();
        if let Err(reason) = &clocks {
            log.skipped(crate::schedule::Fault::StoreClockSet.name(), reason);
            log.skipped(crate::schedule::Fault::InstanceClockSet.name(), reason);
        }
        if let Err(reason) = &names {
            log.skipped(crate::schedule::Fault::NameMoved.name(), reason);
        }
        let network = Network::start(store.address(), instances, names.ok()).await?;
        let clock = clock("instances")?;
        Ok(Self {
            store,
            network,
            log,
            clock,
        })
    }

    /// Makes the faults of a round, those of the two lanes at the same time. `lost` is called with each new
    /// epoch.
    ///
    /// # Errors
    /// What keeps a fault from being made or healed.
    pub(crate) async fn rage(
        &mut self,
        round: &Round,
        lost: impl AsyncFn(u32) -> Result<()>,
    ) -> Result<()> {
        let Self {
            store,
            network,
            log,
            clock,
        } = self;
        let store_lane = async {
            for step in &round.store {
                tokio::time::sleep(step.after).await;
                let name = step.fault.name();
                let made = store.suffer(step, clock.as_ref()).await;
                let made = made.map_err(|error| Failure::new(format!("{name}: {error}")))?;
                if step.fault.loses_data() {
                    log.lost(name);
                    lost(log.epoch()).await?;
                }
                if made {
                    log.done(name);
                }
            }
            Ok::<(), Failure>(())
        };
        let link_lane = async {
            for step in &round.links {
                tokio::time::sleep(step.after).await;
                let name = step.fault.name();
                let made = network.suffer(step).await;
                if made.map_err(|error| Failure::new(format!("{name}: {error}")))? {
                    log.done(name);
                }
            }
            Ok::<(), Failure>(())
        };
        tokio::try_join!(store_lane, link_lane)?;
        Ok(())
    }
}
