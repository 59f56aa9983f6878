//! Rules of whole blocks. Rules of single values are tested beside the code that reads them.

mod connection;
mod context;
mod election;
mod instance;
mod properties;
mod tls;
mod unused;

use serde_json::{Value, json};

use super::{parse, parse_connection};
use crate::config::{Config, ConfigError, ConnectionConfig, Parsed};

/// An environment with these variables.
fn environment(variables: &[(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> {
    move |name| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, text)| (*text).to_owned())
    }
}

/// Parses a block, role `worker` unless it has one, without environment.
fn parse_block(block: &Value) -> Result<Parsed, ConfigError> {
    let mut block = block.clone();
    if let Some(options) = block.as_object_mut() {
        options.entry("role").or_insert(json!("worker"));
    }
    parse(&block.to_string(), &environment(&[]))
}

/// Parses a block that must be right and give no warning.
fn good(block: Value) -> Config {
    let parsed = parse_block(&block).unwrap_or_else(|error| panic!("{block}: {error}"));
    assert_eq!(parsed.warnings, Vec::<String>::new(), "{block}");
    parsed.config
}

/// Parses a block that must give exactly one warning, with these parts in it.
fn warned(block: Value, parts: &[&str]) -> Config {
    let parsed = parse_block(&block).unwrap_or_else(|error| panic!("{block}: {error}"));
    assert_eq!(parsed.warnings.len(), 1, "{block}: {:?}", parsed.warnings);
    for part in parts {
        assert!(
            parsed.warnings[0].contains(part),
            "{part:?} in {:?}",
            parsed.warnings[0]
        );
    }
    parsed.config
}

/// Asserts that a block is refused because of `option`, which is shown as `value`.
fn refused(block: Value, option: &str, value: &str) -> ConfigError {
    match parse_block(&block) {
        Ok(_) => panic!("{block} is not refused"),
        Err(error) => {
            assert_eq!(
                (error.option.as_str(), error.value.as_str()),
                (option, value),
                "{block}"
            );
            assert!(!error.remedy.is_empty());
            error
        }
    }
}

/// The connection of a block without a role, in an environment.
fn connected(
    block: Value,
    variables: &[(&'static str, &'static str)],
) -> (ConnectionConfig, Vec<String>) {
    parse_connection(&block, &environment(variables))
        .unwrap_or_else(|error| panic!("{block}: {error}"))
}
