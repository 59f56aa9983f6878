//! Node-RED's stored settings: one JSON object of sections (`nodes`, `users`, `projects`, `modules`, ...).

use super::merge::merge;
use super::{Documents, decoded};
use crate::error::{Code, Error, Result};
use crate::object::Object;

/// Sections in which two admins may each change an entry of their own: a user's settings, a module.
pub(super) const BY_ENTRY: &[&str] = &["users", "nodes"];

impl Documents {
    /// The settings as JSON text; none in an empty store.
    ///
    /// # Errors
    /// `ValueDamaged` where the stored text is not a JSON object; the store's.
    pub async fn settings(&self) -> Result<Option<String>> {
        let key = self.keyspace.settings();
        let Some(stored) = self.stored(&key).await? else {
            return Ok(None);
        };
        let text = decoded(stored)
            .await
            .map_err(|error| error.while_doing(&format!("reading {key}")))?;
        match Object::parse(&text) {
            Ok(_) => Ok(Some(text)),
            Err(error) => Err(Error::new(
                Code::ValueDamaged,
                format!("reading {key}: the stored value is damaged: {error}"),
            )),
        }
    }

    /// Saves settings: sections that differ between `base`, what this instance had last read or saved,
    /// and `mine` are written, others stay as they are stored. Returns the text as stored.
    ///
    /// # Errors
    /// `InvalidRequest` where `base` or `mine` is not a JSON object, `ValueTooLarge`; the store's.
    pub async fn save_settings(&self, base: &str, mine: &str) -> Result<String> {
        let base = given("the settings read before", base)?;
        let changed = given("the settings", mine)?;
        self.replace(&self.keyspace.settings(), None, |stored| match stored {
            Some(theirs) => Ok(merge(&base, &changed, theirs, BY_ENTRY)?.to_text()),
            None => Ok(mine.to_owned()),
        })
        .await
        .map_err(|error| error.while_doing("saving the settings"))
    }
}

/// A JSON object that the caller passed.
pub(super) fn given(what: &str, text: &str) -> Result<Object> {
    Object::parse(text).map_err(|error| {
        Error::new(
            Code::InvalidRequest,
            format!("{what} must be a JSON object: {error}"),
        )
    })
}
