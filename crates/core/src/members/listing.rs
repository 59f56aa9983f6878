//! Everybody's records, without a scan of the database.

use super::presence::member_name;
use super::record::Record;
use crate::config::Role;
use crate::connection::{Connection, Lane, Repeat, Request};
use crate::error::Result;
use crate::keyspace::Keyspace;

const FORGET: &str = include_str!("../scripts/presence_forget.lua");

/// At most so many members are looked at; a set of more is not ours.
const MOST_MEMBERS: usize = 10_000;

/// Records read in one request.
const BATCH: usize = 200;

/// A longer record is not one of ours, in bytes.
const LONGEST_RECORD: usize = 64 * 1024;

/// The records of all instances that are there, in the order of their roles and ids. Instances that have
/// gone are struck off the set of members on the way; records that cannot be read are passed over with a
/// warning.
///
/// # Errors
/// The store's.
pub async fn list(connection: &Connection, keyspace: &Keyspace) -> Result<Vec<Record>> {
    let mut members = redis::cmd("SRANDMEMBER");
    members.arg(keyspace.members()).arg(MOST_MEMBERS);
    let members: Vec<Vec<u8>> = connection
        .run(Lane::Commands, &Request::Command(members), Repeat::Safe)
        .await
        .map_err(|error| error.while_doing("listing the instances"))?;
    let places: Vec<Place> = members
        .iter()
        .filter_map(|name| Place::of(keyspace, name))
        .collect();
    let mut records = Vec::new();
    for batch in places.chunks(BATCH) {
        records.extend(read(connection, keyspace, batch).await?);
    }
    records.sort_by(|one, other| {
        (&one.role, &one.host, number(&one.id), &one.id).cmp(&(
            &other.role,
            &other.host,
            number(&other.id),
            &other.id,
        ))
    });
    Ok(records)
}

/// A member by its name in the set, and where its record is.
struct Place {
    role: Role,
    id: String,
    key: String,
}

impl Place {
    fn of(keyspace: &Keyspace, name: &[u8]) -> Option<Self> {
        let (role, id) = std::str::from_utf8(name).ok()?.split_once(':')?;
        let role = [Role::Admin, Role::Worker]
            .into_iter()
            .find(|known| known.as_str() == role)?;
        Some(Self {
            role,
            id: id.to_owned(),
            key: keyspace.presence(role, id),
        })
    }

    fn name(&self) -> String {
        member_name(self.role.as_str(), &self.id)
    }
}

async fn read(
    connection: &Connection,
    keyspace: &Keyspace,
    places: &[Place],
) -> Result<Vec<Record>> {
    let mut command = redis::cmd("MGET");
    for place in places {
        command.arg(&place.key);
    }
    let stored: Vec<Option<Vec<u8>>> = connection
        .run(Lane::Commands, &Request::Command(command), Repeat::Safe)
        .await
        .map_err(|error| error.while_doing("reading the presence of the instances"))?;
    let mut records = Vec::new();
    let mut gone = Vec::new();
    for (place, stored) in places.iter().zip(stored) {
        match stored {
            None => gone.push(place),
            Some(json) => match parse(place, &json) {
                Ok(record) => records.push(record),
                Err(why) => tracing::warn!("{} is passed over: {why}", place.key),
            },
        }
    }
    if !gone.is_empty() {
        forget(connection, keyspace, &gone).await?;
    }
    Ok(records)
}

/// A record as it is stored; it must be about the place where it was found.
fn parse(place: &Place, json: &[u8]) -> std::result::Result<Record, String> {
    if json.len() > LONGEST_RECORD {
        return Err(format!(
            "{} bytes are too many for a presence record",
            json.len()
        ));
    }
    let record: Record = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    if record.id != place.id || record.role != place.role.as_str() {
        return Err(format!(
            "the record there is of the {} {}",
            record.role, record.id
        ));
    }
    Ok(record)
}

async fn forget(connection: &Connection, keyspace: &Keyspace, gone: &[&Place]) -> Result<()> {
    let mut keys = vec![keyspace.members()];
    keys.extend(gone.iter().map(|place| place.key.clone()));
    let request = Request::Script {
        script: FORGET,
        keys,
        arguments: gone.iter().map(|place| place.name().into_bytes()).collect(),
    };
    let _: u64 = connection
        .run(Lane::Commands, &request, Repeat::Safe)
        .await
        .map_err(|error| error.while_doing("striking off instances that have gone"))?;
    Ok(())
}

/// The number of a place, so that 10 follows 9.
fn number(id: &str) -> Option<u64> {
    id.rsplit_once('-')?.1.parse().ok()
}

#[cfg(any(test, feature = "fuzzing"))]
/// See [`crate::fuzzing`].
pub(crate) fn fuzz(data: &[u8]) {
    let keyspace = Keyspace::under("nodered:");
    let [name, _] = crate::fuzzing::parts(data);
    let json = data.splitn(2, |byte| *byte == 0).nth(1).unwrap_or_default();
    let Some(place) = Place::of(&keyspace, name.as_bytes()) else {
        return;
    };
    assert_eq!(place.name(), name);
    match parse(&place, json) {
        Ok(record) => {
            let text = serde_json::to_vec(&record).expect("a record has a text");
            assert_eq!(parse(&place, &text).as_ref(), Ok(&record));
        }
        Err(why) => assert!(!why.is_empty()),
    }
}
