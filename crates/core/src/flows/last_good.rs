//! The last good revision on this instance's disk: what it starts from when the store is away, and
//! what an admin refills an emptied store with.
//!
//! One file: a line of JSON (which revision, of which cluster, the archive's hash) and the archive.
//! It is written to a temporary file and renamed, so that it is always whole.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::content::Content;
use super::revision::Head;
use crate::error::{Code, Error, Result};
use crate::signing::Marks;

const FILE_NAME: &str = "last-good-revision";
const FORMAT: u32 = 1;

/// Where the last good revision of one instance is kept.
#[derive(Debug, Clone)]
pub struct LastGood {
    file: PathBuf,
    prefix: String,
}

/// What was kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The revision and the run state.
    pub head: Head,
    /// Its content.
    pub content: Content,
    /// The credential secret that the cluster generated, where it did.
    pub secret: Option<String>,
    /// The newest signed revisions that were believed here.
    pub marks: Marks,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    format: u32,
    key_prefix: String,
    head: Head,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    secret: Option<String>,
    archive_sha256: String,
    /// Only where signatures are asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    newest_signed: Option<Marks>,
}

impl LastGood {
    /// The file in `directory`, which belongs to the cluster with this key prefix.
    pub fn new(directory: &Path, prefix: &str) -> Self {
        Self {
            file: directory.join(FILE_NAME),
            prefix: prefix.to_owned(),
        }
    }

    /// What is on the disk, if it is whole and of this cluster. Blocks.
    ///
    /// # Errors
    /// `LocalFile` where the file cannot be read, `ValueDamaged` where it is not whole.
    pub fn read(&self) -> Result<Option<Kept>> {
        let bytes = match fs::read(&self.file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("read", &error)),
        };
        let damaged = || {
            Error::new(
                Code::ValueDamaged,
                format!("{} is damaged and is not used", self.file.display()),
            )
        };
        let end = bytes
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or_else(damaged)?;
        let header: Header = serde_json::from_slice(&bytes[..end]).map_err(|_| damaged())?;
        let archive = &bytes[end + 1..];
        if header.format != FORMAT || header.archive_sha256 != sha256(archive) {
            return Err(damaged());
        }
        if header.key_prefix != self.prefix {
            return Ok(None);
        }
        Ok(Some(Kept {
            head: header.head,
            content: Content::from_archive(archive)?,
            secret: header.secret,
            marks: header.newest_signed.unwrap_or_default(),
        }))
    }

    /// Replaces what is on the disk. Blocks.
    ///
    /// # Errors
    /// `LocalFile`: full, read-only or forbidden.
    pub fn write(
        &self,
        head: &Head,
        archive: &[u8],
        secret: Option<&str>,
        marks: Option<Marks>,
    ) -> Result<()> {
        let header = Header {
            format: FORMAT,
            key_prefix: self.prefix.clone(),
            head: head.clone(),
            secret: secret.map(str::to_owned),
            archive_sha256: sha256(archive),
            newest_signed: marks,
        };
        self.replace(&header, archive)
            .map_err(|error| self.failed("written", &error))
    }

    fn replace(&self, header: &Header, archive: &[u8]) -> io::Result<()> {
        if let Some(directory) = self.file.parent() {
            fs::create_dir_all(directory)?;
        }
        let temporary = self.file.with_extension("new");
        let mut file = private_file(&temporary)?;
        serde_json::to_writer(&mut file, header)?;
        file.write_all(b"\n")?;
        file.write_all(archive)?;
        file.sync_all()?;
        fs::rename(&temporary, &self.file)
    }

    fn failed(&self, what: &str, error: &io::Error) -> Error {
        Error::new(
            Code::LocalFile,
            format!(
                "{} cannot be {what} ({error}); without it this instance cannot start while the store is away",
                self.file.display()
            ),
        )
    }
}

/// Readable by the owner alone, since it may hold the credential secret.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::revision::{DeployType, Revision, RunState};

    fn head() -> Head {
        Head {
            revision: Revision {
                number: 7,
                id: "id".into(),
                hash: "hash".into(),
                credentials_hash: String::new(),
                deploy_type: DeployType::Nodes,
                user: None,
                time: "2026-01-01T00:00:00Z".into(),
                instance: "host-1".into(),
            },
            state: RunState::Start,
            seal: None,
        }
    }

    fn content() -> Content {
        Content {
            flows: "[{\"id\":\"a\"}]".into(),
            credentials: "{}".into(),
        }
    }

    #[test]
    fn what_was_written_is_read_and_only_by_its_own_cluster() {
        let directory = tempfile::tempdir().unwrap();
        let kept = LastGood::new(directory.path(), "a:");
        assert!(kept.read().unwrap().is_none());
        kept.write(&head(), &content().archive(), Some("s"), None)
            .unwrap();
        let read = kept.read().unwrap().unwrap();
        assert_eq!((read.head, read.content), (head(), content()));
        assert_eq!(read.secret.as_deref(), Some("s"));
        assert!(
            LastGood::new(directory.path(), "b:")
                .read()
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn a_cut_file_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let kept = LastGood::new(directory.path(), "a:");
        kept.write(&head(), &content().archive(), None, None)
            .unwrap();
        let path = directory.path().join(FILE_NAME);
        let bytes = fs::read(&path).unwrap();
        for length in [0, 5, bytes.len() - 1] {
            fs::write(&path, &bytes[..length]).unwrap();
            assert_eq!(kept.read().unwrap_err().code(), Code::ValueDamaged);
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let kept = LastGood::new(directory.path(), "a:");
        kept.write(&head(), &content().archive(), None, None)
            .unwrap();
        let mode = fs::metadata(directory.path().join(FILE_NAME))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
