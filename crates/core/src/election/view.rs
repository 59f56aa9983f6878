//! What the store said of an election: the reply of the scripts, and the messages on the channel.

use redis::{FromRedisValue, ParsingError, Value};
use serde::Deserialize;

/// The largest number that Lua and JavaScript hold exactly.
pub(super) const LARGEST_TOKEN: u64 = (1 << 53) - 1;

/// Messages of ours are shorter; a lock's name may take up to 6 KB of them when it is written as JSON.
const LARGEST_MESSAGE: usize = 8 * 1024;

/// The longest lease that can be configured, a day, in milliseconds.
const LONGEST_TTL: u64 = 86_400_000;

/// How a script ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Seen,
    Acquired,
    Held,
    Renewed,
    Released {
        /// How many subscribers were told, this process among them.
        told: u64,
    },
    Lost,
    Foreign,
}

/// A verdict and what the store has of the election after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) verdict: Verdict,
    pub(super) view: View,
}

/// What the store has of an election.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) lock: Lock,
    pub(super) record: Option<Record>,
}

/// What the lock's key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lock {
    Absent,
    Ours {
        token: u64,
    },
    Foreign {
        /// The beginning of its text, or its type.
        what: String,
        /// How long it will be there, in milliseconds, if not for ever.
        ttl: Option<u64>,
    },
}

/// The record beside the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) token: u64,
    /// Another one with each renewal, and random: nobody can foretell it.
    pub(super) beat: String,
    pub(super) released: bool,
    pub(super) holder: String,
    pub(super) host: String,
    /// In milliseconds.
    pub(super) ttl: u64,
    pub(super) run: String,
    pub(super) reserve: bool,
}

impl View {
    /// The text by which the acquiring script recognises this state, see `election_acquire.lua`.
    pub(super) fn mark(&self) -> String {
        match (&self.record, &self.lock) {
            (Some(record), _) => {
                let state = if record.released { "released" } else { "held" };
                format!(
                    "{} {} {state} {} {}",
                    record.token, record.beat, record.holder, record.run
                )
            }
            (None, Lock::Ours { token }) => format!("absent {token}"),
            (None, Lock::Foreign { .. }) => "foreign".to_owned(),
            (None, Lock::Absent) => "absent ".to_owned(),
        }
    }

    /// The largest token in it.
    pub(super) fn token(&self) -> u64 {
        let lock = match self.lock {
            Lock::Ours { token } => token,
            _ => 0,
        };
        lock.max(self.record.as_ref().map_or(0, |record| record.token))
    }
}

impl FromRedisValue for Reply {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        // What is not ours may be anything, and cut off in the middle of a character.
        let fields: Vec<Vec<u8>> = redis::from_redis_value(value)?;
        let fields: Vec<String> = fields
            .iter()
            .map(|field| String::from_utf8_lossy(field).into_owned())
            .collect();
        let odd = || ParsingError::from("a reply of another shape to a script of the election");
        let [
            verdict,
            lock,
            held,
            remaining,
            token,
            beat,
            state,
            holder,
            host,
            ttl,
            run,
            reserve,
            extra,
        ]: [String; 13] = fields.try_into().map_err(|_| odd())?;
        let number = |text: &str| -> Result<u64, ParsingError> {
            let number = text.parse().map_err(|_| odd())?;
            if number > LARGEST_TOKEN {
                return Err(odd());
            }
            Ok(number)
        };
        let verdict = match verdict.as_str() {
            "seen" => Verdict::Seen,
            "acquired" => Verdict::Acquired,
            "held" => Verdict::Held,
            "renewed" => Verdict::Renewed,
            "released" => Verdict::Released {
                told: number(&extra)?,
            },
            "lost" => Verdict::Lost,
            "foreign" => Verdict::Foreign,
            _ => return Err(odd()),
        };
        let lock = match lock.as_str() {
            "absent" => Lock::Absent,
            "ours" => Lock::Ours {
                token: number(&held)?,
            },
            _ => Lock::Foreign {
                what: held,
                ttl: remaining.parse().ok(),
            },
        };
        let record = if token.is_empty() {
            None
        } else {
            Some(Record {
                token: number(&token)?,
                beat,
                released: state == "released",
                holder,
                host,
                ttl: number(&ttl)?.min(LONGEST_TTL),
                run,
                reserve: reserve == "1",
            })
        };
        Ok(Self {
            verdict,
            view: View { lock, record },
        })
    }
}

/// A message on the channel: untrusted, so it only hints at what to look for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Heard {
    /// A record was written.
    Written(Written),
    /// Somebody who may lead at any time asks a holder that only stands in to give way.
    Wanted {
        lock: String,
        /// Who asks.
        wanted: String,
    },
}

/// The record that was written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Written {
    pub(super) lock: String,
    pub(super) token: u64,
    pub(super) beat: String,
    pub(super) state: String,
    pub(super) holder: String,
    pub(super) run: String,
}

impl Heard {
    /// Reads a message; none if it is not one of ours.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        if payload.len() > LARGEST_MESSAGE {
            return None;
        }
        serde_json::from_slice(payload).ok()
    }

    /// The lock that it is about.
    pub(super) fn lock(&self) -> &str {
        match self {
            Self::Written(written) => &written.lock,
            Self::Wanted { lock, .. } => lock,
        }
    }

    /// The message that asks the holder of a lock to give way.
    pub(super) fn wanted(lock: &str, holder: &str) -> String {
        serde_json::json!({"lock": lock, "wanted": holder}).to_string()
    }
}

#[cfg(any(test, feature = "fuzzing"))]
/// See [`crate::fuzzing`].
pub(crate) fn fuzz_message(payload: &[u8]) {
    if let Some(heard) = Heard::parse(payload) {
        assert!(heard.lock().len() <= LARGEST_MESSAGE);
    }
}

/// See [`crate::fuzzing`].
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz_reply(data: &[u8]) {
    let fields = data.split(|byte| *byte == 0);
    let values = fields.map(|field| Value::BulkString(field.to_vec()));
    if let Ok(reply) = Reply::from_redis_value(Value::Array(values.collect())) {
        assert!(reply.view.token() <= LARGEST_TOKEN);
        assert!(!reply.view.mark().is_empty());
        assert!(
            reply
                .view
                .record
                .is_none_or(|record| record.ttl <= LONGEST_TTL)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(fields: [&str; 13]) -> Result<Reply, ParsingError> {
        let values = fields.map(|text| Value::BulkString(text.as_bytes().to_vec()));
        Reply::from_redis_value(Value::Array(values.to_vec()))
    }

    #[test]
    fn a_held_lease_is_read() {
        let held = reply([
            "held", "ours", "7", "900", "7", "3", "held", "h", "host", "1000", "run", "1", "",
        ]);
        let Reply { verdict, view } = held.unwrap();
        assert_eq!(verdict, Verdict::Held);
        assert_eq!(view.lock, Lock::Ours { token: 7 });
        assert_eq!(view.mark(), "7 3 held h run");
        assert!(view.record.unwrap().reserve);
    }

    #[test]
    fn what_is_not_ours_is_told_from_what_is_absent() {
        let foreign = reply([
            "foreign", "foreign", "host-7", "900", "", "", "", "", "", "", "", "", "",
        ]);
        let view = foreign.unwrap().view;
        let what = "host-7".to_owned();
        assert_eq!(
            view.lock,
            Lock::Foreign {
                what,
                ttl: Some(900)
            }
        );
        assert_eq!(view.record, None);
        let absent = reply([
            "seen", "absent", "", "-2", "", "", "", "", "", "", "", "", "",
        ]);
        assert_eq!(absent.unwrap().view.mark(), "absent ");
    }

    #[test]
    fn damage_is_an_error_and_no_panic() {
        let huge = "9".repeat(30);
        for token in ["-1", "x", huge.as_str(), "9007199254740992"] {
            let fields = [
                "held", "ours", token, "1", token, "1", "held", "h", "h", "1", "r", "0", "",
            ];
            assert!(reply(fields).is_err(), "{token}");
        }
        assert!(Reply::from_redis_value(Value::Nil).is_err());
        assert!(Reply::from_redis_value(Value::Array(vec![Value::Nil])).is_err());
    }

    #[test]
    fn messages_of_others_are_not_ours() {
        let ours = r#"{"lock":"a","token":7,"beat":"2f","state":"held","holder":"h","run":"r"}"#;
        assert!(matches!(
            Heard::parse(ours.as_bytes()),
            Some(Heard::Written(_))
        ));
        let wanted = Heard::wanted("a\"b", "h");
        assert_eq!(Heard::parse(wanted.as_bytes()).unwrap().lock(), "a\"b");
        for other in ["", "{}", "[1]", "\u{0}", r#"{"lock":"a"}"#] {
            assert_eq!(Heard::parse(other.as_bytes()), None, "{other}");
        }
        assert_eq!(Heard::parse(&vec![b' '; LARGEST_MESSAGE + 1]), None);
    }
}
