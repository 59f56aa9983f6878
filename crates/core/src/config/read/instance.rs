//! Reads who an instance is: role, keys and channels, presence.

use std::time::Duration;

use super::context::read_context;
use super::election::read_admin_may_lead;
use super::environment::Lookup;
use super::packages::read_packages;
use super::prefix::{read_key_prefix, settle};
use super::signing::read_signing_keys;
use super::source::Source;
use super::value::Given;
use crate::config::options::MONITORING_OPTIONS;
use crate::config::{Compression, Config, ConfigError, ConnectionConfig, Monitoring, Role};
use crate::slots;

const DEFAULT_SESSION_TTL: Duration = Duration::from_secs(24 * 60 * 60);
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_MONITORING: Monitoring = Monitoring {
    enabled: true,
    heartbeat_interval: Duration::from_secs(10),
    heartbeat_ttl: Duration::from_secs(30),
};

/// Longest name of a channel, in bytes.
const LONGEST_CHANNEL: usize = 300;
/// Longest `sessionTTL`, in seconds.
const LONGEST_SESSION_TTL: i64 = i32::MAX as i64;

/// The configuration of an instance that reaches the store by `connection`.
pub(super) fn read_instance(
    source: &Source<'_>,
    mut connection: ConnectionConfig,
    environment: Lookup<'_>,
    warnings: &mut Vec<String>,
) -> Result<Config, ConfigError> {
    let role = read_role(source)?;
    // Used by leader nodes, which come later; a fault is to be known at the start.
    read_admin_may_lead(source)?;
    let key_prefix = settle(read_key_prefix(source)?, &mut connection);
    let channel_prefix = slots::without_braces(&key_prefix);
    let channel = |name, end: &str| channel(source, name, || format!("{channel_prefix}{end}"));
    let update_channel = channel("updateChannel", "flows:updated")?;
    let package_channel = channel("packageChannel", "packages:updated")?;
    let debug_channel = channel("debugChannel", "debug")?;
    let shared = "give a name of its own, each channel carries other messages";
    if package_channel == update_channel {
        return Err(source.refuse_showing("packageChannel", "the same as updateChannel", shared));
    }
    if debug_channel == update_channel || debug_channel == package_channel {
        return Err(source.refuse_showing("debugChannel", "the same as another channel", shared));
    }
    let session_ttl = source.whole_number("sessionTTL", 1..=LONGEST_SESSION_TTL, " of seconds")?;
    Ok(Config {
        role,
        key_prefix,
        update_channel,
        package_channel,
        debug_channel,
        packages: read_packages(source)?,
        signing: read_signing_keys(source, environment)?,
        compression: read_compression(source)?.unwrap_or(Compression::Off),
        session_ttl: session_ttl.map_or(DEFAULT_SESSION_TTL, |seconds| {
            Duration::from_secs(seconds.unsigned_abs())
        }),
        timeout: source.milliseconds("timeout")?.unwrap_or(DEFAULT_TIMEOUT),
        monitoring: monitoring(source, warnings)?,
        context: read_context(&[source], warnings)?,
        connection,
    })
}

/// The option `role`.
pub(super) fn read_role(source: &Source<'_>) -> Result<Role, ConfigError> {
    match source.given("role") {
        Given::Text("admin") => Ok(Role::Admin),
        Given::Text("worker") => Ok(Role::Worker),
        Given::Text("master" | "slave") => Err(source.refuse(
            "role",
            "set it to 'admin' or 'worker', the role of this instance; in a group of sentinels the \
             master is always used",
        )),
        _ => {
            let remedy = "set it to 'admin' or 'worker' in the valkey block of settings.js";
            Err(source.refuse("role", remedy))
        }
    }
}

/// The option `enableCompression`.
pub(super) fn read_compression(source: &Source<'_>) -> Result<Option<Compression>, ConfigError> {
    let given = source.boolean("enableCompression")?;
    Ok(given.map(|compressed| {
        if compressed {
            Compression::On
        } else {
            Compression::Off
        }
    }))
}

fn channel(
    source: &Source<'_>,
    name: &str,
    default: impl FnOnce() -> String,
) -> Result<String, ConfigError> {
    let Some(text) = source.text(name)? else {
        return Ok(default());
    };
    match name_fault(text, LONGEST_CHANNEL) {
        Some(remedy) => Err(source.refuse(name, remedy)),
        None => Ok(text.to_owned()),
    }
}

/// What is wrong with the beginning of a key or the name of a channel, as a remedy. Braces in
/// the middle would choose the slot of a key in a cluster; `*?[]\` are wildcards in `KEYS`, `SCAN` and ACL rules.
pub(super) fn name_fault(text: &str, longest: usize) -> Option<String> {
    if text.len() > longest {
        return Some(format!("shorten it to {longest} bytes"));
    }
    let forbidden = |character: char| {
        character.is_whitespace() || character.is_control() || "{}*?[]\\".contains(character)
    };
    let fault = text.contains(forbidden);
    fault.then(|| "use no spaces, control characters or any of { } * ? [ ] \\ in it".to_owned())
}

fn monitoring(source: &Source<'_>, warnings: &mut Vec<String>) -> Result<Monitoring, ConfigError> {
    let values = match source.given("clusterMonitoring") {
        Given::Nothing => return Ok(DEFAULT_MONITORING),
        Given::Object(values) => values,
        _ => {
            let remedy = "give an object such as {enabled: true}";
            return Err(source.refuse("clusterMonitoring", remedy));
        }
    };
    let options = source.nested("clusterMonitoring", "", values);
    options.review(MONITORING_OPTIONS, warnings);
    let interval = options.milliseconds("heartbeatInterval")?;
    let ttl = options.milliseconds("heartbeatTTL")?;
    let monitoring = Monitoring {
        enabled: options
            .boolean("enabled")?
            .unwrap_or(DEFAULT_MONITORING.enabled),
        heartbeat_interval: interval.unwrap_or(DEFAULT_MONITORING.heartbeat_interval),
        heartbeat_ttl: ttl.unwrap_or(DEFAULT_MONITORING.heartbeat_ttl),
    };
    let interval = monitoring.heartbeat_interval.as_millis();
    let ttl = monitoring.heartbeat_ttl.as_millis();
    if ttl <= interval {
        let remedy = format!(
            "make it longer than heartbeatInterval, which is {interval}, best three times as long, \
             or this instance is taken for gone between two heartbeats"
        );
        return Err(options.refuse_showing("heartbeatTTL", ttl.to_string(), remedy));
    }
    if ttl < interval * 2 {
        warnings.push(format!(
            "option {} is {ttl}, less than two times heartbeatInterval ({interval}): one late \
             heartbeat makes this instance look gone",
            options.full_name("heartbeatTTL")
        ));
    }
    Ok(monitoring)
}
