//! What a server says of itself and of a session at the greeting.

use redis::Value;

/// What is known of one session, and of the server at its other end. All of it may be missing: access
/// rules may forbid to ask, older servers know less.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// The server's number for this session.
    pub(super) id: Option<i64>,
    /// This session's address as the server sees it.
    pub(super) address: Option<String>,
    /// Names one run of one server process.
    pub(super) run: Option<String>,
    /// Names one run of one server process, in one reign as a master: a master that was demoted and promoted
    /// again has the data of another one in between.
    pub(super) reign: Option<String>,
    /// The oldest Redis that behaves as this server does.
    pub(super) version: Option<(u32, u32)>,
    /// Whether it is part of a cluster.
    pub(super) clustered: Option<bool>,
    /// Whether it is a replica.
    pub(super) replica: Option<bool>,
}

impl Facts {
    /// From the replies to `CLIENT ID`, `CLIENT INFO`, `INFO server`, `INFO replication` and `HELLO`; those that
    /// are errors say nothing.
    pub(super) fn read(
        id: &Value,
        client: &Value,
        server: &Value,
        replication: &Value,
        hello: &Value,
    ) -> Self {
        let client = text(client).unwrap_or_default();
        let server = text(server).unwrap_or_default();
        let replication = text(replication).unwrap_or_default();
        let info = |name: &str| line_of(server, name);
        let run = info("run_id");
        let reign = run.as_deref().and_then(|run| reign(run, replication));
        let address = client
            .split_whitespace()
            .find_map(|word| word.strip_prefix("addr="));
        // Valkey calls it `server_mode`.
        let mode = info("redis_mode").or_else(|| info("server_mode"));
        let mode = mode.or_else(|| field(hello, "mode").map(str::to_owned));
        let role = line_of(replication, "role");
        let role = role.or_else(|| field(hello, "role").map(str::to_owned));
        Self {
            id: match id {
                Value::Int(id) => Some(*id),
                _ => None,
            },
            address: address.map(str::to_owned),
            run,
            reign,
            version: info("redis_version").and_then(|text| version(&text)),
            clustered: mode.map(|mode| mode.trim() == "cluster"),
            replica: role.map(|role| role != "master"),
        }
    }

    /// Whether `CLIENT TRACKING ... NOLOOP` is right here: no change by others is kept from us.
    ///
    /// Redis 6 remembers who was the *first* to change a key in one turn of its loop and keeps the change
    /// from him alone, so our write followed by somebody else's in the same turn would never be heard of.
    /// From Redis 7 on, and in Valkey, it is the last one. Where the version is not known we rather hear of
    /// our own writes too.
    pub(super) fn tells_apart_own_writes(&self) -> bool {
        self.version.is_some_and(|version| version >= (7, 0))
    }

    /// The command that ends the session of `self` on the server of `newer`; none where the two are not
    /// the same run of the same server, or too little is known to be sure to hit nobody else.
    pub(super) fn fence(&self, newer: &Self) -> Option<redis::Cmd> {
        let id = self.id?;
        let same_run = match (&self.run, &newer.run) {
            (Some(old), Some(new)) if old != new => return None,
            (Some(_), Some(_)) => true,
            _ => false,
        };
        let mut command = redis::cmd("CLIENT");
        command.arg("KILL").arg("ID").arg(id);
        match &self.address {
            // A number alone may belong to another client after a restart, with this address it does not.
            Some(address) if is_unique(address) => {
                command.arg("ADDR").arg(address);
            }
            _ if same_run => {}
            _ => return None,
        }
        Some(command)
    }
}

/// The reign in a run that an `INFO replication` tells of; `run` is the name of the run, or of another reign in it.
pub(super) fn reign(run: &str, replication: &str) -> Option<String> {
    let history = line_of(replication, "master_replid")?;
    // Half of each is more than enough, and both fit where names of runs go.
    let half = |text: &str| text.get(..20).unwrap_or(text).to_owned();
    Some(half(run) + &half(&history))
}

/// The value of a line of `INFO`.
fn line_of(text: &str, name: &str) -> Option<String> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.map(|value| value.trim().to_owned())
}

/// Whether an address is that of one connection. All clients of a unix socket have the same.
fn is_unique(address: &str) -> bool {
    !address.starts_with('/') && !address.ends_with(":0")
}

/// The reply to `TIME`, in microseconds.
pub(super) fn time(reply: &Value) -> Option<u64> {
    let Value::Array(parts) = reply else {
        return None;
    };
    let [seconds, micros] = parts.as_slice() else {
        return None;
    };
    let seconds: u64 = text(seconds)?.parse().ok()?;
    let micros: u64 = text(micros)?.parse().ok()?;
    seconds.checked_mul(1_000_000)?.checked_add(micros)
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// A field of a reply that is a map, or in the older protocol a list of names and values.
fn field<'a>(reply: &'a Value, name: &str) -> Option<&'a str> {
    match reply {
        Value::Map(pairs) => pairs
            .iter()
            .find_map(|(key, value)| (text(key) == Some(name)).then(|| text(value))?),
        Value::Array(words) => words
            .chunks_exact(2)
            .find_map(|pair| (text(&pair[0]) == Some(name)).then(|| text(&pair[1]))?),
        _ => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "id=7 addr=10.0.0.5:41234 laddr=10.0.0.1:6379 fd=8 name=x";
    const SERVER: &str = "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nrun_id:abc\r\n";

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn facts() -> Facts {
        Facts::read(
            &Value::Int(7),
            &bulk(CLIENT),
            &bulk(SERVER),
            &Value::Nil,
            &Value::Nil,
        )
    }

    fn words(command: Option<redis::Cmd>) -> Option<String> {
        let packed = command?.get_packed_command();
        let packed = String::from_utf8(packed).expect("text");
        let words: Vec<&str> = packed
            .split("\r\n")
            .filter(|word| !word.starts_with(['*', '$']) && !word.is_empty())
            .collect();
        Some(words.join(" "))
    }

    #[test]
    fn a_server_is_asked_for_what_it_is() {
        let facts = facts();
        assert_eq!(facts.id, Some(7));
        assert_eq!(facts.address.as_deref(), Some("10.0.0.5:41234"));
        assert_eq!(facts.run.as_deref(), Some("abc"));
        assert_eq!(facts.version, Some((7, 2)));
        let odd = bulk("redis_version:x");
        let nothing = Facts::read(&Value::Nil, &Value::Nil, &odd, &odd, &Value::Nil);
        assert_eq!(nothing, Facts::default());
    }

    #[test]
    fn its_mode_is_read_from_whichever_reply_there_is() {
        let mode = |server: &Value, hello: &Value| {
            Facts::read(&Value::Nil, &Value::Nil, server, &Value::Nil, hello).clustered
        };
        let hello = |mode: &str| {
            Value::Map(vec![
                (bulk("proto"), Value::Int(3)),
                (bulk("mode"), bulk(mode)),
            ])
        };
        let nil = Value::Nil;
        assert_eq!(mode(&nil, &nil), None);
        assert_eq!(mode(&bulk("redis_mode:cluster\r\n"), &nil), Some(true));
        assert_eq!(mode(&bulk("server_mode:cluster\r\n"), &nil), Some(true));
        assert_eq!(mode(&bulk("redis_mode:standalone\r\n"), &nil), Some(false));
        assert_eq!(mode(&nil, &hello("cluster")), Some(true));
        assert_eq!(mode(&nil, &hello("standalone")), Some(false));
        let flat = vec![bulk("proto"), Value::Int(2), bulk("mode"), bulk("cluster")];
        assert_eq!(mode(&nil, &Value::Array(flat)), Some(true));
    }

    #[test]
    fn own_writes_are_told_apart_from_version_seven_on() {
        let of = |version| Facts {
            version,
            ..Facts::default()
        };
        assert!(of(Some((7, 0))).tells_apart_own_writes());
        assert!(of(Some((8, 1))).tells_apart_own_writes());
        assert!(!of(Some((6, 2))).tells_apart_own_writes());
        assert!(!of(None).tells_apart_own_writes());
    }

    #[test]
    fn a_session_is_ended_by_number_and_address() {
        let kill = facts().fence(&facts());
        assert_eq!(
            words(kill).as_deref(),
            Some("CLIENT KILL ID 7 ADDR 10.0.0.5:41234")
        );
    }

    #[test]
    fn no_client_of_another_run_is_hit() {
        let restarted = Facts {
            run: Some("def".to_owned()),
            ..facts()
        };
        assert_eq!(words(facts().fence(&restarted)), None);
        let local = Facts {
            address: Some("/run/v.sock:0".to_owned()),
            ..facts()
        };
        assert_eq!(
            words(local.fence(&facts())).as_deref(),
            Some("CLIENT KILL ID 7")
        );
        let unknown = Facts { run: None, ..local };
        assert_eq!(words(unknown.fence(&facts())), None);
        assert_eq!(words(Facts::default().fence(&facts())), None);
    }

    #[test]
    fn a_time_is_read_in_microseconds() {
        let reply = Value::Array(vec![bulk("1700000000"), bulk("42")]);
        assert_eq!(time(&reply), Some(1_700_000_000_000_042));
        for wrong in [Value::Nil, Value::Array(vec![bulk("1")])] {
            assert_eq!(time(&wrong), None);
        }
    }
}
