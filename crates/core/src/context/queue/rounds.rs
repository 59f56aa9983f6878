//! What rounds are made of.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use crate::context::operation::Operation;
use crate::context::path::Segment;
use crate::keyspace::Scope;

/// Who is to hear of the end of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::context) struct Callback {
    pub(in crate::context) id: u32,
    pub(in crate::context) deadline: Instant,
}

/// What is to be written.
#[derive(Debug)]
pub(in crate::context) enum Change {
    /// Whole properties of a scope; `None` deletes. With the time of the store for the first, which counts up
    /// for the others.
    Plain(Scope, Vec<(String, Option<String>)>, u64),
    /// Together or not at all.
    Update(Vec<Step>, u64),
}

/// One operation on what the store holds.
#[derive(Debug)]
pub(in crate::context) struct Step {
    pub(in crate::context) scope: Scope,
    pub(in crate::context) name: String,
    pub(in crate::context) rest: Vec<Segment>,
    pub(in crate::context) operation: Operation,
}

/// Some writes that go together.
#[derive(Debug)]
pub(in crate::context) struct Round {
    /// The newest write in it.
    pub(in crate::context) last: u64,
    pub(in crate::context) work: Work,
    pub(super) id: u64,
    pub(super) bytes: u64,
}

#[derive(Debug)]
pub(in crate::context) enum Work {
    Plain {
        slots: Vec<Slot>,
        callbacks: Vec<Callback>,
    },
    Updates(Vec<Update>),
}

impl Work {
    /// The ids of the requests that wait for it.
    pub(in crate::context) fn callbacks(&self) -> Vec<u32> {
        match self {
            Self::Plain { callbacks, .. } => callbacks.iter().map(|callback| callback.id).collect(),
            Self::Updates(updates) => {
                let callbacks = updates.iter().filter_map(|update| update.callback.as_ref());
                callbacks.map(|callback| callback.id).collect()
            }
        }
    }
}

/// A property that is written.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::context) struct Property {
    pub(in crate::context) scope: Scope,
    pub(in crate::context) name: String,
}

/// The newest plain write of one property in a round.
#[derive(Debug)]
pub(in crate::context) struct Slot {
    pub(in crate::context) property: Arc<Property>,
    pub(in crate::context) text: Option<String>,
    /// When it was first set, in µs of the store's time.
    pub(in crate::context) since: u64,
    /// Deleted and set again in this round: its place among the names is a new one.
    pub(in crate::context) renewed: bool,
    /// The newest write of it: properties of the same one stay together.
    pub(in crate::context) number: u64,
    /// Everyone who wrote it and waits.
    pub(in crate::context) owners: Vec<u32>,
    /// Whether somebody who does not wait wrote it too, and is not to lose it.
    pub(super) shared: bool,
    /// Its only writer was told that it failed.
    pub(in crate::context) abandoned: bool,
}

#[derive(Debug)]
pub(in crate::context) struct Update {
    pub(in crate::context) steps: Vec<Step>,
    pub(in crate::context) since: u64,
    pub(in crate::context) callback: Option<Callback>,
    /// Its caller was told that it failed, so it must not be carried out.
    pub(in crate::context) abandoned: bool,
}

/// What [`Queue::expire`] gave up.
#[derive(Debug, Default)]
pub(in crate::context) struct Expired {
    /// Who is to be told.
    pub(in crate::context) callbacks: Vec<Callback>,
    /// The properties that will not be written.
    pub(in crate::context) properties: Vec<(Scope, String)>,
}

impl Slot {
    pub(super) fn write_again(
        &mut self,
        number: u64,
        text: Option<String>,
        since: u64,
        callback: Option<Callback>,
    ) {
        if self.text.is_none() && text.is_some() {
            self.renewed = true;
            self.since = since;
        }
        self.number = number;
        self.text = text;
        self.shared |= callback.is_none();
        self.abandoned = false;
        self.owners.extend(callback.map(|callback| callback.id));
    }
}

impl Work {
    /// Gives up the writes whose callers' time is up.
    pub(in crate::context) fn expire(&mut self, now: Instant, expired: &mut Expired) {
        match self {
            Self::Plain { slots, callbacks } => {
                let before = expired.callbacks.len();
                callbacks.retain(|callback| {
                    let late = callback.deadline <= now;
                    if late {
                        expired.callbacks.push(*callback);
                    }
                    !late
                });
                let late = &expired.callbacks[before..];
                if late.is_empty() {
                    return;
                }
                let late: HashSet<u32> = late.iter().map(|callback| callback.id).collect();
                for slot in slots {
                    slot.owners.retain(|owner| !late.contains(owner));
                    if !slot.shared && slot.owners.is_empty() && !slot.abandoned {
                        slot.abandoned = true;
                        expired
                            .properties
                            .push((slot.property.scope.clone(), slot.property.name.clone()));
                    }
                }
            }
            Self::Updates(updates) => {
                for update in updates {
                    if update
                        .callback
                        .is_none_or(|callback| callback.deadline > now)
                    {
                        continue;
                    }
                    expired.callbacks.extend(update.callback.take());
                    update.abandoned = true;
                    let properties = update.steps.iter();
                    let properties = properties.map(|step| (step.scope.clone(), step.name.clone()));
                    expired.properties.extend(properties);
                }
            }
        }
    }
}

impl Change {
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Plain(_, values, _) => values
                .iter()
                .map(|(_, text)| text.as_ref().map_or(0, String::len) as u64)
                .sum(),
            Self::Update(steps, _) => steps.iter().map(Step::bytes).sum(),
        }
    }
}

impl Operation {
    /// The values that it carries, as JSON.
    pub(in crate::context) fn texts(&self) -> impl Iterator<Item = &str> {
        let (first, second) = match self {
            Self::Set(value) | Self::Append { value, .. } => (Some(value), None),
            Self::CompareAndSet { expected, value } => (expected.as_ref(), value.as_ref()),
            Self::GetAndSet(value) | Self::DeleteIf(value) => (value.as_ref(), None),
            Self::Delete | Self::Increment(_) => (None, None),
        };
        first.into_iter().chain(second).map(String::as_str)
    }

    /// The bytes of the values that it carries.
    pub(in crate::context) fn bytes(&self) -> usize {
        self.texts().map(str::len).sum()
    }
}

impl Step {
    pub(super) fn bytes(&self) -> u64 {
        self.operation.bytes() as u64
    }
}
