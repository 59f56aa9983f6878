//! A place among the members: taken, kept, given up. Each is one atomic step that checks whose place it is.

use std::time::Duration;

use super::identity::Identity;
use super::record::Status;
use crate::config::Monitoring;
use crate::connection::{Connection, Lane, Repeat, Request};
use crate::error::{Code, Error, Result};
use crate::keyspace::Keyspace;

const CLAIM: &str = include_str!("../scripts/presence_claim.lua");
const FREE: &str = include_str!("../scripts/presence_free.lua");
const REMOVE: &str = include_str!("../scripts/presence_remove.lua");

/// More instances on one host than can be: somebody else fills the keys.
const MOST_PLACES: u32 = 10_000;

/// Places that are asked for at once: a start on a host with many instances must not try them one by one.
const BATCH: u32 = 200;

/// How a [`Presence::publish`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publication {
    /// The record stands, for the configured time from now on.
    Published,
    /// The record had expired and another instance took the place: claim a new one.
    Lost,
}

/// The place of this instance.
#[derive(Debug, Clone)]
pub struct Presence {
    connection: Connection,
    keyspace: Keyspace,
    identity: Identity,
    id: String,
    /// Lifetime of a record; none where presence is switched off and nothing is written.
    lifetime: Option<Duration>,
}

impl Presence {
    /// Takes the free place with the smallest number on this host, with a first record. With presence
    /// switched off nothing is written and the id is `<hostname>-<pid>`.
    ///
    /// # Errors
    /// `StoreReply` where no number is free; the store's.
    pub async fn claim(
        connection: &Connection,
        keyspace: &Keyspace,
        monitoring: &Monitoring,
        identity: Identity,
        status: &Status,
    ) -> Result<Self> {
        let mut presence = Self {
            connection: connection.clone(),
            keyspace: keyspace.clone(),
            id: format!("{}-{}", identity.host, identity.pid),
            identity,
            lifetime: monitoring.enabled.then_some(monitoring.heartbeat_ttl),
        };
        if presence.lifetime.is_none() {
            return Ok(presence);
        }
        let mut number = 1;
        while number <= MOST_PLACES {
            presence.id = presence.id_at(number);
            if presence.publish(status).await? == Publication::Published {
                return Ok(presence);
            }
            number = presence.free_after(number).await?;
        }
        Err(Error::new(
            Code::StoreReply,
            format!(
                "{MOST_PLACES} instances on host {} are present already; does another program write {}?",
                presence.identity.host,
                presence.key()
            ),
        ))
    }

    /// The id of this instance, `<hostname>-<n>`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Writes the record, also after it had expired, unless another instance took the place.
    ///
    /// # Errors
    /// The store's.
    pub async fn publish(&self, status: &Status) -> Result<Publication> {
        let Some(lifetime) = self.lifetime else {
            return Ok(Publication::Published);
        };
        let record = serde_json::to_vec(&self.identity.record(&self.id, status))
            .map_err(|error| Error::new(Code::Internal, error.to_string()))?;
        let mine: bool = self
            .run(CLAIM, vec![record, lifetime.as_millis().to_string().into()])
            .await
            .map_err(|error| error.while_doing("publishing the presence of this instance"))?;
        Ok(if mine {
            Publication::Published
        } else {
            Publication::Lost
        })
    }

    /// Removes the record, if it is still this instance's.
    ///
    /// # Errors
    /// The store's.
    pub async fn remove(&self) -> Result<()> {
        if self.lifetime.is_none() {
            return Ok(());
        }
        let _: bool = self
            .run(REMOVE, Vec::new())
            .await
            .map_err(|error| error.while_doing("removing the presence of this instance"))?;
        Ok(())
    }

    /// The first place behind a taken one that looks free; it may be taken by the time it is tried for.
    async fn free_after(&self, taken: u32) -> Result<u32> {
        let mut first = taken + 1;
        while first <= MOST_PLACES {
            let batch = first..=MOST_PLACES.min(first + BATCH - 1);
            let request = Request::Script {
                script: FREE,
                keys: batch
                    .map(|number| self.key_of(&self.id_at(number)))
                    .collect(),
                arguments: Vec::new(),
            };
            let position: u32 = self
                .connection
                .run(Lane::Commands, &request, Repeat::Safe)
                .await
                .map_err(|error| error.while_doing("looking for a free id of this instance"))?;
            if position > 0 {
                return Ok(first + position - 1);
            }
            first += BATCH;
        }
        Ok(first)
    }

    /// The id at a place of this host.
    fn id_at(&self, number: u32) -> String {
        format!("{}-{number}", self.identity.host)
    }

    /// Runs a script over this place: with the unique id first and the member's name last.
    async fn run(&self, script: &'static str, between: Vec<Vec<u8>>) -> Result<bool> {
        let mut arguments = vec![self.identity.instance.clone().into_bytes()];
        arguments.extend(between);
        arguments.push(member_name(self.identity.role.as_str(), &self.id).into_bytes());
        let request = Request::Script {
            script,
            keys: vec![self.key(), self.keyspace.members()],
            arguments,
        };
        // Safe to repeat: the scripts know this instance's own record.
        self.connection
            .run(Lane::Commands, &request, Repeat::Safe)
            .await
    }

    fn key(&self) -> String {
        self.key_of(&self.id)
    }

    fn key_of(&self, id: &str) -> String {
        self.keyspace.presence(self.identity.role, id)
    }
}

/// The name of a member in the set of members.
pub(super) fn member_name(role: &str, id: &str) -> String {
    format!("{role}:{id}")
}
