//! How a value lies in the store, and how an update recognises that nobody changed it meanwhile.
//!
//! A value is JSON text, or gzip of it. What an update writes carries a **stamp** where comparing the whole
//! value would cost more: 64 random bits as trailing spaces and tabs, which JSON allows, or the time field
//! of the gzip stream, which nobody reads. The stamp goes with the value through every copy and rename, and
//! whoever writes the key by other means takes it away: so an equal stamp is an equal value, and a write of
//! another program is never overlooked. Plain writes carry none, and no value below a kilobyte.

use crate::codec;
use crate::config::Compression;
use crate::error::Result;

/// Shorter values are compared whole, in bytes.
const STAMPED_FROM: usize = 1024;

/// At most this part of a value is filled up with blanks.
const MOST_BLANKS: usize = 4;

/// Spaces and tabs of a stamp, one for each bit.
pub(super) const STAMP: usize = 64;

/// The bytes at both ends of a gzip stream that tell it from every other: magic, flags and time (RFC 1952),
/// checksum and size.
const GZIP_ENDS: usize = 8;

/// A value as it lies in the store, with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stored {
    /// To be compared whole.
    Plain(String),
    /// A text of so many bytes, followed by a stamp.
    Stamped { whole: String, text: usize },
    /// A gzip stream.
    Gzip {
        stream: Vec<u8>,
        /// Whether its time field is a stamp; else it is compared whole.
        stamped: bool,
        text: String,
    },
}

/// What a value must still be for an update to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected<'value> {
    /// There is none.
    Absent,
    /// It is these bytes.
    Whole(&'value [u8]),
    /// It ends in these.
    Tail(&'value [u8]),
    /// It begins and ends with these.
    Ends(&'value [u8], &'value [u8]),
}

/// How the new value comes about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Write<'value> {
    Whole(&'value [u8]),
    /// In place: from `at` on come `inserted`, `tail` bytes of the old value from `from` on and `blanks` spaces;
    /// from `end` on comes the stamp.
    Splice {
        at: usize,
        inserted: &'value [u8],
        from: usize,
        tail: usize,
        blanks: usize,
        end: usize,
        stamp: &'value [u8],
    },
}

impl Stored {
    /// What was read, at most `limit` bytes of text.
    ///
    /// # Errors
    /// As [`codec::decode`].
    pub(super) fn read(bytes: Vec<u8>, limit: usize) -> Result<Self> {
        if !codec::is_plain(&bytes) {
            return Ok(Self::Gzip {
                text: codec::decode_text(bytes.clone(), limit)?,
                stamped: has_time(&bytes),
                stream: bytes,
            });
        }
        let whole = codec::decode_text(bytes, limit.saturating_add(STAMP))?;
        let text = whole.len().saturating_sub(STAMP);
        Ok(
            if text > 0 && whole.as_bytes()[text..].iter().all(is_blank) {
                Self::Stamped { whole, text }
            } else {
                Self::Plain(whole)
            },
        )
    }

    /// A value as an update writes it in the place of `before`; `random` makes its stamp. One that shrinks is
    /// filled up with spaces where that spares the store a move of the whole value.
    pub(super) fn stamped(
        text: String,
        before: Option<&Self>,
        compression: Compression,
        random: u64,
    ) -> Self {
        if text.len() < STAMPED_FROM {
            return Self::Plain(text);
        }
        if codec::is_compressed(text.len(), compression) {
            return Self::Gzip {
                stream: codec::gzip_marked(text.as_bytes(), mark(random)),
                stamped: true,
                text,
            };
        }
        let blanks = match before {
            Some(Self::Stamped { text: length, .. }) => length.saturating_sub(text.len()),
            _ => 0,
        };
        let mut whole = text;
        let mut text = whole.len();
        whole.reserve_exact(blanks + STAMP);
        if blanks <= text / MOST_BLANKS {
            text += blanks;
            whole.extend(std::iter::repeat_n(' ', blanks));
        }
        whole.extend((0..STAMP).map(|bit| if random >> bit & 1 == 1 { '\t' } else { ' ' }));
        Self::Stamped { whole, text }
    }

    /// The JSON text, without a stamp.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Gzip { text, .. } => text,
            Self::Stamped { whole, text } => &whole[..*text],
        }
    }

    /// What lies in the store.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain(text) => text.as_bytes(),
            Self::Stamped { whole, .. } => whole.as_bytes(),
            Self::Gzip { stream, .. } => stream,
        }
    }

    /// Bytes of memory.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Plain(text) => text.len(),
            Self::Stamped { whole, .. } => whole.len(),
            Self::Gzip { stream, text, .. } => stream.len() + text.len(),
        }
    }

    /// By what this very value is recognised in the store.
    pub(super) fn expected(&self) -> Expected<'_> {
        match self {
            Self::Stamped { whole, text } => Expected::Tail(&whole.as_bytes()[*text..]),
            Self::Gzip {
                stream,
                stamped: true,
                ..
            } => Expected::Ends(&stream[..GZIP_ENDS], &stream[stream.len() - GZIP_ENDS..]),
            Self::Plain(_) | Self::Gzip { .. } => Expected::Whole(self.bytes()),
        }
    }

    /// The shortest way from `before`, or from nothing, to this value.
    pub(super) fn from<'value>(&'value self, before: Option<&Stored>) -> Write<'value> {
        let (Self::Stamped { whole, text }, Some(before @ Self::Stamped { .. })) = (self, before)
        else {
            return Write::Whole(self.bytes());
        };
        let (old, new) = (before.content(), self.content());
        let at = common_prefix(old, new);
        let tail = common_suffix(&old[at..], &new[at..]);
        let inserted = &new[at..new.len() - tail];
        if inserted.len() > new.len() / 2 || self.bytes().len() < before.bytes().len() {
            return Write::Whole(self.bytes());
        }
        let same_length = inserted.len() == old.len() - tail - at;
        let blanks = text - new.len();
        Write::Splice {
            at,
            inserted,
            from: old.len() - tail,
            // What stays where it is needs no move.
            tail: if same_length { 0 } else { tail },
            blanks: if same_length { 0 } else { blanks },
            end: *text,
            stamp: &whole.as_bytes()[*text..],
        }
    }

    /// The text without the blanks at its end.
    fn content(&self) -> &[u8] {
        self.text().trim_end_matches(' ').as_bytes()
    }
}

/// A time of 0 says that none was set.
fn mark(random: u64) -> u32 {
    match random as u32 {
        0 => 1,
        mark => mark,
    }
}

fn has_time(bytes: &[u8]) -> bool {
    codec::is_gzip(bytes) && bytes.len() > 2 * GZIP_ENDS && bytes[4..8] != [0; 4]
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    const STEP: usize = 64;
    let equal = a
        .chunks_exact(STEP)
        .zip(b.chunks_exact(STEP))
        .take_while(|(a, b)| a == b)
        .count()
        * STEP;
    let rest = a[equal..].iter().zip(&b[equal..]);
    equal + rest.take_while(|(a, b)| a == b).count()
}

fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    const STEP: usize = 64;
    let equal = a
        .rchunks_exact(STEP)
        .zip(b.rchunks_exact(STEP))
        .take_while(|(a, b)| a == b)
        .count()
        * STEP;
    let rest = a[..a.len() - equal].iter().rev();
    let rest = rest.zip(b[..b.len() - equal].iter().rev());
    equal + rest.take_while(|(a, b)| a == b).count()
}

#[cfg(any(test, feature = "fuzzing"))]
/// See [`crate::fuzzing`].
pub(crate) fn fuzz(data: &[u8]) {
    const LIMIT: usize = crate::fuzzing::LIMIT;
    match Stored::read(data.to_vec(), LIMIT) {
        Ok(stored) => {
            assert_eq!(stored.bytes(), data);
            assert!(stored.text().len() <= LIMIT + STAMP);
            let _ = stored.expected();
            let next = Stored::stamped(stored.text().to_owned(), Some(&stored), Compression::On, 7);
            let _ = next.from(Some(&stored));
        }
        Err(error) => crate::fuzzing::refused(&error),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1 << 20;

    /// As the script does it.
    fn carried_out(write: &Write<'_>, before: &Stored) -> Vec<u8> {
        match write {
            Write::Whole(bytes) => bytes.to_vec(),
            Write::Splice {
                at,
                inserted,
                from,
                tail,
                blanks,
                end,
                stamp,
            } => {
                let mut bytes = before.bytes().to_vec();
                let tail = bytes[*from..from + tail].to_vec();
                let moved = [inserted, tail.as_slice(), &vec![b' '; *blanks]].concat();
                bytes.resize(bytes.len().max(end + STAMP), b'?');
                bytes[*at..at + moved.len()].copy_from_slice(&moved);
                bytes[*end..end + STAMP].copy_from_slice(stamp);
                bytes
            }
        }
    }

    #[test]
    fn a_small_value_is_stored_as_its_text_and_compared_whole() {
        let stored = Stored::stamped("{\"a\":1}".to_owned(), None, Compression::Off, 5);
        assert_eq!(stored.expected(), Expected::Whole(b"{\"a\":1}"));
        assert_eq!(
            Stored::read(stored.bytes().to_vec(), LIMIT).unwrap(),
            stored
        );
    }

    #[test]
    fn a_large_value_carries_a_stamp_that_json_does_not_see() {
        let text = format!("[\"{}\"]", "x".repeat(2000));
        let one = Stored::stamped(text.clone(), None, Compression::Off, 1);
        let other = Stored::stamped(text.clone(), None, Compression::Off, 2);
        assert_ne!(one.expected(), other.expected());
        assert!(matches!(one.expected(), Expected::Tail(tail) if tail.len() == STAMP));
        assert_eq!(Stored::read(one.bytes().to_vec(), LIMIT).unwrap(), one);
        serde_json::from_slice::<serde_json::Value>(one.bytes()).unwrap();
    }

    #[test]
    fn a_compressed_value_carries_its_stamp_in_the_stream() {
        let text = format!("[\"{}\"]", "x".repeat(2000));
        let one = Stored::stamped(text.clone(), None, Compression::On, 1);
        let other = Stored::stamped(text.clone(), None, Compression::On, 2);
        assert!(matches!(one.expected(), Expected::Ends(..)));
        assert_ne!(one.expected(), other.expected());
        let read = Stored::read(one.bytes().to_vec(), LIMIT).unwrap();
        assert_eq!(read, one);
        assert_eq!(read.text(), text);
    }

    #[test]
    fn a_compressed_value_without_a_stamp_is_compared_whole() {
        let bytes = codec::gzip(b"{}");
        let read = Stored::read(bytes.clone(), LIMIT).unwrap();
        assert_eq!(read.expected(), Expected::Whole(&bytes));
        assert_eq!(read.text(), "{}");
    }

    proptest! {
        #[test]
        fn a_splice_gives_the_new_value(
            random in any::<u64>(),
            (head, tail) in ("[a-c]{600,700}", "[a-c]{600,700}"),
            (old, new) in ("[a-c]{0,80}", "[a-c]{0,80}"),
        ) {
            let before = Stored::stamped(format!("{head}{old}{tail}"), None, Compression::Off, random);
            let after = Stored::stamped(format!("{head}{new}{tail}"), Some(&before), Compression::Off, !random);
            let write = after.from(Some(&before));
            let spliced = matches!(write, Write::Splice { .. });
            prop_assert!(spliced);
            prop_assert_eq!(carried_out(&write, &before), after.bytes().to_vec());
        }

        #[test]
        fn any_change_gives_the_new_value(old in "[ab]{1024,1200}", new in "[ab]{1024,1200}", random in any::<u64>()) {
            let before = Stored::stamped(old, None, Compression::Off, random);
            let after = Stored::stamped(new, Some(&before), Compression::Off, !random);
            prop_assert_eq!(carried_out(&after.from(Some(&before)), &before), after.bytes().to_vec());
        }
    }
}
