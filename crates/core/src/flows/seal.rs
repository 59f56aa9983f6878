//! What exactly is signed of a revision, and whether a signature is right: pure.

use super::content::{Content, hash};
use super::revision::{Entry, Head, Revision, RunState, Seal};
use crate::error::Result;
use crate::signing::{Keyring, Kind, Statement};

impl Seal {
    /// Signs a revision whose credentials' text has this SHA-256, and its run state.
    pub(super) fn new(
        keyring: &Keyring,
        revision: &Revision,
        credentials_sha256: String,
        state: RunState,
        state_number: u64,
    ) -> Self {
        Self {
            signature: keyring.sign(&of_revision(keyring, revision, &credentials_sha256)),
            state_signature: keyring.sign(&of_state(keyring, revision, state, state_number)),
            credentials_sha256,
            state_number,
        }
    }

    /// Whether the key that signs here made both signatures.
    pub(super) fn is_of(&self, keyring: &Keyring) -> bool {
        keyring.is_own(&self.signature) && keyring.is_own(&self.state_signature)
    }
}

/// Checks that somebody with a key saved this revision.
pub(super) fn check_revision(keyring: &Keyring, head: &Head) -> Result<()> {
    let what = format!("revision {} of the flows", head.revision.label());
    let (signature, credentials) = match &head.seal {
        Some(seal) => (seal.signature.as_str(), seal.credentials_sha256.as_str()),
        None => ("", ""),
    };
    let statement = of_revision(keyring, &head.revision, credentials);
    keyring.verify(&what, &statement, signature)
}

/// Checks that somebody with a key started or stopped the flows of this revision.
pub(super) fn check_state(keyring: &Keyring, head: &Head) -> Result<()> {
    let what = format!(
        "the run state {:?} of revision {}",
        head.state.as_str(),
        head.revision.label()
    );
    let (signature, number) = match &head.seal {
        Some(seal) => (seal.state_signature.as_str(), seal.state_number),
        None => ("", 0),
    };
    let statement = of_state(keyring, &head.revision, head.state, number);
    keyring.verify(&what, &statement, signature)
}

/// Whether somebody with a key saved this revision of the history.
pub(super) fn is_signed(keyring: &Keyring, entry: &Entry) -> bool {
    let credentials = entry.credentials_sha256.as_deref().unwrap_or_default();
    let statement = of_revision(keyring, &entry.revision, credentials);
    let signature = entry.signature.as_deref().unwrap_or_default();
    keyring.verify("", &statement, signature).is_ok()
}

/// Whether this content is the one that a head speaks of.
pub(super) fn is_content_of(head: &Head, content: &Content) -> bool {
    let seal = head.seal.as_ref();
    content.hash() == head.revision.hash
        && seal.is_some_and(|seal| hash(&content.credentials) == seal.credentials_sha256)
}

fn of_revision(keyring: &Keyring, revision: &Revision, credentials_sha256: &str) -> Statement {
    // All of it, so that whoever adds a field decides about it here.
    let Revision {
        number,
        id,
        hash,
        credentials_hash,
        deploy_type,
        user,
        time,
        instance,
    } = revision;
    keyring
        .statement(Kind::Flows)
        .field("number", &number.to_string())
        .field("id", id)
        .field("hash", hash)
        .field("credentialsHash", credentials_hash)
        .field("credentialsSha256", credentials_sha256)
        .field("type", deploy_type.as_str())
        .field("user", user.as_deref().unwrap_or_default())
        .field("time", time)
        .field("instance", instance)
}

fn of_state(keyring: &Keyring, revision: &Revision, state: RunState, number: u64) -> Statement {
    keyring
        .statement(Kind::FlowsState)
        .field("revision", &revision.number.to_string())
        .field("id", &revision.id)
        .field("state", state.as_str())
        .field("stateNumber", &number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Secret, SigningKeys};
    use crate::flows::revision::DeployType;

    fn keyring() -> Keyring {
        let signs = Secret::new("one-0123456789abcdef0123456789abcdef");
        let accepted = None;
        Keyring::new(&SigningKeys { signs, accepted }, "nodered:")
    }

    fn content() -> Content {
        Content {
            flows: "[]".to_owned(),
            credentials: "{\"$\":\"x\"}".to_owned(),
        }
    }

    fn sealed() -> Head {
        let revision = Revision {
            number: 7,
            id: "id".into(),
            hash: content().hash(),
            credentials_hash: "digest".into(),
            deploy_type: DeployType::Nodes,
            user: Some("ada".into()),
            time: "2026-01-01T00:00:00Z".into(),
            instance: "host:1".into(),
        };
        let credentials = hash(&content().credentials);
        let state = RunState::Start;
        let seal = Seal::new(&keyring(), &revision, credentials, state, 3);
        Head {
            revision,
            state,
            seal: Some(Box::new(seal)),
        }
    }

    fn is_right(head: &Head) -> (bool, bool) {
        (
            check_revision(&keyring(), head).is_ok(),
            check_state(&keyring(), head).is_ok(),
        )
    }

    #[test]
    fn what_was_signed_is_right_and_so_is_its_entry_of_the_history() {
        let head = sealed();
        assert_eq!(is_right(&head), (true, true));
        assert!(is_signed(&keyring(), &Entry::of(&head)));
        assert!(is_content_of(&head, &content()));
        let entry = serde_json::to_string(&Entry::of(&head)).unwrap();
        assert!(is_signed(
            &keyring(),
            &serde_json::from_str(&entry).unwrap()
        ));
    }

    #[test]
    fn each_changed_field_is_noticed() {
        type Change = (&'static str, (bool, bool), fn(&mut Head));
        let changes: &[Change] = &[
            ("number", (false, false), |head| head.revision.number = 8),
            ("id", (false, false), |head| head.revision.id.push('x')),
            ("hash", (false, true), |head| head.revision.hash.push('0')),
            ("credentials hash", (false, true), |head| {
                head.revision.credentials_hash.clear();
            }),
            ("type", (false, true), |head| {
                head.revision.deploy_type = DeployType::Full;
            }),
            ("user", (false, true), |head| head.revision.user = None),
            ("time", (false, true), |head| head.revision.time.clear()),
            ("instance", (false, true), |head| {
                head.revision.instance.clear()
            }),
            ("state", (true, false), |head| head.state = RunState::Stop),
            ("state number", (true, false), |head| {
                head.seal.as_mut().unwrap().state_number += 1;
            }),
            ("credentials", (false, true), |head| {
                head.seal.as_mut().unwrap().credentials_sha256.clear();
            }),
            ("seal", (false, false), |head| head.seal = None),
        ];
        for (what, expected, change) in changes {
            let mut head = sealed();
            change(&mut head);
            assert_eq!(is_right(&head), *expected, "{what}");
            assert_eq!(
                is_signed(&keyring(), &Entry::of(&head)),
                expected.0,
                "{what}"
            );
        }
    }

    #[test]
    fn signatures_of_one_kind_are_none_of_the_other() {
        let mut head = sealed();
        let seal = head.seal.as_mut().unwrap();
        std::mem::swap(&mut seal.signature, &mut seal.state_signature);
        assert_eq!(is_right(&head), (false, false));
    }

    #[test]
    fn changed_content_is_noticed() {
        let head = sealed();
        let flows = Content {
            flows: "[ ]".to_owned(),
            ..content()
        };
        let credentials = Content {
            credentials: "{}".to_owned(),
            ..content()
        };
        assert!(!is_content_of(&head, &flows));
        assert!(!is_content_of(&head, &credentials));
    }
}
