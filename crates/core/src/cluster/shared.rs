//! A document that is saved even if the store is away at first: Node-RED does not await some of its own
//! saves, and an error there would end the process.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::connection::Connection;
use crate::documents::Documents;
use crate::error::Result;
use crate::supervised::supervised;

/// Between two attempts while the store is away.
const PAUSE: Duration = Duration::from_secs(2);

/// How long the last attempt at the end of the process may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Which document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Document {
    Settings,
    Sessions,
}

/// One document as this process sees it.
#[derive(Debug, Clone)]
pub(super) struct SharedDocument {
    document: Document,
    documents: Documents,
    connection: Connection,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What this process had last read or saved: the ground on which changes are told.
    base: Option<String>,
    /// What could not be saved yet.
    pending: Option<String>,
}

impl SharedDocument {
    pub(super) fn new(document: Document, documents: Documents, connection: Connection) -> Self {
        Self {
            document,
            documents,
            connection,
            state: Arc::default(),
        }
    }

    pub(super) async fn read(&self) -> Result<Option<String>> {
        let mut state = self.state.lock().await;
        let text = match self.document {
            Document::Settings => self.documents.settings().await?,
            Document::Sessions => Some(self.documents.sessions().await?),
        };
        state.base = text.clone();
        Ok(text)
    }

    /// Saves now, or later if the store is away; a newer save takes the place of one that waits.
    pub(super) async fn save(&self, text: String) -> Result<()> {
        let mut state = self.state.lock().await;
        match self.write(&mut state, &text).await {
            Ok(()) => {
                state.pending = None;
                Ok(())
            }
            Err(error) if error.code().is_retriable() => {
                tracing::warn!("{} are saved later: {error}", self.name());
                if state.pending.replace(text).is_none() {
                    let saver = self.clone();
                    tokio::spawn(supervised("what saves documents later", move || {
                        let saver = saver.clone();
                        async move { saver.save_later().await }
                    }));
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// One last attempt for what waits.
    pub(super) async fn flush(&self) {
        let attempt = async {
            let mut state = self.state.lock().await;
            match state.pending.clone() {
                Some(text) => self.write(&mut state, &text).await,
                None => Ok(()),
            }
        };
        match tokio::time::timeout(FAREWELL, attempt).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!("{} were not saved: {error}", self.name()),
            Err(_) => tracing::error!("{} were not saved: the store is away", self.name()),
        }
    }

    async fn save_later(&self) {
        loop {
            tokio::time::sleep(PAUSE).await;
            let mut state = self.state.lock().await;
            let Some(text) = state.pending.clone() else {
                return;
            };
            if !self.connection.is_up() {
                continue;
            }
            match self.write(&mut state, &text).await {
                Ok(()) => {
                    state.pending = None;
                    tracing::info!("{} are saved now", self.name());
                    return;
                }
                Err(error) if error.code().is_retriable() => {}
                Err(error) => {
                    state.pending = None;
                    tracing::error!("{} were not saved: {error}", self.name());
                    return;
                }
            }
        }
    }

    async fn write(&self, state: &mut State, text: &str) -> Result<()> {
        let base = state.base.as_deref().unwrap_or("{}");
        match self.document {
            Document::Settings => self.documents.save_settings(base, text).await?,
            Document::Sessions => self.documents.save_sessions(base, text).await?,
        };
        state.base = Some(text.to_owned());
        Ok(())
    }

    fn name(&self) -> &'static str {
        match self.document {
            Document::Settings => "the settings",
            Document::Sessions => "the editor sessions",
        }
    }
}
