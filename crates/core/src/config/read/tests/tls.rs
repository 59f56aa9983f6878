//! `tls`, `sentinelTLS` and `enableTLSForSentinelMode`.

use serde_json::{Value, json};

use super::{good, refused, warned};
use crate::config::{TlsConfig, Topology, Verify};

const CA: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n";
const ENCRYPTED: &str =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nhunter2\n-----END ENCRYPTED PRIVATE KEY-----\n";
const ENCRYPTED_OLD: &str = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nhunter2\n-----END RSA PRIVATE KEY-----\n";

fn tls_of(value: Value) -> Option<TlsConfig> {
    good(json!({"tls": value})).connection.tls
}

#[test]
fn an_empty_object_and_true_mean_the_roots_of_the_system() {
    assert_eq!(tls_of(json!({})), Some(TlsConfig::default()));
    assert_eq!(tls_of(json!(true)), Some(TlsConfig::default()));
    assert_eq!(tls_of(json!(false)), None);
    assert_eq!(tls_of(json!(null)), None);
    assert_eq!(TlsConfig::default().verify, Verify::Full);
}

#[test]
fn every_option_is_read() {
    let tls = tls_of(json!({
        "ca": [CA, {"$type": "buffer", "base64": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkI="}],
        "cert": CA, "key": ENCRYPTED, "passphrase": "p", "servername": "s",
        "rejectUnauthorized": true,
    }))
    .expect("TLS");
    assert_eq!(
        tls.ca,
        Some(format!("{CA}\n-----BEGIN CERTIFICATE-----\nB").into_bytes())
    );
    assert_eq!(tls.cert, Some(CA.as_bytes().to_vec()));
    assert_eq!(tls.key.expect("a key").expose(), ENCRYPTED.as_bytes());
    assert_eq!(tls.passphrase.expect("a passphrase").expose(), "p");
    assert_eq!(tls.servername.as_deref(), Some("s"));
    assert_eq!(tls.verify, Verify::Full);
}

#[test]
fn unchecked_certificates_are_reported() {
    let config = warned(
        json!({"tls": {"rejectUnauthorized": false}}),
        &["tls.rejectUnauthorized"],
    );
    assert_eq!(config.connection.tls.expect("TLS").verify, Verify::None);
}

#[test]
fn wrong_values_are_refused() {
    let one_line = CA.replace('\n', "\\n");
    let cases = [
        (
            json!({"ca": "/etc/ssl/ca.pem"}),
            "tls.ca",
            "not what is needed",
        ),
        (json!({"ca": KEY}), "tls.ca", "not what is needed"),
        (json!({"ca": ""}), "tls.ca", "not what is needed"),
        (json!({"ca": []}), "tls.ca", "a list"),
        (json!({"ca": 1}), "tls.ca", "a number"),
        (json!({"ca": [CA, 1]}), "tls.ca", "a list"),
        (json!({"ca": one_line}), "tls.ca", "PEM in a single line"),
        (
            json!({"ca": {"$type": "buffer", "base64": "%"}}),
            "tls.ca",
            "a Buffer",
        ),
        (json!({"cert": CA}), "tls.key", "missing"),
        (json!({"key": KEY}), "tls.cert", "missing"),
        (
            json!({"cert": CA, "key": CA}),
            "tls.key",
            "not what is needed",
        ),
        (
            json!({"cert": CA, "key": "hunter2"}),
            "tls.key",
            "not what is needed",
        ),
        (
            json!({"cert": CA, "key": ENCRYPTED}),
            "tls.passphrase",
            "missing",
        ),
        (
            json!({"cert": CA, "key": ENCRYPTED_OLD}),
            "tls.passphrase",
            "missing",
        ),
        (json!({"servername": ""}), "tls.servername", r#""""#),
        (json!({"passphrase": {}}), "tls.passphrase", "an object"),
        (
            json!({"rejectUnauthorized": "false"}),
            "tls.rejectUnauthorized",
            r#""false""#,
        ),
    ];
    for (value, option, shown) in cases {
        refused(json!({"tls": value}), option, shown);
    }
}

#[test]
fn nested_names_are_reviewed() {
    warned(
        json!({"tls": {"serverName": "s"}}),
        &["tls.serverName", "servername?"],
    );
    warned(
        json!({"tls": {"checkServerIdentity": {"$type": "function"}}}),
        &["tls.checkServerIdentity"],
    );
    warned(json!({"tls": {"pfx": "x"}}), &["tls.pfx", "cert and key"]);
}

/// TLS to the servers and to the sentinels, and the number of warnings.
fn with_sentinels(options: Value) -> (Option<TlsConfig>, Option<TlsConfig>, usize) {
    let mut block = json!({"sentinels": ["s"], "name": "g"});
    for (name, value) in options.as_object().expect("an object") {
        block[name] = value.clone();
    }
    let parsed = super::parse_block(&block).unwrap_or_else(|error| panic!("{block}: {error}"));
    let Topology::Sentinel(sentinel) = parsed.config.connection.topology else {
        panic!("no sentinels in {block}");
    };
    (
        parsed.config.connection.tls,
        sentinel.tls,
        parsed.warnings.len(),
    )
}

#[test]
fn servers_and_sentinels_have_tls_of_their_own() {
    let system = || Some(TlsConfig::default());
    let named = |name: &str| {
        Some(TlsConfig {
            servername: Some(name.into()),
            ..TlsConfig::default()
        })
    };
    let servers = json!({"servername": "d"});
    let sentinels = json!({"servername": "s"});
    let cases = [
        (json!({}), (None, None, 0)),
        (json!({"tls": servers}), (named("d"), None, 0)),
        (
            json!({"tls": servers, "enableTLSForSentinelMode": true}),
            (named("d"), None, 0),
        ),
        (
            json!({"tls": servers, "enableTLSForSentinelMode": false}),
            (None, None, 1),
        ),
        (
            json!({"enableTLSForSentinelMode": true}),
            (system(), None, 0),
        ),
        (
            json!({"enableTLSForSentinelMode": true, "sentinelTLS": sentinels}),
            (named("s"), named("s"), 0),
        ),
        (json!({"sentinelTLS": sentinels}), (None, named("s"), 0)),
        (json!({"sentinelTLS": true}), (None, system(), 0)),
        (
            json!({"sentinelTLS": true, "tls": servers}),
            (named("d"), named("d"), 0),
        ),
        (
            json!({"sentinelTLS": sentinels, "tls": servers}),
            (named("d"), named("s"), 0),
        ),
        (
            json!({"sentinelTLS": false, "tls": servers}),
            (named("d"), None, 0),
        ),
        (
            json!({"tls": false, "enableTLSForSentinelMode": true}),
            (None, None, 0),
        ),
    ];
    for (options, expected) in cases {
        assert_eq!(with_sentinels(options.clone()), expected, "{options}");
    }
    let connection = good(json!({"url": "rediss+sentinel://s/g", "tls": servers})).connection;
    let Topology::Sentinel(sentinel) = connection.topology else {
        panic!("no sentinels")
    };
    assert_eq!((connection.tls, sentinel.tls), (named("d"), named("d")));
}

#[test]
fn tls_in_sentinel_mode_says_nothing_about_a_single_server() {
    assert_eq!(
        good(json!({"enableTLSForSentinelMode": true}))
            .connection
            .tls,
        None
    );
    let config = good(json!({"tls": true, "enableTLSForSentinelMode": false}));
    assert_eq!(config.connection.tls, Some(TlsConfig::default()));
}
