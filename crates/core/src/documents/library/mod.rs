//! The library: entries and folders, answered as Node-RED's own file storage answers.
//!
//! Each entry is a key of its own. An index, one hash, knows all entries and their metadata, so that a
//! listing needs no scan of the database; both change in one atomic step. What the older package wrote
//! is not in the index; it is found by a scan once, before the index is first used.
//!
//! - `path`: kinds and paths, checked and normalised
//! - `listing`: a folder made of the index, pure
//! - `value`: an entry as it is stored
//! - `index`: building the index

mod index;
mod listing;
mod path;
mod value;

use std::collections::HashMap;

use crate::connection::{Lane, Repeat, Request};
use crate::documents::{Documents, decoded};
use crate::error::{Code, Error, Result};
use crate::fault;

use path::{Kind, Path};

const SAVE: &str = include_str!("../../scripts/library_save.lua");

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// An entry.
    File {
        /// Its content.
        body: String,
    },
    /// What a folder holds, folders first, both in the order in which JavaScript sorts names.
    Folder(Vec<Item>),
}

/// One line of a folder's listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A folder, by its name.
    Folder(String),
    /// An entry.
    File {
        /// Its name in the folder.
        name: String,
        /// Its metadata: a JSON object of texts.
        meta: String,
    },
}

impl Documents {
    /// The entry or folder of a kind (`flows`, `functions`, `templates`, ...) at a path. An unknown
    /// folder (the empty path, or one that ends with `/`) is empty; flows are found without `.json`.
    ///
    /// # Errors
    /// `NotFound`; `InvalidRequest` for a kind or a path that cannot be; `ValueDamaged`; the store's.
    pub async fn library_entry(&self, kind: &str, path: &str) -> Result<Entry> {
        fault::point("library entry");
        let kind = Kind::new(kind)?;
        let path = Path::new(path)?;
        let mut found = self.entry_at(&kind, &path).await?;
        if found.is_none()
            && !path.names_folder()
            && let Some(with_extension) = path.with_flow_extension(&kind)
        {
            found = self.entry_at(&kind, &with_extension).await?;
        }
        match found {
            Some(entry) => Ok(entry),
            None if path.names_folder() => Ok(Entry::Folder(Vec::new())),
            None => Err(Error::new(
                Code::NotFound,
                format!("the library has no entry {path} among its {kind}"),
            )),
        }
    }

    /// Saves an entry; `meta` is a JSON object whose values are texts. Flows get `.json` if it is missing.
    ///
    /// # Errors
    /// `InvalidRequest` for a kind, a path or metadata that cannot be, and where the path leads through
    /// an entry or names a folder; `ValueTooLarge`; the store's.
    pub async fn save_library_entry(
        &self,
        kind: &str,
        path: &str,
        meta: &str,
        body: &str,
    ) -> Result<()> {
        let kind = Kind::new(kind)?;
        let path = Path::new(path)?;
        let path = path.with_flow_extension(&kind).unwrap_or(path);
        if path.names_folder() {
            return Err(refused(&kind, &path, "it names a folder"));
        }
        value::check_meta(meta)?;
        let stored = self.encoded(value::to_text(meta, body)).await?;
        let mut arguments = vec![
            path.index_field(&kind).into_bytes(),
            meta.as_bytes().to_vec(),
            stored,
            index::MARK.as_bytes().to_vec(),
        ];
        arguments.extend(path.folders_above(&kind).map(String::into_bytes));
        let request = Request::Script {
            script: SAVE,
            keys: vec![
                self.keyspace.library_entry(kind.as_str(), path.as_str()),
                self.keyspace.library_index(),
            ],
            arguments,
        };
        loop {
            // Safe to repeat: saving the same entry twice is saving it once.
            let answer: String = self
                .connection
                .run(Lane::Commands, &request, Repeat::Safe)
                .await
                .map_err(|error| error.while_doing("saving a library entry"))?;
            match answer.as_str() {
                "saved" => return Ok(()),
                "no index" => self.build_library_index().await?,
                "file above" => return Err(refused(&kind, &path, "its folder is an entry")),
                _ => return Err(refused(&kind, &path, "it is a folder")),
            }
        }
    }

    async fn entry_at(&self, kind: &Kind, path: &Path) -> Result<Option<Entry>> {
        // A file with a slash behind its name is no file, as in a file system.
        if !path.names_folder() {
            let key = self.keyspace.library_entry(kind.as_str(), path.as_str());
            if let Some(stored) = self.stored(&key).await? {
                let text = decoded(stored)
                    .await
                    .map_err(|error| error.while_doing(&format!("reading {key}")))?;
                let body = value::from_text(text).body;
                return Ok(Some(Entry::File { body }));
            }
        }
        let items = listing::folder(&self.library_index().await?, kind, path);
        Ok(items.map(Entry::Folder))
    }

    /// The index: field to metadata, built first where there is none.
    async fn library_index(&self) -> Result<HashMap<String, String>> {
        loop {
            let mut command = redis::cmd("HGETALL");
            command.arg(self.keyspace.library_index());
            let mut index: HashMap<String, String> = self
                .connection
                .run(Lane::Commands, &Request::Command(command), Repeat::Safe)
                .await
                .map_err(|error| error.while_doing("listing the library"))?;
            if index.remove(index::MARK).is_some() {
                return Ok(index);
            }
            self.build_library_index().await?;
        }
    }
}

fn refused(kind: &Kind, path: &Path, why: &str) -> Error {
    Error::new(
        Code::InvalidRequest,
        format!("the library cannot hold an entry {path} among its {kind}: {why}"),
    )
}

#[cfg(any(test, feature = "fuzzing"))]
/// See [`crate::fuzzing`].
pub(crate) fn fuzz(kind: &str, path: &str, meta: &str, stored: &str) {
    let read = value::from_text(stored.to_owned());
    value::check_meta(&read.meta).expect("what is read has metadata");
    let text = value::to_text(&read.meta, &read.body);
    assert_eq!(value::from_text(text), read);
    let meta = value::meta_or_none(meta);
    value::check_meta(&meta).expect("metadata, or none");
    let kind = match Kind::new(kind) {
        Ok(kind) => kind,
        Err(error) => return crate::fuzzing::refused(&error),
    };
    let path = match Path::new(path) {
        Ok(path) => path,
        Err(error) => return crate::fuzzing::refused(&error),
    };
    assert!(path.as_str().split('/').all(|part| part != ".."));
    let index = HashMap::from([(path.index_field(&kind), meta)]);
    for folder in path.folders_above(&kind) {
        assert!(
            path.index_field(&kind)
                .starts_with(folder.trim_end_matches('/'))
        );
    }
    drop(listing::folder(&index, &kind, &path));
}
