//! A certificate authority made at run time: no certificate in the repository, none that expires.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;

use crate::error::{IoContext, Result};

/// Names for which the server's certificate is valid.
const SERVER_NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// A certificate authority and what it signed for one server and its clients.
#[derive(Debug)]
pub struct Certificates {
    /// Certificate of the authority.
    pub authority: Pem,
    /// The server's own, valid for `localhost` and `127.0.0.1`.
    pub server: Identity,
    /// A client's, for servers that require one.
    pub client: Identity,
    /// Where the files are, unless the directory is another's.
    own_directory: Option<TempDir>,
}

/// A certificate with its private key.
#[derive(Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: Pem,
    /// Its private key, PKCS #8.
    pub key: Pem,
}

/// A PEM document, as text and as a file.
#[derive(Debug)]
pub struct Pem {
    /// The document.
    pub text: String,
    /// A file with the same content.
    pub path: PathBuf,
}

impl Certificates {
    /// Makes a new authority and its certificates, as files in `directory`.
    ///
    /// A second set serves to test a peer that nobody trusts.
    ///
    /// # Errors
    /// [`Error::Certificate`](crate::Error::Certificate) or [`Error::Io`](crate::Error::Io).
    pub fn generate(directory: &Path) -> Result<Self> {
        let mut parameters = named("Node-RED Cluster test authority", &[])?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)?;

        let sign = |name: &str, names: &[&str], purpose| -> Result<Identity> {
            let mut parameters = named(name, names)?;
            parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            parameters.extended_key_usages = vec![purpose];
            let key = KeyPair::generate()?;
            let certificate = parameters.signed_by(&key, &authority)?;
            Ok(Identity {
                certificate: Pem::write(directory, &format!("{name}.crt"), certificate.pem())?,
                key: Pem::write(directory, &format!("{name}.key"), key.serialize_pem())?,
            })
        };
        Ok(Self {
            server: sign("server", &SERVER_NAMES, ExtendedKeyUsagePurpose::ServerAuth)?,
            client: sign("client", &[], ExtendedKeyUsagePurpose::ClientAuth)?,
            authority: Pem::write(directory, "authority.crt", authority.pem())?,
            own_directory: None,
        })
    }

    /// Certificates that several servers have, in a directory of their own.
    pub(crate) fn shared() -> Result<Arc<Self>> {
        let directory = TempDir::with_prefix("nrc-").action("make a temporary directory")?;
        let mut made = Self::generate(directory.path())?;
        made.own_directory = Some(directory);
        Ok(Arc::new(made))
    }
}

impl Pem {
    fn write(directory: &Path, name: &str, text: String) -> Result<Self> {
        let path = directory.join(name);
        fs::write(&path, &text).action(format!("write {}", path.display()))?;
        Ok(Self { text, path })
    }
}

fn named(common_name: &str, alternative_names: &[&str]) -> Result<CertificateParams> {
    let names: Vec<String> = alternative_names
        .iter()
        .map(|&name| name.to_owned())
        .collect();
    let mut parameters = CertificateParams::new(names)?;
    parameters
        .distinguished_name
        .push(DnType::CommonName, common_name);
    Ok(parameters)
}
