//! Addresses, logins and limits, from the block, a URL and the environment.

use std::time::Duration;

use serde_json::{Value, json};

use super::{connected, environment, good, parse_connection, refused, warned};
use crate::config::{Endpoint, Family, HostPort, Topology};

fn addresses(list: &[(&str, u16)]) -> Vec<HostPort> {
    list.iter()
        .map(|(host, port)| HostPort {
            host: (*host).to_owned(),
            port: *port,
        })
        .collect()
}

#[test]
fn every_option_is_read() {
    let connection = good(json!({
        "host": "h", "port": 7000, "username": "u", "password": "p", "db": 2, "family": 6,
        "connectTimeout": 100, "commandTimeout": 200, "keepAlive": 300, "connectionName": "n",
        "tls": true,
    }))
    .connection;
    assert_eq!(connection.describe(), "h:7000, database 2, TLS");
    assert_eq!(connection.username.as_deref(), Some("u"));
    assert_eq!(
        connection.password.as_ref().map(|secret| secret.expose()),
        Some("p")
    );
    assert_eq!(connection.database, 2);
    assert_eq!(connection.family, Family::V6);
    assert_eq!(connection.connect_timeout, Duration::from_millis(100));
    assert_eq!(connection.command_timeout, Some(Duration::from_millis(200)));
    assert_eq!(connection.keep_alive, Some(Duration::from_millis(300)));
    assert_eq!(connection.connection_name.as_deref(), Some("n"));
}

#[test]
fn defaults_of_a_connection() {
    let connection =
        good(json!({"keepAlive": 0, "password": "", "username": "", "connectionName": ""}))
            .connection;
    assert_eq!(connection.connect_timeout, Duration::from_secs(10));
    assert_eq!(connection.command_timeout, None);
    assert_eq!(connection.keep_alive, None);
    assert_eq!(connection.password, None);
    assert_eq!(connection.username, None);
    assert_eq!(connection.connection_name, None);
    assert_eq!(connection.family, Family::Any);
    assert_eq!(connection.database, 0);
    assert_eq!(connection.tls, None);
}

#[test]
fn places_are_described() {
    let cases = [
        (json!({"host": "10.0.0.5"}), "10.0.0.5:6379"),
        (json!({"host": "[::1]", "port": "7"}), "[::1]:7"),
        (
            json!({"path": "/run/v.sock", "db": 1}),
            "unix socket /run/v.sock, database 1",
        ),
        (
            json!({"cluster": [{"host": "a"}, {"host": "b", "port": 7}], "tls": {}}),
            "cluster a:6379, b:7, TLS",
        ),
        (
            json!({"sentinels": [{"host": "a"}, "b:7"], "name": "g", "db": "3"}),
            "group g of sentinels a:26379, b:7, database 3",
        ),
        (json!({"url": "rediss://u:p@h:7/2"}), "h:7, database 2, TLS"),
        (
            json!({"url": "unix:///run/v.sock"}),
            "unix socket /run/v.sock",
        ),
        (
            json!({"url": "valkey+sentinel://a,b:7/g/3"}),
            "group g of sentinels a:26379, b:7, database 3",
        ),
    ];
    for (block, described) in cases {
        assert_eq!(
            good(block.clone()).connection.describe(),
            described,
            "{block}"
        );
    }
}

#[test]
fn wrong_values_are_refused() {
    let cases = [
        ("port", json!(0), "0"),
        ("port", json!(65_536), "65536"),
        ("port", json!(-1), "-1"),
        ("port", json!(1.5), "1.5"),
        ("port", json!("6379x"), r#""6379x""#),
        ("port", json!([6379]), "a list"),
        ("db", json!(-1), "-1"),
        ("db", json!("two"), r#""two""#),
        ("host", json!(""), r#""""#),
        ("host", json!(5), "5"),
        ("host", json!("h:6379"), r#""h:6379""#),
        (
            "host",
            json!("redis://:p@h"),
            "a string (hidden, it may hold a password)",
        ),
        ("path", json!(""), r#""""#),
        ("url", json!(6379), "6379"),
        (
            "url",
            json!("h:6379"),
            "a string (hidden, it may hold a password)",
        ),
        ("url", json!("redis://:hunter2@h:port"), "redis://***"),
        ("url", json!("redis://h/first"), "redis://***"),
        (
            "url",
            json!("redis+sentinel://h:0/g"),
            "redis+sentinel://***",
        ),
        ("family", json!(5), "5"),
        ("family", json!("ip"), r#""ip""#),
        ("password", json!(true), "a boolean"),
        ("password", json!({"$type": "function"}), "a function"),
        ("username", json!(["u"]), "a list"),
        ("connectTimeout", json!(0), "0"),
        ("commandTimeout", json!(0), "0"),
        ("keepAlive", json!(-1), "-1"),
        ("connectionName", json!("a b"), r#""a b""#),
        ("sentinels", json!({}), "an object"),
        ("sentinels", json!([]), "a list"),
        ("cluster", json!(true), "true"),
        ("cluster", json!([]), "a list"),
        ("enableTLSForSentinelMode", json!("true"), r#""true""#),
        ("sentinelTLS", json!("yes"), r#""yes""#),
        ("tls", json!(1), "1"),
    ];
    for (option, value, shown) in cases {
        refused(json!({option: value}), option, shown);
    }
}

#[test]
fn addresses_in_lists_are_checked() {
    let cases = [
        (json!({}), "sentinels[1].host", "missing"),
        (json!({"host": ""}), "sentinels[1].host", r#""""#),
        (json!({"host": "b", "port": 0}), "sentinels[1].port", "0"),
        (json!(26379), "sentinels[1]", "26379"),
        (json!("b:port"), "sentinels[1]", r#""b:port""#),
        (json!("b:0"), "sentinels[1]", r#""b:0""#),
        (
            json!("u:hunter2@b"),
            "sentinels[1]",
            "a string (hidden, it may hold a password)",
        ),
        (json!(null), "sentinels[1]", "missing"),
    ];
    for (address, option, shown) in cases {
        refused(
            json!({"sentinels": [{"host": "a"}, address], "name": "g"}),
            option,
            shown,
        );
    }
    warned(
        json!({"cluster": [{"host": "a", "prot": 1}]}),
        &["cluster[0].prot", "port?"],
    );
    good(json!({"cluster": [{"host": "a", "port": "7", "family": 4}]}));
}

#[test]
fn contradictions_are_refused() {
    let sentinels = json!([{"host": "s"}]);
    let cluster = json!([{"host": "c"}]);
    refused(json!({"path": "/s", "host": "h"}), "path", r#""/s""#);
    refused(json!({"path": "/s", "cluster": cluster}), "path", r#""/s""#);
    refused(
        json!({"path": "/s", "sentinels": sentinels, "name": "g"}),
        "path",
        r#""/s""#,
    );
    refused(
        json!({"cluster": cluster, "sentinels": sentinels, "name": "g"}),
        "cluster",
        "a list",
    );
    refused(json!({"sentinels": sentinels}), "name", "missing");
    refused(json!({"url": "redis+sentinel://s"}), "name", "missing");
    refused(json!({"cluster": cluster, "db": 1}), "db", "1");
    refused(json!({"cluster": cluster, "url": "redis://h/1"}), "db", "1");
    refused(
        json!({"path": "/s", "tls": true}),
        "tls",
        "given with a unix socket",
    );
    good(json!({"cluster": cluster, "db": 0}));
}

#[test]
fn options_that_lead_nowhere_are_reported() {
    let sentinels = json!([{"host": "s"}]);
    warned(
        json!({"sentinels": sentinels, "name": "g", "host": "h"}),
        &["host", "sentinels"],
    );
    warned(
        json!({"cluster": sentinels, "port": 1}),
        &["port", "cluster"],
    );
    warned(json!({"path": "/s", "port": 1}), &["port", "path"]);
    warned(json!({"name": "g"}), &["name", "sentinels"]);
    warned(
        json!({"sentinelPassword": "hunter2"}),
        &["sentinelPassword"],
    );
    warned(json!({"sentinelUsername": "u"}), &["sentinelUsername"]);
    warned(json!({"sentinelTLS": true}), &["sentinelTLS"]);
    warned(json!({"username": "u"}), &["username", "password"]);
}

#[test]
fn a_password_may_be_a_number() {
    let connection = warned(json!({"password": 1234567}), &["password", "quotes"]).connection;
    assert_eq!(connection.password.expect("a password").expose(), "1234567");
}

#[test]
fn options_win_over_the_url() {
    let url = "rediss://u:p@h:7/2";
    let cases = [
        (json!({}), "h:7, database 2, TLS"),
        (json!({"host": "other"}), "other:7, database 2, TLS"),
        (json!({"port": 8}), "h:8, database 2, TLS"),
        (json!({"db": 0}), "h:7, TLS"),
        (json!({"tls": false}), "h:7, database 2"),
        (
            json!({"tls": false, "path": "/s"}),
            "unix socket /s, database 2",
        ),
        (
            json!({"sentinels": ["s"], "name": "g"}),
            "group g of sentinels s:26379, database 2, TLS",
        ),
    ];
    for (mut block, described) in cases {
        block["url"] = json!(url);
        let connection = good(block.clone()).connection;
        assert_eq!(connection.describe(), described, "{block}");
        assert_eq!(connection.username.as_deref(), Some("u"));
    }
    let connection = good(json!({"url": url, "password": "q"})).connection;
    assert_eq!(connection.password.expect("a password").expose(), "q");
    let sentinel = json!({"url": "redis+sentinel://s/g", "name": "other"});
    assert_eq!(
        good(sentinel).connection.describe(),
        "group other of sentinels s:26379"
    );
}

#[test]
fn sentinels_have_a_login_of_their_own() {
    let config = good(json!({
        "sentinels": [{"host": "a", "port": 1}], "name": "g", "password": "p",
        "sentinelUsername": "su", "sentinelPassword": "sp",
    }));
    let Topology::Sentinel(sentinel) = config.connection.topology else {
        panic!("no sentinels")
    };
    assert_eq!(sentinel.sentinels, addresses(&[("a", 1)]));
    assert_eq!(sentinel.group, "g");
    assert_eq!(sentinel.username.as_deref(), Some("su"));
    assert_eq!(sentinel.password.expect("a password").expose(), "sp");
    assert_eq!(sentinel.tls, None);
}

#[test]
fn the_environment_fills_in_for_a_silent_block() {
    let variables = [
        ("REDIS_URL", "redis://u:p@r:7/2"),
        ("REDIS_DB", "3"),
        ("VALKEY_HOST", "v"),
    ];
    for block in [
        json!(null),
        json!({}),
        json!({"tls": null, "keyPrefix": "x"}),
        json!({"password": ""}),
    ] {
        let (connection, warnings) = connected(block, &variables);
        assert_eq!(connection.describe(), "v:7, database 3");
        assert_eq!(connection.username.as_deref(), Some("u"));
        assert_eq!(warnings, Vec::<String>::new());
    }
    let (connection, _) = connected(json!({"tls": true, "connectTimeout": 5}), &variables);
    assert_eq!(connection.describe(), "v:7, database 3, TLS");
    assert_eq!(connection.connect_timeout, Duration::from_millis(5));
    let (connection, _) = connected(
        json!({}),
        &[("REDIS_PASSWORD", "0123"), ("REDIS_USERNAME", "u")],
    );
    assert_eq!(connection.password.expect("a password").expose(), "0123");
    assert_eq!(
        connection.topology,
        Topology::Standalone(Endpoint::Tcp(addresses(&[("localhost", 6379)])[0].clone()))
    );
}

#[test]
fn the_environment_is_silent_beside_a_configured_block() {
    let variables = [
        ("REDIS_HOST", "r"),
        ("REDIS_PASSWORD", "hunter2"),
        ("VALKEY_PORT", "0"),
    ];
    let blocks = [
        json!({"host": "h"}),
        json!({"url": "redis://h"}),
        json!({"cluster": ["h"]}),
        json!({"path": "/h"}),
        json!({"sentinels": ["h"], "name": "g"}),
    ];
    for block in blocks {
        let (connection, warnings) = connected(block, &variables);
        assert!(connection.describe().contains('h'));
        assert_eq!(connection.password, None);
        assert_eq!(warnings, Vec::<String>::new());
    }
    let (connection, warnings) = connected(json!({"password": "p"}), &variables);
    assert_eq!(connection.describe(), "localhost:6379");
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("REDIS_HOST"), "{}", warnings[0]);
}

#[test]
fn a_wrong_variable_is_named() {
    let cases = [
        ("REDIS_PORT", "abc", r#""abc""#),
        ("VALKEY_DB", "-1", r#""-1""#),
        (
            "REDIS_HOST",
            "redis://:p@h",
            "a string (hidden, it may hold a password)",
        ),
        (
            "REDIS_URL",
            "http://h",
            "a string (hidden, it may hold a password)",
        ),
        ("VALKEY_URL", "valkey://:p@h:0", "valkey://***"),
    ];
    for (variable, text, shown) in cases {
        let error =
            parse_connection(&Value::Null, &environment(&[(variable, text)])).expect_err(variable);
        assert_eq!(
            (error.option.as_str(), error.value.as_str()),
            (variable, shown)
        );
    }
}
