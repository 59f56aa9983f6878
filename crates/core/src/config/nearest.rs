//! The nearest right name of an option that is not known.

use super::options::{KnownOption, Purpose, find};

/// What other clients call an option, where the name is too far from ours to look like a slip.
const SYNONYMS: &[(&str, &str)] = &[
    ("auth", "password"),
    ("auth_pass", "password"),
    ("database", "db"),
    ("hostname", "host"),
    ("nodes", "cluster"),
    ("pass", "password"),
    ("prefix", "keyPrefix"),
    ("rootNodes", "cluster"),
    ("server", "host"),
    ("socket", "path"),
    ("ssl", "tls"),
    ("uri", "url"),
    ("user", "username"),
];

/// The name in the table that was probably meant, if one is near enough: at most every third letter
/// wrong, swapped, missing or superfluous, and never more than three. Case does not count.
pub(super) fn nearest(table: &[KnownOption], name: &str) -> Option<&'static str> {
    let synonym = SYNONYMS
        .iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(name));
    if let Some((_, ours)) = synonym
        && find(table, ours).is_some()
    {
        return Some(ours);
    }
    let typed: Vec<char> = name
        .chars()
        .take(LONGEST_COMPARED)
        .flat_map(char::to_lowercase)
        .collect();
    let allowed = (typed.len() / 3).min(3);
    table
        .iter()
        .filter(|option| matches!(option.purpose, Purpose::Instance | Purpose::Connection))
        .chain(
            table
                .iter()
                .filter(|option| matches!(option.purpose, Purpose::Ignored)),
        )
        .map(|option| {
            let known: Vec<char> = option.name.chars().flat_map(char::to_lowercase).collect();
            (edit_distance(&typed, &known), option.name)
        })
        .filter(|(distance, known)| *distance <= allowed && *distance < known.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Longer names resemble none of ours; comparing them whole would only cost time.
const LONGEST_COMPARED: usize = 64;

/// Number of letters to change, insert, remove or swap with the next one to turn `left` into
/// `right` (optimal string alignment).
fn edit_distance(left: &[char], right: &[char]) -> usize {
    let mut before_previous = vec![0; right.len() + 1];
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    let mut current = previous.clone();
    for row in 1..=left.len() {
        current[0] = row;
        for column in 1..=right.len() {
            let changed = usize::from(left[row - 1] != right[column - 1]);
            let mut distance = (previous[column - 1] + changed)
                .min(previous[column] + 1)
                .min(current[column - 1] + 1);
            let swapped = row > 1
                && column > 1
                && left[row - 1] == right[column - 2]
                && left[row - 2] == right[column - 1];
            if swapped {
                distance = distance.min(before_previous[column - 2] + 1);
            }
            current[column] = distance;
        }
        std::mem::swap(&mut before_previous, &mut previous);
        std::mem::swap(&mut previous, &mut current);
    }
    previous[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::{ADDRESS_OPTIONS, OPTIONS};

    #[test]
    fn a_misspelt_option_is_recognised() {
        let cases = [
            ("keyprefix", "keyPrefix"),
            ("KEYPREFIX", "keyPrefix"),
            ("hosts", "host"),
            ("prot", "port"),
            ("passwrod", "password"),
            ("pasword", "password"),
            ("usernmae", "username"),
            ("DB", "db"),
            ("sentinel", "sentinels"),
            ("sentinelTls", "sentinelTLS"),
            ("clusters", "cluster"),
            ("sessionTtl", "sessionTTL"),
            ("syncPackage", "syncPackages"),
            ("lazyconnect", "lazyConnect"),
            ("database", "db"),
            ("user", "username"),
            ("ssl", "tls"),
        ];
        for (typed, meant) in cases {
            assert_eq!(nearest(OPTIONS, typed), Some(meant), "{typed}");
        }
    }

    #[test]
    fn a_name_like_no_other_has_no_nearest() {
        for typed in [
            "",
            "x",
            "ab",
            "somethingElse",
            "__proto__",
            "constructor",
            "toString",
        ] {
            assert_eq!(nearest(OPTIONS, typed), None, "{typed}");
        }
        assert_eq!(nearest(OPTIONS, &"h".repeat(100_000)), None);
    }

    #[test]
    fn a_synonym_counts_only_where_our_name_is_known() {
        assert_eq!(nearest(ADDRESS_OPTIONS, "hostname"), Some("host"));
        assert_eq!(nearest(ADDRESS_OPTIONS, "user"), None);
    }

    #[test]
    fn edit_distance_counts_each_kind_of_slip_once() {
        let distance = |left: &str, right: &str| {
            edit_distance(
                &left.chars().collect::<Vec<_>>(),
                &right.chars().collect::<Vec<_>>(),
            )
        };
        assert_eq!(distance("port", "port"), 0);
        assert_eq!(distance("prot", "port"), 1);
        assert_eq!(distance("pport", "port"), 1);
        assert_eq!(distance("prt", "port"), 1);
        assert_eq!(distance("pott", "port"), 1);
        assert_eq!(distance("", "port"), 4);
        assert_eq!(distance("port", ""), 4);
    }
}
