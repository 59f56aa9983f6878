//! Every operation on the root and below it, on what it works on and on what it does not.

use super::*;
use crate::context::path::Path;

fn run(operation: Operation, root: Option<&str>, expression: &str) -> Result<Applied> {
    let path = Path::parse(&format!("root{expression}")).expect(expression);
    apply(&operation, root, path.rest())
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn written(text: &str) -> Change {
    Change::Write(text.to_owned())
}

/// The text that is written and the result.
fn outcome(operation: Operation, root: Option<&str>, expression: &str) -> (String, String) {
    match run(operation, root, expression) {
        Ok(Applied {
            root: Change::Write(text),
            result,
        }) => (text, result.unwrap_or_default()),
        other => panic!("{root:?} {expression}: {other:?}"),
    }
}

fn refusal(operation: Operation, root: Option<&str>, expression: &str) -> String {
    let error = run(operation, root, expression).expect_err(expression);
    assert_eq!(error.code(), Code::ValueInvalid, "{error}");
    error.message().to_owned()
}

fn append(value: &str) -> Operation {
    Operation::Append {
        value: value.to_owned(),
        limit: None,
    }
}

fn compare_and_set(expected: Option<&str>, value: Option<&str>) -> Operation {
    Operation::CompareAndSet {
        expected: expected.map(str::to_owned),
        value: value.map(str::to_owned),
    }
}

#[test]
fn a_value_is_set_and_deleted() {
    let set = |root, expression| run(Operation::Set("1".to_owned()), root, expression).unwrap();
    assert_eq!(set(None, "").root, written("1"));
    assert_eq!(set(Some("{}"), "").root, written("1"));
    assert_eq!(set(None, ".a").root, written("{\"a\":1}"));
    assert_eq!(
        set(Some("5"), ".a").root,
        Change::Keep(Some(Why::BelowScalar(Kind::Number)))
    );
    let delete = |root, expression| run(Operation::Delete, root, expression).unwrap();
    assert_eq!(delete(None, "").root, Change::Keep(None));
    assert_eq!(delete(None, ".a").root, Change::Keep(None));
    assert_eq!(delete(Some("5"), "").root, Change::Remove);
    assert_eq!(delete(Some("5"), ".a").root, Change::Keep(None));
    assert_eq!(delete(Some("{\"a\":1}"), ".a").root, written("{}"));
    assert_eq!(delete(Some("{}"), "").result, None);
}

#[test]
fn a_text_that_is_written_has_no_stamp_behind_it() {
    let stamped = "{\"a\":1} \t \t\t ";
    let (text, _) = outcome(Operation::Increment(1.0), Some(stamped), ".a");
    assert_eq!(text, "{\"a\":2}");
    let old = run(Operation::GetAndSet(None), Some(stamped), "").unwrap();
    assert_eq!(old.result.as_deref(), Some("{\"a\":1}"));
    assert_eq!(old.root, Change::Remove);
}

#[test]
fn a_number_is_incremented_as_javascript_adds_and_prints() {
    for (root, by, expected) in [
        (None, 1.0, "1"),
        (Some("1"), 2.0, "3"),
        (Some("0.1"), 0.2, "0.30000000000000004"),
        (Some("1e21"), 0.0, "1e+21"),
        (Some("999999999999999900000"), 1e5, "1e+21"),
        (Some("-0"), -0.0, "0"),
        (Some("-1"), 1.0, "0"),
        (Some("9007199254740992"), 1.0, "9007199254740992"),
        (Some("5e-324"), 0.0, "5e-324"),
        (Some("1.50"), 1.0, "2.5"),
        (Some("0.0000001"), 0.0, "1e-7"),
    ] {
        assert_eq!(
            outcome(Operation::Increment(by), root, ""),
            (expected.to_owned(), expected.to_owned()),
            "{root:?} {by}"
        );
    }
    assert_eq!(
        outcome(Operation::Increment(1.0), Some("{\"n\":[1.0, 2]}"), ".n[1]"),
        ("{\"n\":[1.0, 3]}".to_owned(), "3".to_owned())
    );
    assert_eq!(
        outcome(Operation::Increment(2.5), None, ".n[1]"),
        ("{\"n\":[null,2.5]}".to_owned(), "2.5".to_owned())
    );
}

#[test]
fn what_is_no_number_is_not_incremented() {
    for (root, there) in [
        ("null", "null"),
        ("true", "a boolean"),
        ("\"1\"", "a string"),
        ("[]", "an array"),
        ("{}", "an object"),
        ("\"\\u0001Date:x\"", "a Date"),
        ("\"\\u0001Buffer:\"", "a Buffer"),
    ] {
        assert_eq!(
            refusal(Operation::Increment(1.0), Some(root), ""),
            format!("increment needs a number, and {there} is there")
        );
    }
    for (root, by) in [("1e308", 1e308), ("1", f64::NAN), ("1e400", 1.0)] {
        refusal(Operation::Increment(by), Some(root), "");
    }
    assert_eq!(
        refusal(Operation::Increment(1.0), Some("{\"a\":5}"), ".a.b"),
        "the value cannot be set: the place is below a number, which holds no properties"
    );
    refusal(Operation::Increment(1.0), Some("[]"), ".a");
}

#[test]
fn something_is_appended_to_an_array_or_a_string() {
    for (root, value, expected, length) in [
        (None, "\"a\"", "[\"a\"]", "1"),
        (Some("[1]"), "[2]", "[1,[2]]", "2"),
        (Some("\"a\""), "\"😀\"", "\"a😀\"", "3"),
        (Some("[]"), "\"\\u0001Date:x\"", "[\"\\u0001Date:x\"]", "1"),
    ] {
        assert_eq!(
            outcome(append(value), root, ""),
            (expected.to_owned(), length.to_owned())
        );
    }
    let limited = Operation::Append {
        value: "4".to_owned(),
        limit: Some(2),
    };
    assert_eq!(
        outcome(limited, Some("{\"a\":[1,2,3]}"), ".a"),
        ("{\"a\":[3,4]}".to_owned(), "2".to_owned())
    );
}

#[test]
fn nothing_is_appended_to_anything_else() {
    for (root, value, message) in [
        (
            "1",
            "1",
            "append needs an array or a string, and a number is there",
        ),
        (
            "null",
            "1",
            "append needs an array or a string, and null is there",
        ),
        (
            "\"\\u0001Date:x\"",
            "\"a\"",
            "append needs an array or a string, and a Date is there",
        ),
        (
            "\"a\"",
            "1",
            "append to a string needs a string, and a number was given",
        ),
        (
            "\"a\"",
            "\"\\u0001Buffer:\"",
            "append to a string needs a string, and a Buffer was given",
        ),
    ] {
        assert_eq!(refusal(append(value), Some(root), ""), message);
    }
    refusal(append("1"), Some("{\"a\":5}"), ".a.b");
}

#[test]
fn a_value_is_replaced_only_if_it_is_the_expected_one() {
    let outcome = |expected, value, root, expression| {
        let applied = run(compare_and_set(expected, value), root, expression).unwrap();
        (applied.root, applied.result.unwrap())
    };
    let yes = "true".to_owned();
    let no = (Change::Keep(None), "false".to_owned());
    assert_eq!(
        outcome(Some("1.0"), Some("2"), Some("1"), ""),
        (written("2"), yes.clone())
    );
    assert_eq!(outcome(Some("3"), Some("2"), Some("1"), ""), no);
    assert_eq!(
        outcome(None, Some("2"), None, ""),
        (written("2"), yes.clone())
    );
    assert_eq!(outcome(None, Some("2"), Some("null"), ""), no);
    assert_eq!(outcome(Some("null"), Some("2"), None, ""), no);
    assert_eq!(
        outcome(Some("1"), None, Some("1"), ""),
        (Change::Remove, yes.clone())
    );
    assert_eq!(
        outcome(None, None, None, ""),
        (Change::Keep(None), yes.clone())
    );
    assert_eq!(
        outcome(
            Some("{\"y\":[],\"x\":1}"),
            Some("2"),
            Some("{\"a\":{\"x\":1,\"y\":[ ]}}"),
            ".a"
        ),
        (written("{\"a\":2}"), yes.clone())
    );
    assert_eq!(
        outcome(None, Some("2"), Some("{}"), ".a"),
        (written("{\"a\":2}"), yes)
    );
    refusal(compare_and_set(None, Some("1")), Some("5"), ".a");
}

#[test]
fn a_value_is_exchanged_for_another() {
    let outcome = |value: Option<&str>, root, expression| {
        let operation = Operation::GetAndSet(value.map(str::to_owned));
        let applied = run(operation, root, expression).unwrap();
        (applied.root, applied.result)
    };
    assert_eq!(outcome(Some("1"), None, ""), (written("1"), None));
    assert_eq!(
        outcome(Some("1"), Some("{\"a\": \"x\" }"), ".a"),
        (written("{\"a\": 1 }"), some("\"x\""))
    );
    assert_eq!(
        outcome(None, Some("{\"a\":1}"), ".a"),
        (written("{}"), some("1"))
    );
    assert_eq!(outcome(None, Some("5"), ""), (Change::Remove, some("5")));
    assert_eq!(outcome(None, Some("5"), ".a"), (Change::Keep(None), None));
    refusal(Operation::GetAndSet(some("1")), Some("5"), ".a");
}

#[test]
fn a_value_is_deleted_only_if_it_is_the_expected_one() {
    let outcome = |expected: Option<&str>, root, expression| {
        let operation = Operation::DeleteIf(expected.map(str::to_owned));
        let applied = run(operation, root, expression).unwrap();
        (applied.root, applied.result.unwrap())
    };
    assert_eq!(
        outcome(Some("1"), Some("1.0"), ""),
        (Change::Remove, "true".to_owned())
    );
    assert_eq!(
        outcome(Some("2"), Some("1"), ""),
        (Change::Keep(None), "false".to_owned())
    );
    assert_eq!(
        outcome(Some("2"), Some("[1,2]"), "[1]"),
        (written("[1]"), "true".to_owned())
    );
    assert_eq!(
        outcome(None, Some("{}"), ".a"),
        (Change::Keep(None), "true".to_owned())
    );
}

#[test]
fn a_damaged_root_is_an_error_unless_it_is_overwritten() {
    for operation in [
        Operation::Increment(1.0),
        append("1"),
        compare_and_set(Some("1"), Some("2")),
        Operation::GetAndSet(some("1")),
        Operation::DeleteIf(some("1")),
    ] {
        let error = run(operation, Some("hello"), "").unwrap_err();
        assert_eq!(error.code(), Code::ValueDamaged, "{error}");
        assert!(!error.message().contains("hello"), "{error}");
    }
    for operation in [Operation::Set("1".to_owned()), Operation::Delete] {
        let error = run(operation.clone(), Some("hello"), ".a").unwrap_err();
        assert_eq!(error.code(), Code::ValueDamaged, "{error}");
        assert!(run(operation, Some("hello"), "").is_ok());
    }
}
