//! Reads the settings of leader nodes: from the `valkey` block and the options of their config node over
//! it, and the lock that each of them names.

use std::time::Duration;

use serde_json::{Map, Value};

use super::connection::read_layered;
use super::environment::Lookup;
use super::instance::{DEFAULT_TIMEOUT, read_role};
use super::layers::{first, lower_layer, place};
use super::object;
use super::prefix::{read_key_prefix, settle};
use super::source::Source;
use super::value::Given;
use crate::config::options::OPTIONS;
use crate::config::{
    ConfigError, DEFAULT_LOCK_KEY, ElectionSettings, LockConfig, ParsedElection, Role, Standing,
};

/// What the options of a config node are called in messages.
const CONFIG_NODE: &str = "valkey-config";

/// `lockTTL` where none is given, in seconds.
const DEFAULT_TTL: f64 = 10.0;
/// Shortest `lockTTL` in seconds: below it a slow network or a busy process ends a leadership.
const SHORTEST_TTL: f64 = 1.0;
/// Longest `lockTTL` in seconds, one day: so long nobody does the work of a leader that died.
const LONGEST_TTL: f64 = 86_400.0;
/// Longest `lockKey`, in bytes: it is sent with every renewal.
const LONGEST_LOCK_KEY: usize = 1024;

/// Reads the settings of a leader node: the `valkey` block of `settings.js` and, winning over it, the
/// options of the config node that it refers to. Either is JSON as in [`super::parse`], or `null`.
///
/// No role is needed: a Node-RED without the storage module is a candidate. Where `node` says where the
/// store is, nothing of the block that belongs to an address goes there: no database, no TLS and above
/// all no password.
///
/// # Errors
///
/// The first option found that can never work; it is named after the place where it was written.
pub fn parse_election(
    settings: &str,
    node: &str,
    environment: Lookup<'_>,
) -> Result<ParsedElection, ConfigError> {
    let mut warnings = Vec::new();
    let empty = Map::new();
    let lower = object("valkey", settings)?;
    let lower = lower_layer(&lower, &empty, &mut warnings)?;
    let upper = object(CONFIG_NODE, node)?;
    let upper = place(CONFIG_NODE, &upper, &empty)?;
    upper.review(OPTIONS, &mut warnings);

    let mut connection = read_layered(&upper, &lower, environment, &mut warnings)?;
    let layers = [&upper, &lower];
    let key_prefix = first(&layers, read_key_prefix)?;
    let timeout = first(&layers, |source| source.milliseconds("timeout"))?;
    let settings = ElectionSettings {
        key_prefix: settle(key_prefix, &mut connection),
        timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
        standing: read_standing(&lower)?,
        connection,
    };
    Ok(ParsedElection { settings, warnings })
}

/// Whether the instance that a block describes may lead.
fn read_standing(block: &Source<'_>) -> Result<Standing, ConfigError> {
    let of_admins = read_admin_may_lead(block)?;
    Ok(match block.given("role") {
        Given::Nothing => Standing::Candidate,
        _ if read_role(block)? == Role::Worker => Standing::Candidate,
        _ => of_admins.unwrap_or(Standing::Reserve),
    })
}

/// The option `adminMayLead`, as the standing that it gives to an admin.
pub(super) fn read_admin_may_lead(source: &Source<'_>) -> Result<Option<Standing>, ConfigError> {
    match source.given("adminMayLead") {
        Given::Nothing => Ok(None),
        Given::Boolean(true) => Ok(Some(Standing::Candidate)),
        Given::Boolean(false) => Ok(Some(Standing::Observer)),
        Given::Text("if-no-worker") => Ok(Some(Standing::Reserve)),
        _ => Err(source.refuse("adminMayLead", "give true, false or 'if-no-worker'")),
    }
}

/// Reads the lock that a leader node names: its key, used as typed, and its TTL in seconds, a number or
/// the text of one. An empty key, and the default one as it stands in every new node, is the default lock
/// of the cluster with this `key_prefix`.
///
/// # Errors
///
/// A key or a TTL that can never work.
pub fn parse_lock(
    lock_key: &Value,
    ttl_seconds: &Value,
    key_prefix: &str,
) -> Result<LockConfig, ConfigError> {
    Ok(LockConfig {
        key: read_lock_key(lock_key, key_prefix)?,
        ttl: read_ttl(ttl_seconds)?,
    })
}

fn read_lock_key(value: &Value, key_prefix: &str) -> Result<String, ConfigError> {
    let refuse = |shown: String, remedy: &str| Err(ConfigError::new("lockKey", shown, remedy));
    let text = match Given::of(value) {
        Given::Nothing => "",
        Given::Text(text) => text,
        other => return refuse(other.shown(), "give a text, the name of the lock"),
    };
    if text.is_empty() || text == DEFAULT_LOCK_KEY {
        return Ok(format!("{key_prefix}leader"));
    }
    let shown = || Given::Text(text).shown();
    if text.trim().is_empty() {
        return refuse(shown(), "give a name that is more than spaces");
    }
    if text.chars().any(char::is_control) {
        let remedy = "take out the control characters, a line break or a tab among them";
        return refuse(shown(), remedy);
    }
    if text.len() > LONGEST_LOCK_KEY {
        let remedy = format!("shorten it to {LONGEST_LOCK_KEY} bytes");
        return refuse(shown(), &remedy);
    }
    Ok(text.to_owned())
}

fn read_ttl(value: &Value) -> Result<Duration, ConfigError> {
    let given = Given::of(value);
    let seconds = match given {
        Given::Nothing => Some(DEFAULT_TTL),
        Given::Number(number) => number.as_f64(),
        Given::Text(text) if text.trim().is_empty() => Some(DEFAULT_TTL),
        Given::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    match seconds {
        Some(seconds) if (SHORTEST_TTL..=LONGEST_TTL).contains(&seconds) => {
            Ok(Duration::from_millis((seconds * 1000.0).round() as u64))
        }
        _ => Err(ConfigError::new(
            "lockTTL",
            given.shown(),
            format!("give a number of seconds from {SHORTEST_TTL} to {LONGEST_TTL}"),
        )),
    }
}
