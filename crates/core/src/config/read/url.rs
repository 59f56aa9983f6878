//! Takes a URL apart into the options that it stands for.
//!
//! Forms, `redis` and `valkey` meaning the same:
//! - `redis://[user[:password]@]host[:port][/db][?option=value&...]`, with TLS `rediss://` or
//!   `valkeys://`
//! - `redis+sentinel://[user[:password]@]host[:port],...[/name[/db]][?...]`, with TLS
//!   `rediss+sentinel://`
//! - `unix://[user[:password]@]/path[?...]` or `redis+unix://`

use serde_json::{Map, Value, json};

use super::address::split_port;
use crate::config::nearest::nearest;
use crate::config::options::{OPTIONS, Purpose, find};

/// The forms of a URL, for a remedy.
const FORMS: &str = "give redis://host:port/db (rediss:// for TLS; valkey:// and valkeys:// mean the \
                     same), redis+sentinel://host:port,host:port/name/db or unix:///path";

/// Options that may stand behind the `?` of a URL.
const QUERY_OPTIONS: &[&str] = &[
    "commandTimeout",
    "connectTimeout",
    "connectionName",
    "db",
    "enableTLSForSentinelMode",
    "family",
    "keepAlive",
    "name",
    "password",
    "sentinelPassword",
    "sentinelTLS",
    "sentinelUsername",
    "tls",
    "username",
];

/// What kind of address a URL holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Server,
    Sentinels,
    Unix,
}

/// The URL for a message: only its scheme, since a password may stand anywhere in a URL with a
/// slip.
pub(super) fn shown_url(text: &str) -> String {
    match text
        .trim()
        .split_once("://")
        .map(|(scheme, _)| scheme.to_ascii_lowercase())
    {
        Some(scheme) if form_of(&scheme).is_some() => format!("{scheme}://***"),
        _ => "a string (hidden, it may hold a password)".to_owned(),
    }
}

/// The options that a URL stands for, named as in the `valkey` block and not yet checked. The error
/// is a remedy. `option` is the name of the URL's own option, for warnings.
pub(super) fn read_url(
    text: &str,
    option: &str,
    warnings: &mut Vec<String>,
) -> Result<Map<String, Value>, String> {
    let (scheme, rest) = text.trim().split_once("://").ok_or(FORMS)?;
    let (form, tls) = form_of(&scheme.to_ascii_lowercase()).ok_or(FORMS)?;
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // An @ this late mostly ends a password with one of / ? # in it. Read on, the beginning of that
    // password would be taken for a host and be shown in the log. Only a plain path may have an @.
    if tail.contains('@') && !(form == Form::Unix && authority.is_empty()) {
        return Err(
            "write / as %2F, ? as %3F, # as %23 and @ as %40 in user name, password and options"
                .to_owned(),
        );
    }
    let tail = tail.split_once('#').map_or(tail, |(before, _)| before);
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (Some(user), hosts),
        None => (None, authority),
    };

    let mut options = Map::new();
    if let Some(user) = user {
        let (username, password) = user.split_once(':').unwrap_or((user, ""));
        insert_text(&mut options, "username", username)?;
        insert_text(&mut options, "password", password)?;
    }
    if tls {
        options.insert("tls".to_owned(), Value::Bool(true));
    }
    match form {
        Form::Server => {
            insert_server(&mut options, hosts)?;
            insert_text(&mut options, "db", path.trim_matches('/'))?;
        }
        Form::Sentinels => {
            insert_sentinels(&mut options, hosts)?;
            let (name, database) = match path.trim_matches('/').split_once('/') {
                Some((name, database)) => (name, database),
                None => (path.trim_matches('/'), ""),
            };
            insert_text(&mut options, "name", name)?;
            insert_text(&mut options, "db", database)?;
            if tls {
                options.insert("sentinelTLS".to_owned(), Value::Bool(true));
            }
        }
        Form::Unix => {
            if !hosts.is_empty() || path.is_empty() {
                return Err("give three slashes before the path of a socket: unix:///path".into());
            }
            insert_text(&mut options, "path", path)?;
        }
    }
    insert_query(&mut options, query, option, warnings)?;
    Ok(options)
}

/// The form that a scheme in lower case stands for, and whether it asks for TLS.
fn form_of(scheme: &str) -> Option<(Form, bool)> {
    match scheme {
        "redis" | "valkey" => Some((Form::Server, false)),
        "rediss" | "valkeys" => Some((Form::Server, true)),
        "redis+sentinel" | "valkey+sentinel" => Some((Form::Sentinels, false)),
        "rediss+sentinel" | "valkeys+sentinel" => Some((Form::Sentinels, true)),
        "unix" | "redis+unix" | "valkey+unix" => Some((Form::Unix, false)),
        _ => None,
    }
}

fn insert_server(options: &mut Map<String, Value>, host: &str) -> Result<(), String> {
    if host.contains(',') {
        return Err(
            "give one host, redis+sentinel:// for several sentinels, or the option cluster \
                    for the nodes of a cluster"
                .to_owned(),
        );
    }
    let (host, port) = split_port(host)?;
    insert_text(options, "host", host)?;
    insert_text(options, "port", port.unwrap_or_default())
}

fn insert_sentinels(options: &mut Map<String, Value>, hosts: &str) -> Result<(), String> {
    let mut sentinels = Vec::new();
    for host in hosts.split(',') {
        let (host, port) = split_port(host.trim())?;
        let port = port.filter(|port| !port.is_empty());
        sentinels.push(json!({ "host": decoded(host)?, "port": port }));
    }
    options.insert("sentinels".to_owned(), Value::Array(sentinels));
    Ok(())
}

fn insert_query(
    options: &mut Map<String, Value>,
    query: &str,
    option: &str,
    warnings: &mut Vec<String>,
) -> Result<(), String> {
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if QUERY_OPTIONS.contains(&name) {
            if !options.contains_key(name) {
                insert_query_value(options, name, &decoded(&value.replace('+', "%20"))?);
            }
            continue;
        }
        match find(OPTIONS, name).map(|known| known.purpose) {
            Some(Purpose::Ignored) => {}
            Some(_) => warnings.push(format!(
                "{name} has no effect in {option}: write it beside it"
            )),
            // The name itself is not shown: behind a ? that should have been %3F, it is a password.
            None => warnings.push(match nearest(OPTIONS, name) {
                Some(near) => format!("{option} holds an unknown option: did you mean {near}?"),
                None => format!("{option} holds an unknown option behind its question mark"),
            }),
        }
    }
    Ok(())
}

fn insert_query_value(options: &mut Map<String, Value>, name: &str, text: &str) {
    let value = match text {
        "" => return,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        text => Value::from(text),
    };
    options.insert(name.to_owned(), value);
}

fn insert_text(options: &mut Map<String, Value>, name: &str, text: &str) -> Result<(), String> {
    if !text.is_empty() {
        options.insert(name.to_owned(), Value::from(decoded(text)?));
    }
    Ok(())
}

/// Undoes percent encoding. A `%` without two hexadecimal digits behind it stands for itself.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        match (first, encoded_byte(behind)) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            _ => {
                bytes.push(first);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| "give percent encoding of UTF-8".to_owned())
}

/// The byte that the first two characters say in hexadecimal.
fn encoded_byte(text: &[u8]) -> Option<u8> {
    let digit = |position: usize| char::from(*text.get(position)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Value {
        let mut warnings = Vec::new();
        let options = read_url(text, "url", &mut warnings)
            .unwrap_or_else(|remedy| panic!("{text}: {remedy}"));
        assert_eq!(warnings, Vec::<String>::new(), "{text}");
        Value::Object(options)
    }

    #[test]
    fn every_form_is_taken_apart() {
        let cases = [
            ("redis://", json!({})),
            ("redis://h", json!({"host": "h"})),
            ("VALKEY://h:1", json!({"host": "h", "port": "1"})),
            ("redis://h:1/", json!({"host": "h", "port": "1"})),
            ("redis://h/2", json!({"host": "h", "db": "2"})),
            ("rediss://h", json!({"host": "h", "tls": true})),
            ("valkeys://h", json!({"host": "h", "tls": true})),
            ("redis://:p@h", json!({"host": "h", "password": "p"})),
            ("redis://u@h", json!({"host": "h", "username": "u"})),
            (
                "redis://u:p:q@h",
                json!({"host": "h", "username": "u", "password": "p:q"}),
            ),
            (
                "redis://u:p@q@h",
                json!({"host": "h", "username": "u", "password": "p@q"}),
            ),
            (
                "redis://u%40x:p%2F%3a%25@[::1]:1/0",
                json!({"host": "[::1]", "port": "1", "db": "0", "username": "u@x", "password": "p/:%"}),
            ),
            ("redis://:100%@h", json!({"host": "h", "password": "100%"})),
            (
                " redis://h?family=6&db=3 ",
                json!({"host": "h", "family": "6", "db": "3"}),
            ),
            (
                "redis://h/1?db=3&lazyConnect=true",
                json!({"host": "h", "db": "1"}),
            ),
            (
                "redis://h?tls=true&password=a+b%2Bc",
                json!({"host": "h", "tls": true, "password": "a b+c"}),
            ),
            (
                "redis+sentinel://u:p@a,b:5/group/2?sentinelPassword=s",
                json!({
                    "username": "u", "password": "p", "name": "group", "db": "2", "sentinelPassword": "s",
                    "sentinels": [{"host": "a", "port": null}, {"host": "b", "port": "5"}],
                }),
            ),
            (
                "valkeys+sentinel://a/group",
                json!({
                    "name": "group", "tls": true, "sentinelTLS": true,
                    "sentinels": [{"host": "a", "port": null}],
                }),
            ),
            (
                "unix:///run/valkey.sock?db=1",
                json!({"path": "/run/valkey.sock", "db": "1"}),
            ),
            (
                "redis+unix://:p@/run/a%20b",
                json!({"path": "/run/a b", "password": "p"}),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let texts = [
            "",
            "h",
            "h:6379",
            "http://h",
            "redis://a,b",
            "redis://a:b:c",
            "unix://h/p",
            "unix://",
            "redis://%ff@h",
        ];
        for text in texts {
            assert!(read_url(text, "url", &mut Vec::new()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_that_is_not_encoded_is_never_taken_for_a_host() {
        let texts = [
            "redis://:hunter2/x@h",
            "redis://:hunter2?x@h",
            "redis://:hunter2#x@h",
            "redis://:x@hunter2/x@h",
            "redis+sentinel://:x@hunter2?x@h/g",
            "unix://:x@/hunter2@/run/v.sock",
        ];
        for text in texts {
            let remedy = read_url(text, "url", &mut Vec::new()).expect_err(text);
            assert!(
                remedy.contains("%2F") && !remedy.contains("hunter2"),
                "{remedy}"
            );
        }
    }

    #[test]
    fn unknown_options_in_a_url_are_reported_without_their_name() {
        let cases = [
            ("redis://h?pasword=hunter2", "did you mean password?"),
            ("redis://h?hunter2", "unknown option"),
            ("redis://h?keyPrefix=x", "keyPrefix has no effect in url"),
        ];
        for (text, part) in cases {
            let mut warnings = Vec::new();
            assert!(read_url(text, "url", &mut warnings).is_ok());
            assert_eq!(warnings.len(), 1, "{text}");
            assert!(warnings[0].contains(part), "{}", warnings[0]);
            assert!(!warnings[0].contains("hunter2"), "{}", warnings[0]);
        }
    }

    #[test]
    fn a_url_is_shown_by_its_scheme_alone() {
        assert_eq!(shown_url("Redis://u:hunter2@h"), "redis://***");
        assert!(!shown_url("hunter2://h").contains("hunter2"));
        assert!(!shown_url("u:hunter2@h").contains("hunter2"));
    }
}
