//! What was found in the store: which keys may be context, what they stand for, and what is to be
//! done about them. Pure.

use serde::de::IgnoredAny;

use super::Conflicts;
use super::report::{Finding, Outcome, Reason};
use crate::codec;
use crate::keyspace::{ContextKey, Keyspace, Scope};

/// The longest name of a property, in bytes.
const LONGEST_NAME: usize = 1024;

/// Larger values, once decompressed, are none that a store could ever hold.
const LARGEST_VALUE: usize = 512 * 1024 * 1024;

/// What Node-RED takes for more than a part of a name, wherever it stands in an expression.
const NOT_IN_NAMES: [char; 6] = ['.', '[', ']', '"', '\'', ' '];

/// Where a property was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Under the key that it belongs under.
    Own,
    /// Under a key with the prefix twice.
    PrefixTwice,
}

/// A property that was found. Those where they belong come first, so that what the others meet
/// there is known; then by scope and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Property {
    pub(super) place: Place,
    pub(super) scope: Scope,
    pub(super) name: String,
}

impl Property {
    /// The key that it belongs under.
    pub(super) fn key(&self, keyspace: &Keyspace) -> String {
        keyspace.context_value(&self.scope, &self.name)
    }

    /// The key that it was found under.
    pub(super) fn found_under(&self, keyspace: &Keyspace) -> String {
        match self.place {
            Place::Own => self.key(keyspace),
            Place::PrefixTwice => format!("{}{}", keyspace.prefix(), self.key(keyspace)),
        }
    }
}

/// What a key stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sorted {
    /// A property.
    Property(Property),
    /// Something that cannot be a property although its key begins as one.
    Left(Finding),
    /// Something else.
    Foreign,
}

/// The pattern of all keys that may be context, with the prefix once or twice. What else it
/// matches is for [`sort`]. A configured prefix has no character that a pattern reads otherwise.
pub(super) fn pattern(keyspace: &Keyspace) -> String {
    format!("{}*context:*", keyspace.prefix())
}

/// Keys that a cluster has whose prefix is ours twice: the older package wrote nothing but context
/// with the prefix twice.
pub(super) fn marks_of_another_cluster(keyspace: &Keyspace) -> Vec<String> {
    let marks = [
        keyspace.flows(),
        keyspace.settings(),
        keyspace.revision(),
        keyspace.members(),
        keyspace.context_scopes(),
    ];
    marks
        .map(|key| format!("{}{key}", keyspace.prefix()))
        .into()
}

/// Tells what a key stands for.
pub(super) fn sort(key: &[u8], keyspace: &Keyspace) -> Sorted {
    let shown = || shown(&String::from_utf8_lossy(key));
    let left = |reason| {
        Sorted::Left(Finding {
            key: shown(),
            reason,
        })
    };
    let prefix = keyspace.prefix().as_bytes();
    let within = |key: &[u8]| {
        key.strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with(b"context:"))
    };
    let twice = key.strip_prefix(prefix).filter(|rest| within(rest));
    let (place, own) = match twice {
        _ if within(key) && (twice.is_none() || names_property(key, keyspace)) => (Place::Own, key),
        Some(own) => (Place::PrefixTwice, own),
        None => return Sorted::Foreign,
    };
    let Ok(own) = std::str::from_utf8(own) else {
        return left(Reason::Key("its name is not UTF-8"));
    };
    match keyspace.context_key(own) {
        Some(ContextKey::Value(scope, name)) => Sorted::Property(Property { place, scope, name }),
        _ => left(Reason::Key("no scope and name can be read from it")),
    }
}

fn names_property(key: &[u8], keyspace: &Keyspace) -> bool {
    std::str::from_utf8(key)
        .ok()
        .and_then(|key| keyspace.context_key(key))
        .is_some()
}

/// Why a property of this name cannot be one that flows know.
pub(super) fn objection_to_name(name: &str) -> Option<Reason> {
    if name.is_empty() {
        Some(Reason::Key("the name of its property is empty"))
    } else if name.len() > LONGEST_NAME {
        Some(Reason::Key(
            "the name of its property has more than 1024 bytes",
        ))
    } else if name.contains(NOT_IN_NAMES) {
        Some(Reason::Expression)
    } else {
        None
    }
}

/// Why a stored value cannot be one of context.
pub(super) fn objection_to_value(stored: Vec<u8>) -> Option<Reason> {
    if stored.is_empty() {
        return Some(Reason::Value(
            "it is empty, which the older package wrote for undefined".to_owned(),
        ));
    }
    match codec::decode_text(stored, LARGEST_VALUE) {
        Err(error) => Some(Reason::Value(error.message().to_owned())),
        // Where the text ends to be JSON is said; what stands there is not.
        Ok(text) => serde_json::from_str::<IgnoredAny>(&text)
            .err()
            .map(|error| {
                Reason::Value(format!(
                    "its value is not JSON from line {}, column {} on",
                    error.line(),
                    error.column()
                ))
            }),
    }
}

/// What a look at the store showed of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    /// Whether its name and its scope are known.
    pub(super) known: bool,
    /// What its own key holds.
    pub(super) own: Held,
    /// What the key holds that it was found under.
    pub(super) found: Held,
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Held {
    Nothing,
    /// A string of this many bytes.
    Text(usize),
    /// A value of another type.
    Other(String),
}

impl Held {
    pub(super) fn new(kind: String, length: usize) -> Self {
        match kind.as_str() {
            "none" => Self::Nothing,
            "string" => Self::Text(length),
            _ => Self::Other(kind),
        }
    }

    /// Bytes that reading it takes.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Text(length) => *length,
            Self::Nothing | Self::Other(_) => 0,
        }
    }
}

/// What a look alone decides.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing is there any more.
    Gone,
    /// This is what becomes of it.
    Settled(Outcome, Option<Reason>),
    /// Its value has to be read.
    Read,
}

/// What a look at a property decides.
pub(super) fn decide(property: &Property, look: &Look) -> Decision {
    let left = |reason| Decision::Settled(Outcome::Left, Some(reason));
    match (&look.found, property.place) {
        (Held::Nothing, _) => Decision::Gone,
        (Held::Other(kind), _) => left(Reason::Type(kind.clone())),
        // Even one with a name that has to be written in quotes: this package knows what it means.
        (Held::Text(_), Place::Own) if look.known => Decision::Settled(Outcome::InOrder, None),
        (Held::Text(_), _) => objection_to_name(&property.name).map_or(Decision::Read, left),
    }
}

/// What applying would do with a property whose value is in order; the script decides likewise.
/// `same` says whether both keys hold the same bytes.
pub(super) fn foresee(
    property: &Property,
    look: &Look,
    same: bool,
    conflicts: Conflicts,
) -> Outcome {
    match (property.place, &look.own) {
        (Place::Own, _) => Outcome::Registered,
        (Place::PrefixTwice, Held::Nothing) => Outcome::Moved,
        (Place::PrefixTwice, Held::Other(_)) => Outcome::Conflict,
        (Place::PrefixTwice, Held::Text(_)) if same => Outcome::Dropped,
        (Place::PrefixTwice, Held::Text(_)) => match conflicts {
            Conflicts::Overwrite => Outcome::Replaced,
            Conflicts::Keep => Outcome::Conflict,
        },
    }
}

/// A key as it is shown: whatever could act upon a terminal is escaped.
pub(super) fn shown(key: &str) -> String {
    let mut shown = String::with_capacity(key.len());
    for character in key.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}
