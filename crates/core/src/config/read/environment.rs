//! Connection options from environment variables.
//!
//! `VALKEY_` wins over `REDIS_` for each of `URL`, `HOST`, `PORT`, `USERNAME`, `PASSWORD` and `DB`,
//! and the others win over what is in the URL. With `VALKEY_URL`, no variable with `REDIS_` is
//! read, lest parts of two addresses be mixed.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Looks up an environment variable.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Options and the ends of the variables that give them.
const VARIABLES: &[(&str, &str)] = &[
    ("host", "HOST"),
    ("port", "PORT"),
    ("username", "USERNAME"),
    ("password", "PASSWORD"),
    ("db", "DB"),
];

/// What the environment says about the connection.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// Name and content of the variable with a URL.
    pub(super) url: Option<(String, String)>,
    /// Options as text, named as in the `valkey` block.
    pub(super) values: Map<String, Value>,
    /// The variable that gave each option.
    pub(super) variables: BTreeMap<&'static str, String>,
}

impl Environment {
    /// Reads the variables. Empty ones count as not set, as Docker Compose leaves them.
    pub(super) fn read(lookup: Lookup<'_>, warnings: &mut Vec<String>) -> Self {
        let url = pick(lookup, &["VALKEY_", "REDIS_"], "URL", warnings);
        let prefixes: &[&str] = match &url {
            Some((variable, _)) if variable.starts_with("VALKEY_") => &["VALKEY_"],
            _ => &["VALKEY_", "REDIS_"],
        };
        let mut environment = Self {
            url,
            ..Self::default()
        };
        for (option, end) in VARIABLES {
            if let Some((variable, text)) = pick(lookup, prefixes, end, warnings) {
                environment
                    .values
                    .insert((*option).to_owned(), Value::from(text));
                environment.variables.insert(option, variable);
            }
        }
        environment
    }

    /// The variable that says where the store is, if there is one.
    pub(super) fn address_variable(&self) -> Option<&str> {
        let url = self.url.as_ref().map(|(variable, _)| variable);
        url.or_else(|| self.variables.get("host"))
            .map(String::as_str)
    }
}

/// Name and content of the first variable that is set.
fn pick(
    lookup: Lookup<'_>,
    prefixes: &[&str],
    end: &str,
    warnings: &mut Vec<String>,
) -> Option<(String, String)> {
    for prefix in prefixes {
        let variable = format!("{prefix}{end}");
        let Some(text) = lookup(&variable).filter(|text| !text.trim().is_empty()) else {
            continue;
        };
        // Kubernetes sets <SERVICE>_PORT=tcp://address:port in every pod, for a service named so.
        if end == "PORT" && text.starts_with("tcp://") {
            warnings.push(format!(
                "environment variable {variable} is not used: it holds no port but the address that \
                 Kubernetes sets for a service of that name"
            ));
            continue;
        }
        return Some((variable, text));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (Environment, Vec<String>) {
        let mut warnings = Vec::new();
        let lookup = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, text)| (*text).to_owned())
        };
        (Environment::read(&lookup, &mut warnings), warnings)
    }

    #[test]
    fn valkey_wins_over_redis() {
        let (environment, _) =
            read(&[("REDIS_HOST", "r"), ("VALKEY_HOST", "v"), ("REDIS_DB", "1")]);
        assert_eq!(environment.values["host"], "v");
        assert_eq!(environment.values["db"], "1");
        assert_eq!(environment.variables["host"], "VALKEY_HOST");
        assert_eq!(environment.address_variable(), Some("VALKEY_HOST"));
    }

    #[test]
    fn the_url_of_valkey_stands_alone_among_variables_of_redis() {
        let (environment, _) = read(&[
            ("REDIS_HOST", "r"),
            ("VALKEY_URL", "valkey://v"),
            ("VALKEY_DB", "1"),
        ]);
        assert_eq!(
            environment.url,
            Some(("VALKEY_URL".into(), "valkey://v".into()))
        );
        assert_eq!(environment.values.get("host"), None);
        assert_eq!(environment.values["db"], "1");
    }

    #[test]
    fn empty_variables_count_as_not_set() {
        let (environment, _) =
            read(&[("VALKEY_HOST", " "), ("REDIS_HOST", "r"), ("REDIS_URL", "")]);
        assert_eq!(environment.values["host"], "r");
        assert_eq!(environment.url, None);
    }

    #[test]
    fn a_service_link_of_kubernetes_is_no_port() {
        let (environment, warnings) =
            read(&[("VALKEY_PORT", "tcp://10.0.0.1:6379"), ("REDIS_PORT", "7")]);
        assert_eq!(environment.values["port"], "7");
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("VALKEY_PORT"), "{}", warnings[0]);
    }
}
