//! Read, merge, compare and set; again if somebody was quicker.

use std::time::Duration;

use redis::Value;

use super::{Documents, decoded};
use crate::connection::{Lane, Repeat, Request};
use crate::error::{Code, Error, Result};
use crate::object::Object;

const COMPARE_AND_SET: &str = include_str!("../scripts/compare_and_set.lua");

/// Each conflict means that somebody else's save succeeded, so this many in a row is a fault somewhere.
const ATTEMPTS: usize = 100;

impl Documents {
    /// Replaces the document under a key by what `merge` makes of it (`None`: there is none), and returns
    /// the text as stored. A stored document that cannot be read is replaced too, with a warning: the
    /// saver's is the best there is.
    pub(super) async fn replace(
        &self,
        key: &str,
        lifetime: Option<Duration>,
        merge: impl Fn(Option<&Object>) -> Result<String>,
    ) -> Result<String> {
        let mut stored = self.stored(key).await?;
        for _ in 0..ATTEMPTS {
            let theirs = match stored.clone() {
                Some(bytes) => readable(key, bytes).await?,
                None => None,
            };
            let merged = merge(theirs.as_ref())?;
            let new = self.encoded(merged.clone()).await?;
            match self.compare_and_set(key, stored, new, lifetime).await? {
                Value::Int(1) => return Ok(merged),
                Value::Nil => stored = None,
                other => stored = Some(redis::from_redis_value(other)?),
            }
        }
        Err(Error::new(
            Code::StoreNotReady,
            format!(
                "{key} was changed by others {ATTEMPTS} times during one save; what writes there all the time?"
            ),
        ))
    }

    async fn compare_and_set(
        &self,
        key: &str,
        expected: Option<Vec<u8>>,
        new: Vec<u8>,
        lifetime: Option<Duration>,
    ) -> Result<Value> {
        let found = if expected.is_some() {
            "present"
        } else {
            "absent"
        };
        let lifetime = lifetime.map_or(0, |lifetime| lifetime.as_millis().max(1));
        let request = Request::Script {
            script: COMPARE_AND_SET,
            keys: vec![key.to_owned()],
            arguments: vec![
                found.into(),
                expected.unwrap_or_default(),
                new,
                lifetime.to_string().into_bytes(),
            ],
        };
        // Safe to repeat: the second time finds its own value and merges it with itself.
        self.connection
            .run(Lane::Commands, &request, Repeat::Safe)
            .await
    }
}

async fn readable(key: &str, stored: Vec<u8>) -> Result<Option<Object>> {
    let parsed = match decoded(stored).await {
        Ok(text) => Object::parse(&text).map_err(|error| error.to_string()),
        Err(error) if error.code() == Code::ValueDamaged => Err(error.message().to_owned()),
        Err(error) => return Err(error.while_doing(key)),
    };
    match parsed {
        Ok(object) => Ok(Some(object)),
        Err(why) => {
            tracing::warn!(
                "{key} cannot be read and is replaced by what this instance has ({why})"
            );
            Ok(None)
        }
    }
}
