//! A key beside another one. A script may touch both only if they lie in one hash slot of a cluster, whatever
//! the operator typed as the name of the first.

/// Number of hash slots of a cluster (cluster specification, "Key distribution model").
const SLOTS: u16 = 16_384;

/// A key named after `key`, with `ending`, in the slot of `key`.
pub(super) fn beside(key: &str, ending: &str) -> String {
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

/// The hash slot of a key: of what stands between its first `{` and the next `}`, if anything does, else of the
/// whole key.
fn slot_of(key: &str) -> u16 {
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
