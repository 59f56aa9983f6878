//! Options of one block laid over those of another, each read under the name of its own place.

use serde_json::{Map, Value};

use super::block;
use super::source::{Origin, Source};
use crate::config::ConfigError;
use crate::config::options::OPTIONS;

/// The `valkey` block as the lower of two layers.
///
/// It is reviewed under the names that the storage module gives in its warnings, so that saying the same
/// thing twice can be seen and spared; errors say where.
pub(super) fn lower_layer<'a>(
    value: &'a Value,
    empty: &'a Map<String, Value>,
    warnings: &mut Vec<String>,
) -> Result<Source<'a>, ConfigError> {
    block("valkey", value, empty)?.review(OPTIONS, warnings);
    place("valkey", value, empty)
}

/// The options of a block under names that begin with the place where it stands.
pub(super) fn place<'a>(
    name: &str,
    value: &'a Value,
    empty: &'a Map<String, Value>,
) -> Result<Source<'a>, ConfigError> {
    let source = block(name, value, empty)?;
    Ok(source.under(Origin::Block(format!("{name}."))))
}

/// An option of the first source that has it. All are read, so that none holds a fault unseen.
pub(super) fn first<'a, T>(
    layers: &[&Source<'a>],
    read: impl Fn(&Source<'a>) -> Result<Option<T>, ConfigError>,
) -> Result<Option<T>, ConfigError> {
    let mut found = None;
    for source in layers {
        let given = read(source)?;
        found = found.or(given);
    }
    Ok(found)
}
