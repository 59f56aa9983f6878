//! Whatever is written, parsing ends in a result, and no message shows a secret.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{environment, parse, parse_connection};
use crate::config::{
    ADDRESS_OPTIONS, MONITORING_OPTIONS, NEAR_CACHE_OPTIONS, OPTIONS, TLS_OPTIONS, parse_context,
    parse_election, parse_lock,
};

const SECRET: &str = "hunter2";

/// Values near to what is meant, mixed with any text and number.
fn leaf() -> impl Strategy<Value = Value> {
    let typical = [
        json!("admin"),
        json!("redis://u:p@h:1/2?db=%"),
        json!("redis+sentinel://a,[::1]:5/g/1"),
        json!("unix:///s"),
        json!("::1"),
        json!("[::1]:6379"),
        json!({"$type": "function"}),
        json!({"$type": "buffer", "base64": "LS0tLS1CRUdJTiA="}),
        json!({"$type": "number", "text": "NaN"}),
        json!({"$type": 5}),
        json!("-----BEGIN CERTIFICATE-----\n"),
    ];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..70_000_i64).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[a-z+]{0,6}://[a-z:@/?#%\\[\\],&=0-9]{0,20}".prop_map(Value::from),
        prop::sample::select(typical.to_vec()),
    ]
}

/// Known names, mixed with any text.
fn name() -> impl Strategy<Value = String> {
    let tables = [
        OPTIONS,
        MONITORING_OPTIONS,
        NEAR_CACHE_OPTIONS,
        TLS_OPTIONS,
        ADDRESS_OPTIONS,
    ];
    let known: Vec<String> = tables
        .iter()
        .flat_map(|table| table.iter().map(|option| option.name.to_owned()))
        .collect();
    prop_oneof![8 => prop::sample::select(known), 1 => ".{0,12}"]
}

fn block() -> impl Strategy<Value = Value> {
    let value = leaf().prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(name(), inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    });
    btree_map(name(), value, 0..8).prop_map(|map| map.into_iter().collect())
}

proptest! {
    #[test]
    fn any_block_is_parsed_or_refused(mut block in block(), as_worker in any::<bool>()) {
        if as_worker {
            block["role"] = json!("worker");
        }
        if let Ok(parsed) = parse(&block.to_string(), &environment(&[])) {
            let config = parsed.config;
            prop_assert!(config.key_prefix.ends_with(':') && config.key_prefix.len() > 1);
            prop_assert!(config.monitoring.heartbeat_ttl > config.monitoring.heartbeat_interval);
            prop_assert!(config.connection.database >= 0);
            prop_assert!(!config.timeout.is_zero() && !config.session_ttl.is_zero());
        }
    }

    #[test]
    fn any_options_of_a_context_store_are_parsed_or_refused(
        mut block in block(),
        mut own in block(),
    ) {
        let password = format!("p@{SECRET}");
        block["password"] = json!(password);
        block["url"] = json!(format!("redis://:{SECRET}@h"));
        own["host"] = json!("elsewhere");
        let parsed = parse_context(&block.to_string(), &own.to_string(), &environment(&[]));
        if let Ok(parsed) = &parsed {
            let login = parsed.config.connection.password.as_ref().map(|secret| secret.expose());
            prop_assert!(login != Some(password.as_str()) && login != Some(SECRET));
            prop_assert!(parsed.config.context.max_pending_writes > 0);
        }
        let said = format!("{parsed:?}");
        prop_assert!(!said.contains(SECRET), "{said}");
    }

    #[test]
    fn any_options_of_a_leader_node_are_parsed_or_refused(
        mut block in block(),
        mut node in block(),
        key in leaf(),
        ttl in leaf(),
    ) {
        let password = format!("p@{SECRET}");
        block["password"] = json!(password);
        block["url"] = json!(format!("redis://:{SECRET}@h"));
        node["host"] = json!("elsewhere");
        let parsed = parse_election(&block.to_string(), &node.to_string(), &environment(&[]));
        if let Ok(parsed) = &parsed {
            let login = parsed.settings.connection.password.as_ref();
            let login = login.map(|secret| secret.expose());
            prop_assert!(login != Some(password.as_str()) && login != Some(SECRET));
        }
        let said = format!("{parsed:?}");
        prop_assert!(!said.contains(SECRET), "{said}");
        if let Ok(lock) = parse_lock(&key, &ttl, "p:") {
            prop_assert!(!lock.key.trim().is_empty() && lock.key.len() <= 1024);
            prop_assert!((1000..=86_400_000).contains(&lock.ttl.as_millis()));
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in ".{0,40}") {
        let lookup = |name: &str| (name == "VALKEY_URL").then(|| format!("valkey://{text}"));
        let _ = parse(&text, &lookup);
        let _ = parse_connection(&Value::Null, &lookup);
    }

    #[test]
    fn no_secret_is_shown(
        mut block in block(),
        before in "[a-z:@/?#%]{0,6}",
        after in "[a-z:@/?#%&=.0-9]{0,8}",
        path in "[a-z0-9:@/?#&=.]{0,8}",
    ) {
        let password = format!("{before}{SECRET}{after}");
        block["role"] = json!("worker");
        for option in ["password", "sentinelPassword", "passwrod"] {
            block[option] = json!(password);
        }
        block["url"] = json!(format!("redis://user:{password}@{path}"));
        block["tls"] = json!({"key": password, "passphrase": password});
        for end in ["host", "tls", "none"] {
            block.as_object_mut().map(|options| options.remove(end));
            let said = format!("{:?}", parse(&block.to_string(), &environment(&[])));
            prop_assert!(!said.contains(SECRET), "{said}");
        }
    }
}
