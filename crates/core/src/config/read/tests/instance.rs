//! Role, keys and channels, presence.

use std::time::Duration;

use serde_json::{Value, json};

use super::{environment, good, parse, refused, warned};
use crate::config::{
    Compression, InstallScripts, Monitoring, PackageSource, PackagesConfig, RestartPolicy, Role,
    Topology,
};

#[test]
fn defaults_are_those_of_the_contract() {
    let config = good(json!({"role": "admin"}));
    assert_eq!(config.role, Role::Admin);
    assert_eq!(config.key_prefix, "nodered:");
    assert_eq!(config.update_channel, "nodered:flows:updated");
    assert_eq!(config.package_channel, "nodered:packages:updated");
    assert_eq!(config.debug_channel, "nodered:debug");
    assert_eq!(
        config.packages,
        PackagesConfig {
            sync: true,
            source: PackageSource::Registry,
            restart: RestartPolicy::Exit,
            scripts: InstallScripts::Run,
        }
    );
    assert_eq!(config.compression, Compression::Off);
    assert_eq!(config.session_ttl, Duration::from_secs(86_400));
    assert_eq!(config.timeout, Duration::from_millis(5_000));
    assert_eq!(
        config.monitoring,
        Monitoring {
            enabled: true,
            heartbeat_interval: Duration::from_millis(10_000),
            heartbeat_ttl: Duration::from_millis(30_000),
        }
    );
    assert_eq!(config.connection.describe(), "localhost:6379");
}

#[test]
fn every_option_is_read() {
    let config = good(json!({
        "role": "worker", "keyPrefix": "plant", "updateChannel": "u", "packageChannel": "p",
        "debugChannel": "d", "syncPackages": false, "enableCompression": true, "sessionTTL": 60,
        "timeout": 100, "packageSource": "store", "restartPolicy": "manual", "ignoreScripts": true,
        "clusterMonitoring": {"enabled": false, "heartbeatInterval": 1000, "heartbeatTTL": 2000},
    }));
    assert_eq!(config.role, Role::Worker);
    assert_eq!(config.key_prefix, "plant:");
    assert_eq!(config.update_channel, "u");
    assert_eq!(config.package_channel, "p");
    assert_eq!(config.debug_channel, "d");
    assert_eq!(
        config.packages,
        PackagesConfig {
            sync: false,
            source: PackageSource::Store,
            restart: RestartPolicy::Manual,
            scripts: InstallScripts::Ignore,
        }
    );
    assert_eq!(config.compression, Compression::On);
    assert_eq!(config.session_ttl, Duration::from_secs(60));
    assert_eq!(config.timeout, Duration::from_millis(100));
    assert!(!config.monitoring.enabled);
    assert_eq!(config.monitoring.heartbeat_interval, Duration::from_secs(1));
    assert_eq!(config.monitoring.heartbeat_ttl, Duration::from_secs(2));
}

#[test]
fn a_role_is_required() {
    let cases = [
        ("null", "missing"),
        ("{}", "missing"),
        (r#"{"role":null}"#, "missing"),
        (r#"{"role":""}"#, r#""""#),
        (r#"{"role":"Admin"}"#, r#""Admin""#),
        (r#"{"role":"master"}"#, r#""master""#),
        (r#"{"role":1}"#, "1"),
        (r#"{"role":{"$type":"function"}}"#, "a function"),
    ];
    for (settings, value) in cases {
        let error = parse(settings, &environment(&[])).expect_err(settings);
        assert_eq!(
            (error.option.as_str(), error.value.as_str()),
            ("role", value),
            "{settings}"
        );
        assert!(
            error.remedy.contains("'admin' or 'worker'"),
            "{}",
            error.remedy
        );
    }
}

#[test]
fn only_an_object_is_a_block() {
    for settings in [
        "[]",
        "1",
        "\"redis://h\"",
        "true",
        r#"{"$type":"function"}"#,
        "{",
        "",
    ] {
        let error = parse(settings, &environment(&[])).expect_err(settings);
        assert_eq!(error.option, "valkey", "{settings}");
    }
}

#[test]
fn key_prefixes_are_checked() {
    for (given, prefix) in [("a", "a:"), ("a:", "a:"), ("a:b", "a:b:"), ("ü", "ü:")] {
        let config = good(json!({"keyPrefix": given}));
        assert_eq!(config.key_prefix, prefix);
        assert_eq!(config.update_channel, format!("{prefix}flows:updated"));
    }
    for given in ["{a}", "{a}:"] {
        let config = good(json!({"keyPrefix": given}));
        assert_eq!(config.key_prefix, "{a}:");
        assert_eq!(config.update_channel, "a:flows:updated");
    }
    good(json!({"keyPrefix": "x".repeat(200)}));
    for given in [
        "", " ", ":", "{}", "a b", "a\n", "{a", "a}", "{a}b", "{a}{b}", "a*", "a?", "[a", "a\\",
    ] {
        refused(
            json!({"keyPrefix": given}),
            "keyPrefix",
            &json!(given.replace('\n', " ")).to_string(),
        );
    }
    let shown = format!("\"{}...\"", "x".repeat(40));
    refused(json!({"keyPrefix": "x".repeat(201)}), "keyPrefix", &shown);
    refused(json!({"keyPrefix": 1}), "keyPrefix", "1");
}

#[test]
fn channels_are_checked_and_differ() {
    for name in ["updateChannel", "packageChannel", "debugChannel"] {
        refused(json!({name: ""}), name, r#""""#);
        refused(json!({name: "a b"}), name, r#""a b""#);
        refused(json!({name: "a*"}), name, r#""a*""#);
        refused(json!({name: true}), name, "true");
    }
    let same = "the same as updateChannel";
    refused(
        json!({"updateChannel": "a", "packageChannel": "a"}),
        "packageChannel",
        same,
    );
    refused(
        json!({"debugChannel": "nodered:flows:updated"}),
        "debugChannel",
        "the same as another channel",
    );
    refused(
        json!({"debugChannel": "nodered:packages:updated"}),
        "debugChannel",
        "the same as another channel",
    );
}

#[test]
fn booleans_are_no_texts_or_numbers() {
    for name in ["syncPackages", "enableCompression", "ignoreScripts"] {
        refused(json!({name: "false"}), name, r#""false""#);
        refused(json!({name: 0}), name, "0");
        refused(json!({name: {}}), name, "an object");
    }
}

#[test]
fn times_are_checked() {
    for name in ["sessionTTL", "timeout"] {
        good(json!({name: 1}));
        good(json!({name: 1.0}));
        good(json!({name: "2500"}));
        good(json!({name: i32::MAX}));
        let bad = [
            (json!(0), "0"),
            (json!(-1), "-1"),
            (json!(1.5), "1.5"),
            (json!(2_147_483_648_i64), "2147483648"),
            (json!("5s"), r#""5s""#),
            (json!(""), r#""""#),
            (json!(true), "true"),
            (json!({"$type": "number", "text": "NaN"}), "NaN"),
            (json!({"$type": "number", "text": "Infinity"}), "Infinity"),
        ];
        for (value, shown) in bad {
            refused(json!({name: value}), name, shown);
        }
    }
    assert_eq!(
        good(json!({"sessionTTL": "60"})).session_ttl,
        Duration::from_secs(60)
    );
}

#[test]
fn monitoring_is_checked() {
    let block = |monitoring: Value| json!({"clusterMonitoring": monitoring});
    assert!(!good(block(json!({"enabled": false}))).monitoring.enabled);
    for value in [json!(true), json!(false), json!([]), json!("on")] {
        let shown = match &value {
            Value::Array(_) => "a list".to_owned(),
            other => other.to_string(),
        };
        refused(block(value), "clusterMonitoring", &shown);
    }
    let interval = "clusterMonitoring.heartbeatInterval";
    let ttl = "clusterMonitoring.heartbeatTTL";
    refused(
        block(json!({"enabled": "yes"})),
        "clusterMonitoring.enabled",
        r#""yes""#,
    );
    refused(block(json!({"heartbeatInterval": 0})), interval, "0");
    refused(block(json!({"heartbeatTTL": -1})), ttl, "-1");
    refused(block(json!({"heartbeatTTL": 10_000})), ttl, "10000");
    let error = refused(block(json!({"heartbeatInterval": 40_000})), ttl, "30000");
    assert!(error.remedy.contains("40000"), "{}", error.remedy);
    good(block(json!({"heartbeatTTL": 20_000})));
    warned(
        block(json!({"heartbeatTTL": 19_999})),
        &["heartbeatTTL", "19999", "10000"],
    );
    warned(
        block(json!({"heartbeatTtl": 1})),
        &["clusterMonitoring.heartbeatTtl", "heartbeatTTL?"],
    );
}

#[test]
fn a_word_that_an_option_of_packages_does_not_know_is_refused_with_those_it_knows() {
    for (name, known) in [("packageSource", "'store'"), ("restartPolicy", "'manual'")] {
        let error = refused(json!({"role": "worker", name: "yes"}), name, r#""yes""#);
        assert!(error.remedy.contains(known), "{error}");
    }
}

#[test]
fn in_a_cluster_all_keys_lie_in_one_slot_and_channels_are_named_as_ever() {
    let config = good(json!({"cluster": ["h"], "keyPrefix": "plant"}));
    assert_eq!(config.key_prefix, "{plant}:");
    assert_eq!(config.update_channel, "plant:flows:updated");
    let Topology::Cluster(cluster) = &config.connection.topology else {
        panic!("a cluster");
    };
    assert_eq!(cluster.home, "{plant}:slot");
    let elsewhere = config.connection.for_slot_of("backup-job");
    assert_ne!(elsewhere, config.connection);
    assert_eq!(
        config.connection.for_slot_of("{plant}:x"),
        config.connection
    );
    let other = good(json!({"cluster": ["h"]}));
    assert_eq!(other.key_prefix, "{nodered}:");
}
