//! Reads how context is held, and the settings of a context store from the `valkey` block and the
//! store's own options over it.

use serde_json::Map;

use super::connection::read_layered;
use super::environment::Lookup;
use super::instance::{DEFAULT_TIMEOUT, read_compression};
use super::layers::{first, lower_layer, place};
use super::object;
use super::prefix::{read_key_prefix, settle};
use super::source::Source;
use super::value::Given;
use crate::config::options::{NEAR_CACHE_OPTIONS, OPTIONS};
use crate::config::{
    Compression, ConfigError, ContextConfig, ContextSettings, NearCache, OfflineReads,
    ParsedContext,
};

/// What the options of a context store are called in messages: Node-RED does not say which of its
/// stores they belong to.
const OVERRIDES: &str = "contextStorage config";

/// Largest `maxValueBytes`: a server takes no longer string unless its `proto-max-bulk-len` is raised.
const LARGEST_VALUE: i64 = 512 << 20;
/// Largest number of bytes in memory, 1 TiB: more is a slip of the keyboard.
const LARGEST_MEMORY: i64 = 1 << 40;
/// Largest `maxPendingWrites`.
const MOST_WRITES: i64 = 1_000_000_000;

/// Reads the settings of a context store: the `valkey` block of `settings.js` and, winning over it, the
/// store's own options in `contextStorage`. Either is JSON as in [`super::parse`], or `null`.
///
/// No role is needed. Where `overrides` say where the store is, nothing of the block that belongs to an
/// address goes there: no database, no TLS and above all no password. `settings` among the overrides,
/// which Node-RED puts there, is passed over.
///
/// # Errors
///
/// The first option found that can never work; it is named after the place where it was written.
pub fn parse_context(
    settings: &str,
    overrides: &str,
    environment: Lookup<'_>,
) -> Result<ParsedContext, ConfigError> {
    let mut warnings = Vec::new();
    let empty = Map::new();
    let lower = object("valkey", settings)?;
    let lower = lower_layer(&lower, &empty, &mut warnings)?;
    let mut upper = object(OVERRIDES, overrides)?;
    if let Some(options) = upper.as_object_mut() {
        options.remove("settings");
    }
    let upper = place(OVERRIDES, &upper, &empty)?;
    upper.review(OPTIONS, &mut warnings);

    let mut connection = read_layered(&upper, &lower, environment, &mut warnings)?;
    let layers = [&upper, &lower];
    let key_prefix = first(&layers, read_key_prefix)?;
    let timeout = first(&layers, |source| source.milliseconds("timeout"))?;
    let config = ContextSettings {
        key_prefix: settle(key_prefix, &mut connection),
        compression: first(&layers, read_compression)?.unwrap_or(Compression::Off),
        timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
        context: read_context(&layers, &mut warnings)?,
        connection,
    };
    Ok(ParsedContext { config, warnings })
}

/// How context is held. The first of the sources that has an option wins.
pub(super) fn read_context(
    layers: &[&Source<'_>],
    warnings: &mut Vec<String>,
) -> Result<ContextConfig, ConfigError> {
    let default = ContextConfig::default();
    let number = |name, range, unit| {
        first(layers, |source: &Source<'_>| {
            Ok(source
                .whole_number(name, 1..=range, unit)?
                .map(i64::unsigned_abs))
        })
    };
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let max_value = number("maxValueBytes", LARGEST_VALUE, " of bytes")?;
    let max_writes = number("maxPendingWrites", MOST_WRITES, "")?;
    let max_pending = number("maxPendingBytes", LARGEST_MEMORY, " of bytes")?;
    let config = ContextConfig {
        near_cache: near_cache(layers, warnings)?,
        offline_reads: first(layers, offline_reads)?.unwrap_or_default(),
        max_value_bytes: max_value.map_or(default.max_value_bytes, size),
        max_pending_writes: max_writes.map_or(default.max_pending_writes, size),
        max_pending_bytes: max_pending.unwrap_or(default.max_pending_bytes),
    };
    if config.max_pending_bytes < config.max_value_bytes as u64 {
        warnings.push(format!(
            "option maxPendingBytes is {}, less than maxValueBytes ({}): a value between the two can \
             never be written",
            config.max_pending_bytes, config.max_value_bytes
        ));
    }
    Ok(config)
}

fn near_cache(
    layers: &[&Source<'_>],
    warnings: &mut Vec<String>,
) -> Result<NearCache, ConfigError> {
    let mut enabled = None;
    let mut max_bytes = None;
    let mut max_age = None;
    for source in layers {
        let values = match source.given("nearCache") {
            Given::Nothing => continue,
            Given::Boolean(word) => {
                enabled = enabled.or(Some(word));
                continue;
            }
            Given::Object(values) => values,
            _ => {
                let remedy = "give false, or an object such as {maxBytes: 67108864}";
                return Err(source.refuse("nearCache", remedy));
            }
        };
        let options = source.nested("nearCache", "", values);
        options.review(NEAR_CACHE_OPTIONS, warnings);
        let bytes = options.whole_number("maxBytes", 1..=LARGEST_MEMORY, " of bytes")?;
        enabled = enabled.or(options.boolean("enabled")?);
        max_bytes = max_bytes.or(bytes.map(i64::unsigned_abs));
        max_age = max_age.or(options.milliseconds("maxAge")?);
    }
    let default = NearCache::default();
    Ok(NearCache {
        enabled: enabled.unwrap_or(default.enabled),
        max_bytes: max_bytes.unwrap_or(default.max_bytes),
        max_age: max_age.unwrap_or(default.max_age),
    })
}

fn offline_reads(source: &Source<'_>) -> Result<Option<OfflineReads>, ConfigError> {
    match source.given("offlineReads") {
        Given::Nothing => Ok(None),
        Given::Text("fail") => Ok(Some(OfflineReads::Fail)),
        Given::Text("last-known") => Ok(Some(OfflineReads::LastKnown)),
        _ => Err(source.refuse("offlineReads", "give 'fail' or 'last-known'")),
    }
}
