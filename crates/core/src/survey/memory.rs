//! Whether a store throws keys away when its memory is full.

/// What the notes about memory begin with.
pub(super) const KEY: &str = "memory:";

/// A store that throws keys away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Danger {
    policy: String,
    limit: u64,
}

/// Reads the reply to `INFO memory`. Without a limit of its memory a store throws nothing away.
pub(super) fn danger(info: &str) -> Option<Danger> {
    let field = |name: &str| {
        let lines = info.lines().filter_map(|line| line.split_once(':'));
        lines
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value.trim())
            .next()
    };
    let policy = field("maxmemory_policy")?;
    let limit: u64 = field("maxmemory")?.parse().ok()?;
    (limit > 0 && policy != "noeviction").then(|| Danger {
        policy: policy.to_owned(),
        limit,
    })
}

impl Danger {
    /// By what it is known that it was told.
    pub(super) fn key(&self) -> String {
        format!("{KEY}{}", self.policy)
    }

    /// For the operator.
    pub(super) fn describe(&self, place: &str) -> String {
        let lost = if self.policy.starts_with("volatile") {
            "presence, editor sessions and what people read of leaders"
        } else {
            "flows, credentials, packages, the context, and the records without which two instances can lead"
        };
        format!(
            "the store at {place} removes keys by itself when its {} MiB are used up (maxmemory-policy {}), and with them {lost}; set its maxmemory-policy to noeviction",
            self.limit.div_ceil(1 << 20),
            self.policy
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(limit: u64, policy: &str) -> String {
        format!(
            "# Memory\r\nused_memory:1\r\nmaxmemory:{limit}\r\nmaxmemory_human:x\r\nmaxmemory_policy:{policy}\r\n"
        )
    }

    #[test]
    fn a_store_with_a_limit_and_another_policy_is_a_danger() {
        assert!(danger(&info(1 << 20, "allkeys-lru")).is_some());
        assert!(danger(&info(1 << 20, "volatile-ttl")).is_some());
        assert_eq!(danger(&info(1 << 20, "noeviction")), None);
        assert_eq!(danger(&info(0, "allkeys-lru")), None);
        assert_eq!(danger("# Memory\r\n"), None);
    }

    #[test]
    fn the_sentence_says_which_policy_what_is_lost_and_what_to_set() {
        let sentence = |policy: &str| {
            danger(&info(3 << 20, policy))
                .expect("a danger")
                .describe("a:1")
        };
        let all = sentence("allkeys-lru");
        for word in ["a:1", "3 MiB", "allkeys-lru", "flows", "noeviction"] {
            assert!(all.contains(word), "{word}: {all}");
        }
        assert!(!sentence("volatile-lru").contains("flows"));
        assert!(sentence("volatile-lru").contains("presence"));
    }
}
