//! How a TLS connection is made.

use super::{Secret, SecretBytes};

/// TLS of a connection. The default trusts the roots of the operating system and shows no client
/// certificate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsConfig {
    /// Certificates of the authorities that are trusted, PEM, one after the other. `None`: those of
    /// the system.
    pub ca: Option<Vec<u8>>,
    /// Certificate chain of the client, PEM. Present exactly when `key` is.
    pub cert: Option<Vec<u8>>,
    /// Private key of the client, PEM.
    pub key: Option<SecretBytes>,
    /// Passphrase of an encrypted `key`.
    pub passphrase: Option<Secret>,
    /// Name that is sent and that the server's certificate must carry. `None`: the host that is
    /// connected to.
    pub servername: Option<String>,
    /// Whether the server's certificate is checked.
    pub verify: Verify,
}

/// Whether the certificate of a server is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// The chain and the name must be right.
    #[default]
    Full,
    /// Any certificate is taken (`rejectUnauthorized: false`): encryption without knowing with
    /// whom.
    None,
}
