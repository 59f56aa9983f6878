//! What an instance with a signing key believes of the store: only what is signed, and nothing older than what
//! it has run.
//!
//! Something that is not believed is no revision for this instance: what ran before goes on, the presence record
//! says why, and the next deploy of an admin with the key takes its place. The disk is this instance's own and is
//! believed: whoever can write there needs no store to run what he likes.

use std::sync::Mutex;
use std::time::Instant;

use super::boot::{Boot, Source};
use super::content::{self, Content};
use super::last_good::Kept;
use super::revision::{Entry, Head, Revision, RunState, Seal};
use super::seal;
use super::service::{Flows, lock};
use super::store::Stored;
use crate::config::Role;
use crate::error::{Code, Error, Result};
use crate::signing::{Keyring, Marks};

/// Judges what the store says.
#[derive(Debug)]
pub(super) struct Guard {
    keyring: Keyring,
    known: Mutex<Known>,
    /// What is refused at present, so that it is said once.
    refused: Mutex<Option<Error>>,
}

#[derive(Debug, Default)]
struct Known {
    marks: Marks,
    /// The revision that runs, and the highest number of its run state.
    running: Option<(String, u64)>,
}

impl Guard {
    pub(super) fn new(keyring: Keyring) -> Self {
        Self {
            keyring,
            known: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    /// A signed head.
    pub(super) fn seal(
        &self,
        revision: Revision,
        credentials_sha256: String,
        state: RunState,
        state_number: u64,
    ) -> Head {
        let seal = Seal::new(
            &self.keyring,
            &revision,
            credentials_sha256,
            state,
            state_number,
        );
        Head {
            revision,
            state,
            seal: Some(Box::new(seal)),
        }
    }

    /// The same head, signed with the key that signs here; for one that this instance vouches for.
    pub(super) fn resealed(&self, head: &Head, content: &Content) -> Head {
        let seal = head.seal.as_ref();
        if seal.is_some_and(|seal| seal.is_of(&self.keyring)) {
            return head.clone();
        }
        self.seal(
            head.revision.clone(),
            content::hash(&content.credentials),
            head.state,
            seal.map_or(0, |seal| seal.state_number),
        )
    }

    /// Checks that somebody with a key saved this, and that nothing newer ran here.
    pub(super) fn judge(&self, head: &Head) -> Result<()> {
        self.judge_revision(head)?;
        seal::check_state(&self.keyring, head)?;
        let number = head.seal.as_ref().map_or(0, |seal| seal.state_number);
        match &lock(&self.known).running {
            Some((id, newest)) if *id == head.revision.id && number < *newest => Err(Error::new(
                Code::RevisionReplayed,
                format!(
                    "the run state {:?} of revision {} is an earlier one of it, written again",
                    head.state.as_str(),
                    head.revision.label()
                ),
            )),
            _ => Ok(()),
        }
    }

    /// The same of the revision alone, whatever is said of its run state.
    pub(super) fn judge_revision(&self, head: &Head) -> Result<()> {
        seal::check_revision(&self.keyring, head)?;
        let known = lock(&self.known);
        let Revision {
            number, id, time, ..
        } = &head.revision;
        let runs = known
            .running
            .as_ref()
            .is_some_and(|(running, _)| running == id);
        if runs || known.marks.are_exceeded_by(*number, time) {
            return Ok(());
        }
        Err(Error::new(
            Code::RevisionReplayed,
            format!(
                "revision {} of the flows is signed, and older than what ran here: a backup of the store, or an old revision that somebody wrote again",
                head.revision.label()
            ),
        ))
    }

    /// The number of the next run state of a revision.
    pub(super) fn next_state_number(&self, head: &Head) -> u64 {
        let known = lock(&self.known);
        let known = known
            .running
            .as_ref()
            .filter(|(id, _)| *id == head.revision.id);
        // One that is not signed may be any number.
        let stored = head
            .seal
            .as_ref()
            .filter(|_| seal::check_state(&self.keyring, head).is_ok());
        let stored = stored.map_or(0, |seal| seal.state_number);
        known
            .map_or(0, |(_, number)| *number)
            .max(stored)
            .saturating_add(1)
    }

    /// This runs here: nothing older is believed from now on. Returns what is to be kept of that.
    pub(super) fn note(&self, head: &Head) -> Marks {
        let mut known = lock(&self.known);
        if let Some(seal) = &head.seal {
            known.marks.note(head.revision.number, &head.revision.time);
            known.running = Some((head.revision.id.clone(), seal.state_number));
        }
        known.marks.clone()
    }

    pub(super) fn believes(&self, entry: &Entry) -> bool {
        seal::is_signed(&self.keyring, entry)
    }

    fn remember(&self, kept: &Kept) {
        let mut known = lock(&self.known);
        known.marks.include(&kept.marks);
        if let Some(seal) = &kept.head.seal {
            let Revision {
                number, id, time, ..
            } = &kept.head.revision;
            known.marks.note(*number, time);
            known.running.get_or_insert((id.clone(), seal.state_number));
        }
    }
}

impl Flows {
    /// What was kept of an earlier life counts.
    pub(super) fn remember(&self, kept: &Kept) {
        if let Some(guard) = &self.inner.guard {
            guard.remember(kept);
        }
    }

    /// Whether what the store calls newest may be looked at further. Where not, that is said.
    pub(super) fn admits(&self, head: &Head) -> bool {
        let Some(guard) = &self.inner.guard else {
            return true;
        };
        let error = match guard.judge(head) {
            Ok(()) => {
                if lock(&guard.refused).take().is_some() {
                    self.set_status(|status| {
                        status.error.take_if(|error| error.code().is_refusal());
                    });
                }
                return true;
            }
            Err(error) => error,
        };
        if error.code() == Code::RevisionReplayed {
            let mut follower = lock(&self.inner.follower);
            let behind = follower.running().is_some_and(|running| {
                running.id != head.revision.id && head.revision.number < running.number
            });
            // An admin puts back what the store lost; workers leave it the time.
            if behind && (self.inner.role == Role::Admin || follower.holds_back(Instant::now())) {
                return self.inner.role == Role::Admin;
            }
        }
        self.refuse(guard, error);
        false
    }

    fn refuse(&self, guard: &Guard, error: Error) {
        let error = Error::new(
            error.code(),
            format!("{}; {}", error.message(), self.remedy(error.code())),
        );
        if lock(&guard.refused).replace(error.clone()).as_ref() != Some(&error) {
            tracing::error!("refused: {error}");
        }
        self.set_status(|status| status.error = Some(error));
    }

    fn remedy(&self, code: Code) -> &'static str {
        match (self.inner.role, code) {
            (Role::Worker, Code::RevisionReplayed) => {
                "what ran here goes on; deploy once from the admin, or see docs/security.md"
            }
            (Role::Worker, _) => {
                "what ran here before goes on; deploy once from an admin that has the signingKey"
            }
            (Role::Admin, _) => {
                "this admin keeps what it has, and its next deploy takes the place of that; if that revision is yours, see docs/security.md"
            }
        }
    }

    /// The content that a head of the store speaks of, to the letter.
    pub(super) async fn vouched(
        &self,
        head: &Head,
        content: Option<Result<Content>>,
    ) -> Result<Option<Result<Content>>> {
        match content {
            Some(Ok(content)) if self.inner.guard.is_some() => {
                let head = head.clone();
                crate::blocking(move || {
                    Some(if seal::is_content_of(&head, &content) {
                        Ok(content)
                    } else {
                        Err(Error::new(
                            Code::ValueDamaged,
                            "flows or credentials in the store are not those that were signed",
                        ))
                    })
                })
                .await
            }
            content => Ok(content),
        }
    }

    /// Whether an archive is what a head speaks of.
    pub(super) fn is_content_of(&self, head: &Head, content: &Content) -> bool {
        match self.inner.guard {
            Some(_) => seal::is_content_of(head, content),
            None => content.hash() == head.revision.hash,
        }
    }

    /// What of the store a start goes by: all of it, or an error that says why nothing.
    pub(super) async fn believed(&self, stored: Stored) -> Result<Result<Stored>> {
        let Some(guard) = &self.inner.guard else {
            return Ok(Ok(stored));
        };
        let kept = self.kept().await;
        let Stored { head, content } = stored;
        let Some(head) = head else {
            return Ok(match content {
                None => Ok(Stored { head, content }),
                Some(_) => Err(Error::new(
                    Code::SignatureMissing,
                    "the store has flows of no revision, which nobody signed",
                )),
            });
        };
        let judged = guard.judge(&head);
        let content = if judged.is_ok() {
            self.vouched(&head, content).await?
        } else {
            content
        };
        let vouches = match (&judged, &content) {
            (Ok(()), Some(Ok(_))) => true,
            (Err(_), Some(Ok(content))) => kept.as_ref().is_some_and(|kept| {
                kept.head.revision == head.revision
                    && kept.head.state == head.state
                    && kept.content == *content
            }),
            _ => false,
        };
        match (&content, self.inner.role) {
            (Some(Ok(content)), Role::Admin) if vouches => {
                let head = self.sign_again(guard, head, content).await?;
                let content = Some(Ok(content.clone()));
                Ok(Ok(Stored {
                    head: Some(head),
                    content,
                }))
            }
            _ => Ok(judged.map(|()| Stored {
                head: Some(head),
                content,
            })),
        }
    }

    /// Signs a revision that this admin vouches for, with the key that signs now: it verified it with the former
    /// one, or has the very same on its disk.
    async fn sign_again(&self, guard: &Guard, head: Head, content: &Content) -> Result<Head> {
        let signed = guard.resealed(&head, content);
        if signed == head {
            return Ok(head);
        }
        if self.inner.store.sign(&head, &signed).await? {
            tracing::info!(
                "revision {} is signed with the key {} from now on",
                head.revision.label(),
                guard.keyring.id()
            );
        }
        Ok(signed)
    }

    /// The start of an instance that does not believe what the store has.
    pub(super) async fn boot_refused(&self, error: Error) -> Boot {
        if let Some(guard) = &self.inner.guard {
            self.refuse(guard, error);
        }
        match self.kept().await {
            Some(kept) => {
                tracing::warn!(
                    "starting with revision {} from this instance's disk",
                    kept.head.revision.label()
                );
                Boot {
                    source: Source::Disk,
                    head: Some(kept.head),
                    content: Some(kept.content),
                }
            }
            None => {
                tracing::warn!(
                    "there is nothing on this instance's disk to start with instead; waiting for a deploy"
                );
                Boot {
                    source: Source::Unreadable,
                    head: None,
                    content: None,
                }
            }
        }
    }

    /// The newest revision, or its run state, is another by now, and was said by somebody with a key.
    pub(super) async fn absorb(&self, head: &Head) {
        let changed = {
            let mut snapshot = lock(&self.inner.snapshot);
            match snapshot.as_ref() {
                Some(before) if before.head.revision.id == head.revision.id => {
                    let now = if self.inner.guard.is_some() {
                        head.clone()
                    } else {
                        Head {
                            state: head.state,
                            ..before.head.clone()
                        }
                    };
                    let changed = before.head != now;
                    if changed {
                        *snapshot = Some(std::sync::Arc::new(before.with_head(now)));
                    }
                    changed
                }
                _ => false,
            }
        };
        if changed {
            if let Some(guard) = &self.inner.guard {
                guard.note(head);
            }
            self.keep().await;
        }
    }
}
