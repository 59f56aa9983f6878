//! All updates of a round on what was found, in their order: pure.

use std::borrow::Cow;
use std::sync::Arc;

use uuid::Uuid;

use super::{place, too_large};
use crate::config::Compression;
use crate::context::json::Why;
use crate::context::operation::{self, Change};
use crate::context::queue::{Step, Update};
use crate::context::stored::{Expected, Stored, Write};
use crate::error::{Code, Error, Result};
use crate::keyspace::Scope;

/// A property that the round touches.
#[derive(Debug, Clone)]
pub(super) struct Property {
    pub(super) scope: Scope,
    pub(super) name: String,
    pub(super) before: Option<Arc<Stored>>,
    pub(super) after: After,
    /// When it was first set, where it is new, in µs of the store's time.
    pub(super) since: u64,
    /// Removed and set again: its place among the names is a new one.
    pub(super) renewed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum After {
    Same,
    Absent,
    Value(Arc<Stored>),
}

/// What came of applying all updates to what was read.
pub(super) struct Outcome {
    pub(super) properties: Vec<Property>,
    pub(super) results: Vec<Result<Option<String>>>,
    pub(super) refused: Vec<String>,
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Outcome").finish_non_exhaustive()
    }
}

impl Property {
    pub(super) fn is(&self, step: &Step) -> bool {
        self.name == step.name && self.scope == step.scope
    }

    /// The fields of the script for this property.
    pub(super) fn describe(&self, into: &mut Vec<Vec<u8>>) {
        let mut add = |field: &[u8]| into.push(field.to_vec());
        add(self.name.as_bytes());
        add(self.scope.as_str().as_bytes());
        add(self.since.to_string().as_bytes());
        let expected = self
            .before
            .as_ref()
            .map_or(Expected::Absent, |stored| stored.expected());
        let (kind, first, second): (&str, &[u8], &[u8]) = match expected {
            Expected::Absent => ("absent", b"", b""),
            Expected::Whole(value) => ("whole", value, b""),
            Expected::Tail(end) => ("tail", end, b""),
            Expected::Ends(begin, end) => ("ends", begin, end),
        };
        add(kind.as_bytes());
        add(first);
        add(second);
        let (what, value, places, stamp): (&str, &[u8], [usize; 5], &[u8]) = match &self.after {
            After::Same => ("keep", b"", [0; 5], b""),
            After::Absent => ("remove", b"", [0; 5], b""),
            After::Value(stored) => match stored.from(self.before.as_deref()) {
                Write::Whole(value) => ("whole", value, [0; 5], b""),
                Write::Splice {
                    at,
                    inserted,
                    from,
                    tail,
                    blanks,
                    end,
                    stamp,
                } => ("splice", inserted, [at, from, tail, blanks, end], stamp),
            },
        };
        add(what.as_bytes());
        add(value);
        for place in places {
            add(place.to_string().as_bytes());
        }
        add(stamp);
        add(if self.renewed { b"1" } else { b"0" });
    }
}

/// The updates in their order; one that fails changes nothing.
pub(super) fn apply_all(
    updates: &[Update],
    mut properties: Vec<Property>,
    compression: Compression,
    limit: usize,
) -> Outcome {
    let before: Vec<Option<Arc<Stored>>> = properties
        .iter()
        .map(|property| property.before.clone())
        .collect();
    // Borrowed until changed, owned afterwards.
    let mut texts: Vec<Option<Cow<'_, str>>> = before
        .iter()
        .map(|stored| stored.as_ref().map(|stored| Cow::Borrowed(stored.text())))
        .collect();
    let mut touched = vec![false; properties.len()];
    let mut births = vec![None; properties.len()];
    let mut refused = Vec::new();
    let results = updates
        .iter()
        .map(|update| {
            let mut result = None;
            let mut written: Vec<(usize, u64, Option<String>)> = Vec::new();
            for (since, step) in (update.since..).zip(&update.steps) {
                let at = properties.iter().position(|property| property.is(step));
                let at =
                    at.ok_or_else(|| Error::new(Code::Internal, "an update without its property"))?;
                let earlier = written.iter().rev().find(|(index, ..)| *index == at);
                let current = match earlier {
                    Some((.., text)) => text.as_deref(),
                    None => texts[at].as_deref(),
                };
                let applied = operation::apply(&step.operation, current, &step.rest)
                    .map_err(|error| error.while_doing(&place(&step.scope, &step.name)))?;
                match applied.root {
                    Change::Keep(None) => {}
                    Change::Keep(Some(why)) => refused.push(not_set(step, &why)),
                    Change::Write(text) => {
                        if text.len() > limit {
                            return Err(too_large(&step.scope, &step.name, text.len(), limit));
                        }
                        written.push((at, since, Some(text)));
                    }
                    Change::Remove => written.push((at, since, None)),
                }
                result = applied.result;
            }
            for (at, since, text) in written {
                if texts[at].is_none() && text.is_some() {
                    births[at] = Some(since);
                }
                texts[at] = text.map(Cow::Owned);
                touched[at] = true;
            }
            Ok(result)
        })
        .collect();
    for (property, birth) in properties.iter_mut().zip(births) {
        property.renewed = birth.is_some() && property.before.is_some();
        property.since = birth.unwrap_or(property.since);
    }
    for ((property, text), touched) in properties.iter_mut().zip(texts).zip(touched) {
        property.after = match text {
            _ if !touched => After::Same,
            Some(text) => {
                let stored = Stored::stamped(
                    text.into_owned(),
                    property.before.as_deref(),
                    compression,
                    random(),
                );
                After::Value(Arc::new(stored))
            }
            None => After::Absent,
        };
    }
    Outcome {
        properties,
        results,
        refused,
    }
}

fn not_set(step: &Step, why: &Why) -> String {
    format!("{} was not changed: {why}", place(&step.scope, &step.name))
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        // Without the system's randomness a stamp must still differ from all others.
        Err(_) => Uuid::new_v4().as_u64_pair().0,
    }
}
