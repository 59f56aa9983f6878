//! The content of a revision: flows and credentials as text, and both together as an archive.

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::codec;
use crate::error::{Code, Error, Result};

/// The largest flow configuration that is read: decompressed bytes.
pub const CONTENT_LIMIT: usize = 256 * 1024 * 1024;

/// About how many bytes of flows JavaScript parses in one turn of its event loop.
const SLICE_SIZE: usize = 64 * 1024;

/// Flows and credentials, as JSON text; the credentials as Node-RED encrypts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// A JSON array of nodes.
    pub flows: String,
    /// A JSON object.
    pub credentials: String,
}

#[derive(Deserialize)]
struct Packed<'text> {
    #[serde(borrow)]
    flows: &'text RawValue,
    #[serde(borrow)]
    credentials: &'text RawValue,
}

impl Content {
    /// SHA-256 of the flows' text, hexadecimal.
    pub fn hash(&self) -> String {
        hash(&self.flows)
    }

    /// Both in one gzip, for the history, the disk and a store that lost them.
    pub fn archive(&self) -> Vec<u8> {
        let text = format!(
            "{{\"flows\":{},\"credentials\":{}}}",
            self.flows, self.credentials
        );
        codec::gzip(text.as_bytes())
    }

    /// Reads an archive back.
    ///
    /// # Errors
    /// `ValueDamaged` where it is not an archive.
    pub fn from_archive(archive: &[u8]) -> Result<Self> {
        let bytes = codec::gunzip(archive, CONTENT_LIMIT)?;
        let text =
            String::from_utf8(bytes).map_err(|_| damaged("an archive", "it is not UTF-8"))?;
        let packed: Packed<'_> =
            serde_json::from_str(&text).map_err(|e| damaged("an archive", &e.to_string()))?;
        Ok(Self {
            flows: packed.flows.get().to_owned(),
            credentials: packed.credentials.get().to_owned(),
        })
    }

    /// The flows cut into JSON arrays of about 64 KB, in order: parsed one in a turn, they never
    /// hold up an event loop.
    ///
    /// # Errors
    /// `ValueDamaged` where the flows are not a JSON array.
    pub fn slices(&self) -> Result<Vec<String>> {
        slices(&self.flows, SLICE_SIZE)
    }

    /// Checks that the flows are a JSON array and the credentials a JSON object.
    ///
    /// # Errors
    /// `ValueDamaged` naming which of them is not.
    pub fn check(&self) -> Result<()> {
        nodes(&self.flows)?;
        let credentials = self.credentials.trim_start();
        serde_json::from_str::<&RawValue>(&self.credentials)
            .map_err(|e| damaged("the credentials", &e.to_string()))?;
        if credentials.starts_with('{') {
            Ok(())
        } else {
            Err(damaged("the credentials", "they are not a JSON object"))
        }
    }
}

/// SHA-256 of a text, hexadecimal.
pub fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn nodes(flows: &str) -> Result<Vec<&RawValue>> {
    serde_json::from_str(flows).map_err(|e| damaged("the flow configuration", &e.to_string()))
}

fn slices(flows: &str, size: usize) -> Result<Vec<String>> {
    let mut slices = Vec::new();
    let mut slice = String::new();
    for node in nodes(flows)? {
        slice.push(if slice.is_empty() { '[' } else { ',' });
        slice.push_str(node.get());
        if slice.len() >= size {
            slice.push(']');
            slices.push(std::mem::take(&mut slice));
        }
    }
    if !slice.is_empty() {
        slice.push(']');
        slices.push(slice);
    }
    Ok(slices)
}

fn damaged(what: &str, why: &str) -> Error {
    Error::new(Code::ValueDamaged, format!("{what} cannot be read ({why})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(flows: &str) -> Content {
        Content {
            flows: flows.to_owned(),
            credentials: "{\"$\":\"x\"}".to_owned(),
        }
    }

    #[test]
    fn an_archive_gives_back_the_very_text() {
        let original = content("[ {\"id\":\"a\", \"n\":1e21,\"s\":\"\\ud800\"} ]");
        assert_eq!(
            Content::from_archive(&original.archive()).unwrap(),
            original
        );
    }

    #[test]
    fn slices_together_are_the_whole() {
        let flows = "[{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"c\"}]";
        let cut = slices(flows, 5).unwrap();
        assert_eq!(
            cut,
            ["[{\"id\":\"a\"}]", "[{\"id\":\"b\"}]", "[{\"id\":\"c\"}]"]
        );
        assert_eq!(slices(flows, 1000).unwrap(), [flows]);
        assert!(slices("[]", 5).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_a_list_of_nodes_is_refused() {
        for flows in ["", "{}", "null", "[{\"id\":", "[1,]"] {
            assert_eq!(
                content(flows).check().unwrap_err().code(),
                Code::ValueDamaged,
                "{flows}"
            );
        }
        let mut odd = content("[]");
        odd.credentials = "[]".to_owned();
        assert!(odd.check().is_err());
    }

    #[test]
    fn the_hash_is_the_one_the_editor_knows() {
        // echo -n '[]' | sha256sum
        assert_eq!(
            content("[]").hash(),
            "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"
        );
    }
}
