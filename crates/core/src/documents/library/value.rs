//! A library entry as it is stored: `{"meta":{...},"body":"..."}`.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Code, Error, Result};
use crate::object::{Object, quoted};

/// An entry that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// A JSON object of texts.
    pub(super) meta: String,
    pub(super) body: String,
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    meta: Option<Value>,
    body: String,
}

/// The text to store; `meta` has passed [`check_meta`].
pub(super) fn to_text(meta: &str, body: &str) -> String {
    format!("{{\"meta\":{meta},\"body\":{}}}", quoted(body))
}

/// Reads what is stored, and what the older package or other hands may have stored in its place: a
/// JSON string is a body, and so is any other text.
pub(super) fn from_text(text: String) -> Stored {
    if let Ok(written) = serde_json::from_str::<Written>(&text) {
        return Stored {
            meta: texts_of(written.meta),
            body: written.body,
        };
    }
    Stored {
        meta: texts_of(None),
        body: serde_json::from_str(&text).unwrap_or(text),
    }
}

/// Metadata of unknown origin, reduced to what Node-RED's own storage could have read from a file.
fn texts_of(meta: Option<Value>) -> String {
    let texts = match meta {
        Some(Value::Object(meta)) => meta
            .into_iter()
            .filter(|(_, value)| value.is_string())
            .collect(),
        _ => serde_json::Map::new(),
    };
    Value::Object(texts).to_string()
}

/// Metadata from the index, `{}` where they are not a JSON object of texts.
pub(super) fn meta_or_none(meta: &str) -> String {
    if check_meta(meta).is_ok() {
        meta.to_owned()
    } else {
        texts_of(None)
    }
}

/// Refuses metadata that Node-RED's own storage refuses.
///
/// # Errors
/// `InvalidRequest` where it is not a JSON object of texts.
pub(super) fn check_meta(meta: &str) -> Result<()> {
    let invalid = |why: String| {
        Error::new(
            Code::InvalidRequest,
            format!("the metadata of a library entry must be a JSON object of texts: {why}"),
        )
    };
    Object::parse(meta).map_err(|error| invalid(error.to_string()))?;
    serde_json::from_str::<HashMap<String, String>>(meta)
        .map(drop)
        .map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, String) {
        let stored = from_text(text.to_owned());
        (stored.meta, stored.body)
    }

    fn pair(meta: &str, body: &str) -> (String, String) {
        (meta.to_owned(), body.to_owned())
    }

    #[test]
    fn what_is_saved_is_read() {
        let body = "// é\nreturn \"msg\";\u{2028}";
        assert_eq!(
            read(&to_text(r#"{"name":"a\nb"}"#, body)),
            pair(r#"{"name":"a\nb"}"#, body)
        );
    }

    #[test]
    fn other_shapes_are_read_as_a_body() {
        assert_eq!(read(r#"{"body":"b"}"#), pair("{}", "b"));
        assert_eq!(
            read(r#"{"body":"b","meta":{"name":"n","odd":{"x":1}},"type":"functions"}"#),
            pair(r#"{"name":"n"}"#, "b")
        );
        assert_eq!(read(r#"{"body":"b","meta":[]}"#), pair("{}", "b"));
        assert_eq!(read(r#""return msg;""#), pair("{}", "return msg;"));
        for text in ["return msg;", "", r#"[{"id":"a"}]"#, r#"{"body":1}"#, "{}"] {
            assert_eq!(read(text), pair("{}", text));
        }
    }

    #[test]
    fn metadata_are_texts() {
        assert!(check_meta(r#"{"name":"a","outputs":"1"}"#).is_ok());
        for meta in [
            "",
            "[]",
            "null",
            r#"{"a":1}"#,
            r#"{"a":null}"#,
            r#"{"a":{}}"#,
        ] {
            let error = check_meta(meta).expect_err(meta);
            assert_eq!(error.code(), Code::InvalidRequest, "{meta}");
            assert_eq!(meta_or_none(meta), "{}");
        }
    }
}
