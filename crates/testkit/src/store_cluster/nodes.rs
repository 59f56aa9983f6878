//! What one node says of all.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::error::{Error, Result};
use crate::server::Server;

/// A node as another one, or itself, sees it: a line of `CLUSTER NODES`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// The node's id.
    pub id: String,
    /// Id of its primary, if it is a replica.
    pub primary: Option<String>,
    /// Such as `master`, `fail?` or `handshake`.
    flags: Vec<String>,
    /// Whether the one that looks has a connection to it, or is it.
    connected: bool,
    slots: Vec<RangeInclusive<u16>>,
}

impl NodeView {
    /// Whether it is a primary, with slots or without.
    pub fn is_primary(&self) -> bool {
        self.has_flag("master")
    }

    /// Whether it has a slot.
    pub fn has(&self, slot: u16) -> bool {
        self.slots.iter().any(|range| range.contains(&slot))
    }

    /// Whether it has any slot.
    pub fn has_slots(&self) -> bool {
        !self.slots.is_empty()
    }

    /// Whether the primaries have agreed that it is dead.
    pub fn is_dead(&self) -> bool {
        self.has_flag("fail")
    }

    /// Whether it is a member that is reached and not taken for dead.
    pub(super) fn is_well(&self) -> bool {
        let ill = ["fail", "fail?", "handshake", "noaddr"];
        self.connected && !ill.iter().any(|flag| self.has_flag(flag))
    }

    fn has_flag(&self, flag: &str) -> bool {
        self.flags.iter().any(|has| has == flag)
    }

    /// Reads a line: id, address, flags, primary, two times, epoch, link, slots.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let id = words.next()?.to_owned();
        let flags = words.nth(1)?.split(',').map(str::to_owned).collect();
        let primary = words.next().filter(|word| *word != "-").map(str::to_owned);
        let connected = words.nth(3)? == "connected";
        // What begins with a bracket is on its way from or to another node.
        let slots = words.filter(|word| !word.starts_with('[')).map(range);
        Some(Self {
            id,
            primary,
            flags,
            connected,
            slots: slots.collect::<Option<_>>()?,
        })
    }
}

/// All nodes as one sees them.
pub(super) async fn seen_by(node: &Server) -> Result<Vec<NodeView>> {
    let answer = node.command(&["CLUSTER", "NODES"]).await?;
    let lines = answer.text().unwrap_or_default().lines();
    lines
        .map(|line| {
            NodeView::parse(line)
                .ok_or_else(|| Error::Protocol(format!("a node of the cluster: {line}")))
        })
        .collect()
}

/// Which primary has which slots, and which replica which primary.
pub(super) fn owners(view: &[NodeView]) -> BTreeMap<String, String> {
    view.iter()
        .map(|node| {
            (
                node.id.clone(),
                format!("{:?} {:?}", node.primary, node.slots),
            )
        })
        .collect()
}

/// A slot or a range of them.
fn range(word: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_primary_with_a_slot_on_its_way() {
        let line = "07c3 127.0.0.1:30004@31004,host master,fail? - 0 1426238317239 4 connected \
                    0-5460 7000 [93-<-292f]";
        let node = NodeView::parse(line).expect("a node");
        assert!(node.is_primary() && !node.is_well());
        assert!(node.has(5460) && node.has(7000) && !node.has(93 + 5460) && !node.has(7001));
        assert_eq!(node.primary, None);
    }

    #[test]
    fn reads_a_replica() {
        let line = "292f 127.0.0.1:30003@31003 myself,slave 07c3 0 0 2 connected";
        let node = NodeView::parse(line).expect("a node");
        assert!(!node.is_primary() && node.is_well() && !node.has_slots());
        assert_eq!(node.primary.as_deref(), Some("07c3"));
    }
}
