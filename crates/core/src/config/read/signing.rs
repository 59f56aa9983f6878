//! Reads the keys that sign revisions. No message ever shows one, not even in part.

use serde_json::Value;

use super::environment::Lookup;
use super::source::Source;
use super::value::Given;
use crate::config::signing::SHORTEST_SIGNING_KEY;
use crate::config::{ConfigError, Secret, SigningKeys};

const OPTION: &str = "signingKey";

/// The variable that stands for the option, and the one for its second key.
pub(super) const SIGNS: &str = "NODE_RED_CLUSTER_SIGNING_KEY";
pub(super) const ACCEPTED: &str = "NODE_RED_CLUSTER_SIGNING_KEY_ACCEPTED";

/// The option `signingKey`, else the variables.
pub(super) fn read_signing_keys(
    source: &Source<'_>,
    environment: Lookup<'_>,
) -> Result<Option<SigningKeys>, ConfigError> {
    let refuse = |shown: String, remedy: &str| Err(source.refuse_showing(OPTION, shown, remedy));
    let keys = match source.given(OPTION) {
        Given::Nothing => return from_environment(environment),
        Given::Text(text) => (text, None),
        Given::List([Value::String(signs)]) => (signs.as_str(), None),
        Given::List([Value::String(signs), Value::String(accepted)]) => {
            (signs.as_str(), Some(accepted.as_str()))
        }
        Given::List(list) => {
            return refuse(
                format!("a list of {}", list.len()),
                "give one or two strings: the first signs, both are accepted",
            );
        }
        other => {
            return refuse(
                other.shown_as_secret(),
                "give a string, or a list of two strings while keys are changed",
            );
        }
    };
    checked(OPTION, OPTION, keys).map(Some)
}

/// Empty variables count as not set, as Docker Compose leaves them.
fn from_environment(environment: Lookup<'_>) -> Result<Option<SigningKeys>, ConfigError> {
    let given = |name| environment(name).filter(|text| !text.trim().is_empty());
    match (given(SIGNS), given(ACCEPTED)) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(ConfigError::new(
            SIGNS,
            "missing",
            format!("{ACCEPTED} is accepted beside a key that signs: set that one too, or neither"),
        )),
        (Some(signs), accepted) => {
            checked(SIGNS, ACCEPTED, (&signs, accepted.as_deref())).map(Some)
        }
    }
}

fn checked(
    first: &str,
    second: &str,
    (signs, accepted): (&str, Option<&str>),
) -> Result<SigningKeys, ConfigError> {
    let signs = long_enough(first, signs)?;
    let accepted = accepted.map(|text| long_enough(second, text)).transpose()?;
    if accepted.as_ref() == Some(&signs) {
        return Err(ConfigError::new(
            second,
            "the same key twice",
            "give two different keys, or only one",
        ));
    }
    Ok(SigningKeys { signs, accepted })
}

fn long_enough(option: &str, text: &str) -> Result<Secret, ConfigError> {
    let length = text.trim().chars().count();
    if length >= SHORTEST_SIGNING_KEY {
        return Ok(Secret::new(text.trim()));
    }
    Err(ConfigError::new(
        option,
        format!("a string of {length} characters"),
        format!(
            "give at least {SHORTEST_SIGNING_KEY} random characters, the same to all instances: openssl rand -hex 32 makes some"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::config::read::source::Origin;

    const ONE: &str = "one-0123456789abcdef0123456789abcdef";
    const TWO: &str = "two-0123456789abcdef0123456789abcdef";

    fn read(
        block: &Value,
        variables: &[(&str, &str)],
    ) -> Result<Option<(String, Option<String>)>, ConfigError> {
        let empty = Map::new();
        let values = block.as_object().unwrap_or(&empty);
        let lookup = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, text)| (*text).to_owned())
        };
        let keys = read_signing_keys(&Source::new(values, Origin::Block(String::new())), &lookup)?;
        Ok(keys.map(|keys| {
            let accepted = keys.accepted.map(|key| key.expose().to_owned());
            (keys.signs.expose().to_owned(), accepted)
        }))
    }

    #[test]
    fn one_key_or_two_come_from_the_block_or_else_from_the_environment() {
        let two = Some((ONE.to_owned(), Some(TWO.to_owned())));
        let one = Some((ONE.to_owned(), None));
        assert_eq!(read(&json!({}), &[]), Ok(None));
        assert_eq!(read(&json!({ "signingKey": ONE }), &[]), Ok(one.clone()));
        assert_eq!(read(&json!({ "signingKey": [ONE] }), &[]), Ok(one.clone()));
        assert_eq!(
            read(&json!({ "signingKey": [ONE, TWO] }), &[]),
            Ok(two.clone())
        );
        assert_eq!(read(&json!({}), &[(SIGNS, ONE), (ACCEPTED, TWO)]), Ok(two));
        assert_eq!(
            read(&json!({ "signingKey": ONE }), &[(SIGNS, TWO)]),
            Ok(one)
        );
        assert_eq!(read(&json!({}), &[(SIGNS, ""), (ACCEPTED, " ")]), Ok(None));
    }

    #[test]
    fn what_cannot_sign_is_refused_and_never_shown() {
        let short = "too-short-0123456789abcdef01234";
        assert_eq!(short.len(), SHORTEST_SIGNING_KEY - 1);
        for (block, variables, named) in [
            (json!({ "signingKey": short }), [].as_slice(), OPTION),
            (json!({ "signingKey": [ONE, short] }), &[], OPTION),
            (json!({ "signingKey": [ONE, ONE] }), &[], OPTION),
            (json!({ "signingKey": [ONE, TWO, ONE] }), &[], OPTION),
            (json!({ "signingKey": [] }), &[], OPTION),
            (json!({ "signingKey": [ONE, 7] }), &[], OPTION),
            (json!({ "signingKey": 1234567 }), &[], OPTION),
            (json!({ "signingKey": false }), &[], OPTION),
            (json!({ "signingKey": "" }), &[], OPTION),
            (json!({}), &[(SIGNS, short)], SIGNS),
            (json!({}), &[(SIGNS, ONE), (ACCEPTED, short)], ACCEPTED),
            (json!({}), &[(ACCEPTED, TWO)], SIGNS),
        ] {
            let error = read(&block, variables).expect_err("refused");
            assert_eq!(error.option, named, "{block}");
            for secret in [short, ONE, TWO, "1234567"] {
                assert!(!error.to_string().contains(secret), "{error}");
            }
        }
    }

    #[test]
    fn spaces_around_a_key_do_not_count() {
        let padded = format!(" {ONE}\n");
        assert_eq!(
            read(&json!({}), &[(SIGNS, &padded)]),
            Ok(Some((ONE.to_owned(), None)))
        );
    }
}
