//! The writes of this process that the store has not answered yet, in rounds.
//!
//! Writes reach the store in the order in which they were issued. A round is written in one atomic step, so
//! writes of one key inside a round can be put together without anybody seeing another order: a counter that
//! is set a thousand times while a round is under way, or while the store is away, waits as one value.
//! There are two kinds of rounds: plain writes of whole properties, and updates, which depend on what the
//! store holds.
//!
//! Pure: what is taken from here is carried out by `writer`.

mod rounds;

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

pub(super) use self::rounds::{
    Callback, Change, Expired, Property, Round, Slot, Step, Update, Work,
};
use crate::error::{Code, Error, Result};
use crate::keyspace::Scope;

/// A round of plain writes is closed at so many properties...
const LARGEST_PLAIN: usize = 1024;
/// ... and one of updates at so many, as all of them are done again when one of their keys was changed.
const LARGEST_UPDATES: usize = 256;
/// Properties that the updates of one round touch.
const MOST_UPDATED: usize = 16;
/// Bytes of a round, so that the store is not busy with one of them for long.
const LARGEST_BYTES: u64 = 1024 * 1024;

/// So many properties are remembered before settled ones are thrown out.
const CROWDED: usize = 4096;

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) writes: usize,
    pub(super) bytes: u64,
}

/// What is known of a property that was written lately. It is kept when its writes are settled, because
/// whoever writes a property writes it again.
#[derive(Debug)]
struct Pending {
    property: Arc<Property>,
    /// The newest write of the property; settled or not.
    latest: u64,
    /// Where it stands, if in a plain round.
    round: u64,
    slot: usize,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    bounds: Bounds,
    rounds: VecDeque<Round>,
    /// Taken and not yet settled.
    taken: Option<Taken>,
    /// Writes with callbacks for which there is no room.
    waiting: VecDeque<Waiting>,
    pending: HashMap<Box<str>, Pending>,
    /// The size of `pending` at which settled ones are thrown out.
    crowded: usize,
    issued: u64,
    settled: u64,
    rounds_made: u64,
    writes: usize,
    bytes: u64,
    scratch: String,
}

#[derive(Debug)]
struct Taken {
    last: u64,
    bytes: u64,
    writes: usize,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    change: Change,
    callback: Callback,
}

impl Queue {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            rounds: VecDeque::new(),
            taken: None,
            waiting: VecDeque::new(),
            pending: HashMap::new(),
            crowded: CROWDED,
            issued: 0,
            settled: 0,
            rounds_made: 0,
            writes: 0,
            bytes: 0,
            scratch: String::new(),
        }
    }

    /// The number of the newest write.
    pub(super) fn issued(&self) -> u64 {
        self.issued
    }

    /// The newest write of which it is known, as of all before it, how it ended.
    pub(super) fn settled(&self) -> u64 {
        self.settled
    }

    /// Writes that are not settled, and their bytes.
    pub(super) fn size(&self) -> (usize, u64) {
        (self.writes + self.waiting.len(), self.bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rounds.is_empty() && self.taken.is_none() && self.waiting.is_empty()
    }

    /// The newest write of a property that is not settled.
    pub(super) fn pending(&mut self, scope: &Scope, name: &str) -> Option<u64> {
        if self.issued == self.settled {
            return None;
        }
        key(&mut self.scratch, scope, name);
        self.pending
            .get(self.scratch.as_str())
            .map(|pending| pending.latest)
            .filter(|latest| *latest > self.settled)
    }

    /// Accepts a write and gives it a number. One with a callback waits where there is no room, one
    /// without is refused.
    ///
    /// # Errors
    /// `TooManyPendingWrites`.
    pub(super) fn push(&mut self, change: Change, callback: Option<Callback>) -> Result<u64> {
        if !self.waiting.is_empty() || !self.has_room(&change) {
            let Some(callback) = callback else {
                return Err(self.full());
            };
            self.issued += 1;
            self.mark(&change, self.issued);
            self.waiting.push_back(Waiting {
                number: self.issued,
                change,
                callback,
            });
            return Ok(self.issued);
        }
        self.issued += 1;
        let number = self.issued;
        self.admit(number, change, callback);
        Ok(number)
    }

    /// The next round, which is under way until [`Queue::settle`].
    pub(super) fn take(&mut self) -> Option<Round> {
        debug_assert!(self.taken.is_none(), "one round at a time");
        let round = self.rounds.pop_front()?;
        self.taken = Some(Taken {
            last: round.last,
            bytes: round.bytes,
            writes: match &round.work {
                Work::Plain { slots, .. } => slots.len(),
                Work::Updates(updates) => updates.len(),
            },
        });
        Some(round)
    }

    /// The round under way has ended, one way or the other.
    pub(super) fn settle(&mut self) {
        let Some(taken) = self.taken.take() else {
            return;
        };
        self.settled = taken.last;
        if self.pending.len() > self.crowded {
            self.pending
                .retain(|_, pending| pending.latest > taken.last);
            self.crowded = CROWDED.max(2 * self.pending.len());
        }
        self.writes -= taken.writes;
        self.bytes -= taken.bytes;
        while let Some(first) = self.waiting.front() {
            if !self.has_room(&first.change) {
                break;
            }
            let Some(waiting) = self.waiting.pop_front() else {
                break;
            };
            self.admit(waiting.number, waiting.change, Some(waiting.callback));
        }
        self.settle_all_if_empty();
    }

    /// Takes the callbacks whose time is up, and gives up their writes: nobody must be told that a write
    /// failed and find it carried out later.
    pub(super) fn expire(&mut self, now: Instant) -> Expired {
        let mut expired = Expired::default();
        let waiting = std::mem::take(&mut self.waiting);
        for write in waiting {
            if write.callback.deadline > now {
                self.waiting.push_back(write);
                continue;
            }
            expired.callbacks.push(write.callback);
            match write.change {
                Change::Plain(scope, values, _) => expired
                    .properties
                    .extend(values.into_iter().map(|(name, _)| (scope.clone(), name))),
                Change::Update(steps, _) => expired
                    .properties
                    .extend(steps.into_iter().map(|step| (step.scope, step.name))),
            }
        }
        for round in &mut self.rounds {
            round.work.expire(now, &mut expired);
        }
        self.settle_all_if_empty();
        expired
    }

    /// A write that was given up before it came into a round is settled by nobody else.
    fn settle_all_if_empty(&mut self) {
        if self.is_empty() {
            self.settled = self.issued;
        }
    }

    fn has_room(&self, change: &Change) -> bool {
        let bytes = self.bytes + change.bytes();
        // One write always fits, however large: it is bounded by the largest value.
        self.writes == 0 || (self.writes < self.bounds.writes && bytes <= self.bounds.bytes)
    }

    fn full(&self) -> Error {
        Error::new(
            Code::TooManyPendingWrites,
            format!(
                "{} writes with {} bytes wait for the store already, which is as much as this process may hold \
                 (`maxPendingWrites`, `maxPendingBytes`); set with a callback, which waits, or look why the store does not answer",
                self.writes, self.bytes
            ),
        )
    }

    fn admit(&mut self, number: u64, change: Change, callback: Option<Callback>) {
        match change {
            Change::Plain(scope, values, since) => {
                self.admit_plain(number, scope, values, since, callback);
            }
            Change::Update(steps, since) => self.admit_update(number, steps, since, callback),
        }
    }

    fn admit_plain(
        &mut self,
        number: u64,
        scope: Scope,
        values: Vec<(String, Option<String>)>,
        since: u64,
        callback: Option<Callback>,
    ) {
        let open = self.rounds.back().is_some_and(|round| {
            matches!(&round.work, Work::Plain { slots, .. } if slots.len() < LARGEST_PLAIN)
                && round.bytes < LARGEST_BYTES
        });
        if !open {
            self.start(Work::Plain {
                slots: Vec::new(),
                callbacks: Vec::new(),
            });
        }
        let Some(round) = self.rounds.back_mut() else {
            return;
        };
        let Work::Plain { slots, callbacks } = &mut round.work else {
            return;
        };
        round.last = number;
        callbacks.extend(callback);
        for (since, (name, text)) in (since..).zip(values) {
            let length = text.as_ref().map_or(0, String::len) as u64;
            key(&mut self.scratch, &scope, &name);
            let property = match self.pending.get_mut(self.scratch.as_str()) {
                Some(pending) => {
                    pending.latest = number;
                    if pending.round == round.id {
                        let slot = &mut slots[pending.slot];
                        let before = slot.text.as_ref().map_or(0, String::len) as u64;
                        round.bytes = round.bytes - before + length;
                        self.bytes = self.bytes - before + length;
                        slot.write_again(number, text, since, callback);
                        continue;
                    }
                    pending.round = round.id;
                    pending.slot = slots.len();
                    Arc::clone(&pending.property)
                }
                None => {
                    let property = Arc::new(Property {
                        scope: scope.clone(),
                        name,
                    });
                    let pending = Pending {
                        property: Arc::clone(&property),
                        latest: number,
                        round: round.id,
                        slot: slots.len(),
                    };
                    self.pending.insert(self.scratch.as_str().into(), pending);
                    property
                }
            };
            round.bytes += length;
            self.bytes += length;
            self.writes += 1;
            slots.push(Slot {
                property,
                text,
                since,
                renewed: false,
                number,
                owners: callback.iter().map(|callback| callback.id).collect(),
                shared: callback.is_none(),
                abandoned: false,
            });
        }
    }

    fn admit_update(
        &mut self,
        number: u64,
        steps: Vec<Step>,
        since: u64,
        callback: Option<Callback>,
    ) {
        let open = self.rounds.back().is_some_and(|round| match &round.work {
            Work::Updates(updates) => {
                updates.len() < LARGEST_UPDATES
                    && round.bytes < LARGEST_BYTES
                    && may_join(updates, &steps)
            }
            Work::Plain { .. } => false,
        });
        if !open {
            self.start(Work::Updates(Vec::new()));
        }
        for step in &steps {
            self.note(&step.scope, &step.name, number);
        }
        let Some(round) = self.rounds.back_mut() else {
            return;
        };
        let Work::Updates(updates) = &mut round.work else {
            return;
        };
        let bytes = steps.iter().map(Step::bytes).sum::<u64>();
        round.last = number;
        round.bytes += bytes;
        self.bytes += bytes;
        self.writes += 1;
        updates.push(Update {
            steps,
            since,
            callback,
            abandoned: false,
        });
    }

    fn start(&mut self, work: Work) {
        self.rounds_made += 1;
        self.rounds.push_back(Round {
            last: 0,
            work,
            id: self.rounds_made,
            bytes: 0,
        });
    }

    /// A write of a property is on its way. The slot that an older one has is still the property's.
    fn note(&mut self, scope: &Scope, name: &str, number: u64) {
        key(&mut self.scratch, scope, name);
        if let Some(known) = self.pending.get_mut(self.scratch.as_str()) {
            known.latest = number;
            return;
        }
        let property = Property {
            scope: scope.clone(),
            name: name.to_owned(),
        };
        let pending = Pending {
            property: Arc::new(property),
            latest: number,
            round: 0,
            slot: 0,
        };
        self.pending.insert(self.scratch.as_str().into(), pending);
    }

    fn mark(&mut self, change: &Change, number: u64) {
        match change {
            Change::Plain(scope, values, _) => {
                for (name, _) in values {
                    self.note(scope, name, number);
                }
            }
            Change::Update(steps, _) => {
                for step in steps {
                    self.note(&step.scope, &step.name, number);
                }
            }
        }
    }
}

/// Whether a round of updates stays small enough to be done again whole.
fn may_join(updates: &[Update], steps: &[Step]) -> bool {
    let mut names: Vec<(&Scope, &str)> = updates
        .iter()
        .flat_map(|update| &update.steps)
        .chain(steps)
        .map(|step| (&step.scope, step.name.as_str()))
        .collect();
    names.sort_unstable();
    names.dedup();
    names.len() <= MOST_UPDATED
}

/// Scope and name as one text, unambiguous because no scope has a NUL in it.
fn key(into: &mut String, scope: &Scope, name: &str) {
    into.clear();
    let written = write!(into, "{scope}\0{name}");
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}

#[cfg(test)]
mod tests;
