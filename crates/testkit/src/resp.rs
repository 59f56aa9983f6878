//! RESP2, the protocol of Valkey and Redis, as plain functions over bytes.

use crate::error::{Error, Result};

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A status, such as `OK`.
    Status(String),
    /// An error inside an array, as `EXEC` gives it. An error that is the whole answer becomes
    /// [`Error::Refused`] instead.
    Error(String),
    /// An integer.
    Integer(i64),
    /// A string of bytes.
    Bytes(Vec<u8>),
    /// No value: the key, the field or the array does not exist.
    Nil,
    /// An array, which may nest.
    Array(Vec<Value>),
}

impl Value {
    /// The text of a string or a status, unless it is something else or not UTF-8.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Status(text) => Some(text),
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// An integer, also when the server wrote it as a string, as it does for hash fields.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(integer) => Some(*integer),
            _ => self.text()?.parse().ok(),
        }
    }

    /// The bytes of a string.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The elements of an array; of anything else, none.
    pub fn elements(&self) -> &[Value] {
        match self {
            Self::Array(elements) => elements,
            _ => &[],
        }
    }

    /// Whether there is no value.
    pub fn is_nil(&self) -> bool {
        *self == Self::Nil
    }
}

/// A command as the server reads it: an array of byte strings.
pub(crate) fn encode(arguments: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut encoded = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        let argument = argument.as_ref();
        encoded.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        encoded.extend_from_slice(argument);
        encoded.extend_from_slice(b"\r\n");
    }
    encoded
}

/// Reads one value from the start of `input`: the value and how many bytes it took, or `None`
/// when the value has not arrived in full.
///
/// # Errors
/// [`Error::Protocol`] when the bytes cannot be the start of a RESP2 value.
pub(crate) fn decode(input: &[u8]) -> Result<Option<(Value, usize)>> {
    let mut reader = Reader { input, position: 0 };
    Ok(reader.value()?.map(|value| (value, reader.position)))
}

struct Reader<'a> {
    input: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Result<Option<Value>> {
        let Some(line) = self.line()? else {
            return Ok(None);
        };
        let (kind, rest) = line.split_at_checked(1).unwrap_or(("", line));
        Ok(match kind {
            "+" => Some(Value::Status(rest.to_owned())),
            "-" => Some(Value::Error(rest.to_owned())),
            ":" => Some(Value::Integer(number(rest)?)),
            "$" => match length(rest)? {
                None => Some(Value::Nil),
                Some(length) => self.bytes(length),
            },
            "*" => match length(rest)? {
                None => Some(Value::Nil),
                Some(length) => self.array(length)?,
            },
            _ => return Err(Error::Protocol(format!("a line that starts with {kind:?}"))),
        })
    }

    fn line(&mut self) -> Result<Option<&'a str>> {
        let rest = &self.input[self.position..];
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
            return Ok(None);
        };
        self.position += end + 2;
        std::str::from_utf8(&rest[..end])
            .map(Some)
            .map_err(|_| Error::Protocol("a line that is not UTF-8".to_owned()))
    }

    fn bytes(&mut self, length: usize) -> Option<Value> {
        let rest = &self.input[self.position..];
        // The string is followed by an end of line, which belongs to it.
        if rest.len() < length + 2 {
            return None;
        }
        self.position += length + 2;
        Some(Value::Bytes(rest[..length].to_vec()))
    }

    fn array(&mut self, length: usize) -> Result<Option<Value>> {
        let mut elements = Vec::new();
        for _ in 0..length {
            match self.value()? {
                Some(element) => elements.push(element),
                None => return Ok(None),
            }
        }
        Ok(Some(Value::Array(elements)))
    }
}

fn number(text: &str) -> Result<i64> {
    text.parse()
        .map_err(|_| Error::Protocol(format!("{text:?} where a number belongs")))
}

/// A length; -1 stands for no value at all.
fn length(text: &str) -> Result<Option<usize>> {
    match number(text)? {
        -1 => Ok(None),
        length => usize::try_from(length)
            .map(Some)
            .map_err(|_| Error::Protocol(format!("a length of {length}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_text_and_bytes() {
        assert_eq!(encode(&["GET", "a"]), b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
        assert_eq!(encode(&[&[0xff_u8, 0][..]]), b"*1\r\n$2\r\n\xff\0\r\n");
    }

    #[test]
    fn decodes_every_kind() {
        let input = b"*6\r\n+OK\r\n-ERR no\r\n:-7\r\n$4\r\na\r\nb\r\n$-1\r\n*1\r\n:1\r\n";
        let expected = Value::Array(vec![
            Value::Status("OK".to_owned()),
            Value::Error("ERR no".to_owned()),
            Value::Integer(-7),
            Value::Bytes(b"a\r\nb".to_vec()),
            Value::Nil,
            Value::Array(vec![Value::Integer(1)]),
        ]);
        assert_eq!(decode(input).expect("valid"), Some((expected, input.len())));
    }

    #[test]
    fn waits_for_the_rest_of_a_value_wherever_it_was_cut() {
        let input = b"*2\r\n$3\r\nabc\r\n*1\r\n:12\r\n";
        for cut in 0..input.len() {
            assert_eq!(
                decode(&input[..cut]).expect("valid so far"),
                None,
                "cut at {cut}"
            );
        }
        let (_, taken) = decode(&[input, &b"+next"[..]].concat())
            .expect("valid")
            .expect("whole");
        assert_eq!(taken, input.len(), "what follows is left alone");
    }

    #[test]
    fn refuses_what_is_not_resp2() {
        for input in [
            &b"HTTP/1.1 400\r\n"[..],
            b"\r\n",
            b":one\r\n",
            b"$-2\r\n",
            b"+\xff\r\n",
        ] {
            assert!(
                matches!(decode(input), Err(Error::Protocol(_))),
                "{input:?}"
            );
        }
    }

    #[test]
    fn reads_integers_however_they_are_written() {
        assert_eq!(Value::Integer(5).integer(), Some(5));
        assert_eq!(Value::Bytes(b"12".to_vec()).integer(), Some(12));
        assert_eq!(Value::Nil.integer(), None);
    }
}
