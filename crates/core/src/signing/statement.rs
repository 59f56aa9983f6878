//! What is signed, as bytes: no two different statements have the same.
//!
//! Label and version, kind, cluster, then fields with their names; each text with its length before it. So a
//! field cannot run into the next, a statement of one kind never stands for one of another, and one of a cluster
//! never for one of another cluster that has the same key.

/// Of all texts that are ever put under an HMAC with the same key, only these begin so.
const LABEL: &str = "node-red-cluster signature v1";

/// What a statement is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A revision of the flows: content, number, who and when.
    Flows,
    /// Whether the flows of a revision run.
    FlowsState,
    /// A revision of the packages.
    Packages,
    /// Whether the admin publishes its packages.
    PackagesSync,
    /// A key's own name.
    KeyId,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Flows => "flows",
            Self::FlowsState => "flows-state",
            Self::Packages => "packages",
            Self::PackagesSync => "packages-sync",
            Self::KeyId => "key-id",
        }
    }
}

/// Something that can be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    bytes: Vec<u8>,
}

impl Statement {
    /// Without fields yet; `cluster` is the key prefix.
    pub fn new(kind: Kind, cluster: &str) -> Self {
        let bytes = Vec::with_capacity(1024);
        Self { bytes }.text(LABEL).text(kind.as_str()).text(cluster)
    }

    /// The same with one more field.
    #[must_use]
    pub fn field(self, name: &str, value: &str) -> Self {
        self.text(name).text(value)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn text(mut self, text: &str) -> Self {
        self.bytes
            .extend_from_slice(&(text.len() as u64).to_be_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn built(cluster: &str, fields: &[(String, String)]) -> Statement {
        fields
            .iter()
            .fold(Statement::new(Kind::Flows, cluster), |built, field| {
                built.field(&field.0, &field.1)
            })
    }

    #[test]
    fn texts_do_not_run_into_each_other() {
        let one = built("c:", &[("a".into(), "bc".into())]);
        assert_ne!(one, built("c:", &[("ab".into(), "c".into())]));
        assert_ne!(one, built("c:a", &[("".into(), "bc".into())]));
        assert_ne!(one, built("c:", &[("a".into(), "b".into())]));
        assert_ne!(
            Statement::new(Kind::Flows, "c:"),
            Statement::new(Kind::Packages, "c:")
        );
    }

    proptest! {
        #[test]
        fn different_statements_have_different_bytes(
            one in (".{0,4}", prop::collection::vec((".{0,3}", ".{0,3}"), 0..4)),
            other in (".{0,4}", prop::collection::vec((".{0,3}", ".{0,3}"), 0..4)),
        ) {
            let same = built(&one.0, &one.1) == built(&other.0, &other.1);
            prop_assert_eq!(same, one == other);
        }
    }
}
