//! Building the index from the entries that are there: once in the life of a store.

use redis::Value;

use super::path::{Kind, Path};
use super::value;
use crate::connection::{Lane, Repeat, Request};
use crate::documents::{Documents, decoded};
use crate::error::Result;

/// The field that says that the index is complete. No entry has it: theirs have a colon.
pub(super) const MARK: &str = "complete";

/// Keys that the server looks at in one step of the scan, so that it never holds up others for long.
const SCAN_STEP: usize = 1000;

impl Documents {
    /// Enters all library entries into the index if that was never done: those of the older package are
    /// in none. Entries saved meanwhile keep the metadata that they were saved with.
    ///
    /// # Errors
    /// The store's.
    pub async fn build_library_index(&self) -> Result<()> {
        let index = self.keyspace.library_index();
        let mut known = redis::cmd("HEXISTS");
        known.arg(&index).arg(MARK);
        if self.library_command(known).await? {
            return Ok(());
        }
        let mut cursor = 0_u64;
        let mut entered = 0;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor)
                .arg("MATCH")
                .arg(self.keyspace.library_pattern())
                .arg("COUNT")
                .arg(SCAN_STEP);
            let keys: Vec<Vec<u8>>;
            (cursor, keys) = self.library_command(scan).await?;
            for key in keys {
                if self.enter(&index, &String::from_utf8_lossy(&key)).await? {
                    entered += 1;
                }
            }
            if cursor == 0 {
                break;
            }
        }
        let mut complete = redis::cmd("HSET");
        complete.arg(&index).arg(MARK).arg("1");
        let _: Value = self.library_command(complete).await?;
        if entered > 0 {
            tracing::info!(
                "the library's index was built, with {entered} entries found in the store"
            );
        }
        Ok(())
    }

    /// Enters the entry under a key; what cannot be an entry is passed over with a warning.
    async fn enter(&self, index: &str, key: &str) -> Result<bool> {
        let Some((kind, path)) = self.kind_and_path(key) else {
            tracing::warn!("{key} is passed over: it does not name a library entry");
            return Ok(false);
        };
        let text = match self.stored(key).await {
            Ok(Some(stored)) => decoded(stored).await,
            Ok(None) => return Ok(false),
            Err(error) => Err(error),
        };
        let meta = match text {
            Ok(text) => value::from_text(text).meta,
            Err(error) if error.code().is_retriable() => return Err(error),
            Err(error) => {
                tracing::warn!("{key} is passed over: {error}");
                return Ok(false);
            }
        };
        let mut enter = redis::cmd("HSETNX");
        enter.arg(index).arg(path.index_field(&kind)).arg(meta);
        self.library_command(enter).await
    }

    fn kind_and_path(&self, key: &str) -> Option<(Kind, Path)> {
        let (kind, given) = key
            .strip_prefix(&self.keyspace.library_keys())?
            .split_once(':')?;
        let (kind, path) = (Kind::new(kind).ok()?, Path::new(given).ok()?);
        // A path that is not normalised is one that nobody can ask for.
        (path.as_str() == given && !given.is_empty()).then_some((kind, path))
    }

    async fn library_command<T: redis::FromRedisValue>(&self, command: redis::Cmd) -> Result<T> {
        self.connection
            .run(Lane::Commands, &Request::Command(command), Repeat::Safe)
            .await
            .map_err(|error| error.while_doing("building the library's index"))
    }
}
