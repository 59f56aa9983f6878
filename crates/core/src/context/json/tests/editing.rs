//! `set`, `delete` and `array_push`.

use super::*;

#[test]
fn what_is_not_addressed_keeps_every_byte() {
    let text = " { \"n\" : [ 9007199254740993 , 1e21,-0 , 5E-324 ] ,\t\"s\":\"\\ud800\\u0061\" , \"a\" : {\"b\":0} } ";
    assert_eq!(
        after(set(Some(text), &path(".a.b"), "[]")),
        text.replace("\"b\":0", "\"b\":[]")
    );
    assert_eq!(
        after(set(Some(text), &path(".n[2]"), "7")),
        text.replace("-0", "7")
    );
    assert_eq!(
        after(set(Some(text), &path(".new"), "1")),
        text.replace("{\"b\":0}", "{\"b\":0},\"new\":1")
    );
    assert_eq!(
        after(delete(text, &path(".a.b"))),
        text.replace("\"b\":0", "")
    );
    assert_eq!(
        after(delete(text, &path(".n[1]"))),
        text.replace(" , 1e21", "")
    );
}

#[test]
fn what_is_missing_on_the_way_is_created() {
    for (text, expression, expected) in [
        (None, ".a", r#"{"a":1}"#),
        (None, "[0]", "[1]"),
        (None, "[2].a", r#"[null,null,{"a":1}]"#),
        (None, ".a.0", r#"{"a":{"0":1}}"#),
        (None, ".a.0.b", r#"{"a":[{"b":1}]}"#),
        (Some("{}"), ".a[1]['x.y']", r#"{"a":[null,{"x.y":1}]}"#),
        (Some("{ }"), ".a", r#"{"a":1 }"#),
        (Some("{}"), "['\"\\\n']", r#"{"\"\\\n":1}"#),
        (Some("[]"), "[0]", "[1]"),
        (Some("[ ]"), "[1]", "[null,1 ]"),
        (Some("[0]"), "[1]", "[0,1]"),
        (Some("[0]"), "[3]", "[0,null,null,1]"),
        (Some("[0]"), ".1", "[0,1]"),
        (Some("[0]"), "['1'].a", r#"[0,{"a":1}]"#),
        (Some("{}"), "[7]", r#"{"7":1}"#),
        (Some(r#"{"7":0}"#), "[7]", r#"{"7":1}"#),
        (Some("5"), "", "1"),
        (Some("{}"), ".__proto__.x", r#"{"__proto__":{"x":1}}"#),
        (
            Some("{}"),
            ".constructor.prototype",
            r#"{"constructor":{"prototype":1}}"#,
        ),
    ] {
        assert_eq!(
            after(set(text, &path(expression), "1")),
            expected,
            "{text:?} {expression}"
        );
    }
}

#[test]
fn nothing_is_set_below_a_scalar_or_as_a_named_property_of_an_array() {
    for (text, expression, expected) in [
        ("5", ".a", Why::BelowScalar(Kind::Number)),
        ("null", ".a", Why::BelowScalar(Kind::Null)),
        ("\"abc\"", "[0]", Why::BelowScalar(Kind::String)),
        (r#"{"a":true}"#, ".a.b.c", Why::BelowScalar(Kind::Boolean)),
        ("[null]", "[0].a", Why::BelowScalar(Kind::Null)),
        ("[]", ".a", Why::NamedPropertyOfArray),
        ("[]", "['01']", Why::NamedPropertyOfArray),
        ("[]", ".length", Why::NamedPropertyOfArray),
        ("[]", "[4294967295]", Why::NamedPropertyOfArray),
        (r#"{"a":[[1]]}"#, ".a[0].b.c", Why::NamedPropertyOfArray),
        (r#"{"a":{},"a":1}"#, ".a.b", Why::BelowScalar(Kind::Number)),
    ] {
        assert_eq!(
            reason(set(Some(text), &path(expression), "1")),
            expected,
            "{text} {expression}"
        );
    }
}

#[test]
fn an_index_far_behind_the_end_is_refused_before_anything_is_allocated() {
    for (text, expression) in [
        (None, "[4000000000]"),
        (None, ".a[1000001]"),
        (Some("[]"), "[4294967294]"),
        (Some("[]"), "['4294967294'].b"),
        (Some("{}"), ".a[600000][600000]"),
    ] {
        let error = set(text, &path(expression), "1").expect_err(expression);
        assert_eq!(error.code(), Code::InvalidRequest, "{expression}");
    }
    assert!(set(None, &path("[1000000]"), "1").is_ok());
    assert_eq!(
        after(set(Some("{}"), &path("[4294967294]"), "1")),
        r#"{"4294967294":1}"#,
        "on an object it is a name"
    );
    assert_eq!(reason(delete("[]", &path("[4294967294]"))), Why::Missing);
}

#[test]
fn setting_changes_the_last_of_equal_names_and_deleting_removes_all() {
    let text = r#"{"a":1,"b":2,"\u0061":3}"#;
    assert_eq!(
        after(set(Some(text), &path(".a"), "4")),
        r#"{"a":1,"b":2,"\u0061":4}"#
    );
    assert_eq!(after(delete(text, &path(".a"))), r#"{"b":2}"#);
    assert_eq!(after(delete(r#"{"a":1,"a":2}"#, &path(".a"))), "{}");
    assert_eq!(
        after(delete(
            r#"{"a":1,"a":2,"b":3,"a":4,"a":5,"c":6,"a":7}"#,
            &path(".a")
        )),
        r#"{"b":3,"c":6}"#
    );
}

#[test]
fn deleting_an_index_moves_the_rest_up_and_a_name_leaves_null() {
    for (text, expression, expected) in [
        ("[1,2,3]", "[0]", "[2,3]"),
        ("[1,2,3]", "[1]", "[1,3]"),
        ("[1,2,3]", "[2]", "[1,2]"),
        ("[ 1 ]", "[0]", "[  ]"),
        ("[1,2,3]", ".1", "[1,null,3]"),
        ("[1,2,3]", "['2']", "[1,2,null]"),
        (r#"[{"a":1}]"#, "[0].a", "[{}]"),
        (r#"{"1":1,"2":2}"#, "[1]", r#"{"2":2}"#),
    ] {
        assert_eq!(
            after(delete(text, &path(expression))),
            expected,
            "{text} {expression}"
        );
    }
    for (text, expression, expected) in [
        ("[1]", "[1]", Why::Missing),
        ("[1]", ".1", Why::Missing),
        ("[null]", ".0", Why::Missing),
        ("[1]", ".a", Why::NamedPropertyOfArray),
        ("{}", ".a", Why::Missing),
        ("{}", ".a.b", Why::Missing),
        ("5", ".a", Why::BelowScalar(Kind::Number)),
        ("5", "", Why::Missing),
    ] {
        assert_eq!(
            reason(delete(text, &path(expression))),
            expected,
            "{text} {expression}"
        );
    }
}

#[test]
fn an_array_keeps_its_last_elements() {
    for (text, limit, expected, length) in [
        ("[]", None, "[9]", 1),
        (" [ ] ", None, " [9 ] ", 1),
        ("[1, 2]", None, "[1, 2,9]", 3),
        ("[1, 2]", Some(5), "[1, 2,9]", 3),
        ("[1, 2]", Some(3), "[1, 2,9]", 3),
        ("[ 1, 2 ]", Some(2), "[2,9 ]", 2),
        ("[1,2,3,4]", Some(2), "[4,9]", 2),
        ("[1,2]", Some(1), "[9]", 1),
        ("[1,2]", Some(0), "[]", 0),
    ] {
        assert_eq!(
            array_push(text, "9", limit),
            Ok((expected.to_owned(), length)),
            "{text} {limit:?}"
        );
    }
    for text in ["{}", "1", "[1", "[1] 2"] {
        assert!(array_push(text, "9", None).is_err(), "{text}");
    }
}

#[test]
fn strings_are_joined_as_javascript_joins_them() {
    for (first, second, expected) in [
        (r#""a""#, r#""b""#, r#""ab""#),
        (r#""""#, r#""\n""#, r#""\n""#),
        // Halves of a character that meet.
        (r#""\ud83d""#, r#""\ude00""#, r#""\ud83d\ude00""#),
        // A user's U+0001 is doubled where it stands first, and only there.
        (r#""a""#, r#""\u0001\u0001b""#, r#""a\u0001b""#),
        (r#""""#, r#""\u0001\u0001b""#, r#""\u0001\u0001b""#),
        (r#""\u0001\u0001""#, r#""b""#, r#""\u0001\u0001b""#),
    ] {
        assert_eq!(
            concatenate(first, second),
            Ok(expected.to_owned()),
            "{first} {second}"
        );
    }
}

#[test]
fn depth_costs_no_stack() {
    const DEPTH: usize = 10_000;
    let arrays = format!("{}1{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
    let objects = format!("{}1{}", "{\"a\":".repeat(DEPTH), "}".repeat(DEPTH));
    let by_index = vec![Segment::Index(0); DEPTH];
    let by_name = vec![Segment::Name("a".to_owned()); DEPTH];
    for (text, path) in [(&arrays, &by_index), (&objects, &by_name)] {
        assert_eq!(check(text), Ok(()));
        assert_eq!(get(text, path), Ok(Some("1")));
        let changed = after(set(Some(text), path, "2"));
        assert_eq!(changed, text.replace('1', "2"));
        assert_eq!(after(set(None, path, "1")), **text);
        assert_eq!(after(delete(text, path)), {
            let emptied = text.replace('1', "");
            emptied.replace("\"a\":}", "}")
        });
        assert_eq!(equal(text, &changed), Ok(false));
        assert_eq!(equal(text, &format!("{text} ")), Ok(true));
    }
}
