//! The shared context: its options, and a context store's own options over the block.

use std::time::Duration;

use serde_json::{Value, json};

use super::{environment, good, refused, warned};
use crate::config::{
    Compression, ConfigError, ContextConfig, NearCache, OfflineReads, ParsedContext, parse_context,
};

fn context(block: Value, overrides: Value) -> Result<ParsedContext, ConfigError> {
    in_environment(block, overrides, &[])
}

fn in_environment(
    block: Value,
    overrides: Value,
    variables: &[(&'static str, &'static str)],
) -> Result<ParsedContext, ConfigError> {
    let lookup = environment(variables);
    parse_context(&block.to_string(), &overrides.to_string(), &lookup)
}

/// Settings that must be right and give no warning.
fn fine(block: Value, overrides: Value) -> crate::config::ContextSettings {
    let parsed = context(block, overrides).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(parsed.warnings, Vec::<String>::new());
    parsed.config
}

fn wrong(block: Value, overrides: Value, option: &str) -> ConfigError {
    let error = context(block, overrides).expect_err(option);
    assert_eq!(error.option, option, "{error}");
    error
}

#[test]
fn defaults() {
    let expected = ContextConfig {
        near_cache: NearCache {
            enabled: true,
            max_bytes: 67_108_864,
            max_age: Duration::from_secs(60),
        },
        offline_reads: OfflineReads::Fail,
        max_value_bytes: 67_108_864,
        max_pending_writes: 100_000,
        max_pending_bytes: 268_435_456,
    };
    assert_eq!(good(json!({})).context, expected);
    let settings = fine(json!(null), json!(null));
    assert_eq!(settings.context, expected);
    assert_eq!(settings.key_prefix, "nodered:");
    assert_eq!(settings.compression, Compression::Off);
    assert_eq!(settings.timeout, Duration::from_secs(5));
    assert_eq!(settings.connection.describe(), "localhost:6379");
}

#[test]
fn every_option_is_read() {
    let options = json!({
        "nearCache": {"enabled": false, "maxBytes": 1000, "maxAge": 2000},
        "offlineReads": "last-known", "maxValueBytes": 3000, "maxPendingWrites": 4000,
        "maxPendingBytes": "5000",
    });
    let expected = ContextConfig {
        near_cache: NearCache {
            enabled: false,
            max_bytes: 1000,
            max_age: Duration::from_secs(2),
        },
        offline_reads: OfflineReads::LastKnown,
        max_value_bytes: 3000,
        max_pending_writes: 4000,
        max_pending_bytes: 5000,
    };
    assert_eq!(good(options.clone()).context, expected);
    assert_eq!(fine(options.clone(), json!(null)).context, expected);
    assert_eq!(fine(json!(null), options).context, expected);
}

#[test]
fn the_near_cache_is_an_object_or_a_word() {
    for (value, enabled) in [
        (json!(false), false),
        (json!(true), true),
        (json!({}), true),
        (json!({"enabled": false}), false),
    ] {
        let config = good(json!({"nearCache": value})).context;
        assert_eq!(config.near_cache.enabled, enabled, "{value}");
        assert_eq!(config.near_cache.max_bytes, 67_108_864);
    }
    for (value, shown) in [
        (json!("off"), r#""off""#),
        (json!(0), "0"),
        (json!([]), "a list"),
    ] {
        refused(json!({"nearCache": value}), "nearCache", shown);
    }
}

#[test]
fn sizes_and_times_are_checked() {
    let nested = |name: &str, value: Value| json!({"nearCache": {name: value}});
    for value in [json!(0), json!(-1), json!(1.5), json!(2_i64.pow(41))] {
        let shown = value.to_string();
        for name in ["maxBytes", "maxAge"] {
            let option = format!("nearCache.{name}");
            refused(nested(name, value.clone()), &option, &shown);
        }
        for name in ["maxValueBytes", "maxPendingWrites", "maxPendingBytes"] {
            refused(json!({name: value.clone()}), name, &shown);
        }
    }
    refused(
        json!({"maxValueBytes": 536_870_913}),
        "maxValueBytes",
        "536870913",
    );
    refused(
        nested("enabled", json!("no")),
        "nearCache.enabled",
        r#""no""#,
    );
    warned(
        nested("maxbytes", json!(1)),
        &["nearCache.maxbytes", "maxBytes?"],
    );
    warned(
        json!({"maxPendingBytes": 1000}),
        &["maxPendingBytes", "1000", "67108864"],
    );
}

#[test]
fn what_to_do_offline_is_one_of_two_words() {
    assert_eq!(
        good(json!({"offlineReads": "fail"})).context.offline_reads,
        OfflineReads::Fail
    );
    for word in [OfflineReads::Fail, OfflineReads::LastKnown] {
        let config = good(json!({"offlineReads": word.as_str()}));
        assert_eq!(config.context.offline_reads, word);
    }
    refused(
        json!({"offlineReads": "lastKnown"}),
        "offlineReads",
        r#""lastKnown""#,
    );
    refused(json!({"offlineReads": true}), "offlineReads", "true");
}

#[test]
fn a_context_store_finds_the_block_and_its_own_options_win() {
    let block = json!({
        "role": "worker", "host": "h", "keyPrefix": "plant", "timeout": 100,
        "enableCompression": true, "maxValueBytes": 1000,
        "nearCache": {"maxBytes": 5, "maxAge": 6},
    });
    let settings = fine(block.clone(), json!({}));
    assert_eq!(settings.key_prefix, "plant:");
    assert_eq!(settings.compression, Compression::On);
    assert_eq!(settings.timeout, Duration::from_millis(100));
    assert_eq!(settings.connection.describe(), "h:6379");

    let own = json!({
        "keyPrefix": "other", "timeout": 200, "enableCompression": false, "nearCache": {"maxAge": 7},
        "settings": {"userDir": "/data"},
    });
    let settings = fine(block.clone(), own);
    assert_eq!(settings.key_prefix, "other:");
    assert_eq!(settings.compression, Compression::Off);
    assert_eq!(settings.timeout, Duration::from_millis(200));
    assert_eq!(settings.context.max_value_bytes, 1000);
    assert_eq!(settings.context.near_cache.max_bytes, 5);
    assert_eq!(
        settings.context.near_cache.max_age,
        Duration::from_millis(7)
    );
    assert!(settings.context.near_cache.enabled);
    let off = fine(block, json!({"nearCache": false}));
    assert!(!off.context.near_cache.enabled);
}

#[test]
fn parts_of_the_connection_are_laid_over_the_block() {
    let block = json!({"host": "h", "port": 7, "password": "p", "db": 1, "connectTimeout": 50});
    let connection = fine(block, json!({"db": 2, "username": "u"})).connection;
    assert_eq!(connection.describe(), "h:7, database 2");
    assert_eq!(connection.username.as_deref(), Some("u"));
    let password = connection.password.as_ref().map(|secret| secret.expose());
    assert_eq!(password, Some("p"));
    assert_eq!(connection.connect_timeout, Duration::from_millis(50));
}

#[test]
fn nothing_of_the_blocks_server_goes_to_another_address() {
    let block = json!({
        "url": "rediss://user:hunter2@h:7/3", "connectTimeout": 50, "connectionName": "n",
        "keepAlive": 60, "tls": {"servername": "h"},
    });
    let addresses = [
        (json!({"url": "redis://other"}), "other:6379"),
        (json!({"host": "other"}), "other:6379"),
        (json!({"port": 8}), "localhost:8"),
        (json!({"path": "/run/v.sock"}), "unix socket /run/v.sock"),
        (
            json!({"sentinels": ["s"], "name": "g"}),
            "group g of sentinels s:26379",
        ),
        (json!({"cluster": ["c"]}), "cluster c:6379"),
    ];
    for (own, place) in addresses {
        let connection = fine(block.clone(), own).connection;
        assert_eq!(connection.describe(), place);
        assert_eq!(connection.username, None, "{place}");
        assert_eq!(connection.password, None, "{place}");
        // How this process likes to connect holds everywhere.
        assert_eq!(connection.connect_timeout, Duration::from_millis(50));
        assert_eq!(connection.connection_name.as_deref(), Some("n"));
    }
    let own = json!({"host": "other", "password": "own", "tls": true, "db": 1});
    let connection = fine(block, own).connection;
    assert_eq!(connection.describe(), "other:6379, database 1, TLS");
    let password = connection.password.as_ref().map(|secret| secret.expose());
    assert_eq!(password, Some("own"));
}

#[test]
fn the_environment_speaks_where_both_are_silent() {
    let variables = [("VALKEY_URL", "valkey://:p@e:7")];
    let described = |block, own| {
        let parsed = in_environment(block, own, &variables).expect("right");
        (parsed.config.connection.describe(), parsed.warnings.len())
    };
    assert_eq!(described(json!(null), json!(null)), ("e:7".to_owned(), 0));
    let quiet = (
        json!({"role": "admin", "timeout": 5}),
        json!({"connectTimeout": 5}),
    );
    assert_eq!(described(quiet.0, quiet.1), ("e:7".to_owned(), 0));
    let other = (json!({}), json!({"host": "h"}));
    assert_eq!(described(other.0, other.1), ("h:6379".to_owned(), 0));
    // A login in the block is for the address beside it.
    let login = (json!({"password": "p"}), json!({}));
    assert_eq!(
        described(login.0, login.1),
        ("localhost:6379".to_owned(), 1)
    );
}

#[test]
fn errors_say_in_which_place_the_option_stands() {
    wrong(json!({"port": 0}), json!(null), "valkey.port");
    wrong(
        json!(null),
        json!({"port": 0}),
        "contextStorage config.port",
    );
    wrong(
        json!({"nearCache": {"maxAge": 0}}),
        json!({}),
        "valkey.nearCache.maxAge",
    );
    wrong(
        json!({}),
        json!({"nearCache": {"maxAge": 0}}),
        "contextStorage config.nearCache.maxAge",
    );
    // Also where another option wins over it.
    wrong(
        json!({"keyPrefix": "a{b}"}),
        json!({"keyPrefix": "a"}),
        "valkey.keyPrefix",
    );
    wrong(json!([]), json!({}), "valkey");
    wrong(json!({}), json!(1), "contextStorage config");
    // Two options that do not go together, by the one that was written in the store's own options.
    wrong(
        json!({"cluster": ["c"]}),
        json!({"db": 3}),
        "contextStorage config.db",
    );
    wrong(
        json!({"db": 3}),
        json!({"sentinels": ["s"]}),
        "contextStorage config.name",
    );
    let lookup = environment(&[]);
    let error = parse_context("{}", "{", &lookup).expect_err("no JSON");
    assert_eq!(error.option, "contextStorage config");
}

#[test]
fn slips_are_reported_in_either_place() {
    let parsed = context(json!({"hosts": "h"}), json!({"prot": 1})).expect("right");
    assert_eq!(
        parsed.warnings,
        [
            "unknown option hosts is not used: did you mean host?",
            "unknown option contextStorage config.prot is not used: did you mean port?",
        ]
    );
}

#[test]
fn a_role_is_not_needed_and_not_looked_at() {
    for role in [json!("worker"), json!("nobody"), json!(null)] {
        fine(json!({"role": role}), json!({"role": role}));
    }
}
