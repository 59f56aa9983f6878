//! `check`, `get`, `equal` and the length of strings.

use super::*;

#[test]
fn what_json_parse_takes_is_well_formed() {
    for text in [
        "null",
        " \t\r\n true \n",
        "-0",
        "0.5e-7",
        "1E+400",
        "9007199254740993",
        "\"\"",
        r#""\ud800 \udc00 \u0001 \" \\ \/ \b\f\n\r\t""#,
        "\"ä😀\u{7f}\u{2028}\"",
        "[]",
        "[ ]",
        "{ }",
        r#"{"a":1,"a":2,"":[{}]}"#,
        r#"{"__proto__":{"constructor":null}}"#,
    ] {
        assert_eq!(check(text), Ok(()), "{text}");
    }
}

#[test]
fn what_json_parse_refuses_is_damage_and_the_byte_is_named() {
    for (text, at) in [
        ("", 0),
        ("  ", 2),
        ("hello", 0),
        ("nul", 0),
        ("nulla", 4),
        ("01", 1),
        ("+1", 0),
        ("1.", 2),
        (".5", 0),
        ("1e", 2),
        ("-", 1),
        ("-inf", 1),
        ("NaN", 0),
        ("'a'", 0),
        ("\"a", 2),
        ("\"a\u{1}\"", 2),
        ("\"a\n\"", 2),
        (r#""\x""#, 1),
        (r#""\u12g4""#, 1),
        (r#""\u12"#, 1),
        ("[1,]", 3),
        ("[,1]", 1),
        ("[1 2]", 3),
        ("[1}", 2),
        ("[", 1),
        (r#"{"a"}"#, 4),
        (r#"{"a":}"#, 5),
        (r#"{"a":1,}"#, 7),
        ("{a:1}", 1),
        ("{} {}", 3),
        ("\u{feff}1", 0),
        ("\u{a0}1", 0),
    ] {
        let error = check(text).expect_err(text);
        assert_eq!(error.code(), Code::ValueDamaged, "{text}");
        assert!(
            error.message().ends_with(&format!("at byte {at}")),
            "{text}: {error}"
        );
    }
}

#[test]
fn a_value_is_found_by_its_path_and_keeps_its_spelling() {
    let text = r#" { "a" : [ 1.0e3 , { "x.y" : "\u0061" } ] , "1" : -0 , "" : null } "#;
    for (expression, expected) in [
        ("", Some(text.trim())),
        (".a[0]", Some("1.0e3")),
        (".a.0", Some("1.0e3")),
        (".a[1]['x.y']", Some(r#""\u0061""#)),
        ("[1]", Some("-0")),
        (".1", Some("-0")),
        (".a[2]", None),
        (".a.length", None),
        (".a[0].b", None),
        (".b", None),
        (".a['00']", None),
        (".__proto__", None),
        (".constructor", None),
    ] {
        assert_eq!(get(text, &path(expression)), Ok(expected), "{expression}");
    }
}

#[test]
fn of_equal_names_the_last_one_counts() {
    let text = r#"{"a":{"b":1,"b":2},"a":{"b":3,"c":4,"b":5},"d":0}"#;
    assert_eq!(get(text, &path(".a.b")), Ok(Some("5")));
    assert_eq!(
        get(r#"{"a":{"b":1},"a":{}}"#, &path(".a.b")),
        Ok(None),
        "an earlier value of the same name is no value"
    );
    assert_eq!(get(r#"{"a":{"b":1},"a":7}"#, &path(".a.b")), Ok(None));
}

#[test]
fn names_are_compared_by_what_they_stand_for() {
    let text = r#"{"\u0061":1,"\ud83d\ude00":2,"\/\"\\":3,"\ud83d":4,"\n":5}"#;
    let named = |name: &str| get(text, &[Segment::Name(name.to_owned())]).unwrap();
    assert_eq!(named("a"), Some("1"));
    assert_eq!(named("😀"), Some("2"));
    assert_eq!(named("/\"\\"), Some("3"));
    assert_eq!(named("\n"), Some("5"));
    assert_eq!(named(r"\u0061"), None);
    assert_eq!(named(r"\n"), None);
}

#[test]
fn damage_in_the_way_is_an_error_and_no_panic() {
    for text in [
        "",
        "hello",
        "{",
        "{\"a",
        "{\"a\\",
        "{\"a\":",
        "{\"a\":[",
        "{\"a\":[1,2",
        "{\"a\":1]",
        "{a:1}",
        "{\"a\" 1}",
        "{\"a\":1} x",
        "[{]",
        "{\"b\":[\"\\\\\\\"\\\\\\\"]",
        "{\"b\":[\"0123456789\\",
        "{\"b\":]]]]]]]]]]]]]",
        "é",
        "{\"b\":é}",
    ] {
        let error = get(text, &path(".a")).expect_err(text);
        assert_eq!(error.code(), Code::ValueDamaged, "{text}");
        assert!(set(Some(text), &path(".a"), "1").is_err(), "{text}");
        assert!(delete(text, &path(".a")).is_err(), "{text}");
        assert!(array_push(text, "1", None).is_err(), "{text}");
        assert!(equal(text, "{}").is_err(), "{text}");
        assert!(check(text).is_err(), "{text}");
    }
}

#[test]
fn brackets_and_quotes_inside_strings_do_not_count_wherever_they_stand() {
    // Every distance to the eight bytes that are looked at together.
    for padding in 0..20 {
        for inner in [
            r"]}[{",
            r"\\",
            r#"\""#,
            r#"\\\""#,
            r#"\"]\"}"#,
            "Y_y\u{7f}ûýÛÝ",
            r"\u005d",
        ] {
            let space = " ".repeat(padding);
            let text = format!(r#"{{"x":[{space}"{inner}",{{"{inner}":"{inner}"}}],"a":1}}"#);
            assert_eq!(check(&text), Ok(()), "{text}");
            assert_eq!(get(&text, &path(".a")), Ok(Some("1")), "{text}");
        }
    }
}

#[test]
fn equality_is_that_of_the_values() {
    for (one, other) in [
        ("1.0", "1"),
        ("-0", "0"),
        ("1e400", "2e400"),
        ("9007199254740993", "9007199254740992"),
        (r#""\u0061\ud83d\ude00""#, "\"a😀\""),
        (r#"{"a":1,"b":[2]}"#, r#" { "b" : [ 2 ] , "\u0061" : 1 } "#),
        (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
        (r#"{"a":2,"b":0,"a":1}"#, r#"{"b":0,"a":1}"#),
        (r#""\ud800""#, r#""\uD800""#),
    ] {
        assert_eq!(equal(one, other), Ok(true), "{one} {other}");
        assert_eq!(equal(other, one), Ok(true), "{other} {one}");
    }
    for (one, other) in [
        ("0", "false"),
        ("null", "0"),
        ("\"1\"", "1"),
        ("[]", "{}"),
        ("[1]", "[1,null]"),
        ("[1,2]", "[2,1]"),
        (r#"{"a":1}"#, r#"{"b":1}"#),
        (r#"{"a":1}"#, r#"{"a":1,"b":1}"#),
        (r#"{"a":1,"a":2}"#, r#"{"a":1}"#),
        (r#""\ud800""#, r#""\ud801""#),
        (r#""\ud800""#, "\"\u{fffd}\""),
    ] {
        assert_eq!(equal(one, other), Ok(false), "{one} {other}");
        assert_eq!(equal(other, one), Ok(false), "{other} {one}");
    }
}

#[test]
fn the_length_of_a_string_is_counted_as_javascript_does() {
    for (text, length) in [
        (r#""""#, 0),
        (r#""aé€😀""#, 5),
        (r#""\u0061\ud83d\ude00\n\"\\""#, 6),
        (r#""\ud800""#, 1),
        // A user's U+0001 in front is doubled in the text.
        (r#""\u0001\u0001a""#, 2),
        (r#""a\u0001\u0001""#, 3),
    ] {
        assert_eq!(utf16_length(text), Ok(length), "{text}");
    }
    assert!(utf16_length("1").is_err());
    assert!(utf16_length(r#""a" "b""#).is_err());
}

#[test]
fn tagged_strings_are_told_from_strings_of_users() {
    assert_eq!(tag(r#""\u0001Date:2026-01-01""#), Some(Tag::Date));
    assert_eq!(tag(r#""\u0001Buffer:AA==""#), Some(Tag::Buffer));
    for text in [
        r#""\u0001\u0001Date:x""#,
        r#""Date:x""#,
        r#""\\u0001Date:x""#,
        "1",
    ] {
        assert_eq!(tag(text), None, "{text}");
    }
}
