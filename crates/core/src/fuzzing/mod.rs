//! What outside input can do: one entry for each kind of it, for the fuzz targets in `fuzz/` and for the property
//! tests of the normal run. Each takes any bytes, reads them as the rest of the crate does, and asserts what
//! holds whatever they are. What is private to a module has its entry there, as `fuzz`.

#[cfg(test)]
mod tests;

use serde::de::IgnoredAny;

use crate::config::{self, ConfigError};
use crate::context::json;
use crate::context::operation::{Change, Operation, apply};
use crate::context::path::{Path, Segment};
use crate::credentials::cipher::Key;
use crate::error::{Code, Error};
use crate::flows::content::Content;
use crate::flows::revision::Revision;
use crate::keyspace::Keyspace;
use crate::packages::list::PackageList;
use crate::packages::lock::Lock;
use crate::packages::message::Note;
use crate::packages::name::PackageName;
use crate::packages::needs;
use crate::{cluster, codec, config::Compression, config::Secret, object::Object};

/// An entry: asserts what holds for these bytes.
pub type Entry = fn(&[u8]);

/// All entries, by the name of their fuzz target.
pub const ENTRIES: &[(&str, Entry)] = &[
    ("configuration", configuration),
    ("property_path", property_path),
    ("stored_value", stored_value),
    ("context_operation", context_operation),
    ("context_key", context_key),
    ("channel_message", channel_message),
    ("presence_record", presence_record),
    ("package_list", package_list),
    ("revision", revision),
    ("archive", archive),
    ("document", document),
    ("library", library),
    ("election", election),
    ("migration", migration),
    ("credentials", credentials),
];

/// The largest value in these tests: enough to pass every threshold, small enough to be quick.
pub const LIMIT: usize = 64 * 1024;

/// A message has room for a name of the limit's length, and none for the input.
const LONGEST_MESSAGE: usize = 8 * 1024;

/// Asserts that an error is one that outside input may have: with a code that is not that of a fault, and a
/// sentence.
pub(crate) fn refused(error: &Error) {
    assert_ne!(error.code(), Code::Internal, "{error}");
    sentence(error.message());
}

fn sentence(message: &str) {
    assert!(!message.trim().is_empty());
    assert!(message.len() <= LONGEST_MESSAGE, "{} bytes", message.len());
}

/// The parts of the bytes, which zero bytes separate, as text.
pub(crate) fn parts<const COUNT: usize>(data: &[u8]) -> [String; COUNT] {
    let mut parts = data.splitn(COUNT, |byte| *byte == 0);
    std::array::from_fn(|_| String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned())
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// A `valkey` block, what lies over it, and an environment variable.
pub fn configuration(data: &[u8]) {
    fn check<T: std::fmt::Debug>(outcome: Result<T, ConfigError>) {
        match outcome {
            Ok(parsed) => drop(format!("{parsed:?}")),
            Err(error) => sentence(&error.to_string()),
        }
    }
    let [block, over, variable] = parts(data);
    let environment = |_: &str| Some(variable.clone()).filter(|text| !text.is_empty());
    check(config::parse(&block, &environment));
    check(config::parse_context(&block, &over, &environment));
    check(config::parse_election(&block, &over, &environment));
    if let (Ok(key), Ok(ttl)) = (serde_json::from_str(&block), serde_json::from_str(&over)) {
        check(config::parse_lock(&key, &ttl, "nodered:"));
        check(config::parse_connection(&key, &environment));
    }
}

/// An expression of a property of context.
pub fn property_path(data: &[u8]) {
    let [expression] = parts(data);
    let path = match Path::parse(&expression) {
        Ok(path) => path,
        Err(error) => return refused(&error),
    };
    let printed: Vec<serde_json::Value> =
        serde_json::from_str(&path.to_json()).expect("the segments are JSON");
    assert_eq!(printed.len(), 1 + path.rest().len());
    assert_eq!(printed[0], path.root());
    // Written another way, it is the same.
    let mut again = "root".to_owned();
    for segment in path.rest() {
        let name = segment.name();
        match segment {
            Segment::Index(index) => again.push_str(&format!("[{index}]")),
            Segment::Name(_) if !name.contains(['"', '\'', '[', ']', '\\']) => {
                again.push_str(&format!("[\"{name}\"]"));
            }
            Segment::Name(_) => return,
        }
    }
    if let Ok(read) = Path::parse(&again) {
        assert_eq!(read.rest(), path.rest(), "{again}");
    }
}

/// The bytes of a stored value.
pub fn stored_value(data: &[u8]) {
    match codec::decode_text(data.to_vec(), LIMIT) {
        Ok(text) => {
            assert!(text.len() <= LIMIT);
            if codec::is_plain(text.as_bytes()) {
                let stored = codec::encode(text.as_bytes(), Compression::On);
                assert_eq!(codec::decode_text(stored, LIMIT).as_ref(), Ok(&text));
            }
        }
        Err(error) => {
            assert!(matches!(
                error.code(),
                Code::ValueDamaged | Code::ValueTooLarge
            ));
            refused(&error);
        }
    }
    // Few bytes are never taken for many.
    if let Ok(content) = codec::gunzip(data, LIMIT) {
        assert!(content.len() <= LIMIT);
    }
    crate::context::fuzz_stored(data);
}

/// An expression, the text of a value, and the text of a value that is stored.
pub fn context_operation(data: &[u8]) {
    let [expression, value, root] = parts(data);
    let Ok(path) = Path::parse(&format!("root{expression}")) else {
        return;
    };
    let before = is_json(&root);
    if let Err(error) = json::get(&root, path.rest()) {
        refused(&error);
    }
    let operations = [
        Operation::Delete,
        Operation::Increment(1.5),
        Operation::GetAndSet(None),
    ];
    let with_value = is_json(&value).then(|| {
        [
            Operation::Set(value.clone()),
            Operation::Append {
                value: value.clone(),
                limit: Some(3),
            },
            Operation::CompareAndSet {
                expected: Some(value.clone()),
                value: Some(value.clone()),
            },
        ]
    });
    for operation in operations.iter().chain(with_value.iter().flatten()) {
        match apply(operation, Some(&root), path.rest()) {
            Ok(applied) if before => {
                if let Change::Write(text) = &applied.root {
                    assert!(is_json(text), "{operation:?} made {text}");
                }
                if let Some(result) = &applied.result {
                    assert!(is_json(result), "{operation:?} gives {result}");
                }
            }
            Ok(_) => {}
            Err(error) => refused(&error),
        }
    }
}

/// A key of the shared context, as a message about a change names it.
pub fn context_key(data: &[u8]) {
    let [key] = parts(data);
    let keyspace = Keyspace::under("nodered:");
    let Some(read) = keyspace.context_key(&key) else {
        return;
    };
    use crate::keyspace::ContextKey;
    let printed = match &read {
        ContextKey::Value(scope, name) => keyspace.context_value(scope, name),
        ContextKey::Names(scope) => keyspace.context_names(scope),
        ContextKey::Scopes => keyspace.context_scopes(),
    };
    assert_eq!(keyspace.context_key(&printed), Some(read), "{key}");
}

/// A message on any channel.
pub fn channel_message(data: &[u8]) {
    cluster::fuzz(data);
    crate::election::fuzz_message(data);
    if let Some(note) = Note::parse(data) {
        let text = note.to_text().expect("a note has a text");
        assert_eq!(Note::parse(text.as_bytes()), Some(note));
    }
}

/// A presence record.
pub fn presence_record(data: &[u8]) {
    crate::members::fuzz(data);
}

/// A list of packages, its lock file, and what else is stored of packages.
pub fn package_list(data: &[u8]) {
    let [list, lock, other] = parts(data);
    let lock = match Lock::from_store(&lock) {
        Ok(lock) => {
            let text = lock.to_text().expect("a lock file has a text");
            assert_eq!(Lock::from_store(&text).as_ref(), Ok(&lock));
            lock
        }
        Err(error) => {
            refused(&error);
            Lock::default()
        }
    };
    match PackageList::from_store(&list) {
        Ok(list) => {
            let text = list.to_text().expect("a list has a text");
            assert_eq!(PackageList::from_store(&text).as_ref(), Ok(&list));
            list.hash(&lock).expect("a list has a hash");
            if let Err(error) = list.check_lock(&lock) {
                refused(&error);
            }
            // What npm is given is what was read.
            let file = lock.to_file("packages", "1.0.0", &list.roots());
            let file = Lock::from_file(file.as_bytes()).expect("npm's own format");
            assert_eq!(file, lock);
        }
        Err(error) => refused(&error),
    }
    if let Err(error) = Lock::from_file(other.as_bytes()) {
        refused(&error);
    }
    if let Ok(name) = PackageName::parse(&other) {
        assert_eq!(name.as_str(), other);
        assert!(!other.contains("..") || other.chars().all(|c| c != '/' || other.starts_with('@')));
    }
    needs::fuzz(&other);
    crate::packages::store::fuzz(&other);
}

/// The head of the revisions, as the fields of its hash, and an entry of the history.
pub fn revision(data: &[u8]) {
    crate::flows::store::fuzz(data);
    if let Ok(revision) = serde_json::from_slice::<Revision>(data) {
        let text = serde_json::to_string(&revision).expect("a revision has a text");
        assert_eq!(
            serde_json::from_str::<Revision>(&text).ok(),
            Some(revision.clone())
        );
        assert!(!revision.label().is_empty());
    }
}

/// An archive of the history: as it is stored, and what is in it.
pub fn archive(data: &[u8]) {
    for stored in [data.to_vec(), codec::gzip(data)] {
        let content = match Content::from_archive(&stored) {
            Ok(content) => content,
            Err(error) => {
                refused(&error);
                continue;
            }
        };
        assert_eq!(
            Content::from_archive(&content.archive()).as_ref(),
            Ok(&content)
        );
        if let Err(error) = content.check() {
            refused(&error);
            continue;
        }
        let slices = content.slices().expect("what was checked can be cut");
        assert!(slices.iter().all(|slice| is_json(slice)));
    }
}

/// Three versions of the settings or sessions, of which the last is the stored one.
pub fn document(data: &[u8]) {
    let [base, mine, theirs] = parts(data);
    if let Ok(object) = Object::parse(&theirs) {
        let text = object.to_text();
        let again = Object::parse(&text).expect("what was printed is read");
        assert_eq!(again.to_text(), text);
    }
    crate::documents::fuzz(&base, &mine, &theirs);
}

/// A kind, a path, metadata and the stored text of a library entry.
pub fn library(data: &[u8]) {
    let [kind, path, meta, stored] = parts(data);
    crate::documents::library::fuzz(&kind, &path, &meta, &stored);
}

/// The fields of a reply to a script of an election.
pub fn election(data: &[u8]) {
    crate::election::fuzz_reply(data);
    crate::election::fuzz_message(data);
}

/// A key that may be context of the older package, and its value.
pub fn migration(data: &[u8]) {
    crate::context::migrate::fuzz(data);
}

/// Encrypted credentials.
pub fn credentials(data: &[u8]) {
    let key = Key::from_secret(&Secret::new("a secret"));
    let [text] = parts(data);
    if let Err(error) = key.decrypt(&text) {
        refused(&error);
    }
    // What is no object of JSON would be taken for the wrong secret.
    if Object::parse(&text).is_ok() {
        let encrypted = key.encrypt(&text).expect("any text is encrypted");
        assert_eq!(key.decrypt(&encrypted).as_ref(), Ok(&text));
    }
}
