//! Packages in the store: revisions, tarballs, node types.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::list::{LIST_LIMIT, PackageList};
use super::lock::{LOCK_LIMIT, Lock};
use super::message::Note;
use super::name::PackageName;
#[cfg(any(test, feature = "fuzzing"))]
use super::signed;
use super::tarball::{Digest, TARBALL_LIMIT};
use crate::codec;
use crate::config::Compression;
use crate::connection::{Connection, Lane, Repeat, Request};
use crate::error::{Code, Error, Result};
use crate::keyspace::Keyspace;
use crate::signing::{Keyring, Marks};

const SAVE: &str = include_str!("../scripts/packages_save.lua");
const SWITCH: &str = include_str!("../scripts/packages_switch.lua");

/// Node types by package.
pub type Types = BTreeMap<PackageName, Vec<String>>;

/// Which revision of the packages is the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Counts up by one with each change.
    pub number: u64,
    /// Unique.
    pub id: String,
    /// What [`PackageList::hash`] gives for it.
    pub hash: String,
    /// When it was published, RFC 3339 in UTC.
    pub time: String,
    /// The admin that did.
    pub instance: String,
}

/// What the store says of the newest revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Newest {
    /// No admin has published anything yet.
    Nothing,
    /// The admin has switched packages off: everybody keeps what he has.
    SwitchedOff,
    /// Something under this id that is not signed as it should be, where signatures are asked for.
    Refused {
        /// Of the revision, as the store has it.
        id: String,
        /// What is wrong.
        error: Error,
    },
    /// Something that is no revision, under this id: an admin publishes over it.
    Unreadable(String),
    /// This one.
    Revision(Head),
}

/// A revision with all that belongs to it, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Which it is.
    pub head: Head,
    /// Its list.
    pub list: PackageList,
    /// Its lock file.
    pub lock: Lock,
}

/// How a [`PackageStore::save`] ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saved {
    /// It is the newest revision.
    Saved,
    /// Somebody else was quicker.
    Mismatch,
    /// These tarballs have to be put first.
    Missing(Vec<Digest>),
}

/// The packages of one cluster.
#[derive(Debug, Clone)]
pub struct PackageStore {
    pub(super) connection: Connection,
    pub(super) keyspace: Keyspace,
    compression: Compression,
    pub(super) keyring: Option<Keyring>,
    /// When packages were switched on or off, as far as that was believed.
    pub(super) switched: Arc<Mutex<Marks>>,
}

impl PackageStore {
    /// The packages under a keyspace.
    pub fn new(connection: Connection, keyspace: Keyspace, compression: Compression) -> Self {
        Self {
            connection,
            keyspace,
            compression,
            keyring: None,
            switched: Arc::default(),
        }
    }

    /// The same, which signs and asks for signatures, where there is a key.
    #[must_use]
    pub fn signed(self, keyring: Option<Keyring>) -> Self {
        Self { keyring, ..self }
    }

    /// Whether the store is known to be away at this moment.
    pub fn is_away(&self) -> bool {
        !self.connection.is_up()
    }

    /// Which revision is the newest: one small read.
    ///
    /// # Errors
    /// The store's, or `ValueDamaged` where the hash is no head.
    pub async fn newest(&self) -> Result<Newest> {
        let mut command = redis::cmd("HGETALL");
        command.arg(self.keyspace.packages_revision());
        let fields: HashMap<String, String> = self
            .connection
            .run(Lane::Commands, &Request::Command(command), Repeat::Safe)
            .await
            .map_err(|error| error.while_doing(&self.keyspace.packages_revision()))?;
        Ok(self.judge(fields))
    }

    /// The error of whoever finds something that is no revision.
    pub fn unreadable(&self) -> Error {
        Error::new(
            Code::ValueDamaged,
            format!(
                "{} is no revision of packages: `number` is needed; does another program use this key?",
                self.keyspace.packages_revision()
            ),
        )
    }

    /// The id of the revision that the content belongs to, where there is any: one small read.
    ///
    /// # Errors
    /// The store's.
    pub async fn content_id(&self) -> Result<Option<String>> {
        let mut command = redis::cmd("HGET");
        command.arg(self.keyspace.packages_content()).arg("id");
        self.connection
            .run(Lane::Commands, &Request::Command(command), Repeat::Safe)
            .await
            .map_err(|error| error.while_doing(&self.keyspace.packages_content()))
    }

    /// The newest revision with its content, as they stood together.
    ///
    /// # Errors
    /// The store's; `ValueDamaged` and `ValueTooLarge` where the content is not one to follow.
    pub async fn load(&self) -> Result<Option<Published>> {
        self.check_sizes().await?;
        let mut transaction = redis::pipe();
        transaction
            .atomic()
            .cmd("HGETALL")
            .arg(self.keyspace.packages_revision())
            .cmd("HMGET")
            .arg(self.keyspace.packages_content())
            .arg(&["id", "list", "lock"]);
        type Content = (Option<String>, Option<Vec<u8>>, Option<Vec<u8>>);
        let (fields, (id, list, lock)): (HashMap<String, String>, Content) = self
            .connection
            .run(Lane::Bulk, &Request::Transaction(transaction), Repeat::Safe)
            .await?;
        let head = match self.judge(fields) {
            Newest::Revision(head) => head,
            Newest::Refused { error, .. } => return Err(error),
            _ => return Ok(None),
        };
        let (Some(list), Some(lock)) = (list, lock) else {
            return Err(self.damaged("the list or the lock file is gone"));
        };
        if id.as_ref() != Some(&head.id) {
            return Err(self.damaged("it belongs to another revision than the newest"));
        }
        let signed = self.keyring.as_ref().map(|_| head.hash.clone());
        let published = crate::blocking(move || {
            let list = PackageList::from_store(&codec::decode_text(list, LIST_LIMIT)?)?;
            let lock = Lock::from_store(&codec::decode_text(lock, LOCK_LIMIT)?)?;
            list.check_lock(&lock)?;
            if let Some(hash) = signed
                && list.hash(&lock)? != hash
            {
                return Err(Error::new(
                    Code::SignatureInvalid,
                    "the list or the lock file is not what was signed",
                ));
            }
            Ok::<_, Error>((list, lock))
        })
        .await?;
        let (list, lock) =
            published.map_err(|error| error.while_doing(&self.keyspace.packages_content()))?;
        Ok(Some(Published { head, list, lock }))
    }

    /// Checks that what is stored may be read at all, before it is.
    async fn check_sizes(&self) -> Result<()> {
        let key = self.keyspace.packages_content();
        let mut lengths = redis::pipe();
        lengths.atomic();
        for field in ["list", "lock"] {
            lengths.cmd("HSTRLEN").arg(&key).arg(field);
        }
        let (list, lock): (usize, usize) = self
            .connection
            .run(Lane::Commands, &Request::Transaction(lengths), Repeat::Safe)
            .await
            .map_err(|error| error.while_doing(&key))?;
        if list > LIST_LIMIT || lock > LOCK_LIMIT {
            return Err(Error::new(
                Code::ValueTooLarge,
                format!(
                    "{key}: the list has {list} bytes, at most {LIST_LIMIT}, the lock file {lock}, at most {LOCK_LIMIT}"
                ),
            ));
        }
        Ok(())
    }

    /// Saves a revision, if the newest one is still `seen` and all of `tarballs` are there.
    ///
    /// # Errors
    /// The store's; `ValueTooLarge` for more than can be read again.
    pub async fn save(
        &self,
        seen: Option<&str>,
        published: &Published,
        tarballs: &BTreeSet<Digest>,
    ) -> Result<Saved> {
        let Published { head, list, lock } = published;
        let text = list.to_text()?;
        let lock = lock.to_text()?;
        if text.len() > LIST_LIMIT || lock.len() > LOCK_LIMIT {
            return Err(Error::new(
                Code::ValueTooLarge,
                format!(
                    "the list of packages ({} bytes, at most {LIST_LIMIT}) or their lock file ({} bytes, at most {LOCK_LIMIT}) is too long to be published",
                    text.len(),
                    lock.len()
                ),
            ));
        }
        let compression = self.compression;
        let lock = crate::blocking(move || codec::encode(lock.as_bytes(), compression)).await?;
        let mut fields = vec![
            ("number", head.number.to_string()),
            ("id", head.id.clone()),
            ("hash", head.hash.clone()),
            ("time", head.time.clone()),
            ("instance", head.instance.clone()),
            ("sync", "on".to_owned()),
        ];
        fields.extend(self.signatures(head));
        let mut arguments = vec![
            seen.unwrap_or_default().as_bytes().to_vec(),
            head.id.as_bytes().to_vec(),
            to_json(&list.versions())?.into_bytes(),
            text.into_bytes(),
            lock,
            self.keyspace.package_channel().as_bytes().to_vec(),
            Note::published(head).to_text()?.into_bytes(),
            (fields.len() * 2).to_string().into_bytes(),
        ];
        for (field, value) in fields {
            arguments.extend([field.as_bytes().to_vec(), value.into_bytes()]);
        }
        arguments.extend(
            tarballs
                .iter()
                .map(|digest| digest.to_string().into_bytes()),
        );
        let request = Request::Script {
            script: SAVE,
            keys: vec![
                self.keyspace.packages(),
                self.keyspace.packages_revision(),
                self.keyspace.packages_content(),
                self.keyspace.packages_tarballs(),
            ],
            arguments,
        };
        // Safe to repeat: the script knows a revision that it has saved before by its id.
        let reply: Vec<String> = self
            .connection
            .run(Lane::Bulk, &request, Repeat::Safe)
            .await?;
        match reply.split_first() {
            Some((verdict, [])) if verdict == "saved" => Ok(Saved::Saved),
            Some((verdict, [])) if verdict == "mismatch" => Ok(Saved::Mismatch),
            Some((_, missing)) => Ok(Saved::Missing(
                missing
                    .iter()
                    .filter_map(|hex| Digest::parse(hex))
                    .collect(),
            )),
            None => Err(Error::new(
                Code::StoreReply,
                "the store answered with nothing",
            )),
        }
    }

    /// Says whether this cluster's admin publishes its packages. Returns whether that changed.
    ///
    /// # Errors
    /// The store's.
    pub async fn switch(&self, on: bool) -> Result<bool> {
        let mut arguments = vec![
            if on { b"on".to_vec() } else { b"off".to_vec() },
            self.keyspace.package_channel().as_bytes().to_vec(),
            Note::switched(on).to_text()?.into_bytes(),
        ];
        if self.keyring.is_some() {
            let off = matches!(self.newest().await?, Newest::SwitchedOff);
            if off != on {
                return Ok(false);
            }
            for (field, value) in self.signatures_of_switch(on) {
                arguments.extend([field.as_bytes().to_vec(), value.into_bytes()]);
            }
        }
        let request = Request::Script {
            script: SWITCH,
            keys: vec![self.keyspace.packages_revision()],
            arguments,
        };
        self.connection
            .run(Lane::Commands, &request, Repeat::Safe)
            .await
    }

    /// Puts a tarball, before a revision that needs it is saved.
    ///
    /// # Errors
    /// The store's; `ValueTooLarge`.
    pub async fn put(&self, digest: Digest, tarball: &[u8]) -> Result<()> {
        if tarball.len() > TARBALL_LIMIT {
            return Err(Error::new(
                Code::ValueTooLarge,
                format!(
                    "a tarball of {} bytes is larger than the {TARBALL_LIMIT} that are shared through the store",
                    tarball.len()
                ),
            ));
        }
        let mut command = redis::cmd("HSET");
        command
            .arg(self.keyspace.packages_tarballs())
            .arg(digest.to_string())
            .arg(tarball);
        let _: i64 = self
            .connection
            .run(Lane::Bulk, &Request::Command(command), Repeat::Safe)
            .await?;
        Ok(())
    }

    /// A tarball, if it is there; its bytes have this hash.
    ///
    /// # Errors
    /// The store's; `ValueDamaged` where the bytes are others; `ValueTooLarge`.
    pub async fn tarball(&self, digest: Digest) -> Result<Option<Vec<u8>>> {
        let field = digest.to_string();
        let mut command = redis::cmd("HSTRLEN");
        command.arg(self.keyspace.packages_tarballs()).arg(&field);
        let length: usize = self
            .connection
            .run(Lane::Commands, &Request::Command(command), Repeat::Safe)
            .await?;
        if length > TARBALL_LIMIT {
            return Err(Error::new(
                Code::ValueTooLarge,
                format!("the tarball {field} has {length} bytes, more than {TARBALL_LIMIT}"),
            ));
        }
        let mut command = redis::cmd("HGET");
        command.arg(self.keyspace.packages_tarballs()).arg(&field);
        let found: Option<Vec<u8>> = self
            .connection
            .run(Lane::Bulk, &Request::Command(command), Repeat::Safe)
            .await?;
        let Some(bytes) = found else { return Ok(None) };
        crate::blocking(move || {
            if Digest::of(&bytes) == digest {
                Ok(Some(bytes))
            } else {
                Err(Error::new(
                    Code::ValueDamaged,
                    format!("the tarball {digest} in the store has other bytes than its hash says"),
                ))
            }
        })
        .await?
    }

    /// The node types of the admin's packages, as far as they are known.
    ///
    /// # Errors
    /// The store's, `ValueDamaged`.
    pub async fn types(&self) -> Result<Types> {
        let mut command = redis::cmd("GET");
        command.arg(self.keyspace.packages_types());
        let stored: Option<Vec<u8>> = self
            .connection
            .run(Lane::Commands, &Request::Command(command), Repeat::Safe)
            .await?;
        let Some(stored) = stored else {
            return Ok(Types::new());
        };
        let text = codec::decode_text(stored, LIST_LIMIT)
            .map_err(|error| error.while_doing(&self.keyspace.packages_types()))?;
        serde_json::from_str(&text).map_err(|error| {
            let key = self.keyspace.packages_types();
            Error::new(Code::ValueDamaged, format!("{key}: {error}"))
        })
    }

    /// Writes the node types of the admin's packages.
    ///
    /// # Errors
    /// The store's.
    pub async fn save_types(&self, types: &Types) -> Result<()> {
        let mut command = redis::cmd("SET");
        command
            .arg(self.keyspace.packages_types())
            .arg(to_json(types)?);
        self.connection
            .run(Lane::Commands, &Request::Command(command), Repeat::Safe)
            .await
    }

    fn damaged(&self, why: &str) -> Error {
        Error::new(
            Code::ValueDamaged,
            format!("{}: {why}", self.keyspace.packages_content()),
        )
    }
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::new(Code::Internal, error.to_string()))
}

#[cfg(any(test, feature = "fuzzing"))]
/// See [`crate::fuzzing`].
pub(crate) fn fuzz(text: &str) {
    if let Ok(types) = serde_json::from_str::<Types>(text) {
        let again = to_json(&types).expect("types have a text");
        assert_eq!(serde_json::from_str::<Types>(&again).ok(), Some(types));
    }
    let fields: HashMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    let mut take = |name: &str| fields.get(name).copied().unwrap_or_default().to_owned();
    if let Newest::Revision(head) = signed::read_head(&mut take) {
        assert_eq!(Note::published(&head).packages, Some(head.number));
    }
}
