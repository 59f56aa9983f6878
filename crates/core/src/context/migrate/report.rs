//! What a migration did or would do, and what it left for the operator to decide.

use std::collections::BTreeMap;
use std::fmt;

use crate::keyspace::Scope;

/// What became of a property, or would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was where it belongs, and known.
    InOrder,
    /// Its name was entered among the names of its scope.
    Registered,
    /// It got its key, without the second prefix.
    Moved,
    /// The same, in place of another value.
    Replaced,
    /// Its key held the same value already, so the key with the second prefix was removed.
    Dropped,
    /// It was left under its key with the second prefix: its key holds something else.
    Conflict,
    /// It was left as it is for another reason.
    Left,
}

/// Properties of one scope, by what became of them or would.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Where they belong and known: nothing to do.
    pub in_order: usize,
    /// Where they belong, and entered among the names of their scope.
    pub registered: usize,
    /// Moved from a key with the prefix twice.
    pub moved: usize,
    /// Moved likewise, in place of another value.
    pub replaced: usize,
    /// Keys with the prefix twice that were removed, as the right key held the same value.
    pub dropped: usize,
    /// Left under a key with the prefix twice, as the right key holds something else.
    pub conflicts: usize,
    /// Left for another reason.
    pub left: usize,
}

impl Counts {
    pub(super) fn add(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::InOrder => &mut self.in_order,
            Outcome::Registered => &mut self.registered,
            Outcome::Moved => &mut self.moved,
            Outcome::Replaced => &mut self.replaced,
            Outcome::Dropped => &mut self.dropped,
            Outcome::Conflict => &mut self.conflicts,
            Outcome::Left => &mut self.left,
        } += 1;
    }

    /// Properties that something was done with, or would be.
    pub fn changed(&self) -> usize {
        self.registered + self.moved + self.replaced + self.dropped
    }

    /// Keys that wait for a decision of the operator.
    pub fn undecided(&self) -> usize {
        self.conflicts + self.left
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.in_order += other.in_order;
        self.registered += other.registered;
        self.moved += other.moved;
        self.replaced += other.replaced;
        self.dropped += other.dropped;
        self.conflicts += other.conflicts;
        self.left += other.left;
    }
}

/// What a migration did or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// By scope.
    pub scopes: BTreeMap<Scope, Counts>,
    /// Keys of which no scope can be told; they were left.
    pub without_scope: usize,
    /// Whether keys with the prefix twice were left to another cluster.
    pub another_cluster: bool,
    /// Whether every key was looked at.
    pub complete: bool,
}

impl Report {
    pub(super) fn add(&mut self, scope: &Scope, outcome: Outcome) {
        // A scope's name is only copied once.
        match self.scopes.get_mut(scope) {
            Some(counts) => counts.add(outcome),
            None => self.scopes.entry(scope.clone()).or_default().add(outcome),
        }
    }

    /// Whether nothing was left for the operator to decide.
    pub fn is_decided(&self) -> bool {
        self.total().undecided() == 0 && !self.another_cluster
    }

    /// All scopes together.
    pub fn total(&self) -> Counts {
        let mut total = Counts {
            left: self.without_scope,
            ..Counts::default()
        };
        for counts in self.scopes.values() {
            total += *counts;
        }
        total
    }
}

/// A key that was left, or keys, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The key, with everything escaped that a terminal might act upon.
    pub key: String,
    /// Why it was left.
    pub reason: Reason,
}

/// Why a key was left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The right key holds another value, which was written later as far as anybody can tell.
    OtherValue,
    /// The right key holds something that no context is: a value of this type.
    OtherType(String),
    /// Its name is an expression, for which the older package wrote a key by mistake, or one that
    /// Node-RED cannot read.
    Expression,
    /// The key is not one of a property of context.
    Key(&'static str),
    /// The key holds no string but a value of this type.
    Type(String),
    /// The value cannot be read, for this reason.
    Value(String),
    /// The keys with the prefix twice belong to another cluster, as it has this key.
    OtherCluster(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.reason {
            Reason::OtherValue => write!(
                formatter,
                "{key} is kept: the key without its second prefix has another value, which is taken for the newer one"
            ),
            Reason::OtherType(kind) => write!(
                formatter,
                "{key} is kept: the key without its second prefix holds a {kind}, which is no context"
            ),
            Reason::Expression => write!(
                formatter,
                "{key} is left: Node-RED does not read its name as one property, so what it stands for is not guessed at"
            ),
            Reason::Key(why) => write!(formatter, "{key} is left: {why}"),
            Reason::Type(kind) => write!(
                formatter,
                "{key} is left: it holds a {kind}, which is no context"
            ),
            Reason::Value(why) => write!(formatter, "{key} is left: {why}"),
            Reason::OtherCluster(marker) => write!(
                formatter,
                "{key}* is left: there is a cluster with that prefix, as {marker} shows"
            ),
        }
    }
}
