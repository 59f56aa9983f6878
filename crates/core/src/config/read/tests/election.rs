//! Leader nodes: their config node over the block, whether the instance may lead, and their locks.

use std::time::Duration;

use serde_json::{Value, json};

use super::{environment, good, refused};
use crate::config::{
    ConfigError, ElectionSettings, ParsedElection, Standing, parse_election, parse_lock,
};

fn election(block: Value, node: Value) -> Result<ParsedElection, ConfigError> {
    in_environment(block, node, &[])
}

fn in_environment(
    block: Value,
    node: Value,
    variables: &[(&'static str, &'static str)],
) -> Result<ParsedElection, ConfigError> {
    let lookup = environment(variables);
    parse_election(&block.to_string(), &node.to_string(), &lookup)
}

/// Settings that must be right and give no warning.
fn fine(block: Value, node: Value) -> ElectionSettings {
    let parsed = election(block, node).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(parsed.warnings, Vec::<String>::new());
    parsed.settings
}

fn wrong(block: Value, node: Value, option: &str, value: &str) {
    let error = election(block, node).expect_err(option);
    assert_eq!(
        (error.option.as_str(), error.value.as_str()),
        (option, value)
    );
}

#[test]
fn nothing_configured_means_this_machine() {
    let settings = fine(json!(null), json!(null));
    assert_eq!(settings.key_prefix, "nodered:");
    assert_eq!(settings.timeout, Duration::from_secs(5));
    assert_eq!(settings.connection.describe(), "localhost:6379");
    assert_eq!(settings.standing, Standing::Candidate);
    let parsed = in_environment(json!(null), json!(null), &[("VALKEY_HOST", "h")]);
    assert_eq!(parsed.unwrap().settings.connection.describe(), "h:6379");
}

#[test]
fn the_block_serves_a_node_that_names_no_store() {
    let block = json!({
        "role": "worker", "keyPrefix": "plant", "timeout": 700, "host": "store", "db": 2,
        "password": "hunter2",
    });
    let settings = fine(block.clone(), json!(null));
    assert_eq!(settings.key_prefix, "plant:");
    assert_eq!(settings.timeout, Duration::from_millis(700));
    assert_eq!(settings.connection.describe(), "store:6379, database 2");
    assert!(settings.connection.password.is_some());
    let settings = fine(block, json!({"password": "other"}));
    assert_eq!(settings.connection.describe(), "store:6379, database 2");
    assert_eq!(settings.connection.password.unwrap().expose(), "other");
}

#[test]
fn a_node_that_names_a_store_gets_nothing_that_is_meant_for_another() {
    let block = json!({
        "role": "worker", "keyPrefix": "plant", "host": "store", "db": 2, "username": "u",
        "password": "hunter2", "tls": true, "connectTimeout": 77,
    });
    let variables = [("VALKEY_PASSWORD", "hunter2"), ("VALKEY_HOST", "elsewhere")];
    let parsed = in_environment(block, json!({"host": "other", "port": 7000}), &variables);
    let parsed = parsed.unwrap();
    assert_eq!(parsed.warnings, Vec::<String>::new());
    let settings = parsed.settings;
    assert_eq!(settings.key_prefix, "plant:");
    let connection = settings.connection;
    assert_eq!(connection.describe(), "other:7000");
    assert_eq!(connection.connect_timeout, Duration::from_millis(77));
    assert_eq!((connection.username, connection.password), (None, None));
}

#[test]
fn an_error_says_where_the_option_stands() {
    wrong(json!({"port": 70_000}), json!(null), "valkey.port", "70000");
    wrong(
        json!(null),
        json!({"host": "h", "port": "x"}),
        "valkey-config.port",
        "\"x\"",
    );
    wrong(
        json!(null),
        json!({"host": ""}),
        "valkey-config.host",
        "\"\"",
    );
    wrong(
        json!({"role": "boss"}),
        json!(null),
        "valkey.role",
        "\"boss\"",
    );
    wrong(json!("text"), json!(null), "valkey", "\"text\"");
    let list = json!({"sentinels": ["a:1"]});
    wrong(json!(null), list, "valkey-config.name", "missing");
    wrong(
        json!({"adminMayLead": "yes"}),
        json!(null),
        "valkey.adminMayLead",
        "\"yes\"",
    );
}

#[test]
fn an_admin_leads_as_the_option_says() {
    let cases = [
        (json!({}), Standing::Candidate),
        (json!({"role": "worker"}), Standing::Candidate),
        (
            json!({"role": "worker", "adminMayLead": false}),
            Standing::Candidate,
        ),
        (json!({"role": "admin"}), Standing::Reserve),
        (
            json!({"role": "admin", "adminMayLead": null}),
            Standing::Reserve,
        ),
        (
            json!({"role": "admin", "adminMayLead": "if-no-worker"}),
            Standing::Reserve,
        ),
        (
            json!({"role": "admin", "adminMayLead": true}),
            Standing::Candidate,
        ),
        (
            json!({"role": "admin", "adminMayLead": false}),
            Standing::Observer,
        ),
    ];
    for (block, standing) in cases {
        assert_eq!(
            fine(block.clone(), json!(null)).standing,
            standing,
            "{block}"
        );
    }
}

#[test]
fn the_option_is_checked_at_the_start_of_an_instance_too() {
    for value in [
        json!(null),
        json!(true),
        json!(false),
        json!("if-no-worker"),
    ] {
        good(json!({"role": "admin", "adminMayLead": value}));
    }
    refused(
        json!({"adminMayLead": "always"}),
        "adminMayLead",
        "\"always\"",
    );
    refused(json!({"adminMayLead": 1}), "adminMayLead", "1");
}

#[test]
fn a_lock_key_is_used_as_typed() {
    let key = |value: Value| parse_lock(&value, &json!(null), "plant:").map(|lock| lock.key);
    for default in [json!(null), json!(""), json!("nodered:leader")] {
        assert_eq!(key(default).as_deref(), Ok("plant:leader"));
    }
    for typed in [
        "backup-job",
        "nodered:leader2",
        " a b ",
        "{tag}x",
        "größe",
        "plant:leader",
    ] {
        assert_eq!(key(json!(typed)).as_deref(), Ok(typed));
    }
    let longest = "x".repeat(1024);
    assert_eq!(key(json!(longest)), Ok(longest));
    let wrong = [
        (json!(5), "5"),
        (json!(true), "true"),
        (json!(["a"]), "a list"),
        (json!({"$type": "function"}), "a function"),
        (json!("   "), "\"   \""),
        (json!("a\nb"), "\"a b\""),
        (json!("a\u{0}"), "\"a \""),
        (
            json!("é".repeat(513)),
            &format!("\"{}...\"", "é".repeat(40)),
        ),
    ];
    for (value, shown) in wrong {
        let error = key(value).expect_err(shown);
        assert_eq!(
            (error.option.as_str(), error.value.as_str()),
            ("lockKey", shown)
        );
    }
}

#[test]
fn a_ttl_is_a_number_of_seconds_also_as_text() {
    let ttl = |value: &Value| parse_lock(&json!("k"), value, "nodered:").map(|lock| lock.ttl);
    let right = [
        (json!(null), 10_000),
        (json!(""), 10_000),
        (json!(" "), 10_000),
        (json!(1), 1000),
        (json!(1.5), 1500),
        (json!("3"), 3000),
        (json!(" 2.25 "), 2250),
        (json!(86_400), 86_400_000),
        (json!("86400"), 86_400_000),
    ];
    for (value, milliseconds) in right {
        assert_eq!(
            ttl(&value),
            Ok(Duration::from_millis(milliseconds)),
            "{value}"
        );
    }
    let wrong = [
        (json!(0), "0"),
        (json!(0.999), "0.999"),
        (json!(-5), "-5"),
        (json!(86_401), "86401"),
        (json!(1e300), "1e+300"),
        (json!({"$type": "number", "text": "NaN"}), "NaN"),
        (json!({"$type": "number", "text": "Infinity"}), "Infinity"),
        (json!("NaN"), "\"NaN\""),
        (json!("inf"), "\"inf\""),
        (json!("ten"), "\"ten\""),
        (json!("10s"), "\"10s\""),
        (json!(true), "true"),
        (json!([10]), "a list"),
    ];
    for (value, shown) in wrong {
        let error = ttl(&value).expect_err(shown);
        assert_eq!(
            (error.option.as_str(), error.value.as_str()),
            ("lockTTL", shown)
        );
        assert_eq!(error.remedy, "give a number of seconds from 1 to 86400");
    }
}
