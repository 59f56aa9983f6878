//! A client that speaks TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use node_red_cluster_testkit::{Certificates, Identity};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Connects, checking the server's certificate for `name`.
pub(crate) async fn connect(
    address: SocketAddr,
    name: &'static str,
    trusted: &Certificates,
    identity: Option<&Identity>,
) -> io::Result<TlsStream<TcpStream>> {
    let mut authorities = RootCertStore::empty();
    authorities
        .add(certificate(&trusted.authority.text))
        .expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_root_certificates(authorities);
    let configuration = match identity {
        None => builder.with_no_client_auth(),
        Some(Identity {
            certificate: own,
            key,
        }) => {
            let key = PrivateKeyDer::from_pem_slice(key.text.as_bytes()).expect("a key");
            builder
                .with_client_auth_cert(vec![certificate(&own.text)], key)
                .expect("a client certificate")
        }
    };
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name).expect("a name");
    TlsConnector::from(Arc::new(configuration))
        .connect(name, stream)
        .await
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
}
