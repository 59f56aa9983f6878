//! Messages on the channel of packages. They only wake: whoever hears one looks for himself.

use serde::{Deserialize, Serialize};

use super::store::Head;
use crate::error::{Code, Error, Result};

/// Messages are small; a larger one is not ours.
const LARGEST: usize = 64 * 1024;

/// One message: exactly one of these is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Note {
    /// A new revision, by its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packages: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    /// The admin switched packages `on` or `off`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<String>,
    /// A worker, by its id, has something to tell in its presence record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// The permit to restart is `free`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permit: Option<String>,
}

impl Note {
    /// A revision was published.
    pub fn published(head: &Head) -> Self {
        Self {
            packages: Some(head.number),
            id: Some(head.id.clone()),
            time: Some(head.time.clone()),
            ..Self::default()
        }
    }

    /// The admin switched packages on or off.
    pub fn switched(on: bool) -> Self {
        Self {
            sync: Some(if on { "on" } else { "off" }.to_owned()),
            ..Self::default()
        }
    }

    /// A worker has something to tell.
    pub fn of_worker(id: &str) -> Self {
        Self {
            worker: Some(id.to_owned()),
            ..Self::default()
        }
    }

    /// The permit to restart is free.
    pub fn permit_free() -> Self {
        Self {
            permit: Some("free".to_owned()),
            ..Self::default()
        }
    }

    /// Reads a message; none where it is not one of ours.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        if payload.len() > LARGEST {
            return None;
        }
        let note: Self = serde_json::from_slice(payload).ok()?;
        (note != Self::default()).then_some(note)
    }

    /// The text to send.
    ///
    /// # Errors
    /// A fault of this program only.
    pub fn to_text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::new(Code::Internal, error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_and_garbage_is_none() {
        for note in [
            Note::switched(false),
            Note::of_worker("h-1"),
            Note::permit_free(),
        ] {
            assert_eq!(Note::parse(note.to_text().unwrap().as_bytes()), Some(note));
        }
        for garbage in [
            "",
            "{}",
            "[]",
            "null",
            "\u{0}",
            r#"{"packages":"x"}"#,
            r#"{"other":1}"#,
        ] {
            assert_eq!(Note::parse(garbage.as_bytes()), None, "{garbage}");
        }
        assert_eq!(Note::parse(&vec![b' '; LARGEST + 1]), None);
    }
}
