//! A place among the members: taken, kept, given up. Each is one atomic step that checks whose place it is.

use std::time::Duration;

use super::identity::Identity;
use super::record::Status;
use crate::config::Monitoring;
use crate::connection::{Connection, Lane, Repeat, Request};
use crate::error::{Code, Error, Result};
use crate::keyspace::Keyspace;

const CLAIM: &str = include_str!("../scripts/presence_claim.lua");
const REMOVE: &str = include_str!("../scripts/presence_remove.lua");

/// More instances on one host than can be: somebody else fills the keys.
const MOST_PLACES: u32 = 10_000;

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
        for number in 1..=MOST_PLACES {
            presence.id = format!("{}-{number}", presence.identity.host);
            if presence.publish(status).await? == Publication::Published {
                return Ok(presence);
            }
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
        self.keyspace.presence(self.identity.role, &self.id)
    }
}

/// The name of a member in the set of members.
pub(super) fn member_name(role: &str, id: &str) -> String {
    format!("{role}:{id}")
}
