//! The one error type of the crate: a stable code, whether a retry can help, and a sentence for the operator.

use std::fmt;

/// A stable, documented code: what operators search for and programs compare (`docs/errors.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// An option of the settings cannot work as written.
    ConfigInvalid,
    /// There is no link to the store, or no answer in time. Where the request went out it may have been
    /// carried out, but it is one that may be repeated.
    StoreUnreachable,
    /// The request went out and the link was lost before the reply: it may or may not have been carried out.
    OutcomeUnknown,
    /// The store refused the user name or the password.
    StoreAuthentication,
    /// The store's access rules forbid a command or a key.
    StorePermission,
    /// The server is a replica and does not take writes.
    StoreReadOnly,
    /// The store is out of memory and refuses writes.
    StoreOutOfMemory,
    /// The store is there but not able to serve yet (loading, failing over).
    StoreNotReady,
    /// The store answered with an error or a shape that was not expected.
    StoreReply,
    /// Someone else saved a newer revision than the one the saver had seen.
    VersionMismatch,
    /// This instance's credential secret is not the cluster's.
    SecretMismatch,
    /// A revision or a list of packages is not signed, and this instance asks for signatures.
    SignatureMissing,
    /// It is not what was signed, or signed with a key that this instance does not have.
    SignatureInvalid,
    /// It is signed, and older than what this instance has run.
    RevisionReplayed,
    /// A stored value is damaged or is not what its key promises.
    ValueDamaged,
    /// A value is larger than the limit.
    ValueTooLarge,
    /// A property expression cannot be read. Its text is Node-RED's own, which nodes compare.
    InvalidExpression,
    /// A value is none that JSON can say, or none that an operation works on.
    ValueInvalid,
    /// More writes wait for the store than this process may hold.
    TooManyPendingWrites,
    /// A request of the caller is malformed.
    InvalidRequest,
    /// A library entry does not exist.
    NotFound,
    /// A file of this instance could not be read or written.
    LocalFile,
    /// Packages could not be installed.
    PackagesFailed,
    /// The cluster connection of this process is closed.
    Closed,
    /// A fault of this program.
    Internal,
}

impl Code {
    /// The code as it stands in messages, logs and `error.code` in JavaScript.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::ConfigInvalid => "NRC_CONFIG_INVALID",
            Code::StoreUnreachable => "NRC_STORE_UNREACHABLE",
            Code::OutcomeUnknown => "NRC_OUTCOME_UNKNOWN",
            Code::StoreAuthentication => "NRC_STORE_AUTHENTICATION",
            Code::StorePermission => "NRC_STORE_PERMISSION",
            Code::StoreReadOnly => "NRC_STORE_READ_ONLY",
            Code::StoreOutOfMemory => "NRC_STORE_OUT_OF_MEMORY",
            Code::StoreNotReady => "NRC_STORE_NOT_READY",
            Code::StoreReply => "NRC_STORE_REPLY",
            Code::VersionMismatch => "NRC_VERSION_MISMATCH",
            Code::SecretMismatch => "NRC_SECRET_MISMATCH",
            Code::SignatureMissing => "NRC_SIGNATURE_MISSING",
            Code::SignatureInvalid => "NRC_SIGNATURE_INVALID",
            Code::RevisionReplayed => "NRC_REVISION_REPLAYED",
            Code::ValueDamaged => "NRC_VALUE_DAMAGED",
            Code::ValueTooLarge => "NRC_VALUE_TOO_LARGE",
            Code::InvalidExpression => "INVALID_EXPR",
            Code::ValueInvalid => "NRC_VALUE_INVALID",
            Code::TooManyPendingWrites => "NRC_TOO_MANY_PENDING_WRITES",
            Code::InvalidRequest => "NRC_INVALID_REQUEST",
            Code::NotFound => "NRC_NOT_FOUND",
            Code::LocalFile => "NRC_LOCAL_FILE",
            Code::PackagesFailed => "NRC_PACKAGES_FAILED",
            Code::Closed => "NRC_CLOSED",
            Code::Internal => "NRC_INTERNAL",
        }
    }

    /// Whether this is about something that nobody vouches for: it is refused, and may be replaced.
    pub fn is_refusal(self) -> bool {
        matches!(
            self,
            Code::SignatureMissing | Code::SignatureInvalid | Code::RevisionReplayed
        )
    }

    /// Whether the same request may succeed later without anybody changing anything here.
    pub fn is_retriable(self) -> bool {
        matches!(
            self,
            Code::StoreUnreachable
                | Code::OutcomeUnknown
                | Code::StoreReadOnly
                | Code::StoreOutOfMemory
                | Code::StoreNotReady
        )
    }
}

/// What failed, where, why, and what to do, in one sentence or two; never with a secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    code: Code,
    message: String,
}

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with its code and its sentence for the operator.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The sentence, without the code.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same error with what was being done put in front of it.
    #[must_use]
    pub fn while_doing(self, what: &str) -> Self {
        Self {
            code: self.code,
            message: format!("{what}: {}", self.message),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} [{}]", self.message, self.code.as_str())
    }
}

impl std::error::Error for Error {}

impl From<redis::RedisError> for Error {
    /// Server replies are sorted by their code word; everything about the link counts as unreachable.
    /// Whether an interrupted request was carried out is known only to the caller (see `connection::request`).
    fn from(error: redis::RedisError) -> Self {
        use redis::{ErrorKind, ServerErrorKind};
        let said = server_words(&error);
        let word = error.code().unwrap_or_default();
        let (code, message) = match (error.kind(), word) {
            (ErrorKind::AuthenticationFailed, _) | (_, "WRONGPASS" | "NOAUTH") => (
                Code::StoreAuthentication,
                format!(
                    "the store refused the user name or password ({said}); check `username` and `password`"
                ),
            ),
            (_, "NOPERM") | (ErrorKind::Server(ServerErrorKind::NoPerm), _) => (
                Code::StorePermission,
                format!(
                    "the store's access rules forbid this ({said}); see the ACL lines in docs/operations.md"
                ),
            ),
            (_, "READONLY") | (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => (
                Code::StoreReadOnly,
                format!(
                    "the server is a read-only replica ({said}); point the settings at the master"
                ),
            ),
            (_, "OOM") => (
                Code::StoreOutOfMemory,
                format!("the store is out of memory ({said}); raise its maxmemory or free some"),
            ),
            (_, "MISCONF" | "NOREPLICAS") => (
                Code::StoreNotReady,
                format!(
                    "the store refuses writes at the moment ({said}); look at its disk and its replicas"
                ),
            ),
            (_, "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "BUSY")
            | (
                ErrorKind::Server(
                    ServerErrorKind::BusyLoading
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::TryAgain,
                ),
                _,
            ) => (
                Code::StoreNotReady,
                format!("the store cannot serve at the moment ({said})"),
            ),
            (_, "MOVED" | "ASK" | "CROSSSLOT") => (
                Code::ConfigInvalid,
                format!(
                    "the server is a node of a cluster ({said}); give some of its nodes as `cluster: [{{host, port}}]` in place of `host`, `port` or `sentinels`"
                ),
            ),
            _ if is_unknown_command(&said) => (
                Code::StoreReply,
                format!(
                    "the store lacks a command that this needs ({said}); see \"What a store must allow\" in docs/operations.md"
                ),
            ),
            (ErrorKind::Server(_) | ErrorKind::Extension, _) => (
                Code::StoreReply,
                format!("the store answered with an error: {said}"),
            ),
            (ErrorKind::UnexpectedReturnType, _) => (
                Code::StoreReply,
                format!(
                    "the store answered in an unexpected shape ({said}); does another program use this key?"
                ),
            ),
            _ => (
                Code::StoreUnreachable,
                format!("no link to the store ({said})"),
            ),
        };
        Self::new(code, message)
    }
}

impl From<redis::ParsingError> for Error {
    fn from(error: redis::ParsingError) -> Self {
        Self::new(
            Code::StoreReply,
            format!(
                "the store answered in an unexpected shape ({error}); does another program use this key?"
            ),
        )
    }
}

fn server_words(error: &redis::RedisError) -> String {
    match (error.code(), error.detail()) {
        // What follows are the arguments, which may be values.
        (Some(code), Some(detail)) => {
            let (said, _) = detail.split_once(", with args ").unwrap_or((detail, ""));
            format!("{code} {said}")
        }
        (Some(code), None) => code.to_owned(),
        _ => error.to_string(),
    }
}

/// A command that was renamed, or that this server or proxy never had; also one inside of a script.
fn is_unknown_command(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    said.contains("unknown command")
        || said.contains("unknown subcommand")
        || (said.contains("unknown") && said.contains("command called from"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: &str, detail: &str) -> Error {
        redis::make_extension_error(code.to_owned(), Some(detail.to_owned())).into()
    }

    #[test]
    fn replies_that_heal_by_themselves_are_told_from_those_that_do_not() {
        assert_eq!(server("LOADING", "x").code(), Code::StoreNotReady);
        assert_eq!(server("MISCONF", "x").code(), Code::StoreNotReady);
        assert_eq!(server("OOM", "x").code(), Code::StoreOutOfMemory);
        assert_eq!(server("READONLY", "x").code(), Code::StoreReadOnly);
        assert!(server("READONLY", "x").code().is_retriable());
        assert_eq!(server("WRONGPASS", "x").code(), Code::StoreAuthentication);
        assert_eq!(server("NOPERM", "x").code(), Code::StorePermission);
        assert!(!server("NOPERM", "x").code().is_retriable());
    }

    #[test]
    fn a_command_that_the_store_lacks_is_named_without_its_arguments() {
        let detail = "unknown command 'SET', with args beginning with: 'key' 'a secret value' ";
        let error = server("ERR", detail);
        assert_eq!(error.code(), Code::StoreReply);
        assert!(error.message().contains("unknown command 'SET'"));
        assert!(error.message().contains("What a store must allow"));
        assert!(!error.message().contains("secret"), "{error}");
        let inside = server(
            "ERR",
            "Unknown Redis command called from script script: 5e, on @user_script:12.",
        );
        assert!(inside.message().contains("lacks a command"));
    }

    #[test]
    fn the_display_form_carries_the_code() {
        let error = Error::new(Code::Closed, "the cluster is closed").while_doing("saving flows");
        assert_eq!(
            error.to_string(),
            "saving flows: the cluster is closed [NRC_CLOSED]"
        );
    }
}
