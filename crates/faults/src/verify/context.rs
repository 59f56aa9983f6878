//! Every acknowledged write of the context is there, no increment and no element twice; reads see the own
//! writes and never go back.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Judge, Stored};
use crate::protocol::{Kind, Operation, Outcome};

/// The names of the properties that were written, without what is below them.
pub(crate) fn keys(operations: &[Operation]) -> BTreeSet<String> {
    operations
        .iter()
        .map(|one| root(&one.key).0.to_owned())
        .collect()
}

fn root(key: &str) -> (&str, Option<&str>) {
    match key.split_once('.') {
        Some((name, below)) => (name, Some(below)),
        None => (key, None),
    }
}

pub(super) fn verify(operations: &[Operation], stored: &Stored, judge: &mut Judge<'_>) {
    let mut by_key: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in operations {
        by_key.entry(&operation.key).or_default().push(operation);
    }
    for (key, operations) in by_key {
        let (name, below) = root(key);
        let found = stored
            .context
            .get(name)
            .map(|text| serde_json::from_str(text));
        let found: Option<Value> = match found.transpose() {
            Ok(found) => found,
            Err(error) => {
                judge.violation(format!("{name} in the store is no JSON: {error}"));
                continue;
            }
        };
        let found = match below {
            Some(below) => found.and_then(|value| value.get(below).cloned()),
            None => found,
        };
        let key = Key {
            name: key,
            epoch: operations[0].epoch,
            operations: &operations,
        };
        key.verify(found.as_ref(), judge);
    }
}

/// All that was done to a key.
struct Key<'history> {
    name: &'history str,
    epoch: u32,
    operations: &'history [&'history Operation],
}

impl Key<'_> {
    fn verify(&self, found: Option<&Value>, judge: &mut Judge<'_>) {
        if self.of(Kind::Append).next().is_some() {
            self.verify_list(found, judge);
            return;
        }
        let number = match found {
            None => 0,
            Some(value) => match value.as_u64() {
                Some(number) => number,
                None => {
                    judge.violation(format!("{} became {value}, which nobody wrote", self.name));
                    return;
                }
            },
        };
        if self.of(Kind::Increment).next().is_some() {
            self.verify_sum(number, judge);
        } else {
            self.verify_register(number, judge);
        }
        if judge.loss(self.epoch).is_none() {
            self.verify_reads(judge);
        }
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &Operation> {
        let operations = self.operations.iter().copied();
        operations.filter(move |operation| operation.kind == kind)
    }

    fn acknowledged(&self, kind: Kind) -> impl Iterator<Item = &Operation> {
        self.of(kind)
            .filter(|one| one.outcome == Outcome::Acknowledged)
    }

    fn verify_register(&self, found: u64, judge: &mut Judge<'_>) {
        let issued = self.of(Kind::Set).map(|set| set.value).max().unwrap_or(0);
        let least = self
            .acknowledged(Kind::Set)
            .map(|set| set.value)
            .max()
            .unwrap_or(0);
        if found > issued {
            judge.violation(format!(
                "{} became {found}, but only {issued} was set",
                self.name
            ));
        }
        if found < least {
            judge.missing(self.epoch, 1, || {
                format!(
                    "{} is {found}, but {least} was set and acknowledged",
                    self.name
                )
            });
        }
    }

    fn verify_sum(&self, found: u64, judge: &mut Judge<'_>) {
        let acknowledged = self.acknowledged(Kind::Increment).count();
        let issued = self.of(Kind::Increment).count();
        if found < acknowledged as u64 {
            let missing = acknowledged - usize::try_from(found).unwrap_or(0);
            judge.missing(self.epoch, missing, || {
                format!(
                    "{} is {found}: {missing} of {acknowledged} acknowledged increments are lost",
                    self.name
                )
            });
        }
        if found > issued as u64 {
            judge.violation(format!(
                "{} is {found} after {issued} increments: some were counted twice",
                self.name
            ));
        }
        if judge.loss(self.epoch).is_some() {
            return;
        }
        let mut results = BTreeSet::new();
        for one in self.acknowledged(Kind::Increment) {
            if !results.insert(one.value) {
                judge.violation(format!(
                    "two increments of {} both came to {}",
                    self.name, one.value
                ));
            }
        }
    }

    fn verify_list(&self, found: Option<&Value>, judge: &mut Judge<'_>) {
        let list: Vec<&str> = match found {
            None => Vec::new(),
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            Some(other) => {
                judge.violation(format!("{} became {other}, which is no list", self.name));
                return;
            }
        };
        let name = |one: &Operation| element(one.instance, one.value);
        let there: BTreeSet<&str> = list.iter().copied().collect();
        let missing = self
            .acknowledged(Kind::Append)
            .filter(|one| !there.contains(name(one).as_str()));
        let missing: Vec<String> = missing.map(name).collect();
        if !missing.is_empty() {
            judge.missing(self.epoch, missing.len(), || {
                format!(
                    "{} lacks what was appended and acknowledged: {missing:?}",
                    self.name
                )
            });
        }
        if judge.loss(self.epoch).is_some() {
            return;
        }
        if there.len() < list.len() {
            judge.violation(format!("{} has an element twice: {list:?}", self.name));
        }
        let issued: BTreeSet<String> = self.of(Kind::Append).map(name).collect();
        if let Some(odd) = there.iter().find(|one| !issued.contains(**one)) {
            judge.violation(format!("{} has {odd}, which nobody appended", self.name));
        }
    }

    fn verify_reads(&self, judge: &mut Judge<'_>) {
        // An instance reads what it has set and not delivered yet; where the store then refuses that, it reads
        // what was there before, and says so.
        let refused: BTreeSet<(usize, u64)> = self
            .of(Kind::Set)
            .filter(|set| set.outcome != Outcome::Acknowledged)
            .map(|set| (set.instance, set.value))
            .collect();
        let mut last: BTreeMap<usize, &Operation> = BTreeMap::new();
        let reads = self.acknowledged(Kind::Read);
        let mut reads: Vec<&Operation> = reads
            .filter(|read| !refused.contains(&(read.instance, read.value)))
            .collect();
        reads.sort_by_key(|read| read.began);
        for read in reads {
            if let Some(before) = last.insert(read.instance, read)
                && before.ended <= read.began
                && read.value < before.value
            {
                judge.violation(format!(
                    "instance {} read {} of {} and then {}",
                    read.instance, before.value, self.name, read.value
                ));
            }
            let own = self
                .operations
                .iter()
                .filter(|one| one.instance == read.instance && one.ended <= read.began)
                .filter(|one| one.outcome == Outcome::Acknowledged && one.kind != Kind::Read)
                .map(|one| one.value)
                .max();
            if own.is_some_and(|own| read.value < own) {
                judge.violation(format!(
                    "instance {} read {} of {} after its own write had made it {}",
                    read.instance,
                    read.value,
                    self.name,
                    own.unwrap_or(0)
                ));
            }
            let most = self
                .operations
                .iter()
                .filter(|one| one.began < read.ended && one.kind != Kind::Read)
                .map(|one| if one.kind == Kind::Set { one.value } else { 1 });
            let most = match self.of(Kind::Increment).next() {
                Some(_) => most.sum(),
                None => most.max().unwrap_or(0),
            };
            if read.value > most {
                judge.violation(format!(
                    "instance {} read {} of {} before anybody had written it",
                    read.instance, read.value, self.name
                ));
            }
        }
    }
}

/// The text that an instance appends.
pub(crate) fn element(instance: usize, number: u64) -> String {
    format!("{instance}-{number}")
}
