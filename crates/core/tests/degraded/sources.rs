//! The list of commands is that of the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use node_red_cluster_core::survey::ESSENTIAL;

/// What else is sent: what the other tests of this binary take away, what asks for the essential ones, and
/// what finds the server in a group of sentinels or a cluster.
const OTHERS: &[&str] = &[
    "ASKING", "CLIENT", "CLUSTER", "COMMAND", "HELLO", "INFO", "SCAN", "SENTINEL", "TIME",
];

/// Sent by the pipelines and the subscriptions of redis-rs.
const UNWRITTEN: &[&str] = &["EXEC", "MULTI", "PING"];

fn collect(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, found);
            continue;
        }
        let text = fs::read_to_string(&path).expect("text");
        for beginning in ["cmd(\"", "call('"] {
            for rest in text.split(beginning).skip(1) {
                let name: String = rest.chars().take_while(char::is_ascii_uppercase).collect();
                if !name.is_empty() {
                    found.insert(name);
                }
            }
        }
    }
}

#[test]
fn every_command_that_is_sent_is_either_essential_or_tested_to_be_missed() {
    let mut found = BTreeSet::new();
    collect(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
        &mut found,
    );
    assert!(found.len() > 30, "{found:?}");
    for name in &found {
        let listed = ESSENTIAL.contains(&&**name) || OTHERS.contains(&&**name);
        assert!(listed, "{name} is in no list");
    }
    for name in ESSENTIAL {
        assert!(
            found.contains(*name) || UNWRITTEN.contains(name),
            "{name} is sent nowhere"
        );
    }
}
