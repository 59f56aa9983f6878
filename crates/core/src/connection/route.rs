//! The way to the store: where it is, and a stream to there.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use super::locator::Locator;
use super::stream::{ByteStream, Connector};
use crate::config::{ConnectionConfig, Endpoint};
use crate::error::{Code, Error, Result};

/// Finds the server and opens streams to it.
pub(super) struct Route {
    pub(super) locator: Arc<Locator>,
    pub(super) connector: Connector,
}

impl fmt::Debug for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.locator.fmt(formatter)
    }
}

impl Route {
    /// A stream to the server that is said to have our keys at this moment.
    ///
    /// # Errors
    /// Why it cannot be found, or not be reached.
    pub(super) async fn open(
        &self,
        config: &ConnectionConfig,
    ) -> Result<(Endpoint, Pin<Box<dyn ByteStream>>)> {
        let place = self.locator.locate().await?;
        match self.connector.open(&place).await {
            Ok(stream) => Ok((place, stream)),
            Err(error) => {
                self.locator.failed(&place);
                Err(Self::unreachable(config, &place, &error))
            }
        }
    }

    fn unreachable(config: &ConnectionConfig, place: &Endpoint, error: &Error) -> Error {
        if error.code() != Code::StoreUnreachable {
            return error.clone();
        }
        Error::new(
            Code::StoreUnreachable,
            format!(
                "the store at {} cannot be reached ({})",
                described(config, place),
                error.message()
            ),
        )
    }
}

/// A server as operators know it: how it was found, and where.
pub(super) fn described(config: &ConnectionConfig, place: &Endpoint) -> String {
    let description = config.describe();
    let place = place.to_string();
    if description.starts_with(&place) {
        description
    } else {
        format!("{place}, {description}")
    }
}
