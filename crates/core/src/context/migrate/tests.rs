use super::found::*;
use super::report::Outcome;
use super::*;
use crate::config;
use crate::keyspace::Scope;

fn keyspace(prefix: &str) -> Keyspace {
    let block = serde_json::json!({ "role": "admin", "keyPrefix": prefix }).to_string();
    Keyspace::new(&config::parse(&block, &|_| None).expect("a block").config)
}

fn property(place: Place, scope: &str, name: &str) -> Property {
    Property {
        place,
        scope: Scope::new(scope),
        name: name.to_owned(),
    }
}

#[test]
fn keys_with_the_prefix_once_and_twice_are_told_from_others() {
    let keyspace = keyspace("app:");
    for (key, place, scope, name) in [
        ("app:context:global:a", Place::Own, "global", "a"),
        ("app:context:flow:f:a:b", Place::Own, "f", "a:b"),
        ("app:context:node:n:f:a", Place::Own, "n:f", "a"),
        (
            "app:app:context:global:a",
            Place::PrefixTwice,
            "global",
            "a",
        ),
        ("app:app:context:node:n:f:a", Place::PrefixTwice, "n:f", "a"),
    ] {
        let expected = property(place, scope, name);
        assert_eq!(expected.found_under(&keyspace), key);
        assert_eq!(
            sort(key.as_bytes(), &keyspace),
            Sorted::Property(expected),
            "{key}"
        );
    }
    for key in [
        "app:flows",
        "app:context-names:global",
        "app:context-scopes",
        "app:app:app:context:global:a",
        "app:library:functions:context:global:a",
        "b:context:global:a",
        "b:app:context:global:a",
        "",
    ] {
        assert_eq!(sort(key.as_bytes(), &keyspace), Sorted::Foreign, "{key}");
    }
    for key in [
        b"app:context:global".as_slice(),
        b"app:context:other:x",
        b"app:app:context:node:n",
        b"app:context:global:\xff",
    ] {
        assert!(matches!(sort(key, &keyspace), Sorted::Left(_)), "{key:?}");
    }
}

#[test]
fn a_prefix_that_reads_like_context_is_no_riddle() {
    let keyspace = keyspace("context:");
    for expected in [
        property(Place::Own, "global", "a"),
        property(Place::PrefixTwice, "global", "a"),
        property(Place::PrefixTwice, "f", "context:global:a"),
    ] {
        let key = expected.found_under(&keyspace);
        assert_eq!(
            sort(key.as_bytes(), &keyspace),
            Sorted::Property(expected),
            "{key}"
        );
    }
}

#[test]
fn names_that_node_red_reads_as_one_property_are_known_by_their_characters() {
    for name in ["a", "$x_1", "0", "größe", "a:b", "a-b", "__proto__"] {
        assert_eq!(objection_to_name(name), None, "{name}");
    }
    for name in ["a[0]", "a[\"x", "a.b", "my key", "it's", "]"] {
        assert_eq!(objection_to_name(name), Some(Reason::Expression), "{name}");
    }
    assert!(matches!(objection_to_name(""), Some(Reason::Key(_))));
    assert_eq!(objection_to_name(&"x".repeat(1024)), None);
    assert!(matches!(
        objection_to_name(&"x".repeat(1025)),
        Some(Reason::Key(_))
    ));
}

#[test]
fn json_of_every_kind_is_in_order_and_nothing_else_is() {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    for value in [
        "null",
        " 1e999 ",
        "9007199254740993",
        r#""\ud800""#,
        r#"{"a":[]}"#,
        &deep,
        // printf '"zipped"' | gzip -n | base64 -w0
        "gzip:H4sIAAAAAAAAA1OqyiwoSE1RAgBqzZKxCAAAAA==",
    ] {
        assert_eq!(objection_to_value(value.into()), None, "{value}");
    }
    for value in [
        "",
        "undefined",
        "{\"a\":",
        "NaN",
        "gzip:",
        "[1] x",
        "\"\n\"",
    ] {
        assert!(
            matches!(objection_to_value(value.into()), Some(Reason::Value(_))),
            "{value}"
        );
    }
    assert!(objection_to_value(b"\"\xff\"".to_vec()).is_some());
}

#[test]
fn an_objection_to_a_value_does_not_show_it() {
    let Some(Reason::Value(why)) = objection_to_value(b"{\n s3cret }".to_vec()) else {
        panic!("it is not JSON");
    };
    assert!(why.contains("line 2, column 2"), "{why}");
    assert!(!why.contains("s3cret"), "{why}");
}

#[test]
fn what_is_known_is_not_read_again_unless_its_type_is_wrong() {
    let own = property(Place::Own, "global", "a b");
    let look = |known, found: Held| Look {
        known,
        own: found.clone(),
        found,
    };
    let in_order = Decision::Settled(Outcome::InOrder, None);
    assert_eq!(decide(&own, &look(true, Held::Text(1))), in_order);
    assert_eq!(decide(&own, &look(true, Held::Nothing)), Decision::Gone);
    for (known, found, reason) in [
        (
            true,
            Held::Other("list".into()),
            Reason::Type("list".into()),
        ),
        (false, Held::Text(1), Reason::Expression),
    ] {
        let left = Decision::Settled(Outcome::Left, Some(reason));
        assert_eq!(decide(&own, &look(known, found)), left);
    }
    let twice = property(Place::PrefixTwice, "global", "a");
    assert_eq!(decide(&twice, &look(true, Held::Text(1))), Decision::Read);
}

#[test]
fn only_what_is_asked_for_is_written_over() {
    let twice = property(Place::PrefixTwice, "global", "a");
    let foreseen = |own, same, conflicts| {
        let look = Look {
            known: false,
            own,
            found: Held::Text(1),
        };
        foresee(&twice, &look, same, conflicts)
    };
    let list = || Held::Other("list".to_owned());
    for conflicts in [Conflicts::Keep, Conflicts::Overwrite] {
        assert_eq!(foreseen(Held::Nothing, false, conflicts), Outcome::Moved);
        assert_eq!(foreseen(Held::Text(1), true, conflicts), Outcome::Dropped);
        assert_eq!(foreseen(list(), false, conflicts), Outcome::Conflict);
    }
    let other = |conflicts| foreseen(Held::Text(1), false, conflicts);
    assert_eq!(other(Conflicts::Keep), Outcome::Conflict);
    assert_eq!(other(Conflicts::Overwrite), Outcome::Replaced);
}

#[test]
fn a_step_of_the_server_is_bounded_and_a_large_value_goes_by_itself() {
    let found = property(Place::Own, "global", "a");
    let look = |bytes| Look {
        known: false,
        own: Held::Nothing,
        found: Held::Text(bytes),
    };
    let sizes = |sizes: &[usize]| {
        let looks: Vec<_> = sizes.iter().map(|bytes| (&found, look(*bytes))).collect();
        parts(&looks)
            .iter()
            .map(|part| part.len())
            .collect::<Vec<_>>()
    };
    assert_eq!(sizes(&[]), [0; 0]);
    assert_eq!(sizes(&[1, 2, 3]), [3]);
    assert_eq!(sizes(&[BATCH_BYTES, 1, 2 * BATCH_BYTES, 1]), [1, 1, 1, 1]);
    assert_eq!(sizes(&[BATCH_BYTES / 2, BATCH_BYTES / 2, 1]), [2, 1]);
}

#[test]
fn a_key_is_shown_without_what_a_terminal_acts_upon() {
    assert_eq!(shown("a\x1b[2J\né"), "a\\u{1b}[2J\\né");
}
