//! What a node says of the slots of its cluster, without IO.

use redis::Value;

use crate::config::HostPort;

/// The nodes of a cluster as one of them sees it, and which of them owns a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    /// None where nobody owns the slot.
    pub(super) owner: Option<HostPort>,
    /// Masters and replicas.
    pub(super) nodes: Vec<HostPort>,
}

impl View {
    /// From the reply to `CLUSTER SLOTS`, which `asked` gave: ranges of slots, each with its master and its
    /// replicas. A node that does not say where it is, is at the host that was asked.
    ///
    /// # Errors
    /// Why it is no answer, to be read after the name of the node.
    pub(super) fn read(reply: &Value, slot: u16, asked: &HostPort) -> Result<Self, String> {
        let ranges = match reply {
            Value::Array(ranges) => ranges,
            Value::ServerError(error) => {
                let said = error.details().unwrap_or_default();
                return Err(if said.contains("cluster support disabled") {
                    "it is no node of a cluster; give `host` and `port` in place of `cluster`"
                        .to_owned()
                } else {
                    format!("it answered {} {said}", error.code())
                });
            }
            _ => return Err("it answered in an unexpected shape".to_owned()),
        };
        let mut view = Self {
            owner: None,
            nodes: Vec::new(),
        };
        for range in ranges {
            let Value::Array(parts) = range else { continue };
            let [Value::Int(first), Value::Int(last), nodes @ ..] = parts.as_slice() else {
                continue;
            };
            let mut nodes = nodes.iter().map(|node| place(node, asked));
            let master = nodes.next().flatten();
            if (*first..=*last).contains(&i64::from(slot)) {
                view.owner.clone_from(&master);
            }
            for node in master.into_iter().chain(nodes.flatten()) {
                if !view.nodes.contains(&node) {
                    view.nodes.push(node);
                }
            }
        }
        Ok(view)
    }
}

/// The owner that most of the views name.
pub(super) fn choose(views: &[View]) -> Option<&HostPort> {
    let owners = || views.iter().filter_map(|view| view.owner.as_ref());
    owners().max_by_key(|owner| owners().filter(|other| other == owner).count())
}

/// The place that a redirection names, `MOVED 3999 host:port` say, as the node at `asked` gave it. Without a host
/// it is that of the node.
pub(in crate::connection) fn redirection(address: &str, asked: &HostPort) -> Option<HostPort> {
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = known_host(host).unwrap_or(&asked.host).to_owned();
    Some(HostPort { host, port })
}

fn place(node: &Value, asked: &HostPort) -> Option<HostPort> {
    let Value::Array(parts) = node else {
        return None;
    };
    let [host, Value::Int(port), ..] = parts.as_slice() else {
        return None;
    };
    let host = match host {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?,
        Value::SimpleString(text) => text,
        Value::Nil => "",
        _ => return None,
    };
    let port = u16::try_from(*port).ok().filter(|port| *port != 0)?;
    let host = known_host(host).unwrap_or(&asked.host).to_owned();
    Some(HostPort { host, port })
}

/// A host that is one: a node that does not know its own says nothing, or `?` where it is to have a name.
fn known_host(host: &str) -> Option<&str> {
    (!host.is_empty() && host != "?").then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, port: u16) -> HostPort {
        let host = host.to_owned();
        HostPort { host, port }
    }

    fn node(host: Option<&str>, port: i64) -> Value {
        let host = host.map_or(Value::Nil, |host| {
            Value::BulkString(host.as_bytes().to_vec())
        });
        let id = Value::BulkString(b"id".to_vec());
        Value::Array(vec![host, Value::Int(port), id])
    }

    fn range(first: i64, last: i64, nodes: &[Value]) -> Value {
        let mut parts = vec![Value::Int(first), Value::Int(last)];
        parts.extend_from_slice(nodes);
        Value::Array(parts)
    }

    #[test]
    fn the_owner_of_a_slot_and_all_nodes_are_found() {
        let reply = Value::Array(vec![
            range(0, 99, &[node(Some("a"), 1), node(Some("a2"), 1)]),
            range(100, 16383, &[node(Some("b"), 2)]),
        ]);
        let asked = at("z", 9);
        let view = View::read(&reply, 100, &asked).unwrap();
        assert_eq!(view.owner, Some(at("b", 2)));
        assert_eq!(view.nodes, [at("a", 1), at("a2", 1), at("b", 2)]);
        assert_eq!(
            View::read(&reply, 99, &asked).unwrap().owner,
            Some(at("a", 1))
        );
    }

    #[test]
    fn a_node_without_a_host_is_at_the_one_that_was_asked() {
        let asked = at("10.0.0.9", 7);
        for host in [None, Some(""), Some("?")] {
            let reply = Value::Array(vec![range(0, 1, &[node(host, 3)])]);
            let view = View::read(&reply, 0, &asked).unwrap();
            assert_eq!(view.owner, Some(at("10.0.0.9", 3)), "{host:?}");
        }
        assert_eq!(redirection(":3", &asked), Some(at("10.0.0.9", 3)));
        assert_eq!(redirection("?:3", &asked), Some(at("10.0.0.9", 3)));
    }

    #[test]
    fn what_is_no_answer_is_passed_over() {
        let asked = at("h", 1);
        assert!(View::read(&Value::Nil, 0, &asked).is_err());
        for odd in [
            Value::Nil,
            Value::Array(vec![]),
            Value::Array(vec![Value::Int(0)]),
            range(0, 1, &[Value::Nil]),
            range(0, 1, &[node(Some("a"), 0)]),
            range(0, 1, &[node(Some("a"), 70_000)]),
        ] {
            let view = View::read(&Value::Array(vec![odd.clone()]), 0, &asked).unwrap();
            assert_eq!(view.owner, None, "{odd:?}");
        }
        for odd in ["", "a", "a:", "a:x", "a:0", "a:99999"] {
            assert_eq!(redirection(odd, &asked), None, "{odd}");
        }
    }

    #[test]
    fn the_majority_counts() {
        let view = |owner: Option<HostPort>| View {
            owner,
            nodes: Vec::new(),
        };
        let views = [
            view(Some(at("old", 1))),
            view(Some(at("new", 1))),
            view(None),
            view(Some(at("new", 1))),
        ];
        assert_eq!(choose(&views), Some(&at("new", 1)));
        assert_eq!(choose(&[view(None)]), None);
    }

    #[test]
    fn redirections_name_addresses_of_both_families() {
        let asked = at("h", 1);
        assert_eq!(redirection("10.0.0.1:7", &asked), Some(at("10.0.0.1", 7)));
        assert_eq!(redirection("::1:7", &asked), Some(at("::1", 7)));
        assert_eq!(redirection("[::1]:7", &asked), Some(at("::1", 7)));
    }
}
