//! Options that are not used: of ioredis, misspelt, or of nobody.

use serde_json::json;

use super::{good, parse_block, warned};
use crate::config::{OPTIONS, Purpose};

#[test]
fn every_used_option_is_read() {
    let used = OPTIONS
        .iter()
        .filter(|option| matches!(option.purpose, Purpose::Instance | Purpose::Connection));
    for option in used {
        let block = json!({option.name: {"$type": "other", "name": "Date"}});
        let error = parse_block(&block).expect_err(option.name);
        assert_eq!(error.option, option.name);
        assert_eq!(error.value, "an object of the class Date");
        assert!(
            !option.doc.is_empty() && !option.kind.is_empty(),
            "{}",
            option.name
        );
        good(
            json!({option.name: if option.name == "role" { json!("admin") } else { json!(null) }}),
        );
    }
}

#[test]
fn options_of_ioredis_without_meaning_here_are_accepted() {
    for option in OPTIONS {
        match option.purpose {
            Purpose::Instance | Purpose::Connection => continue,
            Purpose::Ignored => {
                good(json!({option.name: 5}));
            }
            Purpose::Unsupported => {
                warned(json!({option.name: {"a": 1}}), &[option.name]);
            }
        }
        warned(json!({option.name: {"$type": "function"}}), &[option.name]);
        good(json!({option.name: null}));
    }
    good(json!({
        "lazyConnect": true, "enableReadyCheck": false, "maxRetriesPerRequest": null,
        "enableOfflineQueue": true, "noDelay": true, "autoResubscribe": true, "natMap": null,
    }));
}

#[test]
fn a_function_gives_one_warning() {
    for name in ["retryStrategy", "reconnectOnError", "sentinelRetryStrategy"] {
        warned(json!({name: {"$type": "function"}}), &[name, "function"]);
    }
}

#[test]
fn a_misspelt_option_is_reported_with_the_right_name_and_without_its_value() {
    let cases = [
        ("keyprefix", "keyPrefix?"),
        ("hosts", "host?"),
        ("passwrod", "password?"),
        ("lazyConnet", "lazyConnect?"),
        ("user", "username?"),
    ];
    for (name, hint) in cases {
        let parsed = parse_block(&json!({name: "hunter2"})).expect(name);
        assert_eq!(parsed.warnings.len(), 1, "{:?}", parsed.warnings);
        assert!(parsed.warnings[0].contains(name) && parsed.warnings[0].contains(hint));
        assert!(!parsed.warnings[0].contains("hunter2"));
    }
}

#[test]
fn an_odd_name_is_harmless() {
    for name in [
        "__proto__",
        "constructor",
        "toString",
        "",
        "hasOwnProperty",
        "\u{1b}[2J",
    ] {
        let config = warned(
            json!({name: {"role": "admin", "host": "evil"}}),
            &["unknown option"],
        );
        assert_eq!(config, good(json!({})));
    }
    let long = "x".repeat(100_000);
    let warnings = parse_block(&json!({long: 1})).expect("accepted").warnings;
    assert!(warnings[0].len() < 200);
}
