//! What of the packages in the store is believed by an instance with a signing key.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::service::{Packages, lock};
use super::store::{Head, Newest, PackageStore};
use crate::connection::{Lane, Repeat, Request};
use crate::error::{Code, Error, Result};
use crate::signing::{Keyring, Kind, Marks, Statement};

/// The file that says which revisions a worker has believed.
const MARKS: &str = "newest-signed.json";

const SIGN: &str = include_str!("../scripts/packages_sign.lua");

/// What a worker has believed, of which cluster.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    key_prefix: String,
    marks: Marks,
}

impl PackageStore {
    /// What the fields of the head say, as far as it is believed.
    pub(super) fn judge(&self, mut fields: HashMap<String, String>) -> Newest {
        let mut take = |name: &str| fields.remove(name).unwrap_or_default();
        let off = take("sync") == "off";
        let (sync_time, sync_signature) = (take("syncTime"), take("syncSignature"));
        let signature = take("signature");
        let newest = read_head(&mut take);
        let Some(keyring) = &self.keyring else {
            return if off { Newest::SwitchedOff } else { newest };
        };
        let id = match &newest {
            Newest::Nothing if !off => return newest,
            Newest::Revision(head) => head.id.clone(),
            Newest::Unreadable(id) => id.clone(),
            _ => String::new(),
        };
        let switched = of_sync(keyring, off, &sync_time);
        let judged = keyring
            .verify("the switch of the packages", &switched, &sync_signature)
            .and_then(|()| self.check_switch(&sync_time));
        if let Err(error) = judged {
            return Newest::Refused { id, error };
        }
        if off {
            return Newest::SwitchedOff;
        }
        if let Newest::Revision(head) = &newest {
            let what = format!("revision {} of the packages", head.number);
            if let Err(error) = keyring.verify(&what, &of_revision(keyring, head), &signature) {
                return Newest::Refused { id, error };
            }
        }
        newest
    }

    /// The fields that vouch for a head that is about to be saved.
    pub(super) fn signatures(&self, head: &Head) -> Vec<(&'static str, String)> {
        let Some(keyring) = &self.keyring else {
            return Vec::new();
        };
        let mut fields = self.signatures_of_switch(true);
        fields.push(("signature", keyring.sign(&of_revision(keyring, head))));
        fields
    }

    /// The same for the switch alone.
    pub(super) fn signatures_of_switch(&self, on: bool) -> Vec<(&'static str, String)> {
        let Some(keyring) = &self.keyring else {
            return Vec::new();
        };
        let time = lock(&self.switched).next_time(SystemTime::now());
        let time = humantime::format_rfc3339_millis(time).to_string();
        let signature = keyring.sign(&of_sync(keyring, !on, &time));
        vec![("syncTime", time), ("syncSignature", signature)]
    }

    /// Signs what was verified with a key that signs no more. Nothing happens where it is another one by now.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn sign_again(&self, head: &Head) -> Result<()> {
        let Some(keyring) = &self.keyring else {
            return Ok(());
        };
        let mut command = redis::cmd("HMGET");
        command
            .arg(self.keyspace.packages_revision())
            .arg(&["signature", "syncSignature"]);
        let stored: Vec<Option<String>> = self
            .connection
            .run(Lane::Commands, &Request::Command(command), Repeat::Safe)
            .await?;
        let own = |signature: &Option<String>| {
            signature
                .as_ref()
                .is_some_and(|signature| keyring.is_own(signature))
        };
        if stored.iter().all(own) {
            return Ok(());
        }
        let mut arguments = vec![head.id.as_bytes().to_vec()];
        for (field, value) in self.signatures(head) {
            arguments.extend([field.as_bytes().to_vec(), value.into_bytes()]);
        }
        let request = Request::Script {
            script: SIGN,
            keys: vec![self.keyspace.packages_revision()],
            arguments,
        };
        let _: bool = self
            .connection
            .run(Lane::Commands, &request, Repeat::Safe)
            .await?;
        Ok(())
    }

    /// A switch of before, written again, is none.
    fn check_switch(&self, time: &str) -> Result<()> {
        let mut marks = lock(&self.switched);
        if marks.are_behind(time) {
            return Err(Error::new(
                Code::RevisionReplayed,
                "the switch of the packages is an earlier one, written again",
            ));
        }
        marks.note(0, time);
        Ok(())
    }
}

impl Packages {
    /// What the store has, for a worker: nothing that is older than what it has had.
    pub(super) fn newer_only(&self, newest: Newest) -> Result<Newest> {
        let head = match newest {
            Newest::Refused { error, .. } => return Err(refused(&error)),
            Newest::Revision(head) => head,
            other => return Ok(other),
        };
        let mut follower = lock(&self.inner.worker.follower);
        let kept = if self.inner.store.keyring.is_some() {
            self.kept()
        } else {
            return Ok(Newest::Revision(head));
        };
        if follower.has_id(&head.id) || kept.marks.are_exceeded_by(head.number, &head.time) {
            return Ok(Newest::Revision(head));
        }
        // An admin may be about to put back what the store lost.
        if follower.holds_back(Instant::now()) {
            return Ok(Newest::Nothing);
        }
        Err(refused(&Error::new(
            Code::RevisionReplayed,
            format!(
                "revision {} of the packages is signed, and older than what was here",
                head.number
            ),
        )))
    }

    /// A worker has this revision: nothing older is believed from now on.
    pub(super) fn note_believed(&self, head: &Head) {
        if self.inner.store.keyring.is_none() {
            return;
        }
        let mut kept = self.kept();
        kept.marks.note(head.number, &head.time);
        let file = self.marks_file();
        let written = || -> std::io::Result<()> {
            let temporary = file.with_extension("new");
            fs::write(&temporary, serde_json::to_vec(&kept)?)?;
            fs::rename(&temporary, &file)
        };
        if let Err(error) = written() {
            tracing::warn!(
                "{} cannot be written ({error}); after a restart this worker may believe older packages",
                file.display()
            );
        }
    }

    fn kept(&self) -> Kept {
        let text = fs::read(self.marks_file()).unwrap_or_default();
        let kept: Kept = serde_json::from_slice(&text).unwrap_or_default();
        let key_prefix = self.inner.options.key_prefix.clone();
        if kept.key_prefix == key_prefix {
            kept
        } else {
            let marks = Marks::default();
            Kept { key_prefix, marks }
        }
    }

    fn marks_file(&self) -> PathBuf {
        self.inner.options.folder.join(MARKS)
    }

    /// What an admin does about packages that it does not believe: its own take their place, if it has published or
    /// taken over any before, or somebody changes some here. One that knows nothing yet must not publish nothing.
    pub(super) fn may_replace_refused(&self, recorded: &str, error: &Error) -> Result<()> {
        if recorded.is_empty() && !self.inner.admin.touched.load(Ordering::Acquire) {
            return Err(Error::new(
                error.code(),
                format!(
                    "{}; if they are yours, start this admin once without signingKey, look at its palette, and start it with the key again",
                    error.message()
                ),
            ));
        }
        Ok(())
    }
}

fn refused(error: &Error) -> Error {
    Error::new(
        error.code(),
        format!(
            "{}; this worker keeps the packages that it has, until an admin with the signingKey publishes",
            error.message()
        ),
    )
}

/// The revision that the fields of a head name.
pub(super) fn read_head(take: &mut impl FnMut(&str) -> String) -> Newest {
    let (number, id) = (take("number"), take("id"));
    if number.is_empty() && id.is_empty() {
        return Newest::Nothing;
    }
    let Ok(number) = number.parse() else {
        return Newest::Unreadable(id);
    };
    Newest::Revision(Head {
        number,
        id,
        hash: take("hash"),
        time: take("time"),
        instance: take("instance"),
    })
}

fn of_revision(keyring: &Keyring, head: &Head) -> Statement {
    // All of it, so that whoever adds a field decides about it here.
    let Head {
        number,
        id,
        hash,
        time,
        instance,
    } = head;
    keyring
        .statement(Kind::Packages)
        .field("number", &number.to_string())
        .field("id", id)
        .field("hash", hash)
        .field("time", time)
        .field("instance", instance)
}

fn of_sync(keyring: &Keyring, off: bool, time: &str) -> Statement {
    keyring
        .statement(Kind::PackagesSync)
        .field("sync", if off { "off" } else { "on" })
        .field("time", time)
}
