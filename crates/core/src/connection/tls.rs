//! TLS as the settings ask for it: custom authority, client certificate, verification on or off.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::config::{TlsConfig, Verify};
use crate::error::{Code, Error, Result};

/// The rustls configuration for a `tls` block.
///
/// # Errors
/// Names the option whose PEM cannot be read, or a key without its certificate.
pub(super) fn client_config(options: &TlsConfig) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| invalid("tls", &e.to_string(), "this build lacks a TLS version"))?;
    let builder = match options.verify {
        Verify::Full => builder.with_root_certificates(roots(options)?),
        Verify::None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unverified(provider))),
    };
    match (&options.cert, &options.key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates("tls.cert", certificate)?;
            let key = private_key(
                key.expose(),
                options.passphrase.as_ref().map(|p| p.expose()),
            )?;
            builder.with_client_auth_cert(chain, key).map_err(|e| {
                invalid(
                    "tls.cert",
                    &e.to_string(),
                    "give the certificate that belongs to tls.key",
                )
            })
        }
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(_), None) => Err(invalid(
            "tls.key",
            "missing",
            "give the private key of tls.cert",
        )),
        (None, Some(_)) => Err(invalid(
            "tls.cert",
            "missing",
            "give the certificate of tls.key",
        )),
    }
}

fn roots(options: &TlsConfig) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    match &options.ca {
        Some(authority) => {
            for certificate in certificates("tls.ca", authority)? {
                store.add(certificate).map_err(|e| {
                    invalid(
                        "tls.ca",
                        &e.to_string(),
                        "give the authority's certificate as PEM",
                    )
                })?;
            }
        }
        None => {
            let system = rustls_native_certs::load_native_certs();
            store.add_parsable_certificates(system.certs);
            if store.is_empty() {
                return Err(invalid(
                    "tls.ca",
                    "the system has no certificates of authorities",
                    "install the system's CA certificates or give tls.ca",
                ));
            }
        }
    }
    Ok(store)
}

fn certificates(option: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let parsed: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match parsed {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(invalid(
            option,
            "no certificate in it",
            "give PEM text or a Buffer of it",
        )),
        Err(e) => Err(invalid(
            option,
            &e.to_string(),
            "give PEM text or a Buffer of it",
        )),
    }
}

fn private_key(pem: &[u8], passphrase: Option<&str>) -> Result<PrivateKeyDer<'static>> {
    let text = String::from_utf8_lossy(pem);
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") {
        let Some(passphrase) = passphrase else {
            return Err(invalid(
                "tls.passphrase",
                "missing",
                "tls.key is encrypted: give its passphrase",
            ));
        };
        let (_, document) = pkcs8::SecretDocument::from_pem(&text)
            .map_err(|e| invalid("tls.key", &e.to_string(), "give the private key as PEM"))?;
        let document = pkcs8::EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
            .and_then(|encrypted| encrypted.decrypt(passphrase))
            .map_err(|_| {
                invalid(
                    "tls.passphrase",
                    "it does not open tls.key",
                    "check the passphrase and that the key is PKCS #8",
                )
            })?;
        return Ok(PrivateKeyDer::Pkcs8(document.as_bytes().to_vec().into()));
    }
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(invalid(
            "tls.key",
            "an encrypted key in the traditional OpenSSL format",
            "convert it with `openssl pkcs8 -topk8`",
        ));
    }
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|e| invalid("tls.key", &e.to_string(), "give the private key as PEM"))
}

fn invalid(option: &str, found: &str, remedy: &str) -> Error {
    Error::new(
        Code::ConfigInvalid,
        format!("`{option}` cannot be used ({found}); {remedy}"),
    )
}

/// Accepts any certificate, as `rejectUnauthorized: false` asks; signatures are still checked.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
