//! The three-way merge of two JSON objects that both stem from a third.
//!
//! Per key: whoever changed it relative to the base wins, and the saver over others where both did. The
//! result is in the saver's order, followed by what only others have, so that without a conflict it is
//! what the saver wrote.

use serde_json::value::RawValue;

use crate::error::Result;
use crate::object::{Object, same};

/// Merges what the saver has (`mine`) with what is stored (`theirs`); `base` is what the saver had last
/// read or saved. Values of the keys in `by_entry` are objects that are themselves merged entry by entry.
pub(super) fn merge(
    base: &Object,
    mine: &Object,
    theirs: &Object,
    by_entry: &[&str],
) -> Result<Object> {
    let mut merged = Object::default();
    let only_theirs = theirs.iter().filter(|(key, _)| mine.get(key).is_none());
    for (key, _) in mine.iter().chain(only_theirs) {
        let (base, mine, theirs) = (base.get(key), mine.get(key), theirs.get(key));
        let value = if by_entry.contains(&key) {
            merge_entries(base, mine, theirs)?
        } else {
            None
        };
        let value = value.or_else(|| winner(base, mine, theirs).map(RawValue::to_owned));
        if let Some(value) = value {
            merged.insert(key.to_owned(), value);
        }
    }
    Ok(merged)
}

fn winner<'value>(
    base: Option<&RawValue>,
    mine: Option<&'value RawValue>,
    theirs: Option<&'value RawValue>,
) -> Option<&'value RawValue> {
    if same(base, mine) { theirs } else { mine }
}

/// The entries of three objects merged. `None` where there is nothing to merge: one of them is no object,
/// or nothing is left.
fn merge_entries(
    base: Option<&RawValue>,
    mine: Option<&RawValue>,
    theirs: Option<&RawValue>,
) -> Result<Option<Box<RawValue>>> {
    let object = |value: Option<&RawValue>| match value {
        Some(value) => Object::parse(value.get()).ok(),
        None => Some(Object::default()),
    };
    let (Some(theirs), Some(mine_object)) = (object(theirs), object(mine)) else {
        return Ok(None);
    };
    let merged = merge(
        &object(base).unwrap_or_default(),
        &mine_object,
        &theirs,
        &[],
    )?;
    if merged.is_empty() {
        return Ok(None);
    }
    merged.to_raw().map(Some)
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;

    const BY_ENTRY: &[&str] = &["users"];

    fn merged(base: &str, mine: &str, theirs: &str) -> String {
        let object = |text| Object::parse(text).expect("a JSON object");
        merge(&object(base), &object(mine), &object(theirs), BY_ENTRY)
            .expect("a merge")
            .to_text()
    }

    #[test]
    fn each_side_keeps_what_it_changed() {
        assert_eq!(
            merged(
                r#"{"a":1,"b":1,"gone":1,"theirs":1}"#,
                r#"{"a":2,"b":1,"theirs":1,"new":{"x":[]}}"#,
                r#"{"a":1,"b":3,"gone":1,"added":0}"#
            ),
            r#"{"a":2,"b":3,"new":{"x":[]},"added":0}"#
        );
    }

    #[test]
    fn where_both_changed_a_section_the_saver_wins() {
        assert_eq!(
            merged(r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#),
            r#"{"a":2}"#
        );
        assert_eq!(merged(r#"{"a":1}"#, r#"{"a":2}"#, "{}"), r#"{"a":2}"#);
        assert_eq!(merged(r#"{"a":1}"#, "{}", r#"{"a":3}"#), "{}");
    }

    #[test]
    fn some_sections_are_merged_by_entry() {
        assert_eq!(
            merged(
                r#"{"users":{"ada":1}}"#,
                r#"{"users":{"ada":1,"bob":2}}"#,
                r#"{"users":{"ada":5,"eve":3}}"#
            ),
            r#"{"users":{"ada":5,"bob":2,"eve":3}}"#
        );
        assert_eq!(
            merged(
                r#"{"users":{"ada":1}}"#,
                "{}",
                r#"{"users":{"ada":1,"eve":3}}"#
            ),
            r#"{"users":{"eve":3}}"#
        );
        assert_eq!(
            merged(r#"{"users":{"ada":1}}"#, "{}", r#"{"users":{"ada":1}}"#),
            "{}"
        );
        assert_eq!(
            merged("{}", r#"{"users":{"bob":2}}"#, r#"{"users":[]}"#),
            r#"{"users":{"bob":2}}"#
        );
        assert_eq!(
            merged(r#"{"users":{}}"#, r#"{"users":{}}"#, r#"{"users":{}}"#),
            r#"{"users":{}}"#
        );
    }

    fn objects() -> impl Strategy<Value = String> {
        btree_map("[a-f]|users", "[0-9]|\\{\"x\":[0-9]\\}", 0..6).prop_map(|map| {
            let entries: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("\"{key}\":{value}"))
                .collect();
            format!("{{{}}}", entries.join(","))
        })
    }

    fn as_value(text: &str) -> serde_json::Value {
        serde_json::from_str(text).expect("JSON")
    }

    proptest! {
        #[test]
        fn without_changes_by_others_the_result_is_what_was_saved(base in objects(), mine in objects()) {
            prop_assert_eq!(merged(&base, &mine, &base), mine);
        }

        #[test]
        fn a_saver_that_changed_nothing_changes_nothing(base in objects(), theirs in objects()) {
            prop_assert_eq!(as_value(&merged(&base, &base, &theirs)), as_value(&theirs));
        }

        #[test]
        fn merging_twice_is_merging_once(base in objects(), mine in objects(), theirs in objects()) {
            let once = merged(&base, &mine, &theirs);
            prop_assert_eq!(as_value(&merged(&base, &mine, &once)), as_value(&once));
        }
    }
}
