//! The hash slots of a cluster: where a key lies, a key beside another one, a prefix whose keys all lie together.
//! A script may touch two keys only if they lie in one slot.

/// Number of hash slots of a cluster (cluster specification, "Key distribution model").
const SLOTS: u16 = 16_384;

/// A key named after `key`, with `ending`, in the slot of `key`.
pub(crate) fn beside(key: &str, ending: &str) -> String {
    let slot = slot_of(key);
    // If need be the whole name as the tag, unless a brace in it ends the tag too early; then a number that
    // happens to lie in the slot, of which the first is found after 16,384 trials in the mean.
    let named = [format!("{key}{ending}"), format!("{{{key}}}{ending}")];
    if let Some(found) = named.into_iter().find(|name| slot_of(name) == slot) {
        return found;
    }
    let mut tag = 0_u32;
    while slot_of(&tag.to_string()) != slot {
        tag += 1;
    }
    format!("{{{tag}}}{key}{ending}")
}

/// A prefix that ends with a colon, so that all keys under it lie in one slot: `nodered:` becomes `{nodered}:`. One
/// that has its braces already stays as it is.
pub(crate) fn together(prefix: &str) -> String {
    match prefix.strip_suffix(':') {
        Some(name) if !name.contains(['{', '}']) => format!("{{{name}}}:"),
        _ => prefix.to_owned(),
    }
}

/// The prefix with the braces around its name taken off, as channels have it: a message reaches all servers.
pub(crate) fn without_braces(prefix: &str) -> String {
    let name = prefix
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix("}:"));
    match name {
        Some(name) => format!("{name}:"),
        None => prefix.to_owned(),
    }
}

/// The hash slot of a key: of what stands between its first `{` and the next `}`, if anything does, else of the
/// whole key.
pub(crate) fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| {
        let (tag, _) = rest.split_once('}')?;
        (!tag.is_empty()).then_some(tag)
    });
    crc16(tag.unwrap_or(key).as_bytes()) % SLOTS
}

/// CRC-16/XMODEM, which the cluster specification prescribes.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 {
                shifted
            } else {
                shifted ^ 0x1021
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot_of("foo"), 12182);
        assert_eq!(slot_of("{foo}bar"), 12182);
        assert_eq!(slot_of("foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(slot_of("foo{{bar}}"), crc16(b"{bar") % SLOTS);
    }

    #[test]
    fn all_keys_under_a_prefix_that_holds_together_share_a_slot() {
        assert_eq!(together("nodered:"), "{nodered}:");
        assert_eq!(together("{nodered}:"), "{nodered}:");
        let prefix = together("plant:7:");
        assert_eq!(prefix, "{plant:7}:");
        assert_eq!(without_braces(&prefix), "plant:7:");
        assert_eq!(without_braces("plant:7:"), "plant:7:");
        for key in ["flows", "context:global:{x}", ""] {
            assert_eq!(slot_of(&format!("{prefix}{key}")), slot_of("plant:7"));
        }
    }

    #[test]
    fn a_key_beside_another_lies_in_its_slot() {
        assert_eq!(beside("nodered:leader", ":x"), "{nodered:leader}:x");
        assert_eq!(
            beside("{app}:leader", ":x"),
            "{app}:leader:x",
            "a tag that is there is enough"
        );
        for odd in ["a}b", "}{", "{}x", "{", "}", "{}", "a{b", "ü}{ß", "{}{a}"] {
            let found = beside(odd, ":x");
            assert_eq!(slot_of(&found), slot_of(odd), "{odd} and {found}");
            assert!(found.ends_with(":x"));
        }
    }
}
