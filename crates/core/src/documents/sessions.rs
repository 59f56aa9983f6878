//! The editor sessions: one JSON object, token to session, as Node-RED's `auth/tokens.js` keeps them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::merge::merge;
use super::settings::given;
use super::{Documents, decoded};
use crate::error::{Code, Result};
use crate::object::Object;

/// The one property of a session that matters here: when it ends, in ms since 1970.
#[derive(Deserialize)]
struct Session {
    expires: f64,
}

impl Documents {
    /// The sessions as JSON text, `{}` where there are none. Sessions that cannot be read are none, with
    /// a warning: their users log in again, as with Node-RED's own storage.
    ///
    /// # Errors
    /// `ValueTooLarge`; the store's.
    pub async fn sessions(&self) -> Result<String> {
        let key = self.keyspace.sessions();
        let Some(stored) = self.stored(&key).await? else {
            return Ok("{}".to_owned());
        };
        let why = match decoded(stored).await {
            Ok(text) => match Object::parse(&text) {
                Ok(_) => return Ok(text),
                Err(error) => error.to_string(),
            },
            Err(error) if error.code() == Code::ValueDamaged => error.message().to_owned(),
            Err(error) => return Err(error.while_doing(&format!("reading {key}"))),
        };
        tracing::warn!("{key} cannot be read, users have to log in again ({why})");
        Ok("{}".to_owned())
    }

    /// Saves sessions: tokens added, changed or removed between `base`, what this instance had last read
    /// or saved, and `mine` are written, others stay as they are stored, expired ones are dropped.
    /// Returns the text as stored.
    ///
    /// # Errors
    /// `InvalidRequest` where `base` or `mine` is not a JSON object, `ValueTooLarge`; the store's.
    pub async fn save_sessions(&self, base: &str, mine: &str) -> Result<String> {
        let base = given("the sessions read before", base)?;
        let mine = given("the sessions", mine)?;
        let key = self.keyspace.sessions();
        self.replace(&key, Some(self.session_ttl), |stored| {
            let merged = match stored {
                Some(theirs) => &merge(&base, &mine, theirs, &[])?,
                None => &mine,
            };
            Ok(without_expired(merged, now()).to_text())
        })
        .await
        .map_err(|error| error.while_doing("saving the sessions"))
    }
}

pub(super) fn without_expired(sessions: &Object, now: f64) -> Object {
    let mut alive = Object::default();
    for (token, session) in sessions.iter() {
        if is_alive(session, now) {
            alive.insert(token.to_owned(), session.to_owned());
        }
    }
    alive
}

/// As Node-RED judges: a session without an end has ended.
fn is_alive(session: &RawValue, now: f64) -> bool {
    serde_json::from_str::<Session>(session.get()).is_ok_and(|session| session.expires >= now)
}

/// Milliseconds since 1970, as JavaScript counts them.
fn now() -> f64 {
    // A clock before 1970 is one that was not set: nothing has expired by it.
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    since.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_that_ended_are_dropped_and_the_others_kept_as_they_are() {
        let sessions = Object::parse(
            r#"{"z":{"user":"ada","expires":2000},"old":{"expires":999},"none":{"user":"x"},"odd":1,"a":{"expires":1000.0}}"#,
        )
        .unwrap();
        assert_eq!(
            without_expired(&sessions, 1000.0).to_text(),
            r#"{"z":{"user":"ada","expires":2000},"a":{"expires":1000.0}}"#
        );
    }
}
