//! Stored values: plain text, or gzip where that saves space; what the older package wrote is read.
//!
//! What is read is untrusted: the size after decompression is bounded, and a value that is cut off or
//! changed is an error, never a part of a value. An error names what is wrong; the caller adds the key.

use std::io::{self, Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::bufread::GzDecoder;
use flate2::{Compression as Level, GzBuilder};

use crate::config::Compression;
use crate::error::{Code, Error, Result};

/// Longer values are compressed, in bytes (`docs/settings.md`, `enableCompression`).
const COMPRESSED_FROM: usize = 1024;

/// The first bytes of a gzip stream (RFC 1952). The second is never the second byte of UTF-8 text
/// that begins with the first, so plain text is never taken for gzip.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What the older package put in front of base64 of gzip. JSON never begins with it.
const OLDER_PREFIX: &[u8] = b"gzip:";

/// The level of `gzip` itself: higher ones cost much time for few bytes.
const LEVEL: u32 = 6;

/// The bytes to store for a JSON text.
pub fn encode(text: &[u8], compression: Compression) -> Vec<u8> {
    if is_compressed(text.len(), compression) {
        gzip(text)
    } else {
        text.to_vec()
    }
}

/// Whether a text of this length is stored compressed.
pub fn is_compressed(length: usize, compression: Compression) -> bool {
    compression == Compression::On && length > COMPRESSED_FROM
}

/// Whether stored bytes are the text itself.
pub fn is_plain(bytes: &[u8]) -> bool {
    !is_gzip(bytes) && !bytes.starts_with(OLDER_PREFIX)
}

/// Whether stored bytes are a gzip stream.
pub fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&GZIP_MAGIC)
}

/// The UTF-8 bytes of a stored value of any kind, at most `limit` of them.
///
/// # Errors
/// `ValueTooLarge` above `limit`, `ValueDamaged` where the value is cut off, changed or not UTF-8.
pub fn decode(bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>> {
    decode_text(bytes, limit).map(String::into_bytes)
}

/// The text of a stored value of any kind, at most `limit` bytes.
///
/// # Errors
/// As [`decode`].
pub fn decode_text(bytes: Vec<u8>, limit: usize) -> Result<String> {
    let plain = if is_gzip(&bytes) {
        gunzip(&bytes, limit)?
    } else if let Some(encoded) = bytes.strip_prefix(OLDER_PREFIX) {
        let compressed = STANDARD
            .decode(encoded.trim_ascii())
            .map_err(|error| damaged(format!("its base64 cannot be read: {error}")))?;
        gunzip(&compressed, limit)?
    } else if bytes.len() > limit {
        return Err(too_large(limit));
    } else {
        bytes
    };
    String::from_utf8(plain).map_err(|error| {
        damaged(format!(
            "it is not UTF-8 from byte {} on",
            error.utf8_error().valid_up_to()
        ))
    })
}

/// Checks the length of stored bytes before they are read: whether they can be a value of at most `limit` bytes.
///
/// # Errors
/// `ValueTooLarge`.
pub fn check_stored(length: usize, limit: usize) -> Result<()> {
    // Base64 of gzip of what does not compress is the longest form.
    let longest = limit.saturating_add(limit / 2).saturating_add(1024);
    if length > longest {
        return Err(Error::new(
            Code::ValueTooLarge,
            format!(
                "{length} bytes are stored there, of which a value of at most {limit} bytes is never made"
            ),
        ));
    }
    Ok(())
}

/// One gzip stream of these bytes; the same bytes give the same stream.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    gzip_marked(bytes, 0)
}

/// One gzip stream of these bytes with a mark in its time field, which is read by nobody (0: none).
pub fn gzip_marked(bytes: &[u8], mark: u32) -> Vec<u8> {
    let mut encoder = GzBuilder::new()
        .mtime(mark)
        .write(Vec::new(), Level::new(LEVEL));
    encoder
        .write_all(bytes)
        .and_then(|()| encoder.finish())
        .expect("writing to memory does not fail")
}

/// The content of one gzip stream, at most `limit` bytes; a bomb is refused without room made for it.
///
/// # Errors
/// `ValueTooLarge` above `limit`, `ValueDamaged` where the stream is cut off, changed, or followed by
/// something else.
pub fn gunzip(bytes: &[u8], limit: usize) -> Result<Vec<u8>> {
    let unreadable = |error| damaged(format!("its gzip stream cannot be read: {error}"));
    let mut decoder = GzDecoder::new(bytes);
    let claimed = claimed_size(bytes);
    if claimed > limit {
        // The claim is only believed once so much has come out: a stream that is cut off claims anything.
        let size = io::copy(&mut decoder.take(at_most(limit)), &mut io::sink());
        return match size.map_err(unreadable)? {
            size if size > limit as u64 => Err(too_large(limit)),
            _ => Err(damaged("its gzip stream is cut off".to_owned())),
        };
    }
    let mut content = Vec::new();
    decoder
        .by_ref()
        .take(at_most(claimed))
        .read_to_end(&mut content)
        .map_err(unreadable)?;
    if content.len() > claimed {
        return Err(damaged("its gzip stream is longer than it says".to_owned()));
    }
    match decoder.into_inner().len() {
        0 => Ok(content),
        rest => Err(damaged(format!("{rest} bytes follow its gzip stream"))),
    }
}

/// The size of the content by the stream's own word: its last four bytes (RFC 1952).
fn claimed_size(stream: &[u8]) -> usize {
    stream.last_chunk().map_or(0, |size| {
        usize::try_from(u32::from_le_bytes(*size)).unwrap_or(usize::MAX)
    })
}

/// One byte more than a limit shows that the limit is exceeded.
fn at_most(limit: usize) -> u64 {
    (limit as u64).saturating_add(1)
}

fn too_large(limit: usize) -> Error {
    Error::new(
        Code::ValueTooLarge,
        format!("the stored value has more than {limit} bytes, which is the limit"),
    )
}

fn damaged(why: String) -> Error {
    Error::new(
        Code::ValueDamaged,
        format!("the stored value is damaged: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 100_000;

    fn code_of(stored: &[u8], limit: usize) -> Code {
        decode(stored.to_vec(), limit)
            .expect_err("must fail")
            .code()
    }

    fn as_the_older_package(text: &str) -> Vec<u8> {
        format!("gzip:{}", STANDARD.encode(gzip(text.as_bytes()))).into_bytes()
    }

    #[test]
    fn compression_starts_above_one_kilobyte_and_only_where_it_is_on() {
        let short = vec![b'x'; 1024];
        let long = vec![b'x'; 1025];
        assert_eq!(encode(&short, Compression::On), short);
        assert_eq!(encode(&long, Compression::Off), long);
        let compressed = encode(&long, Compression::On);
        assert!(compressed.starts_with(&GZIP_MAGIC) && compressed.len() < 100);
    }

    #[test]
    fn what_the_older_package_wrote_is_read() {
        let text = "[{\"id\":\"a\"}]";
        assert_eq!(
            decode_text(as_the_older_package(text), LIMIT).unwrap(),
            text
        );
        assert_eq!(code_of(b"gzip:***", LIMIT), Code::ValueDamaged);
        assert_eq!(code_of(b"gzip:", LIMIT), Code::ValueDamaged);
    }

    #[test]
    fn a_bomb_is_refused_in_every_form() {
        let bomb = gzip(&vec![0; 50 * LIMIT]);
        assert!(bomb.len() < LIMIT);
        assert_eq!(code_of(&bomb, LIMIT), Code::ValueTooLarge);
        let wrapped = format!("gzip:{}", STANDARD.encode(&bomb)).into_bytes();
        assert_eq!(code_of(&wrapped, LIMIT), Code::ValueTooLarge);
        assert_eq!(code_of(&vec![b'x'; LIMIT + 1], LIMIT), Code::ValueTooLarge);
        let mut liar = bomb;
        let end = liar.len() - 4;
        liar[end..].copy_from_slice(&10_u32.to_le_bytes());
        assert_eq!(code_of(&liar, LIMIT), Code::ValueDamaged);
    }

    #[test]
    fn the_limit_itself_is_allowed() {
        let text = vec![b'x'; LIMIT];
        assert_eq!(decode(text.clone(), LIMIT).unwrap(), text);
        assert_eq!(decode(gzip(&text), LIMIT).unwrap(), text);
    }

    #[test]
    fn bytes_after_the_stream_are_damage() {
        let mut stream = gzip(b"{}");
        stream.extend_from_slice(&gzip(b"{}"));
        assert_eq!(code_of(&stream, LIMIT), Code::ValueDamaged);
    }

    #[test]
    fn what_is_not_text_is_damage_and_the_place_is_named() {
        let error = decode(b"{\"a\":\"\xff\"}".to_vec(), LIMIT).expect_err("must fail");
        assert_eq!(error.code(), Code::ValueDamaged);
        assert!(error.message().contains("byte 6"), "{error}");
        assert_eq!(code_of(&gzip(b"\xff"), LIMIT), Code::ValueDamaged);
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "\\PC{0,3000}") {
            prop_assume!(!text.starts_with("gzip:"));
            for compression in [Compression::Off, Compression::On] {
                let stored = encode(text.as_bytes(), compression);
                prop_assert_eq!(decode_text(stored, LIMIT).unwrap(), text.clone());
            }
            prop_assert_eq!(decode_text(as_the_older_package(&text), LIMIT).unwrap(), text);
        }

        #[test]
        fn a_stream_cut_off_anywhere_is_damage(content in vec(any::<u8>(), 0..2000), at in any::<prop::sample::Index>()) {
            let stream = gzip(&content);
            let cut = &stream[..at.index(stream.len())];
            prop_assert_eq!(gunzip(cut, LIMIT).expect_err("must fail").code(), Code::ValueDamaged);
        }

        #[test]
        fn bytes_of_any_kind_never_panic_and_never_exceed_the_limit(bytes in vec(any::<u8>(), 0..2000)) {
            let mut stream = GZIP_MAGIC.to_vec();
            stream.extend_from_slice(&bytes);
            for stored in [bytes, stream] {
                if let Ok(text) = decode(stored, 1000) {
                    prop_assert!(text.len() <= 1000);
                }
            }
        }
    }
}
