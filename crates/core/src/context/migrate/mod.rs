//! Context that the older package left gets its place.
//!
//! The older package kept no lists of names, and with a `keyPrefix` it wrote it twice in front of
//! every key of context. A [`Migration`] finds these properties, moves those with the prefix twice
//! to their key, and enters each name among those of its scope, before all that were set since and
//! in the order of the names, as no time is known. Values are left as they are: plain JSON and
//! `gzip:` are both read.
//!
//! Promises: nothing is changed by [`Action::Preview`]. No value is lost: one that is in the way is
//! only written over where [`Conflicts::Overwrite`] asks for it. What is not understood is reported
//! and left, stray keys for expressions such as `a[0].b` included: the value of `a` may be older or
//! newer than theirs, so folding one into the other would be a guess. Every change is one atomic
//! step that looks again, so a cluster may run meanwhile; a migration that was interrupted goes on
//! when it is run again, and one that is done finds nothing to do.
//!
//! It does not promise a view of one moment: what is written under the older keys while it runs may
//! be missed, so the older package has to be stopped.
//!
//! - `found`: what keys stand for and what is to be done about them, pure
//! - `report`: what was done, and what is left to decide

mod found;
mod report;
#[cfg(test)]
mod tests;

use redis::{FromRedisValue, Value};

use crate::connection::{Connection, Lane, Repeat, Request};
use crate::error::{Code, Error, Result};
use crate::keyspace::Keyspace;

use found::{Decision, Held, Look, Place, Property, Sorted};
use report::Outcome;
pub use report::{Counts, Finding, Reason, Report};

/// Keys that the server looks at in one step of the scan, so that it never holds up others for long.
const SCAN_STEP: usize = 1000;

/// Properties that the server looks at or adopts in one step.
const BATCH: usize = 100;

/// Bytes of values that the server hands out or compares in one step, a larger value by itself.
const BATCH_BYTES: usize = 1024 * 1024;

/// Whether anything is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Only look.
    Preview,
    /// Do it.
    Apply,
}

/// What happens where a key that is needed holds another value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflicts {
    /// Both are left as they are.
    Keep,
    /// The value of the key with the prefix twice takes the place of the other.
    Overwrite,
}

/// What happens on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// So many keys of context were found until now.
    Searched(usize),
    /// Of the keys found so many are done with.
    Done {
        /// Done with.
        keys: usize,
        /// Found.
        of: usize,
    },
    /// A key is left for the operator to decide about.
    Found(Finding),
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proceed {
    /// Go on.
    Yes,
    /// Stop; what is done stays done.
    No,
}

/// One migration of the context of one cluster.
#[derive(Debug)]
pub struct Migration<'a> {
    connection: &'a Connection,
    keyspace: &'a Keyspace,
    action: Action,
    conflicts: Conflicts,
    report: Report,
}

impl<'a> Migration<'a> {
    /// A migration that has not begun.
    pub fn new(
        connection: &'a Connection,
        keyspace: &'a Keyspace,
        action: Action,
        conflicts: Conflicts,
    ) -> Self {
        Self {
            connection,
            keyspace,
            action,
            conflicts,
            report: Report::default(),
        }
    }

    /// What was done until now, or would be; also after an error.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Looks at everything once. `tell` hears what happens after each step and says whether to go on.
    ///
    /// # Errors
    /// The store's. What was done until then stays done.
    pub async fn run(&mut self, mut tell: impl FnMut(Event) -> Proceed + Send) -> Result<()> {
        let Some(properties) = self.search(&mut tell).await? else {
            return Ok(());
        };
        let mut done = 0;
        for batch in properties.chunks(BATCH) {
            for finding in self.settle(batch).await? {
                tell(Event::Found(finding));
            }
            done += batch.len();
            let progress = Event::Done {
                keys: done,
                of: properties.len(),
            };
            if tell(progress) == Proceed::No && done < properties.len() {
                return Ok(());
            }
        }
        self.report.complete = true;
        Ok(())
    }

    /// All properties in the store, each once, in their order; `None` where it is not to go on. They
    /// are collected first: a scan may give a key twice, and moving keys adds to what it sees.
    async fn search(
        &mut self,
        tell: &mut (impl FnMut(Event) -> Proceed + Send),
    ) -> Result<Option<Vec<Property>>> {
        let mut properties = Vec::new();
        let mut left = Vec::new();
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor)
                .arg("MATCH")
                .arg(found::pattern(self.keyspace))
                .arg("COUNT")
                .arg(SCAN_STEP);
            let keys: Vec<Vec<u8>>;
            (cursor, keys) = self.ask(Lane::Commands, Request::Command(scan)).await?;
            for key in keys {
                match found::sort(&key, self.keyspace) {
                    Sorted::Property(property) => properties.push(property),
                    Sorted::Left(finding) => left.push(finding),
                    Sorted::Foreign => {}
                }
            }
            if tell(Event::Searched(properties.len())) == Proceed::No {
                return Ok(None);
            }
            if cursor == 0 {
                break;
            }
        }
        properties.sort_unstable();
        properties.dedup();
        left.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        left.dedup();
        self.report.without_scope = left.len();
        for finding in left {
            tell(Event::Found(finding));
        }
        self.leave_to_another_cluster(&mut properties, tell).await?;
        Ok(Some(properties))
    }

    /// Strikes out the properties with the prefix twice where they are another cluster's.
    async fn leave_to_another_cluster(
        &mut self,
        properties: &mut Vec<Property>,
        tell: &mut (impl FnMut(Event) -> Proceed + Send),
    ) -> Result<()> {
        if properties.iter().all(|found| found.place == Place::Own) {
            return Ok(());
        }
        for mark in found::marks_of_another_cluster(self.keyspace) {
            let mut exists = redis::cmd("EXISTS");
            exists.arg(&mark);
            if self.ask(Lane::Commands, Request::Command(exists)).await? {
                properties.retain(|found| found.place == Place::Own);
                self.report.another_cluster = true;
                let prefix = self.keyspace.prefix();
                tell(Event::Found(Finding {
                    key: found::shown(&format!("{prefix}{prefix}")),
                    reason: Reason::OtherCluster(found::shown(&mark)),
                }));
                return Ok(());
            }
        }
        Ok(())
    }

    /// Does what is to be done about some properties; returns what is left to decide.
    async fn settle(&mut self, batch: &[Property]) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let mut to_read = Vec::new();
        for (property, look) in batch.iter().zip(self.look(batch).await?) {
            match found::decide(property, &look) {
                Decision::Gone => {}
                Decision::Settled(outcome, reason) => {
                    self.enter(property, outcome, reason, &mut findings);
                }
                Decision::Read => to_read.push((property, look)),
            }
        }
        for part in parts(&to_read) {
            self.settle_values(part, &mut findings).await?;
        }
        Ok(findings)
    }

    /// The same for properties whose values have to be read.
    async fn settle_values(
        &mut self,
        part: &[(&Property, Look)],
        findings: &mut Vec<Finding>,
    ) -> Result<()> {
        let keys = part
            .iter()
            .map(|(found, _)| found.found_under(self.keyspace));
        let values = self.values(keys.collect()).await?;
        let mut alike = Vec::with_capacity(part.len());
        for ((property, look), value) in part.iter().zip(&values) {
            alike.push(self.foresees_same(property, look, value.as_deref()).await?);
        }
        // Large values take their time to be decompressed.
        let objections = crate::blocking(move || {
            let values = values.into_iter();
            values
                .map(|value| value.map(found::objection_to_value))
                .collect::<Vec<_>>()
        });
        let mut fit = Vec::new();
        for (((property, look), same), objection) in part.iter().zip(alike).zip(objections.await?) {
            match objection {
                None => {}
                Some(None) => fit.push((*property, look, same)),
                Some(reason) => self.enter(property, Outcome::Left, reason, findings),
            }
        }
        let outcomes = match self.action {
            Action::Preview => fit
                .iter()
                .map(|(property, look, same)| {
                    Some(found::foresee(property, look, *same, self.conflicts))
                })
                .collect(),
            Action::Apply => {
                self.adopt(fit.iter().map(|(property, ..)| *property))
                    .await?
            }
        };
        for ((property, look, _), outcome) in fit.into_iter().zip(outcomes) {
            let reason = match (outcome, &look.own) {
                (Some(Outcome::Conflict), Held::Other(kind)) => {
                    Some(Reason::OtherType(kind.clone()))
                }
                (Some(Outcome::Conflict), _) => Some(Reason::OtherValue),
                _ => None,
            };
            if let Some(outcome) = outcome {
                self.enter(property, outcome, reason, findings);
            }
        }
        Ok(())
    }

    /// Notes what became of a property.
    fn enter(
        &mut self,
        property: &Property,
        outcome: Outcome,
        reason: Option<Reason>,
        findings: &mut Vec<Finding>,
    ) {
        self.report.add(&property.scope, outcome);
        findings.extend(reason.map(|reason| Finding {
            key: found::shown(&property.found_under(self.keyspace)),
            reason,
        }));
    }

    /// For a preview: whether both keys of a property hold the same bytes.
    async fn foresees_same(
        &self,
        property: &Property,
        look: &Look,
        value: Option<&[u8]>,
    ) -> Result<bool> {
        let length = value.map_or(0, <[u8]>::len);
        let comparable = self.action == Action::Preview
            && property.place == Place::PrefixTwice
            && look.own == Held::Text(length);
        if !comparable {
            return Ok(false);
        }
        let own = self.values(vec![property.key(self.keyspace)]).await?;
        Ok(own.first().is_some_and(|own| own.as_deref() == value))
    }

    async fn look(&self, batch: &[Property]) -> Result<Vec<Look>> {
        let request = Request::Script {
            script: include_str!("../../scripts/context_found.lua"),
            keys: self.keys(batch.iter()),
            arguments: scopes_and_names(batch.iter()).collect(),
        };
        let rows: Vec<(bool, String, usize, String, usize)> =
            self.ask(Lane::Commands, request).await?;
        expect_replies(rows.len(), batch.len())?;
        let looks = rows
            .into_iter()
            .map(|(known, kind, length, found_kind, found_length)| Look {
                known,
                own: Held::new(kind, length),
                found: Held::new(found_kind, found_length),
            });
        Ok(looks.collect())
    }

    /// Moves and registers; `None` for a property that is gone.
    async fn adopt<'p>(
        &self,
        properties: impl ExactSizeIterator<Item = &'p Property> + Clone,
    ) -> Result<Vec<Option<Outcome>>> {
        let count = properties.len();
        if count == 0 {
            return Ok(Vec::new());
        }
        let conflicts: &[u8] = match self.conflicts {
            Conflicts::Keep => b"keep",
            Conflicts::Overwrite => b"overwrite",
        };
        let request = Request::Script {
            script: include_str!("../../scripts/context_adopt.lua"),
            keys: self.keys(properties.clone()),
            arguments: std::iter::once(conflicts.to_vec())
                .chain(scopes_and_names(properties))
                .collect(),
        };
        let words: Vec<String> = self.ask(Lane::Commands, request).await?;
        expect_replies(words.len(), count)?;
        let outcomes = words.iter().map(|word| match word.as_str() {
            "registered" => Some(Outcome::Registered),
            "moved" => Some(Outcome::Moved),
            "replaced" => Some(Outcome::Replaced),
            "dropped" => Some(Outcome::Dropped),
            "conflict" => Some(Outcome::Conflict),
            _ => None,
        });
        Ok(outcomes.collect())
    }

    /// The stored values of some keys.
    async fn values(&self, keys: Vec<String>) -> Result<Vec<Option<Vec<u8>>>> {
        let count = keys.len();
        let mut get = redis::cmd("MGET");
        get.arg(keys);
        let values: Vec<Option<Vec<u8>>> = self.ask(Lane::Bulk, Request::Command(get)).await?;
        expect_replies(values.len(), count)?;
        Ok(values)
    }

    /// What both scripts take as `KEYS`.
    fn keys<'p>(&self, properties: impl Iterator<Item = &'p Property>) -> Vec<String> {
        let of_each = properties.flat_map(|property| {
            [
                self.keyspace.context_names(&property.scope),
                property.key(self.keyspace),
                property.found_under(self.keyspace),
            ]
        });
        std::iter::once(self.keyspace.context_scopes())
            .chain(of_each)
            .collect()
    }

    /// Every request of a migration may be sent twice: it looks, or does what is done only once.
    async fn ask<T: FromRedisValue>(&self, lane: Lane, request: Request) -> Result<T> {
        let reply: Value = self
            .connection
            .run(lane, &request, Repeat::Safe)
            .await
            .map_err(|error| error.while_doing("migrating context"))?;
        Ok(redis::from_redis_value(reply)?)
    }
}

/// What both scripts take as `ARGV` for each property.
fn scopes_and_names<'p>(
    properties: impl Iterator<Item = &'p Property>,
) -> impl Iterator<Item = Vec<u8>> {
    properties.flat_map(|property| {
        [
            property.scope.as_str().as_bytes().to_vec(),
            property.name.as_bytes().to_vec(),
        ]
    })
}

/// Properties in a row whose values, under both keys, make up one step for the server.
fn parts<'l, 'p>(looks: &'l [(&'p Property, Look)]) -> Vec<&'l [(&'p Property, Look)]> {
    let mut parts = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (at, (_, look)) in looks.iter().enumerate() {
        let size = look.found.length() + look.own.length();
        if at > begin && bytes + size > BATCH_BYTES {
            parts.push(&looks[begin..at]);
            (begin, bytes) = (at, 0);
        }
        bytes += size;
    }
    if begin < looks.len() {
        parts.push(&looks[begin..]);
    }
    parts
}

fn expect_replies(got: usize, expected: usize) -> Result<()> {
    if got == expected {
        return Ok(());
    }
    Err(Error::new(
        Code::StoreReply,
        format!("the store gave {got} answers to {expected} questions"),
    ))
}

#[cfg(any(test, feature = "fuzzing"))]
/// See [`crate::fuzzing`].
pub(crate) fn fuzz(data: &[u8]) {
    let keyspace = Keyspace::under("nodered:");
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let (key, value) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    match found::sort(key, &keyspace) {
        Sorted::Property(property) => {
            drop(found::objection_to_name(&property.name));
            assert_eq!(property.found_under(&keyspace).as_bytes(), key);
        }
        Sorted::Left(finding) => assert!(!finding.key.is_empty()),
        Sorted::Foreign => {}
    }
    drop(found::objection_to_value(value.to_vec()));
}
