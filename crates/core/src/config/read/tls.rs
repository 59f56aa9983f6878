//! Reads `tls` and `sentinelTLS`.

use serde_json::Value;

use super::source::Source;
use super::value::{Given, buffer_bytes};
use crate::config::options::TLS_OPTIONS;
use crate::config::{ConfigError, SecretBytes, TlsConfig, Verify};

/// What stands at the beginning of each block of a PEM file.
const PEM_BEGINNING: &[u8] = b"-----BEGIN ";

/// Reads the object `values` of option `name`.
pub(super) fn read_tls(
    source: &Source<'_>,
    name: &str,
    values: &serde_json::Map<String, Value>,
    warnings: &mut Vec<String>,
) -> Result<TlsConfig, ConfigError> {
    let options = source.nested(name, "", values);
    options.review(TLS_OPTIONS, warnings);
    let tls = TlsConfig {
        ca: pem(&options, "ca", "CERTIFICATE-----")?,
        cert: pem(&options, "cert", "CERTIFICATE-----")?,
        key: pem(&options, "key", "PRIVATE KEY-----")?.map(SecretBytes::new),
        passphrase: options.credential("passphrase", warnings)?,
        servername: options.text("servername")?.map(str::to_owned),
        verify: verify(&options, warnings)?,
    };
    match (&tls.cert, &tls.key) {
        (Some(_), None) => {
            let remedy = "give the private key that belongs to cert, or take cert out";
            return Err(options.refuse("key", remedy));
        }
        (None, Some(_)) => {
            let remedy = "give the certificate that belongs to key, or take key out";
            return Err(options.refuse("cert", remedy));
        }
        _ => {}
    }
    if tls
        .key
        .as_ref()
        .is_some_and(|key| is_encrypted(key.expose()))
        && tls.passphrase.is_none()
    {
        let remedy = "give the passphrase of key, which is encrypted, or an unencrypted key";
        return Err(options.refuse_showing("passphrase", "missing", remedy));
    }
    Ok(tls)
}

fn verify(options: &Source<'_>, warnings: &mut Vec<String>) -> Result<Verify, ConfigError> {
    if options.boolean("rejectUnauthorized")?.unwrap_or(true) {
        return Ok(Verify::Full);
    }
    warnings.push(format!(
        "option {} is false: the server's certificate is not checked, so anyone on the way can read \
         and change the traffic; give the authority's certificate in ca instead",
        options.full_name("rejectUnauthorized")
    ));
    Ok(Verify::None)
}

/// PEM text of an option: a string, a Buffer or a list of them. `ending` is what ends the first
/// line of the blocks that are wanted.
fn pem(options: &Source<'_>, name: &str, ending: &str) -> Result<Option<Vec<u8>>, ConfigError> {
    let given = options.given(name);
    let pieces = match given {
        Given::Nothing => return Ok(None),
        Given::List(list) => list
            .iter()
            .map(|piece| piece_bytes(Given::of(piece)))
            .collect(),
        single => piece_bytes(single).map(|piece| vec![piece]),
    };
    let remedy = "give PEM text or a Buffer with it, such as fs.readFileSync('/path/of/the.pem')";
    let pieces: Vec<Vec<u8>> =
        pieces.ok_or_else(|| options.refuse_showing(name, given.shown_as_secret(), remedy))?;
    for piece in &pieces {
        if !contains(piece, PEM_BEGINNING) || !contains(piece, ending.as_bytes()) {
            let wanted = ending.trim_end_matches('-').to_lowercase();
            let remedy = format!("{remedy}; it must hold a {wanted}");
            return Err(options.refuse_showing(name, "not what is needed", remedy));
        }
        if !piece.contains(&b'\n') {
            let remedy = "give it with its line breaks, as in the file";
            return Err(options.refuse_showing(name, "PEM in a single line", remedy));
        }
    }
    if pieces.is_empty() {
        return Err(options.refuse(name, "put something into the list, or leave it out"));
    }
    Ok(Some(pieces.join(&b'\n')))
}

fn piece_bytes(piece: Given<'_>) -> Option<Vec<u8>> {
    match piece {
        Given::Text(text) => Some(text.as_bytes().to_vec()),
        Given::Buffer(base64) => buffer_bytes(base64),
        _ => None,
    }
}

/// Whether a private key in PEM is encrypted: PKCS #8 says so in its first line, the older form of
/// OpenSSL in its second.
fn is_encrypted(key: &[u8]) -> bool {
    contains(key, b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || contains(key, b"Proc-Type: 4,ENCRYPTED")
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
