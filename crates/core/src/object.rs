//! A JSON object whose keys keep their order and whose values keep their very text: numbers, nesting and
//! odd strings come out as they went in.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{Code, Error, Result};

/// A JSON object of raw values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Object {
    entries: Vec<(String, Box<RawValue>)>,
    positions: HashMap<String, usize>,
}

impl Object {
    /// Reads a JSON object. Of a key that stands there twice the last value counts, as in JavaScript.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn parse(text: &str) -> std::result::Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&RawValue> {
        self.positions
            .get(key)
            .map(|position| self.entries[*position].1.as_ref())
    }

    pub(crate) fn insert(&mut self, key: String, value: Box<RawValue>) {
        if let Some(position) = self.positions.get(&key) {
            self.entries[*position].1 = value;
        } else {
            self.positions.insert(key.clone(), self.entries.len());
            self.entries.push((key, value));
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.entries
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_ref()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The JSON text, without spaces between the entries.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::from("{");
        for (key, value) in self.iter() {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&quoted(key));
            text.push(':');
            text.push_str(value.get());
        }
        text.push('}');
        text
    }

    /// The same as a value inside another object.
    ///
    /// # Errors
    /// `Internal`, which would be a fault of this module.
    pub(crate) fn to_raw(&self) -> Result<Box<RawValue>> {
        RawValue::from_string(self.to_text())
            .map_err(|error| Error::new(Code::Internal, error.to_string()))
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Object, A::Error> {
                let mut object = Object::default();
                while let Some((key, value)) = map.next_entry()? {
                    object.insert(key, value);
                }
                Ok(object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// A JSON string.
pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Whether two values mean the same, also where they are written differently (spaces, key order).
pub(crate) fn same(one: Option<&RawValue>, other: Option<&RawValue>) -> bool {
    let parsed = |value: &RawValue| serde_json::from_str::<Value>(value.get()).ok();
    match (one, other) {
        (Some(one), Some(other)) => {
            one.get() == other.get() || {
                let value = parsed(one);
                value.is_some() && value == parsed(other)
            }
        }
        (one, other) => one.is_none() && other.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_numbers_and_odd_strings_come_back_as_they_were() {
        for text in [
            "{}",
            r#"{"z":1,"a":{"n":9007199254740993,"e":1e21,"f":0.10}}"#,
            r#"{"half":"\ud800","é\n\"":[[]],"__proto__":{"x":1}}"#,
        ] {
            assert_eq!(Object::parse(text).unwrap().to_text(), text);
        }
    }

    #[test]
    fn the_last_value_of_a_key_counts() {
        let object = Object::parse(r#"{"a":1,"b":2,"a":3}"#).unwrap();
        assert_eq!(object.to_text(), r#"{"a":3,"b":2}"#);
    }

    #[test]
    fn only_objects_are_objects() {
        for text in ["", "[]", "null", "1", "{", "{}{}", r#"{"a":}"#] {
            assert!(Object::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spaces_and_key_order_make_no_difference_but_values_do() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let one = raw(r#"{ "a": 1, "b": [] }"#);
        assert!(same(Some(&one), Some(&raw(r#"{"b":[],"a":1}"#))));
        assert!(!same(Some(&one), Some(&raw(r#"{"b":{},"a":1}"#))));
        assert!(!same(Some(&one), None));
        assert!(same(None, None));
        let half = raw(r#""\ud800""#);
        assert!(same(Some(&half), Some(&half)));
        assert!(!same(Some(&half), Some(&raw(r#""\ud801""#))));
    }
}
