//! The entries with seeds of `fuzz/seeds`, as they are and damaged in the ways in which input is damaged and forged.

use std::fs;
use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

use super::{ENTRIES, Entry, LIMIT};

/// Damaged inputs of each entry; each takes well under a second in a build for development.
const CASES: u32 = 300;

/// The longest input: deep nesting is far deeper than any stack allows a recursion on every character.
const DEEP: usize = 100_000;

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let files = fs::read_dir(folder.join(name)).expect("a folder of seeds for each entry");
    let read = files.map(|file| fs::read(file.expect("a file").path()).expect("a seed"));
    read.collect()
}

/// A change of an input at some place.
#[derive(Debug, Clone)]
enum Damage {
    Cut(Index),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    /// One part in the place of another.
    Splice(Index, Index, Index),
    Repeat(Index, Index),
}

fn fragments() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 24] = [
        b"\"__proto__\":{\"x\":1},",
        b"\"constructor\":",
        b"\\ud800",
        b"\\u0000",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        "\u{202e}\u{feff}é".as_bytes(),
        b"1e999",
        b"-0",
        b"99999999999999999999999999",
        b"0.1e-400",
        b"NaN",
        b"null",
        b"\"a\":1,\"a\":2,",
        b"{}",
        b"[]",
        b"\"",
        b"\0",
        b"../..",
        b"%00%ff",
        b"\x1f\x8b\x08\0",
        b"gzip:",
        b"4294967296",
        b"18446744073709551616",
    ];
    texts.map(<[u8]>::to_vec).into()
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<Index>;
    prop_oneof![
        place().prop_map(Damage::Cut),
        (place(), any::<u8>()).prop_map(|(at, with)| Damage::Flip(at, with)),
        (place(), select(fragments())).prop_map(|(at, text)| Damage::Insert(at, text)),
        (place(), vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (place(), place(), place()).prop_map(|(from, to, at)| Damage::Splice(from, to, at)),
        (place(), place()).prop_map(|(from, to)| Damage::Repeat(from, to)),
    ]
}

fn range(from: &Index, to: &Index, length: usize) -> (usize, usize) {
    let (one, other) = (from.index(length + 1), to.index(length + 1));
    (one.min(other), one.max(other))
}

impl Damage {
    fn apply(&self, input: &mut Vec<u8>) {
        let length = input.len();
        match self {
            Self::Cut(at) => input.truncate(at.index(length + 1)),
            Self::Flip(at, with) if length > 0 => input[at.index(length)] ^= with,
            Self::Flip(..) => {}
            Self::Insert(at, bytes) => {
                let at = at.index(length + 1);
                input.splice(at..at, bytes.iter().copied());
            }
            Self::Splice(from, to, at) => {
                let (from, to) = range(from, to, length);
                let part = input[from..to].to_vec();
                let at = at.index(length + 1);
                input.splice(at..at, part);
            }
            Self::Repeat(from, to) => {
                let (from, to) = range(from, to, length);
                let part = input[from..to].to_vec();
                input.splice(to..to, part);
            }
        }
    }
}

#[test]
fn every_seed_holds() {
    for (name, entry) in ENTRIES {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name}");
        seeds.iter().for_each(|seed| entry(seed));
        entry(b"");
    }
}

#[test]
fn every_entry_is_a_fuzz_target_with_seeds() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    for inner in ["seeds", "fuzz_targets"] {
        let files = fs::read_dir(folder.join(inner)).expect("a folder");
        let names = files.map(|file| file.expect("a file").file_name());
        let mut names: Vec<String> = names
            .map(|name| name.to_string_lossy().trim_end_matches(".rs").to_owned())
            .collect();
        names.sort_unstable();
        let mut entries: Vec<&str> = ENTRIES.iter().map(|(name, _)| *name).collect();
        entries.sort_unstable();
        assert_eq!(names, entries, "{inner}");
    }
}

fn damaged(name: &str, entry: Entry) {
    let input = (select(seeds(name)), vec(damage(), 1..6));
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&input, |(mut input, damages)| {
        damages.iter().for_each(|damage| damage.apply(&mut input));
        entry(&input);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{name}: {error}");
    }
}

#[test]
fn damaged_input_is_read_or_refused() {
    for (name, entry) in ENTRIES {
        damaged(name, *entry);
    }
}

/// Nesting that a parser which calls itself would end the process with, at each part of each seed.
#[test]
fn deep_nesting_is_read_or_refused() {
    let nested = ["[", "{\"a\":", "[{\"a\":[", "a.", "[0]", "a[a["].map(|part| part.repeat(DEEP));
    let closed = ["[".repeat(DEEP), "]".repeat(DEEP)].concat();
    for (name, entry) in ENTRIES {
        for deep in nested.iter().chain([&closed]) {
            entry(deep.as_bytes());
            for seed in seeds(name).into_iter().take(2) {
                let mut parts: Vec<&[u8]> = seed.split(|byte| *byte == 0).collect();
                for at in 0..parts.len().min(4) {
                    let before = std::mem::replace(&mut parts[at], deep.as_bytes());
                    entry(&parts.join(&0));
                    parts[at] = before;
                }
            }
        }
    }
}

/// Many small entries, more than anything has.
#[test]
fn many_entries_are_read_or_refused() {
    let array = format!("[{}1]", "1,".repeat(LIMIT));
    let fields: String = (0..LIMIT / 64).map(|n| format!("\"k{n}\":{n},")).collect();
    let object = format!("{{{fields}\"last\":1}}");
    let lines = "number=1\n".repeat(LIMIT);
    let zeros = "\0".repeat(LIMIT);
    for (_, entry) in ENTRIES {
        for many in [&array, &object, &lines, &zeros] {
            entry(many.as_bytes());
        }
    }
}

/// A seed that is refused at its beginning would leave the rest of its entry untried.
#[test]
fn the_seeds_of_the_longest_formats_are_read() {
    let seed = |name: &str| {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
        fs::read(folder.join(name)).expect("a seed")
    };
    let [list, lock, file] = super::parts(&seed("package_list/list"));
    let list = super::PackageList::from_store(&list).expect("a list");
    let lock = super::Lock::from_store(&lock).expect("a lock file");
    list.check_lock(&lock).expect("they agree");
    super::Lock::from_file(file.as_bytes()).expect("npm's own format");
    let [_, record] = super::parts(&seed("presence_record/worker"));
    serde_json::from_str::<crate::members::Record>(&record).expect("a record");
    serde_json::from_slice::<super::Revision>(&seed("revision/json")).expect("a revision");
}
