//! Which store and which prefix are meant.

use node_red_cluster_core::config::{self, Parsed};
use serde_json::{Map, Value};

use crate::arguments::MigrateContextArguments;
use crate::environment::Environment;
use crate::failure::Failure;

use super::settings_file;

/// Reads what the arguments say, as an instance reads its settings.
pub(super) async fn target(
    arguments: &MigrateContextArguments,
    environment: &Environment,
) -> Result<Parsed, Failure> {
    let block = match &arguments.settings {
        Some(file) => settings_file::valkey_block(file, environment).await?,
        None => Map::new(),
    };
    read(block, arguments, &|name| {
        // From the process itself: a store's address and login are none of the variables that the
        // JavaScript side hands over.
        environment
            .variable(name)
            .map(str::to_owned)
            .or_else(|| std::env::var(name).ok())
    })
}

fn read(
    mut block: Map<String, Value>,
    arguments: &MigrateContextArguments,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Parsed, Failure> {
    // Who this is has no effect on context, but a block without it is refused.
    block.insert("role".to_owned(), "admin".into());
    let given = [("url", &arguments.url), ("keyPrefix", &arguments.prefix)];
    for (option, value) in given {
        if let Some(value) = value {
            block.insert(option.to_owned(), value.as_str().into());
        }
    }
    config::parse(&Value::Object(block).to_string(), variable).map_err(|error| {
        Failure::Refused(format!(
            "{error}{}",
            match error.option.as_str() {
                "url" => " It is what --url says, or `url` in the settings.",
                "keyPrefix" => " It is what --prefix says, or `keyPrefix` in the settings.",
                _ => "",
            }
        ))
    })
}

#[cfg(test)]
mod tests {
    use node_red_cluster_core::keyspace::Keyspace;
    use serde_json::json;

    use super::*;

    fn arguments(url: Option<&str>, prefix: Option<&str>) -> MigrateContextArguments {
        MigrateContextArguments {
            apply: false,
            overwrite: false,
            url: url.map(str::to_owned),
            settings: None,
            prefix: prefix.map(str::to_owned),
        }
    }

    /// Where the store is looked for and under which prefix.
    fn meant(
        block: Value,
        arguments: &MigrateContextArguments,
        variables: &[(&str, &str)],
    ) -> Result<(String, String), String> {
        let block = block.as_object().expect("an object").clone();
        let lookup = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let parsed = read(block, arguments, &lookup).map_err(|failure| failure.to_string())?;
        let prefix = Keyspace::new(&parsed.config).prefix().to_owned();
        Ok((parsed.config.connection.describe(), prefix))
    }

    fn said(place: &str, prefix: &str) -> Result<(String, String), String> {
        Ok((place.to_owned(), prefix.to_owned()))
    }

    #[test]
    fn arguments_win_over_settings_and_settings_over_the_environment() {
        let nothing = arguments(None, None);
        let environment = [("VALKEY_HOST", "env"), ("VALKEY_DB", "2")];
        let block = json!({ "role": "worker", "host": "block", "keyPrefix": "app" });
        assert_eq!(
            meant(json!({}), &nothing, &[]),
            said("localhost:6379", "nodered:")
        );
        assert_eq!(
            meant(json!({}), &nothing, &environment),
            said("env:6379, database 2", "nodered:")
        );
        assert_eq!(
            meant(block.clone(), &nothing, &environment),
            said("block:6379", "app:")
        );
        assert_eq!(
            meant(block, &arguments(None, Some("b:")), &environment),
            said("block:6379", "b:")
        );
        let url = arguments(Some("rediss://:p@url:7000/1"), None);
        assert_eq!(
            meant(json!({}), &url, &environment),
            said("url:7000, database 1, TLS", "nodered:")
        );
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_argument_and_without_its_password() {
        let url = arguments(Some("http://u:s3cret@host"), None);
        let refusal = meant(json!({}), &url, &[]).expect_err("no store");
        assert!(refusal.contains("--url"), "{refusal}");
        assert!(!refusal.contains("s3cret"), "{refusal}");
        let prefix = arguments(None, Some("a*"));
        let refusal = meant(json!({}), &prefix, &[]).expect_err("no prefix");
        assert!(refusal.contains("--prefix"), "{refusal}");
    }
}
