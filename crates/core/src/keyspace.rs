//! The only place that builds a key or a channel name (`docs/keyspace.md`).

use std::fmt;

use crate::config::{Config, Role};
use crate::slots;

/// Every key and channel of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyspace {
    prefix: String,
    update_channel: String,
    package_channel: String,
}

impl Keyspace {
    /// The keys under the configured prefix, and the configured channels.
    pub fn new(config: &Config) -> Self {
        Self {
            prefix: config.key_prefix.clone(),
            update_channel: config.update_channel.clone(),
            package_channel: config.package_channel.clone(),
        }
    }

    /// The keys under a prefix that ends with a colon, for whoever uses no channel.
    pub fn under(prefix: &str) -> Self {
        let channels = slots::without_braces(prefix);
        Self {
            prefix: prefix.to_owned(),
            update_channel: format!("{channels}flows:updated"),
            package_channel: format!("{channels}packages:updated"),
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

    /// String: the packages of the admin, a JSON object of name to exact version. For people.
    pub fn packages(&self) -> String {
        self.key("packages")
    }

    /// Hash: the head of the packages, that is which revision of them is the newest.
    pub fn packages_revision(&self) -> String {
        self.key("packages-revision")
    }

    /// Hash: what workers go by: the list, the lock file, the tarballs that they need.
    pub fn packages_content(&self) -> String {
        self.key("packages-content")
    }

    /// Hash: SHA-512 to tarball.
    pub fn packages_tarballs(&self) -> String {
        self.key("packages-tarballs")
    }

    /// String: the node types of each package, a JSON object.
    pub fn packages_types(&self) -> String {
        self.key("packages-types")
    }

    /// String with a TTL: the worker that may restart at present, JSON.
    pub fn restart_permit(&self) -> String {
        self.key("restart-permit")
    }

    /// String with a TTL: the presence record of one instance, JSON.
    pub fn presence(&self, role: Role, id: &str) -> String {
        format!("{}cluster:{}:{id}", self.prefix, role.as_str())
    }

    /// Set: `<role>:<id>` of every instance that announced itself, so that listings need no scan.
    pub fn members(&self) -> String {
        self.key("cluster:members")
    }

    /// String: the value of one property of a scope of context, JSON or gzip of it.
    pub fn context_value(&self, scope: &Scope, name: &str) -> String {
        format!("{}context:{}:{name}", self.prefix, scope.in_key())
    }

    /// Sorted set: the names of a scope's properties by the time at which each was first set, in
    /// microseconds. Spares `keys`, `delete` and `clean` a scan.
    pub fn context_names(&self, scope: &Scope) -> String {
        format!("{}context-names:{}", self.prefix, scope.in_key())
    }

    /// Set: every scope that ever had a property, as Node-RED names it.
    pub fn context_scopes(&self) -> String {
        self.key("context-scopes")
    }

    /// String with a TTL: the newest commit of updates by one process, so that it learns whether one whose
    /// reply was lost was carried out.
    pub fn context_receipt(&self, process: &str) -> String {
        format!("{}context-receipt:{process}", self.prefix)
    }

    /// What the keys begin with of which a near cache must hear every change; none begins with another.
    pub fn context_prefixes(&self) -> [String; 3] {
        [
            self.key("context:"),
            self.key("context-names:"),
            self.context_scopes(),
        ]
    }

    /// What a key of the shared context stands for; `None` for a key of something else.
    pub fn context_key(&self, key: &str) -> Option<ContextKey> {
        let rest = key.strip_prefix(&self.prefix)?;
        if rest == "context-scopes" {
            return Some(ContextKey::Scopes);
        }
        if let Some(scope) = rest.strip_prefix("context-names:") {
            let (scope, rest) = Scope::from_key(scope)?;
            return rest.is_none().then_some(ContextKey::Names(scope));
        }
        let (scope, name) = Scope::from_key(rest.strip_prefix("context:")?)?;
        Some(ContextKey::Value(scope, name?.to_owned()))
    }

    /// Hash: who holds the lease that a lock stands for, as it was last written. `clustered` says whether the
    /// server is part of a cluster: then it lies in the slot of the lock.
    pub fn election_record(lock: &str, clustered: bool) -> String {
        if clustered {
            slots::beside(lock, ":election")
        } else {
            format!("{lock}:election")
        }
    }

    /// String: an id that is there as long as the store forgets nothing.
    pub fn election_memory(&self) -> String {
        self.key("election-memory")
    }

    /// Channel: a message for each change and each renewal of a lease.
    pub fn elections_channel(&self) -> String {
        format!("{}elections", slots::without_braces(&self.prefix))
    }

    /// Channel: a message for each new revision or run state.
    pub fn update_channel(&self) -> &str {
        &self.update_channel
    }

    /// Channel: a message for each new revision of the packages, for what a worker has to tell about them,
    /// and for each restart that is over.
    pub fn package_channel(&self) -> &str {
        &self.package_channel
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// A scope of context as Node-RED names it: `global`, `<flow id>` or `<node id>:<flow id>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(String);

impl Scope {
    /// A scope by Node-RED's name for it.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Node-RED's name for it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Node-RED's name for it, taken out.
    pub fn into_string(self) -> String {
        self.0
    }

    /// The id of the node or flow whose end is the end of this scope; `None` for `global`, which stays.
    pub fn owner(&self) -> Option<&str> {
        match self.0.as_str() {
            "global" => None,
            name => name.split(':').next(),
        }
    }

    fn in_key(&self) -> ScopeInKey<'_> {
        ScopeInKey(&self.0)
    }

    /// The scope at the beginning of what follows `context:` in a key, and the name after it.
    fn from_key(text: &str) -> Option<(Self, Option<&str>)> {
        let (kind, rest) = match text.split_once(':') {
            Some((kind, rest)) => (kind, Some(rest)),
            None => (text, None),
        };
        let until = |text: &str, colons: usize| match text.match_indices(':').nth(colons) {
            Some((at, _)) => (text[..at].to_owned(), Some(at + 1)),
            None => (text.to_owned(), None),
        };
        match (kind, rest) {
            ("global", name) => Some((Self::new("global"), name)),
            ("flow", Some(rest)) => {
                let (scope, name) = until(rest, 0);
                Some((Self(scope), name.map(|at| &rest[at..])))
            }
            ("node", Some(rest)) if rest.contains(':') => {
                let (scope, name) = until(rest, 1);
                Some((Self(scope), name.map(|at| &rest[at..])))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A scope as it stands in a key: `global`, `flow:<id>`, `node:<id>:<flow id>`.
struct ScopeInKey<'scope>(&'scope str);

impl fmt::Display for ScopeInKey<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "global" => formatter.write_str("global"),
            node if node.contains(':') => write!(formatter, "node:{node}"),
            flow => write!(formatter, "flow:{flow}"),
        }
    }
}

/// What a key of the shared context stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ContextKey {
    /// The value of a property.
    Value(Scope, String),
    /// The names of a scope's properties.
    Names(Scope),
    /// The scopes that there are.
    Scopes,
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

    fn keyspace() -> Keyspace {
        Keyspace {
            prefix: "app:".to_owned(),
            update_channel: String::new(),
            package_channel: String::new(),
        }
    }

    #[test]
    fn context_keys_are_those_of_the_contract() {
        let keys = keyspace();
        let key = |scope: &str| keys.context_value(&Scope::new(scope), "a:b");
        assert_eq!(key("global"), "app:context:global:a:b");
        assert_eq!(key("f1"), "app:context:flow:f1:a:b");
        assert_eq!(key("n1:f1"), "app:context:node:n1:f1:a:b");
    }

    #[test]
    fn what_a_context_key_stands_for_is_found_again() {
        let keys = keyspace();
        for scope in ["global", "f1", "n1:f1"].map(Scope::new) {
            let value = keys.context_value(&scope, "a:b");
            assert_eq!(
                keys.context_key(&value),
                Some(ContextKey::Value(scope.clone(), "a:b".to_owned()))
            );
            let names = keys.context_names(&scope);
            assert_eq!(keys.context_key(&names), Some(ContextKey::Names(scope)));
        }
        assert_eq!(
            keys.context_key("app:context-scopes"),
            Some(ContextKey::Scopes)
        );
        for other in [
            "app:flows",
            "app:context:global",
            "b:context:global:a",
            "app:context:node:n",
        ] {
            assert_eq!(keys.context_key(other), None, "{other}");
        }
    }

    #[test]
    fn glob_characters_of_a_prefix_are_taken_literally() {
        assert_eq!(escape_glob("a*[b]?\\:"), "a\\*\\[b\\]\\?\\\\:");
    }
}
