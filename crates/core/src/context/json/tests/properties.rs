//! Random values and paths, compared with a model that works on values.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

/// Few names, so that paths meet them; some look like indexes or need escapes.
const NAMES: [&str; 9] = [
    "a",
    "b",
    "0",
    "1",
    "01",
    "x.y",
    "\"\\\n",
    "ä😀",
    "__proto__",
];

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(&NAMES[..]).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec!["]}", "{[", "\"", "\\", "\\\""]).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..5)
                .prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

fn segments() -> impl Strategy<Value = Vec<Segment>> {
    let segment = prop_oneof![
        name().prop_map(Segment::Name),
        (0..6_u32).prop_map(Segment::Index),
    ];
    prop::collection::vec(segment, 1..5)
}

/// A text of the value with whitespace and escapes drawn from `odd`.
fn spelled(value: &Value, odd: &[u8]) -> String {
    let mut odd = odd.iter().copied().cycle();
    let mut text = String::new();
    let mut in_string = false;
    let mut escaped = false;
    for character in value.to_string().chars() {
        let chance = odd.next().unwrap_or(0);
        if in_string {
            let plain = !escaped && character != '"' && character != '\\';
            if plain && chance % 4 == 0 {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    text.push_str(&format!("\\u{unit:04X}"));
                }
                continue;
            }
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
            text.push(character);
            continue;
        }
        in_string = character == '"';
        let structural = "{}[]:,".contains(character);
        if structural && chance % 3 == 0 {
            text.push_str([" ", "\n", "\t\r"][usize::from(chance % 7 % 3)]);
        }
        text.push(character);
        if structural && chance % 5 == 0 {
            text.push(' ');
        }
    }
    text
}

fn parsed(text: &str) -> Value {
    assert_eq!(check(text), Ok(()), "{text}");
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What the model finds one step into a value.
fn child<'value>(value: &'value mut Value, segment: &Segment) -> Option<&'value mut Value> {
    match value {
        Value::Object(members) => members.get_mut(&*segment.name()),
        Value::Array(elements) => elements.get_mut(segment.index()? as usize),
        _ => None,
    }
}

fn find<'value>(value: &'value mut Value, path: &[Segment]) -> Option<&'value mut Value> {
    path.iter().try_fold(value, child)
}

/// Sets as Node-RED does; whether anything was set.
fn model_set(value: &mut Value, path: &[Segment], new: &Value) -> bool {
    let [segment, rest @ ..] = path else {
        *value = new.clone();
        return true;
    };
    if child(value, segment).is_none() {
        let created = match rest.first() {
            None | Some(Segment::Name(_)) => json!({}),
            Some(Segment::Index(_)) => json!([]),
        };
        match value {
            Value::Object(members) => {
                members.insert(segment.name().into_owned(), created);
            }
            Value::Array(elements) => match segment.index() {
                Some(index) => {
                    elements.resize(index as usize, Value::Null);
                    elements.push(created);
                }
                None => return false,
            },
            _ => return false,
        }
    }
    child(value, segment).is_some_and(|child| model_set(child, rest, new))
}

/// Deletes as Node-RED does.
fn model_delete(value: &mut Value, path: &[Segment]) {
    let Some((last, parents)) = path.split_last() else {
        return;
    };
    match (find(value, parents), last) {
        (Some(Value::Object(members)), _) => {
            members.remove(&*last.name());
        }
        (Some(Value::Array(elements)), Segment::Index(index)) => {
            let index = *index as usize;
            elements.drain(index.min(elements.len())..(index + 1).min(elements.len()));
        }
        (Some(array @ Value::Array(_)), Segment::Name(_)) => {
            if let Some(element) = child(array, last) {
                *element = Value::Null;
            }
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn get_finds_what_the_model_finds(mut value in value(), path in segments(), odd in any::<[u8; 32]>()) {
        let text = spelled(&value, &odd);
        prop_assert_eq!(&parsed(&text), &value);
        let found = get(&text, &path).unwrap().map(parsed);
        prop_assert_eq!(found, find(&mut value, &path).cloned());
    }

    #[test]
    fn set_does_what_the_model_does(
        value in value(), path in segments(), new in value(), odd in any::<[u8; 32]>()
    ) {
        let text = spelled(&value, &odd);
        let mut expected = value.clone();
        let is_set = model_set(&mut expected, &path, &new);
        match set(Some(&text), &path, &new.to_string()).unwrap() {
            Edit::Text(text) => {
                prop_assert!(is_set);
                prop_assert_eq!(parsed(&text), expected);
                prop_assert_eq!(get(&text, &path).unwrap().map(parsed), Some(new));
            }
            Edit::Unchanged(_) => prop_assert!(!is_set),
        }
    }

    #[test]
    fn delete_does_what_the_model_does(value in value(), path in segments(), odd in any::<[u8; 32]>()) {
        let text = spelled(&value, &odd);
        let mut expected = value.clone();
        model_delete(&mut expected, &path);
        match delete(&text, &path).unwrap() {
            Edit::Text(text) => prop_assert_eq!(parsed(&text), expected),
            Edit::Unchanged(_) => prop_assert_eq!(value, expected),
        }
    }

    #[test]
    fn equal_says_what_the_model_says(
        one in value(), other in value(), odd in any::<[u8; 32]>(), odder in any::<[u8; 32]>()
    ) {
        prop_assert_eq!(equal(&spelled(&one, &odd), &spelled(&one, &odder)), Ok(true));
        prop_assert_eq!(equal(&spelled(&one, &odd), &spelled(&other, &odder)), Ok(one == other));
    }

    #[test]
    fn pushing_keeps_the_last_elements(
        elements in prop::collection::vec(value(), 0..6), new in value(),
        limit in prop::option::of(0..8_usize), odd in any::<[u8; 32]>()
    ) {
        let text = spelled(&Value::from(elements.clone()), &odd);
        let mut expected = elements;
        expected.push(new.clone());
        expected.drain(..expected.len().saturating_sub(limit.unwrap_or(usize::MAX)));
        let (pushed, length) = array_push(&text, &new.to_string(), limit).unwrap();
        prop_assert_eq!(length, expected.len());
        prop_assert_eq!(parsed(&pushed), Value::from(expected));
    }

    #[test]
    fn strings_are_joined_and_counted(one: String, other: String) {
        prop_assume!(!one.starts_with('\u{1}') && !other.starts_with('\u{1}'));
        let (first, second) = (json!(one).to_string(), json!(other).to_string());
        let joined = concatenate(&first, &second).unwrap();
        let expected = one + &other;
        prop_assert_eq!(utf16_length(&joined), Ok(expected.encode_utf16().count()));
        prop_assert_eq!(parsed(&joined), Value::from(expected));
    }

    #[test]
    fn quoting_says_what_serde_says(text: String) {
        let mut quoted = String::new();
        quote(&text, &mut quoted);
        prop_assert_eq!(parsed(&quoted), Value::from(text));
    }

    #[test]
    fn no_text_makes_anything_panic(text in r#"[\[\]{}":,\\ua0-9é \ntrue]{0,40}"#, path in segments()) {
        let well_formed = check(&text).is_ok();
        prop_assert_eq!(well_formed, serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok());
        let _ = (get(&text, &path), delete(&text, &path), array_push(&text, "1", Some(1)));
        let _ = (equal(&text, "[]"), utf16_length(&text), kind(&text));
        if let (Ok(Edit::Text(changed)), true) = (set(Some(&text), &path, "1"), well_formed) {
            prop_assert_eq!(check(&changed), Ok(()));
        }
    }
}
