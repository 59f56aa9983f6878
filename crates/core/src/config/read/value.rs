//! One JSON value as the JavaScript side sends it, and how it is shown in a message.
//!
//! JSON has no word for some values that `settings.js` can hold. They arrive as objects with a
//! `$type`: `function`, `buffer` (with `base64`), `number` (with `text`, such as `NaN`), `other`
//! (with the class `name`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

/// A value by its type in JavaScript.
#[derive(Debug, Clone, Copy)]
pub(super) enum Given<'a> {
    /// `undefined` or `null`: the option counts as not given.
    Nothing,
    Boolean(bool),
    Number(&'a Number),
    /// A number that JSON cannot say: `NaN`, `Infinity`.
    NotFinite(&'a str),
    Text(&'a str),
    List(&'a [Value]),
    Object(&'a Map<String, Value>),
    Function,
    /// A `Buffer`, its content in base64.
    Buffer(&'a str),
    /// An instance of a class that has no meaning here, by the name of the class.
    Other(&'a str),
}

impl<'a> Given<'a> {
    pub(super) fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Nothing,
            Value::Bool(boolean) => Self::Boolean(*boolean),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::Text(text),
            Value::Array(list) => Self::List(list),
            Value::Object(object) => Self::of_object(object),
        }
    }

    fn of_object(object: &'a Map<String, Value>) -> Self {
        let text = |name| object.get(name).and_then(Value::as_str).unwrap_or_default();
        match object.get("$type").and_then(Value::as_str) {
            None => Self::Object(object),
            Some("function") => Self::Function,
            Some("buffer") => Self::Buffer(text("base64")),
            Some("number") => Self::NotFinite(text("text")),
            Some(_) => Self::Other(text("name")),
        }
    }

    /// The value for a message: a plain value as written, shortened; of all others only the type,
    /// because an object may hold a password.
    pub(super) fn shown(self) -> String {
        match self {
            Self::Nothing => "missing".to_owned(),
            Self::Boolean(boolean) => boolean.to_string(),
            Self::Number(number) => number.to_string(),
            Self::NotFinite(text) => shortened(text),
            Self::Text(text) => shown_text(text),
            Self::List(_) => "a list".to_owned(),
            Self::Object(_) => "an object".to_owned(),
            Self::Function => "a function".to_owned(),
            Self::Buffer(_) => "a Buffer".to_owned(),
            Self::Other("") => "an object of a class".to_owned(),
            Self::Other(name) => format!("an object of the class {}", shortened(name)),
        }
    }

    /// The type only, for an option whose value is a secret.
    pub(super) fn shown_as_secret(self) -> String {
        match self {
            Self::Boolean(_) => "a boolean".to_owned(),
            Self::Number(_) | Self::NotFinite(_) => "a number".to_owned(),
            Self::Text(_) => "a string".to_owned(),
            other => other.shown(),
        }
    }
}

/// The content of a Buffer, `None` if it is not base64.
pub(super) fn buffer_bytes(base64: &str) -> Option<Vec<u8>> {
    STANDARD.decode(base64).ok()
}

/// Longest text that a message repeats, in characters.
const LONGEST_SHOWN: usize = 40;

/// A text in quotes, shortened. A text that may be a URL or an address with a password is hidden.
pub(super) fn shown_text(text: &str) -> String {
    if text.contains('@') || text.contains("://") {
        return "a string (hidden, it may hold a password)".to_owned();
    }
    Value::from(shortened(text)).to_string()
}

/// The beginning of a text, with `...` if that is not all, and without line breaks.
pub(super) fn shortened(text: &str) -> String {
    let mut beginning: String = text
        .chars()
        .take(LONGEST_SHOWN)
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect();
    if text.chars().nth(LONGEST_SHOWN).is_some() {
        beginning.push_str("...");
    }
    beginning
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_shown_without_what_may_be_secret() {
        let long = "x".repeat(41);
        let cases = [
            (json!(null), "missing"),
            (json!(true), "true"),
            (json!(70000), "70000"),
            (json!(1.5), "1.5"),
            (json!("abc"), r#""abc""#),
            (json!("a\"b\nc"), r#""a\"b c""#),
            (json!(long), &format!("\"{}...\"", "x".repeat(40))),
            (
                json!("redis://:hunter2@host"),
                "a string (hidden, it may hold a password)",
            ),
            (
                json!("hunter2@host"),
                "a string (hidden, it may hold a password)",
            ),
            (json!(["hunter2"]), "a list"),
            (json!({"password": "hunter2"}), "an object"),
            (json!({"$type": "function"}), "a function"),
            (
                json!({"$type": "buffer", "base64": "aHVudGVyMg=="}),
                "a Buffer",
            ),
            (json!({"$type": "number", "text": "NaN"}), "NaN"),
            (
                json!({"$type": "other", "name": "Map"}),
                "an object of the class Map",
            ),
            (json!({"$type": "other"}), "an object of a class"),
        ];
        for (value, shown) in &cases {
            assert_eq!(Given::of(value).shown(), *shown, "{value}");
        }
    }

    #[test]
    fn a_secret_is_shown_by_its_type() {
        for value in [json!("hunter2"), json!(1234567), json!(true)] {
            let shown = Given::of(&value).shown_as_secret();
            assert!(shown.starts_with("a "), "{shown}");
            assert!(
                !shown.contains(value.to_string().trim_matches('"')),
                "{shown}"
            );
        }
    }

    #[test]
    fn a_buffer_is_decoded() {
        assert_eq!(buffer_bytes("aHVudGVyMg=="), Some(b"hunter2".to_vec()));
        assert_eq!(buffer_bytes("not base64"), None);
    }
}
