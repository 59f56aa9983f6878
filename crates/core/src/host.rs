//! The name of this machine as it stands in keys, records and messages.

/// The longest host name that DNS knows.
const LONGEST_HOST: usize = 253;

/// What an instance calls its host where it has no name.
const NAMELESS: &str = "host";

/// The host's name, of letters, digits, dots, hyphens and underscores only.
pub(crate) fn host_name() -> String {
    clean(&gethostname::gethostname().to_string_lossy())
}

/// A host name that can become part of keys and log lines.
fn clean(name: &str) -> String {
    let clean: String = name
        .trim()
        .chars()
        .map(|character| match character {
            '.' | '-' | '_' => character,
            _ if character.is_ascii_alphanumeric() => character,
            _ => '-',
        })
        .take(LONGEST_HOST)
        .collect();
    if clean.is_empty() {
        NAMELESS.to_owned()
    } else {
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_fit_for_keys() {
        assert_eq!(clean("node-1.example_x"), "node-1.example_x");
        assert_eq!(clean(" a b:c\n*é\u{0}"), "a-b-c----");
        assert_eq!(clean(" "), "host");
        assert_eq!(clean(&"x".repeat(1000)).len(), 253);
    }
}
