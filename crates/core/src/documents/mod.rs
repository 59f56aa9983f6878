//! What admins share besides flows: Node-RED's settings, the editor sessions, the library.
//!
//! Node-RED always saves a whole document, so two admins that save at once would overwrite each other.
//! Here a save is a three-way merge under compare-and-set: what the saver changed is written, what others
//! changed meanwhile is kept. Values of other programs are read as they are found, within a size limit.
//!
//! - `merge`: the three-way merge, pure
//! - `replace`: read, merge, compare and set, again if somebody was quicker
//! - `settings`, `sessions`: the two merged documents
//! - [`library`]: entries and folders, as Node-RED's own file storage answers

pub mod library;
mod merge;
mod replace;
mod sessions;
mod settings;

use std::time::Duration;

use crate::codec;
use crate::config::Compression;
use crate::connection::{Connection, Lane, Repeat, Request};
use crate::error::{Code, Error, Result};
use crate::keyspace::Keyspace;

/// The largest document that is read or written, in bytes of text: Node-RED itself holds each of them in
/// memory whole.
pub const DOCUMENT_LIMIT: usize = 16 * 1024 * 1024;

/// The documents of one cluster.
#[derive(Debug, Clone)]
pub struct Documents {
    connection: Connection,
    keyspace: Keyspace,
    compression: Compression,
    session_ttl: Duration,
}

impl Documents {
    /// The documents under a keyspace; `session_ttl` is how long the sessions outlive their last save.
    pub fn new(
        connection: Connection,
        keyspace: Keyspace,
        compression: Compression,
        session_ttl: Duration,
    ) -> Self {
        Self {
            connection,
            keyspace,
            compression,
            session_ttl,
        }
    }

    /// The stored bytes of a key. What is longer than any document is not read at all.
    async fn stored(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let mut length = redis::cmd("STRLEN");
        length.arg(key);
        let length: usize = self
            .connection
            .run(Lane::Commands, &Request::Command(length), Repeat::Safe)
            .await?;
        codec::check_stored(length, DOCUMENT_LIMIT).map_err(|error| error.while_doing(key))?;
        let mut command = redis::cmd("GET");
        command.arg(key);
        self.connection
            .run(Lane::Commands, &Request::Command(command), Repeat::Safe)
            .await
    }

    /// The bytes to store for a text; off the runtime's thread, as compression takes time.
    async fn encoded(&self, text: String) -> Result<Vec<u8>> {
        if text.len() > DOCUMENT_LIMIT {
            return Err(Error::new(
                Code::ValueTooLarge,
                format!(
                    "{} bytes are more than the {DOCUMENT_LIMIT} that are saved as one document",
                    text.len()
                ),
            ));
        }
        let compression = self.compression;
        crate::blocking(move || codec::encode(text.as_bytes(), compression)).await
    }
}

/// The text of stored bytes.
async fn decoded(stored: Vec<u8>) -> Result<String> {
    crate::blocking(move || codec::decode_text(stored, DOCUMENT_LIMIT)).await?
}

#[cfg(any(test, feature = "fuzzing"))]
/// See [`crate::fuzzing`].
pub(crate) fn fuzz(base: &str, mine: &str, theirs: &str) {
    use crate::object::Object;

    let objects = [base, mine, theirs].map(Object::parse);
    let [Ok(base), Ok(mine), Ok(theirs)] = objects else {
        return;
    };
    let merged = merge::merge(&base, &mine, &theirs, settings::BY_ENTRY).expect("objects merge");
    // Merged again, nothing changes.
    let again = merge::merge(&base, &mine, &merged, settings::BY_ENTRY).expect("objects merge");
    assert_eq!(merged.to_text(), again.to_text());
    drop(sessions::without_expired(&merged, 0.0).to_text());
}
