//! A round of updates is carried out: read, change, write if nobody changed it meanwhile, else again.
//!
//! An update whose reply was lost is not guessed about: each commit leaves a receipt in the store, under a key of
//! this process alone, and the next session of the link asks for it. The session before has been ended by then
//! (see `connection`), so what is not in the receipt will not happen any more.

mod apply;
mod kept;
mod reply;

use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use uuid::Uuid;

use self::apply::{After, Outcome, Property, apply_all};
use self::kept::Kept;
use self::reply::{Current, Reply};
use super::counters::Counters;
use super::queue::Update;
use super::stored::Stored;
use crate::config::Compression;
use crate::connection::{Connection, Lane, Repeat, Request};
use crate::error::{Code, Error, Result};
use crate::keyspace::{Keyspace, Scope};

const COMMIT: &str = include_str!("../scripts/context_commit.lua");

/// How long a receipt is kept: longer than any link takes to come back for a caller who still waits.
const RECEIPT: Duration = Duration::from_secs(300);

/// Values together larger than this are changed off the runtime's only worker.
const LARGE: usize = 256 * 1024;

/// Carries out rounds of updates, one at a time.
#[derive(Debug)]
pub(super) struct Committer {
    connection: Connection,
    keyspace: Keyspace,
    compression: Compression,
    limit: usize,
    receipt: String,
    /// What properties held when this process last saw them; what is outdated is noticed at the commit.
    kept: Kept,
}

/// How the updates of a round ended: the result of each, in their order.
#[derive(Debug, Default)]
pub(super) struct Committed {
    pub(super) results: Vec<Result<Option<String>>>,
    /// Scopes whose names changed.
    pub(super) renamed: Vec<Scope>,
    /// The scope of each property of the round.
    touched: Vec<Scope>,
}

impl Committer {
    pub(super) fn new(
        connection: Connection,
        keyspace: Keyspace,
        compression: Compression,
        limit: usize,
    ) -> Self {
        let receipt = keyspace.context_receipt(&Uuid::new_v4().simple().to_string());
        Self {
            connection,
            keyspace,
            compression,
            limit,
            receipt,
            kept: Kept::default(),
        }
    }

    /// A plain write makes what is known of the property worthless.
    pub(super) fn forget(&mut self, scope: &Scope, name: &str) {
        self.kept.remove(scope, name);
    }

    /// What became of a try whose reply was lost: how it ended if it was carried out, `None` if it was not
    /// and never will be, or if there is no such try.
    ///
    /// # Errors
    /// The store's; to be asked again.
    pub(super) async fn resolve(&mut self, attempt: &mut Attempt) -> Result<Option<Committed>> {
        if attempt.sent.is_none() || !self.was_carried_out(attempt).await? {
            attempt.sent = None;
            return Ok(None);
        }
        Ok(attempt.sent.take().map(|sent| self.carried_out(*sent)))
    }

    /// Carries out the updates of a round and returns them with their results. Where it could not, they come
    /// back with the error; with `OutcomeUnknown` it has to be [resolved](Committer::resolve) before they are
    /// tried again.
    pub(super) async fn commit(
        &mut self,
        mut updates: Vec<Update>,
        attempt: &mut Attempt,
        counters: &Counters,
    ) -> std::result::Result<(Vec<Update>, Committed), (Vec<Update>, Error)> {
        let mut found = match self.find(&updates).await {
            Ok(found) => found,
            Err(error) => return Err((updates, error)),
        };
        loop {
            let outcome;
            (outcome, updates) = match self.apply(updates, found).await {
                Ok(applied) => applied,
                // A fault of this program, which ends these updates only.
                Err(error) => {
                    tracing::error!("updates of the context were lost: {error}");
                    return Ok((Vec::new(), Committed::default()));
                }
            };
            match self.write(&outcome, attempt).await {
                Ok(Reply::Written(renamed)) => {
                    let mut committed = self.carried_out(outcome);
                    let renamed = committed.touched.iter().zip(renamed);
                    let renamed = renamed.filter(|(_, renamed)| *renamed);
                    committed.renamed = renamed.map(|(scope, _)| scope.clone()).collect();
                    return Ok((updates, committed));
                }
                Ok(Reply::Changed(current)) => {
                    counters.conflicts.add(1);
                    found = match self.merge(outcome.properties, current) {
                        Ok(merged) => merged,
                        Err(error) => return Err((updates, error)),
                    };
                }
                Err(error) if error.code() == Code::OutcomeUnknown => {
                    attempt.sent = Some(Box::new(outcome));
                    return Err((updates, error));
                }
                Err(error) => return Err((updates, error)),
            }
        }
    }

    /// Whether the attempt of which nothing was heard is in the store.
    async fn was_carried_out(&self, attempt: &Attempt) -> Result<bool> {
        let mut command = redis::cmd("GET");
        command.arg(&self.receipt);
        let receipt: Option<String> = self
            .connection
            .run(Lane::Commands, &Request::Command(command), Repeat::Safe)
            .await?;
        Ok(receipt.is_some_and(|receipt| receipt == attempt.name))
    }

    /// The properties as they are known, or read.
    async fn find(&mut self, updates: &[Update]) -> Result<Vec<Property>> {
        let mut properties: Vec<Property> = Vec::new();
        let mut unknown = Vec::new();
        for update in updates {
            for (since, step) in (update.since..).zip(&update.steps) {
                if properties.iter().any(|known| known.is(step)) {
                    continue;
                }
                let before = self.kept.get(&step.scope, &step.name);
                if before.is_none() {
                    unknown.push(properties.len());
                }
                properties.push(Property {
                    scope: step.scope.clone(),
                    name: step.name.clone(),
                    before: before.flatten(),
                    after: After::Same,
                    since,
                    renewed: false,
                });
            }
        }
        if unknown.is_empty() {
            return Ok(properties);
        }
        let mut command = redis::cmd("MGET");
        for at in &unknown {
            let property = &properties[*at];
            command.arg(self.keyspace.context_value(&property.scope, &property.name));
        }
        let values: Vec<Option<Vec<u8>>> = self
            .connection
            .run(Lane::Commands, &Request::Command(command), Repeat::Safe)
            .await?;
        for (at, value) in unknown.into_iter().zip(values) {
            properties[at].before = match value {
                Some(bytes) => Some(Arc::new(self.read(bytes, &properties[at])?)),
                None => None,
            };
        }
        Ok(properties)
    }

    fn read(&self, bytes: Vec<u8>, property: &Property) -> Result<Stored> {
        Stored::read(bytes, self.limit)
            .map_err(|error| error.while_doing(&place(&property.scope, &property.name)))
    }

    /// All updates in their order on what was found.
    async fn apply(
        &self,
        updates: Vec<Update>,
        found: Vec<Property>,
    ) -> Result<(Outcome, Vec<Update>)> {
        let (compression, limit) = (self.compression, self.limit);
        let size: usize = found
            .iter()
            .filter_map(|one| one.before.as_ref())
            .map(|one| one.size())
            .sum();
        let asked: usize = updates
            .iter()
            .flat_map(|one| &one.steps)
            .map(|step| step.operation.bytes())
            .sum();
        let work = move || {
            let outcome = apply_all(&updates, found, compression, limit);
            (outcome, updates)
        };
        if size + asked > LARGE {
            crate::blocking(work).await
        } else {
            Ok(work())
        }
    }

    async fn write(&self, outcome: &Outcome, attempt: &mut Attempt) -> Result<Reply> {
        let writes = outcome
            .properties
            .iter()
            .any(|property| property.after != After::Same);
        attempt.name = if writes {
            Uuid::new_v4().simple().to_string()
        } else {
            String::new()
        };
        let mut keys = vec![self.receipt.clone(), self.keyspace.context_scopes()];
        let mut arguments = vec![
            attempt.name.clone().into_bytes(),
            RECEIPT.as_millis().to_string().into_bytes(),
        ];
        for property in &outcome.properties {
            keys.push(self.keyspace.context_value(&property.scope, &property.name));
            keys.push(self.keyspace.context_names(&property.scope));
            property.describe(&mut arguments);
        }
        let request = Request::Script {
            script: COMMIT,
            keys,
            arguments,
        };
        let repeat = if writes { Repeat::Never } else { Repeat::Safe };
        let reply: Vec<Value> = self
            .connection
            .run(Lane::Commands, &request, repeat)
            .await?;
        Reply::read(reply, outcome.properties.len())
    }

    /// What was found to be different is taken as it is now.
    fn merge(&self, properties: Vec<Property>, current: Vec<Current>) -> Result<Vec<Property>> {
        properties
            .into_iter()
            .zip(current)
            .map(|(property, current)| {
                let before = match current {
                    Current::AsExpected => property.before.clone(),
                    Current::Absent => None,
                    Current::Value(bytes) => Some(Arc::new(self.read(bytes, &property)?)),
                };
                Ok(Property {
                    before,
                    after: After::Same,
                    ..property
                })
            })
            .collect()
    }

    fn carried_out(&mut self, outcome: Outcome) -> Committed {
        for line in outcome.refused {
            tracing::warn!("{line}");
        }
        let mut touched = Vec::with_capacity(outcome.properties.len());
        for property in outcome.properties {
            let now = match property.after {
                After::Same => property.before,
                After::Absent => None,
                After::Value(stored) => Some(stored),
            };
            self.kept.insert(&property.scope, &property.name, now);
            touched.push(property.scope);
        }
        Committed {
            results: outcome.results,
            // Where it is not known, every list of names is suspect.
            renamed: touched.clone(),
            touched,
        }
    }
}

/// The tries of one round.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    /// What the receipt says if the last try was carried out.
    name: String,
    /// The try whose reply was lost.
    sent: Option<Box<Outcome>>,
}

impl Attempt {
    /// Whether it is not known if the last try was carried out.
    pub(super) fn is_unknown(&self) -> bool {
        self.sent.is_some()
    }
}

/// Where a value is, for messages.
pub(super) fn place(scope: &Scope, name: &str) -> String {
    format!("context `{name}` of {scope}")
}

/// The error of a value that is larger than the limit.
pub(super) fn too_large(scope: &Scope, name: &str, size: usize, limit: usize) -> Error {
    Error::new(
        Code::ValueTooLarge,
        format!(
            "{}: {size} bytes of JSON are more than the limit of {limit} (`maxValueBytes`); keep large data elsewhere, or raise the limit",
            place(scope, name)
        ),
    )
}
