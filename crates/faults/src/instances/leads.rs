//! What instances believe of their leadership, as times during which they do.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use node_red_cluster_core::election::Belief;

use super::tally::now;
use crate::protocol::Lead;

/// The leaderships since they were last told.
#[derive(Debug, Default)]
pub(super) struct Leads(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// By instance and lock.
    open: BTreeMap<(usize, String), Lead>,
    over: Vec<Lead>,
}

impl Leads {
    /// An instance changed its belief.
    pub(super) fn hear(&self, instance: usize, belief: &Belief) {
        let at = now();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match belief {
            Belief::Began { lock, token, until } | Belief::Moved { lock, token, until } => {
                let until = until.as_nanos();
                let key = (instance, lock.clone());
                match known.open.get_mut(&key) {
                    Some(lead) if lead.token == *token => lead.until = until,
                    _ => {
                        let (lock, token) = (lock.clone(), *token);
                        let lead = Lead {
                            instance,
                            lock,
                            token,
                            from: at,
                            until,
                        };
                        let before = known.open.insert(key, lead);
                        known.over.extend(before);
                    }
                }
            }
            Belief::Ended { lock, .. } => {
                let lead = known.open.remove(&(instance, lock.clone()));
                known.over.extend(lead.map(|lead| Lead {
                    until: lead.until.min(at),
                    ..lead
                }));
            }
        }
    }

    /// All since the last call; of those that go on, what there is of them so far.
    pub(super) fn take(&self) -> Vec<Lead> {
        let at = now();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut leads = std::mem::take(&mut known.over);
        leads.extend(known.open.values().map(|lead| Lead {
            until: lead.until.min(at),
            ..lead.clone()
        }));
        leads
    }
}
