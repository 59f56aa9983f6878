//! What sentinels say of the group that they watch, without IO.

use redis::Value;

use crate::config::HostPort;

/// What one sentinel says of the master of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Master {
    pub(super) place: HostPort,
    /// Grows with each failover; the sentinel with the largest knows of the newest one.
    pub(super) epoch: u64,
}

impl Master {
    /// From the reply to `SENTINEL MASTER`.
    ///
    /// # Errors
    /// Why it is no answer, to be read after the name of the sentinel.
    pub(super) fn read(reply: &Value, group: &str) -> Result<Self, String> {
        if let Value::ServerError(error) = reply {
            let said = error.details().unwrap_or_default();
            return Err(if said.contains("No such master") {
                format!("it watches no group {group}; check `name`")
            } else {
                format!("it answered {} {said}", error.code())
            });
        }
        let Some(name) = field(reply, "name") else {
            return Err("it answered in an unexpected shape; is it a sentinel?".to_owned());
        };
        if name != group {
            return Err(format!("it answers for another group, {name}"));
        }
        let place = place(reply).ok_or("it knows no address of the master")?;
        // Missing in no version that is known; a sentinel without it is believed last.
        let epoch = field(reply, "config-epoch").and_then(|epoch| epoch.parse().ok());
        Ok(Self {
            place,
            epoch: epoch.unwrap_or(0),
        })
    }
}

/// The other sentinels of a group, from the reply to `SENTINEL SENTINELS`.
pub(super) fn others(reply: &Value) -> Vec<HostPort> {
    match reply {
        Value::Array(sentinels) => sentinels.iter().filter_map(place).collect(),
        _ => Vec::new(),
    }
}

/// The place that most of the sentinels with the newest knowledge name. `seen` is the newest epoch that was ever
/// heard of: older ones are believed only if more than half of `known` sentinels have them, which is so after all
/// were set up anew and not for one that was cut off from the others.
pub(super) fn choose(answers: &[Master], seen: u64, known: usize) -> Option<&Master> {
    let newest = answers.iter().map(|master| master.epoch).max()?;
    let of_newest: Vec<&Master> = answers
        .iter()
        .filter(|master| master.epoch == newest)
        .collect();
    let votes = |master: &Master| {
        of_newest
            .iter()
            .filter(|other| other.place == master.place)
            .count()
    };
    let chosen = of_newest
        .iter()
        .copied()
        .max_by_key(|master| votes(master))?;
    (newest >= seen || votes(chosen) * 2 > known).then_some(chosen)
}

/// Whether a message of the channel `+switch-master` is about this group. It reads
/// `<group> <old host> <old port> <new host> <new port>`.
pub(super) fn is_switch_of(message: &[u8], group: &str) -> bool {
    let Some(rest) = message.strip_prefix(group.as_bytes()) else {
        return false;
    };
    rest.first() == Some(&b' ')
}

fn place(reply: &Value) -> Option<HostPort> {
    let host = field(reply, "ip").filter(|host| !host.is_empty())?;
    let port = field(reply, "port")?
        .parse()
        .ok()
        .filter(|port| *port != 0)?;
    Some(HostPort { host, port })
}

/// A field of a list of names and values.
fn field(reply: &Value, name: &str) -> Option<String> {
    let Value::Array(words) = reply else {
        return None;
    };
    let mut pairs = words.chunks_exact(2);
    pairs.find_map(|pair| (text(&pair[0])? == name).then(|| text(&pair[1]))?)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(fields: &[&str]) -> Value {
        let bulk = |text: &&str| Value::BulkString(text.as_bytes().to_vec());
        Value::Array(fields.iter().map(bulk).collect())
    }

    fn master(port: u16, epoch: u64) -> Master {
        let host = "10.0.0.1".to_owned();
        Master {
            place: HostPort { host, port },
            epoch,
        }
    }

    #[test]
    fn a_sentinel_says_where_the_master_of_its_group_is() {
        let said = reply(&[
            "name",
            "main",
            "ip",
            "10.0.0.1",
            "port",
            "7",
            "flags",
            "master",
            "config-epoch",
            "3",
        ]);
        assert_eq!(Master::read(&said, "main"), Ok(master(7, 3)));
        let refused = Master::read(&said, "other").unwrap_err();
        assert!(refused.contains("another group, main"), "{refused}");
    }

    #[test]
    fn what_is_no_answer_is_refused_with_a_reason() {
        for fields in [
            &["name", "main", "ip", "", "port", "7"][..],
            &["name", "main", "ip", "a", "port", "0"],
            &["name", "main", "ip", "a", "port", "70000"],
            &["name", "main"],
            &["name"],
            &[],
        ] {
            assert!(Master::read(&reply(fields), "main").is_err(), "{fields:?}");
        }
        assert!(Master::read(&Value::Nil, "main").is_err());
    }

    #[test]
    fn the_sentinel_that_knows_of_the_newest_failover_is_believed() {
        let answers = [master(1, 4), master(2, 5), master(1, 4)];
        assert_eq!(choose(&answers, 4, 3), Some(&answers[1]));
        let answers = [master(1, 5), master(2, 5), master(2, 5)];
        assert_eq!(choose(&answers, 0, 3), Some(&answers[2]));
        assert_eq!(choose(&[], 0, 3), None);
    }

    #[test]
    fn one_that_missed_a_failover_is_not_believed_alone() {
        assert_eq!(choose(&[master(1, 4)], 5, 3), None);
        // All were set up anew, and count from the beginning.
        let answers = [master(1, 0), master(1, 0)];
        assert_eq!(choose(&answers, 5, 3), Some(&answers[1]));
    }

    #[test]
    fn a_switch_of_another_group_is_nobodys_business() {
        assert!(is_switch_of(b"main 10.0.0.1 1 10.0.0.2 2", "main"));
        assert!(!is_switch_of(b"main-2 10.0.0.1 1 10.0.0.2 2", "main"));
        assert!(!is_switch_of(b"other 10.0.0.1 1 10.0.0.2 2", "main"));
        assert!(!is_switch_of(b"main", "main"));
    }

    #[test]
    fn other_sentinels_are_learnt_where_they_can_be_reached() {
        let list = Value::Array(vec![
            reply(&["name", "x", "ip", "a", "port", "1"]),
            reply(&["name", "y", "ip", "", "port", "2"]),
            Value::Nil,
        ]);
        let host = "a".to_owned();
        assert_eq!(others(&list), [HostPort { host, port: 1 }]);
        assert_eq!(others(&Value::Nil), []);
    }
}
