//! Revisions in the store: read, saved in one atomic step, announced.

use std::collections::HashMap;

use serde::Serialize;

use super::content::{CONTENT_LIMIT, Content};
use super::revision::{DeployType, Entry, Head, Revision, RunState, Seal};
use crate::codec;
use crate::config::Compression;
use crate::connection::{Connection, Lane, Repeat, Request};
use crate::error::{Code, Error, Result};
use crate::keyspace::Keyspace;

/// How many revisions the history keeps.
pub const HISTORY: u64 = 50;

const SAVE: &str = include_str!("../scripts/flows_save.lua");
const REPAIR: &str = include_str!("../scripts/flows_repair.lua");
const STATE: &str = include_str!("../scripts/flows_state.lua");
const STATE_SIGNED: &str = include_str!("../scripts/flows_state_signed.lua");
const SIGN: &str = include_str!("../scripts/flows_sign.lua");

/// The revisions of one cluster.
#[derive(Debug, Clone)]
pub struct RevisionStore {
    connection: Connection,
    keyspace: Keyspace,
    compression: Compression,
}

/// What the store held at one moment.
#[derive(Debug)]
pub struct Stored {
    /// Absent in an empty store, and in one that only the older package wrote to.
    pub head: Option<Head>,
    /// Absent in an empty store; an error where the stored values cannot be read.
    pub content: Option<Result<Content>>,
}

/// The message on the update channel: for people and other programs; followers only wake from it.
#[derive(Serialize)]
struct Announcement<'head> {
    revision: u64,
    id: &'head str,
    #[serde(rename = "type")]
    deploy_type: DeployType,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'head str>,
    time: &'head str,
    state: RunState,
}

impl RevisionStore {
    /// The revisions under a keyspace.
    pub fn new(connection: Connection, keyspace: Keyspace, compression: Compression) -> Self {
        Self {
            connection,
            keyspace,
            compression,
        }
    }

    /// The newest revision's metadata: one small read.
    ///
    /// # Errors
    /// The store's, or `ValueDamaged` where the hash is not a head.
    pub async fn head(&self) -> Result<Option<Head>> {
        let mut command = redis::cmd("HGETALL");
        command.arg(self.keyspace.revision());
        let fields: HashMap<String, String> = self
            .connection
            .run(Lane::Commands, &Request::Command(command), Repeat::Safe)
            .await?;
        head_from(fields, &self.keyspace.revision())
    }

    /// The newest revision with its content, as they stood together.
    ///
    /// # Errors
    /// The store's. Damaged content is not an error here: see [`Stored::content`].
    pub async fn load(&self) -> Result<Stored> {
        let mut transaction = redis::pipe();
        transaction
            .atomic()
            .cmd("HGETALL")
            .arg(self.keyspace.revision())
            .cmd("GET")
            .arg(self.keyspace.flows())
            .cmd("GET")
            .arg(self.keyspace.credentials());
        type Reply = (HashMap<String, String>, Option<Vec<u8>>, Option<Vec<u8>>);
        let reply: Result<Reply> = self
            .connection
            .run(Lane::Bulk, &Request::Transaction(transaction), Repeat::Safe)
            .await;
        let (fields, flows, credentials) = match reply {
            Ok(reply) => reply,
            // A key of a foreign type: where it is not the head, that one tells what to look for.
            Err(error) if error.code() == Code::StoreReply => {
                let head = self.head().await?;
                let content = Some(Err(error));
                return Ok(Stored { head, content });
            }
            Err(error) => return Err(error),
        };
        let head = head_from(fields, &self.keyspace.revision())?;
        let keyspace = self.keyspace.clone();
        let hash = head.as_ref().map(|head| head.revision.hash.clone());
        let content = crate::blocking(move || {
            flows.map(|flows| read_content(&keyspace, flows, credentials, hash.as_deref()))
        })
        .await?;
        Ok(Stored { head, content })
    }

    /// A revision's archive from the history.
    ///
    /// # Errors
    /// The store's.
    pub async fn archive(&self, number: u64) -> Result<Option<Vec<u8>>> {
        let mut command = redis::cmd("HGET");
        command.arg(self.keyspace.history_content()).arg(number);
        self.connection
            .run(Lane::Bulk, &Request::Command(command), Repeat::Safe)
            .await
    }

    /// What a follower at revision `from` must do to be at `to`: the deploys between, combined. A
    /// gap in the history restarts everything, and so does an entry that is not `believed`.
    ///
    /// # Errors
    /// The store's.
    pub async fn deploy_type_between(
        &self,
        from: u64,
        to: &Revision,
        believed: impl Fn(&Entry) -> bool,
    ) -> Result<DeployType> {
        if to.number == from + 1 {
            return Ok(to.deploy_type);
        }
        if to.number <= from || to.number - from > HISTORY {
            return Ok(DeployType::Full);
        }
        let mut command = redis::cmd("HMGET");
        command.arg(self.keyspace.history());
        for number in from + 1..=to.number {
            command.arg(number);
        }
        let entries: Vec<Option<String>> = self
            .connection
            .run(Lane::Commands, &Request::Command(command), Repeat::Safe)
            .await?;
        let types = (from + 1..).zip(entries).map(|(number, entry)| {
            entry
                .and_then(|json| serde_json::from_str::<Entry>(&json).ok())
                .filter(|entry| entry.revision.number == number && believed(entry))
                .map_or(DeployType::Full, |entry| entry.revision.deploy_type)
        });
        Ok(types.fold(to.deploy_type, DeployType::combined))
    }

    /// Saves a revision whole, if the newest one is still `seen`, and announces it.
    ///
    /// # Errors
    /// `VersionMismatch` where someone else saved a newer one; the store's.
    pub async fn save(
        &self,
        seen: Option<&str>,
        head: &Head,
        content: &Content,
        archive: &[u8],
    ) -> Result<()> {
        let revision = &head.revision;
        let metadata = to_json(&Entry::of(head))?;
        let announcement = announcement(head)?;
        let (flows, credentials) = self.encode(content).await?;
        let mut arguments = vec![
            seen.unwrap_or_default().as_bytes().to_vec(),
            revision.id.as_bytes().to_vec(),
            revision.number.to_string().into_bytes(),
            metadata.into_bytes(),
            flows,
            credentials,
            archive.to_vec(),
            HISTORY.to_string().into_bytes(),
            self.keyspace.update_channel().as_bytes().to_vec(),
            announcement.into_bytes(),
        ];
        for (field, value) in fields_of(head) {
            arguments.push(field.as_bytes().to_vec());
            arguments.push(value.into_bytes());
        }
        let request = Request::Script {
            script: SAVE,
            keys: vec![
                self.keyspace.flows(),
                self.keyspace.credentials(),
                self.keyspace.revision(),
                self.keyspace.history(),
                self.keyspace.history_content(),
            ],
            arguments,
        };
        // Safe to repeat: the script knows a revision that it has saved before by its id.
        let saved: bool = self
            .connection
            .run(Lane::Bulk, &request, Repeat::Safe)
            .await?;
        if saved {
            Ok(())
        } else {
            Err(Error::new(
                Code::VersionMismatch,
                "another admin deployed meanwhile; review its flows before deploying over them",
            ))
        }
    }

    /// Writes the values of the newest revision anew, where something damaged them.
    ///
    /// # Errors
    /// The store's. A newer revision meanwhile is none: it brought whole values.
    pub async fn repair(&self, head: &Head, content: &Content) -> Result<()> {
        let (flows, credentials) = self.encode(content).await?;
        let request = Request::Script {
            script: REPAIR,
            keys: vec![
                self.keyspace.flows(),
                self.keyspace.credentials(),
                self.keyspace.revision(),
            ],
            arguments: vec![head.revision.id.as_bytes().to_vec(), flows, credentials],
        };
        let _: bool = self
            .connection
            .run(Lane::Bulk, &request, Repeat::Safe)
            .await?;
        Ok(())
    }

    /// The stored form of flows and credentials.
    async fn encode(&self, content: &Content) -> Result<(Vec<u8>, Vec<u8>)> {
        let compression = self.compression;
        let content = content.clone();
        crate::blocking(move || {
            (
                codec::encode(content.flows.as_bytes(), compression),
                codec::encode(content.credentials.as_bytes(), compression),
            )
        })
        .await
    }

    /// Starts or stops the flows of the cluster. Without any revision there is nothing to stop.
    ///
    /// # Errors
    /// The store's.
    pub async fn set_state(&self, head: &Head, state: RunState) -> Result<()> {
        let head = Head {
            revision: head.revision.clone(),
            state,
            seal: None,
        };
        let request = Request::Script {
            script: STATE,
            keys: vec![self.keyspace.revision()],
            arguments: vec![
                state.as_str().as_bytes().to_vec(),
                self.keyspace.update_channel().as_bytes().to_vec(),
                announcement(&head)?.into_bytes(),
            ],
        };
        let _: bool = self
            .connection
            .run(Lane::Commands, &request, Repeat::Safe)
            .await?;
        Ok(())
    }

    /// Starts or stops the flows of a revision, signed, if the head is still the one that was `seen`. Returns
    /// whether it was.
    ///
    /// # Errors
    /// The store's.
    pub async fn set_signed_state(&self, seen: &Head, head: &Head) -> Result<bool> {
        let seal = head.seal.as_ref();
        let before = seen.seal.as_ref().map(|seal| seal.state_signature.clone());
        let request = Request::Script {
            script: STATE_SIGNED,
            keys: vec![self.keyspace.revision()],
            arguments: vec![
                head.revision.id.as_bytes().to_vec(),
                before.unwrap_or_default().into_bytes(),
                head.state.as_str().as_bytes().to_vec(),
                seal.map_or(0, |seal| seal.state_number)
                    .to_string()
                    .into_bytes(),
                seal.map_or_else(Vec::new, |seal| seal.state_signature.as_bytes().to_vec()),
                self.keyspace.update_channel().as_bytes().to_vec(),
                announcement(head)?.into_bytes(),
            ],
        };
        self.connection
            .run(Lane::Commands, &request, Repeat::Safe)
            .await
    }

    /// Puts a seal on the newest revision, which has none or that of another key, if it is still what was `seen`.
    ///
    /// # Errors
    /// The store's.
    pub async fn sign(&self, seen: &Head, head: &Head) -> Result<bool> {
        let state = seen.seal.as_ref().map(|seal| seal.state_signature.clone());
        let mut arguments = vec![
            head.revision.id.as_bytes().to_vec(),
            head.state.as_str().as_bytes().to_vec(),
            state.unwrap_or_default().into_bytes(),
            head.revision.number.to_string().into_bytes(),
            to_json(&Entry::of(head))?.into_bytes(),
        ];
        for (field, value) in fields_of(head) {
            arguments.push(field.as_bytes().to_vec());
            arguments.push(value.into_bytes());
        }
        let request = Request::Script {
            script: SIGN,
            keys: vec![self.keyspace.revision(), self.keyspace.history()],
            arguments,
        };
        self.connection
            .run(Lane::Commands, &request, Repeat::Safe)
            .await
    }
}

fn read_content(
    keyspace: &Keyspace,
    flows: Vec<u8>,
    credentials: Option<Vec<u8>>,
    expected_hash: Option<&str>,
) -> Result<Content> {
    let flows = text(flows).map_err(|e| e.while_doing(&keyspace.flows()))?;
    let credentials = match credentials {
        Some(bytes) => text(bytes).map_err(|e| e.while_doing(&keyspace.credentials()))?,
        None => "{}".to_owned(),
    };
    let content = Content { flows, credentials };
    content.check()?;
    match expected_hash {
        Some(expected) if expected != content.hash() => Err(Error::new(
            Code::ValueDamaged,
            format!(
                "{} is not what revision {} says it is: it was changed or cut by something else",
                keyspace.flows(),
                expected.get(..8).unwrap_or(expected)
            ),
        )),
        _ => Ok(content),
    }
}

fn text(stored: Vec<u8>) -> Result<String> {
    let bytes = codec::decode(stored, CONTENT_LIMIT)?;
    String::from_utf8(bytes).map_err(|_| Error::new(Code::ValueDamaged, "it is not UTF-8"))
}

fn fields_of(head: &Head) -> Vec<(&'static str, String)> {
    let revision = &head.revision;
    let mut fields = vec![
        ("number", revision.number.to_string()),
        ("id", revision.id.clone()),
        ("hash", revision.hash.clone()),
        ("credentialsHash", revision.credentials_hash.clone()),
        ("type", revision.deploy_type.as_str().to_owned()),
        ("user", revision.user.clone().unwrap_or_default()),
        ("time", revision.time.clone()),
        ("instance", revision.instance.clone()),
        ("state", head.state.as_str().to_owned()),
    ];
    if let Some(seal) = &head.seal {
        fields.extend([
            ("credentialsSha256", seal.credentials_sha256.clone()),
            ("signature", seal.signature.clone()),
            ("stateNumber", seal.state_number.to_string()),
            ("stateSignature", seal.state_signature.clone()),
        ]);
    }
    fields
}

fn head_from(mut fields: HashMap<String, String>, key: &str) -> Result<Option<Head>> {
    if fields.is_empty() {
        return Ok(None);
    }
    let mut take = |name: &str| fields.remove(name).unwrap_or_default();
    let number = take("number").parse::<u64>();
    let id = take("id");
    let hash = take("hash");
    let (Ok(number), false, false) = (number, id.is_empty(), hash.is_empty()) else {
        return Err(Error::new(
            Code::ValueDamaged,
            format!(
                "{key} is not a revision: `number`, `id` and `hash` are needed; does another program use this key?"
            ),
        ));
    };
    let user = take("user");
    let signature = take("signature");
    let seal = (!signature.is_empty()).then(|| {
        Box::new(Seal {
            credentials_sha256: take("credentialsSha256"),
            signature,
            state_number: take("stateNumber").parse().unwrap_or_default(),
            state_signature: take("stateSignature"),
        })
    });
    Ok(Some(Head {
        revision: Revision {
            number,
            id,
            hash,
            credentials_hash: take("credentialsHash"),
            deploy_type: DeployType::from_name(&take("type")),
            user: Some(user).filter(|user| !user.is_empty()),
            time: take("time"),
            instance: take("instance"),
        },
        state: RunState::from_name(&take("state")).unwrap_or_default(),
        seal,
    }))
}

fn announcement(head: &Head) -> Result<String> {
    to_json(&Announcement {
        revision: head.revision.number,
        id: &head.revision.id,
        deploy_type: head.revision.deploy_type,
        user: head.revision.user.as_deref(),
        time: &head.revision.time,
        state: head.state,
    })
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::new(Code::Internal, e.to_string()))
}

#[cfg(any(test, feature = "fuzzing"))]
/// See [`crate::fuzzing`].
pub(crate) fn fuzz(data: &[u8]) {
    let [text] = crate::fuzzing::parts(data);
    let fields = text.lines().filter_map(|line| line.split_once('='));
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    match head_from(fields.collect(), "nodered:revision") {
        Ok(Some(head)) => {
            let printed = fields_of(&head)
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value));
            let again = head_from(printed.collect(), "nodered:revision");
            assert_eq!(again.as_ref(), Ok(&Some(head.clone())));
            announcement(&head).expect("a head is announced");
        }
        Ok(None) => {}
        Err(error) => crate::fuzzing::refused(&error),
    }
}
