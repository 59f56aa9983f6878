//! The only place that builds a key or a channel name (`docs/keyspace.md`).

use crate::config::{Config, Role};

/// Every key and channel of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyspace {
    prefix: String,
    update_channel: String,
}

impl Keyspace {
    /// The keys under the configured prefix, and the configured channels.
    pub fn new(config: &Config) -> Self {
        Self {
            prefix: config.key_prefix.clone(),
            update_channel: config.update_channel.clone(),
        }
    }

    /// The prefix, with its final colon.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// String: the flow configuration, a JSON array.
    pub fn flows(&self) -> String {
        self.key("flows")
    }

    /// String: the credentials as Node-RED encrypts them, a JSON object.
    pub fn credentials(&self) -> String {
        self.key("credentials")
    }

    /// Hash: the head, that is the newest revision's metadata and the run state.
    pub fn revision(&self) -> String {
        self.key("revision")
    }

    /// Hash: revision number to metadata, JSON.
    pub fn history(&self) -> String {
        self.key("history")
    }

    /// Hash: revision number to archive (gzip of flows and credentials).
    pub fn history_content(&self) -> String {
        self.key("history:content")
    }

    /// Hash: the fingerprint of the credential secret, and the secret where the cluster generated it.
    pub fn secret(&self) -> String {
        self.key("secret")
    }

    /// String: Node-RED's stored settings, JSON.
    pub fn settings(&self) -> String {
        self.key("settings")
    }

    /// String with a TTL: the editor sessions, JSON.
    pub fn sessions(&self) -> String {
        self.key("sessions")
    }

    /// String: one library entry, JSON.
    pub fn library_entry(&self, kind: &str, path: &str) -> String {
        format!("{}library:{kind}:{path}", self.prefix)
    }

    /// What the key of every library entry begins with.
    pub fn library_keys(&self) -> String {
        self.key("library:")
    }

    /// Hash: `<type>:<path>` to the entry's metadata, JSON; spares listings a scan.
    pub fn library_index(&self) -> String {
        self.key("library-index")
    }

    /// The pattern that finds library entries written before there was an index.
    pub fn library_pattern(&self) -> String {
        format!("{}library:*", escape_glob(&self.prefix))
    }

    /// String with a TTL: the presence record of one instance, JSON.
    pub fn presence(&self, role: Role, id: &str) -> String {
        format!("{}cluster:{}:{id}", self.prefix, role.as_str())
    }

    /// Set: `<role>:<id>` of every instance that announced itself, so that listings need no scan.
    pub fn members(&self) -> String {
        self.key("cluster:members")
    }

    /// Channel: a message for each new revision or run state.
    pub fn update_channel(&self) -> &str {
        &self.update_channel
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

fn escape_glob(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glob_characters_of_a_prefix_are_taken_literally() {
        assert_eq!(escape_glob("a*[b]?\\:"), "a\\*\\[b\\]\\?\\\\:");
    }
}
