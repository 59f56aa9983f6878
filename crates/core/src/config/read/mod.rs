//! From what an operator wrote to checked values. The layout is described in [`super`].

mod address;
mod connection;
mod context;
mod election;
mod environment;
mod instance;
mod layers;
mod packages;
mod prefix;
mod signing;
mod source;
mod tls;
mod url;
mod value;
mod written;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use self::environment::Lookup;
use self::source::{Origin, Source};
use self::value::Given;
use super::options::OPTIONS;
use super::{ConfigError, ConnectionConfig, Parsed};

pub use self::context::parse_context;
pub use self::election::{parse_election, parse_lock};

/// Reads the `valkey` block of `settings.js`.
///
/// `settings` is the block as JSON, or `null` where there is none. What JSON cannot say comes as an
/// object: `{"$type":"function"}`, `{"$type":"buffer","base64":"..."}`,
/// `{"$type":"number","text":"NaN"}`, `{"$type":"other","name":"Map"}`. `environment` looks up a
/// variable; it is asked only where the block says neither where the store is nor who logs in, and
/// for the signing keys where the block has none.
///
/// # Errors
///
/// The first option found that can never work.
pub fn parse(settings: &str, environment: Lookup<'_>) -> Result<Parsed, ConfigError> {
    let value = object("valkey", settings)?;
    let mut warnings = Vec::new();
    let empty = Map::new();
    let source = block("valkey", &value, &empty)?;
    source.review(OPTIONS, &mut warnings);
    // First of all, because without a block this is what the operator has to know.
    instance::read_role(&source)?;
    let connection = connection::read_connection(&source, environment, &mut warnings)?;
    let config = instance::read_instance(&source, connection, environment, &mut warnings)?;
    Ok(Parsed { config, warnings })
}

/// Reads only the connection options of a block, for parts that have no role of their own: leader
/// nodes and a context store without the storage module. Returns the connection and sentences for
/// the log.
///
/// Options of the instance in `value` (`role`, `keyPrefix`, ...) are left to others, unread. `null`
/// is a block without options.
///
/// # Errors
///
/// The first connection option found that can never work.
pub fn parse_connection(
    value: &Value,
    environment: Lookup<'_>,
) -> Result<(ConnectionConfig, Vec<String>), ConfigError> {
    let mut warnings = Vec::new();
    let empty = Map::new();
    let source = block("connection", value, &empty)?;
    source.review(OPTIONS, &mut warnings);
    let connection = connection::read_connection(&source, environment, &mut warnings)?;
    Ok((connection, warnings))
}

/// The JSON of a whole block.
fn object(name: &str, text: &str) -> Result<Value, ConfigError> {
    serde_json::from_str(text).map_err(|error| {
        let shown = format!("not readable ({:?} error)", error.classify());
        ConfigError::new(name, shown, "write it as a plain object")
    })
}

/// The options of a whole block, `empty` standing in for a missing one.
fn block<'a>(
    name: &str,
    value: &'a Value,
    empty: &'a Map<String, Value>,
) -> Result<Source<'a>, ConfigError> {
    let values = match Given::of(value) {
        Given::Nothing => empty,
        Given::Object(values) => values,
        other => {
            return Err(ConfigError::new(
                name,
                other.shown(),
                "write it as a plain object",
            ));
        }
    };
    Ok(Source::new(values, Origin::Block(String::new())))
}
