//! What an instance starts with: the newest revision, else what the history, the older package or its
//! own disk still has.

use std::sync::atomic::Ordering;

use super::content::Content;
use super::last_good::Kept;
use super::revision::Head;
use super::service::{Flows, lock};
use super::store::Stored;
use crate::config::Role;
use crate::error::{Code, Error, Result};

/// Where the flows of a start came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The newest revision in the store.
    Store,
    /// Keys of the older package, without any revision: an admin publishes them as the first.
    Unversioned,
    /// This instance's disk, because the store is away, empty or damaged.
    Disk,
    /// Nowhere: there are none yet.
    Nothing,
    /// Nowhere: there is a revision, and nobody can read it. Nothing may be published over it unasked.
    Unreadable,
}

/// What an instance starts with.
#[derive(Debug)]
pub struct Boot {
    /// Where it came from.
    pub source: Source,
    /// The revision, where the content is one.
    pub head: Option<Head>,
    /// Flows and credentials (encrypted).
    pub content: Option<Content>,
}

impl Flows {
    /// What is on this instance's disk, with a warning where it cannot be read.
    pub async fn kept(&self) -> Option<Kept> {
        let last_good = self.inner.last_good.clone();
        match crate::blocking(move || last_good.read()).await {
            Ok(Ok(kept)) => {
                if let Some(kept) = &kept {
                    self.remember(kept);
                }
                kept
            }
            Ok(Err(error)) | Err(error) => {
                tracing::warn!("no last good revision on the disk: {error}");
                None
            }
        }
    }

    /// The start while the store is away: the last good revision from the disk.
    pub fn boot_from_disk(&self, kept: Kept) -> Boot {
        tracing::warn!(
            "starting with revision {} from this instance's disk, because the store is away; newer ones follow when it is back",
            kept.head.revision.label()
        );
        Boot {
            source: Source::Disk,
            head: Some(kept.head),
            content: Some(kept.content),
        }
    }

    /// The start with the store there.
    ///
    /// # Errors
    /// The store's. Damaged or missing content is not one: the next best is taken, and the log says so.
    pub async fn boot(&self) -> Result<Boot> {
        let stored = self.inner.store.load().await?;
        let Stored { head, content } = match self.believed(stored).await? {
            Ok(stored) => stored,
            Err(error) => return Ok(self.boot_refused(error).await),
        };
        match (head, content) {
            (Some(head), Some(Ok(content))) => Ok(from_store(head, content)),
            (Some(head), damaged) => {
                let error = match damaged {
                    Some(Err(error)) => error,
                    _ => Error::new(Code::ValueDamaged, "the flows are gone from the store"),
                };
                self.boot_damaged(head, error).await
            }
            (None, Some(Ok(content))) => Ok(Boot {
                source: Source::Unversioned,
                head: None,
                content: Some(content),
            }),
            (None, Some(Err(error))) => {
                tracing::error!("the stored flows cannot be read: {error}");
                Ok(self.boot_empty().await)
            }
            (None, None) => Ok(self.boot_empty().await),
        }
    }

    /// The revision's content from the store, its history or the disk, whichever is whole.
    pub(super) async fn recover(&self, head: &Head, error: &Error) -> Result<Content> {
        let label = head.revision.label();
        let archived = match self.inner.store.archive(head.revision.number).await {
            Err(error) if error.code() == Code::StoreReply => {
                tracing::error!("the history cannot be read: {error}");
                None
            }
            archived => archived?,
        };
        if let Some(archive) = archived {
            let content = crate::blocking(move || Content::from_archive(&archive)).await?;
            match content {
                Ok(content) if self.is_content_of(head, &content) => {
                    tracing::error!(
                        "revision {label} was damaged in the store and is taken from its history: {error}"
                    );
                    return Ok(content);
                }
                _ => tracing::error!("the history of revision {label} is damaged too"),
            }
        }
        match self.kept().await {
            Some(kept) if kept.head.revision.id == head.revision.id => {
                tracing::error!(
                    "revision {label} was damaged in the store and is taken from this instance's disk: {error}"
                );
                Ok(kept.content)
            }
            _ => {
                *lock(&self.inner.beyond_repair) = Some(head.revision.id.clone());
                Err(error.clone().while_doing(&format!("revision {label}")))
            }
        }
    }

    async fn boot_damaged(&self, head: Head, error: Error) -> Result<Boot> {
        match self.recover(&head, &error).await {
            Ok(content) => {
                let boot = from_store(head, content);
                if self.inner.role == Role::Admin {
                    self.heal(&boot).await;
                }
                Ok(boot)
            }
            // The store went away while it was asked, which tells nothing about the revision.
            Err(error) if error.code().is_retriable() => Err(error),
            Err(error) => {
                tracing::error!("{error}");
                self.set_status(|status| {
                    status.wanted = Some(head.revision.number);
                    status.error = Some(error.clone());
                });
                let boot = self.boot_empty().await;
                Ok(match boot.source {
                    Source::Nothing => Boot {
                        source: Source::Unreadable,
                        ..boot
                    },
                    _ => boot,
                })
            }
        }
    }

    async fn boot_empty(&self) -> Boot {
        match self.kept().await {
            Some(kept) => {
                tracing::warn!(
                    "the store has no flows that can be read; starting with revision {} from this instance's disk",
                    kept.head.revision.label()
                );
                Boot {
                    source: Source::Disk,
                    head: Some(kept.head),
                    content: Some(kept.content),
                }
            }
            None => Boot {
                source: Source::Nothing,
                head: None,
                content: None,
            },
        }
    }

    /// Writes the damaged values of the newest revision anew.
    async fn heal(&self, boot: &Boot) {
        if let (Some(head), Some(content)) = (&boot.head, &boot.content)
            && let Err(error) = self.inner.store.repair(head, content).await
        {
            tracing::error!("the damaged revision could not be repaired in the store: {error}");
        }
    }

    /// The instance starts with this: from now on it saves on top of it and follows from it.
    ///
    /// # Errors
    /// A fault of this program only.
    pub async fn begin(&self, boot: &Boot) -> Result<()> {
        let (Some(head), Some(content)) = (&boot.head, &boot.content) else {
            return Ok(());
        };
        let archive = {
            let content = content.clone();
            crate::blocking(move || content.archive()).await?
        };
        let before = self.inner.status.borrow().clone();
        self.now_runs(head.clone(), content, archive).await;
        if before.error.is_some() {
            // A newer revision that is damaged is still what is wanted.
            self.set_status(|status| {
                status.wanted = before.wanted.or(status.wanted);
                status.error = before.error;
            });
        }
        Ok(())
    }

    /// The flows of the start stand still, and Node-RED will not start them by itself: once what they lack is
    /// there they are applied.
    pub fn stalled(&self) {
        self.inner.stalled.store(true, Ordering::Release);
    }

    /// Node-RED's start is over: what it began with runs, unless node types are missing. Called again
    /// without any when they were registered.
    pub fn booted(&self, missing_types: Vec<String>) {
        let missing = !missing_types.is_empty();
        if missing {
            self.inner.needs_full.store(true, Ordering::Release);
        }
        self.set_status(|status| {
            if missing {
                status.error = Some(Error::new(
                    Code::InvalidRequest,
                    format!(
                        "the flows need node types that are not installed here: {}; nothing runs until they are",
                        missing_types.join(", ")
                    ),
                ));
            } else if !status.missing_types.is_empty() {
                status.error = None;
            }
            status.missing_types = missing_types;
        });
        self.wake();
    }
}

fn from_store(head: Head, content: Content) -> Boot {
    Boot {
        source: Source::Store,
        head: Some(head),
        content: Some(content),
    }
}
