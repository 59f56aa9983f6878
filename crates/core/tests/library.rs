//! The library on a real server, answered as Node-RED's own file storage answers.

mod support;

use std::time::Duration;

use node_red_cluster_core::config::Compression;
use node_red_cluster_core::documents::Documents;
use node_red_cluster_core::documents::library::{Entry, Item};
use node_red_cluster_core::error::Code;
use support::Store;
use tokio::task::JoinSet;

struct Library {
    store: Store,
    documents: Documents,
}

impl Library {
    async fn start() -> Self {
        let store = Store::start().await;
        let documents = documents(&store);
        Self { store, documents }
    }

    async fn save(&self, kind: &str, path: &str, meta: &str, body: &str) {
        let saved = self.documents.save_library_entry(kind, path, meta, body);
        saved
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    async fn save_error(&self, kind: &str, path: &str, meta: &str) -> Code {
        let saved = self.documents.save_library_entry(kind, path, meta, "x");
        saved.await.expect_err(path).code()
    }

    async fn entry(&self, kind: &str, path: &str) -> Entry {
        let entry = self.documents.library_entry(kind, path).await;
        entry.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn entry_error(&self, kind: &str, path: &str) -> Code {
        let entry = self.documents.library_entry(kind, path).await;
        entry.expect_err(path).code()
    }

    async fn body(&self, kind: &str, path: &str) -> String {
        match self.entry(kind, path).await {
            Entry::File { body } => body,
            Entry::Folder(items) => panic!("{path} is a folder: {items:?}"),
        }
    }
}

fn documents(store: &Store) -> Documents {
    Documents::new(
        store.connect(),
        store.keyspace.clone(),
        Compression::Off,
        Duration::from_secs(60),
    )
}

fn file(name: &str, meta: &str) -> Item {
    Item::File {
        name: name.to_owned(),
        meta: meta.to_owned(),
    }
}

fn folder(name: &str) -> Item {
    Item::Folder(name.to_owned())
}

#[tokio::test]
async fn entries_and_folders_answer_as_a_file_system() {
    let library = Library::start().await;
    library
        .save("functions", "b.js", r#"{"name":"B\nb"}"#, "return b;")
        .await;
    library
        .save("functions", "/z//deep/c.js", "{}", "return c;")
        .await;
    library
        .save("functions", "a/d.js", r#"{"outputs":"2"}"#, "")
        .await;
    library.save("functions", ".hidden", "{}", "h").await;
    library.save("templates", "t.html", "{}", "<p>").await;

    let root = Entry::Folder(vec![
        folder("a"),
        folder("z"),
        file("b.js", r#"{"name":"B\nb"}"#),
    ]);
    assert_eq!(library.entry("functions", "").await, root);
    assert_eq!(library.entry("functions", "/").await, root);
    assert_eq!(
        library.entry("functions", "z").await,
        Entry::Folder(vec![folder("deep")])
    );
    assert_eq!(
        library.entry("functions", "a/").await,
        Entry::Folder(vec![file("d.js", r#"{"outputs":"2"}"#)])
    );
    assert_eq!(library.body("functions", "b.js").await, "return b;");
    assert_eq!(library.body("functions", "z/deep/c.js").await, "return c;");
    assert_eq!(library.body("functions", "a/d.js").await, "");
    assert_eq!(library.body("functions", ".hidden").await, "h");
}

#[tokio::test]
async fn what_is_unknown_is_empty_as_a_folder_and_not_found_as_an_entry() {
    let library = Library::start().await;
    let empty = Entry::Folder(Vec::new());
    assert_eq!(library.entry("functions", "").await, empty);
    assert_eq!(library.entry("functions", "none/").await, empty);
    assert_eq!(
        library.entry_error("functions", "none").await,
        Code::NotFound
    );
    assert_eq!(library.entry_error("flows", "none").await, Code::NotFound);
    library.save("functions", "a.js", "{}", "a").await;
    assert_eq!(library.entry("functions", "a.js/").await, empty);
    assert_eq!(
        library.entry_error("functions", "a.js/b").await,
        Code::NotFound
    );
    assert_eq!(
        library.entry_error("functions", "../a.js").await,
        Code::InvalidRequest
    );
}

#[tokio::test]
async fn flows_get_their_extension_when_saved_and_are_found_without_it() {
    let library = Library::start().await;
    library.save("flows", "a/one", "{}", "[1]").await;
    library.save("flows", "two.json", "{}", "[2]").await;
    assert_eq!(library.body("flows", "a/one").await, "[1]");
    assert_eq!(library.body("flows", "a/one.json").await, "[1]");
    assert_eq!(library.body("flows", "two").await, "[2]");
    assert_eq!(
        library.entry("flows", "").await,
        Entry::Folder(vec![folder("a"), file("two.json", "{}")])
    );
    library.save("functions", "three", "{}", "3").await;
    assert_eq!(
        library.entry_error("functions", "three.json").await,
        Code::NotFound
    );
}

#[tokio::test]
async fn no_entry_stands_where_a_folder_is_nor_the_reverse() {
    let library = Library::start().await;
    library.save("functions", "a/b.js", "{}", "b").await;
    assert_eq!(
        library.save_error("functions", "a", "{}").await,
        Code::InvalidRequest
    );
    assert_eq!(
        library.save_error("functions", "a/b.js/c.js", "{}").await,
        Code::InvalidRequest
    );
    for path in ["", "/", "new/"] {
        assert_eq!(
            library.save_error("functions", path, "{}").await,
            Code::InvalidRequest
        );
    }
    assert_eq!(
        library.save_error("functions", "n", r#"{"n":1}"#).await,
        Code::InvalidRequest
    );
    assert_eq!(
        library.save_error("fun:ctions", "n", "{}").await,
        Code::InvalidRequest
    );
    library
        .save(
            "functions",
            "ab",
            "{}",
            "a name that a folder's begins with",
        )
        .await;
    library.save("functions", "a/b.js", "{}", "again").await;
    assert_eq!(library.body("functions", "a/b.js").await, "again");
    assert_eq!(library.store.command(&["DBSIZE"]).await.integer(), Some(3));
}

#[tokio::test]
async fn of_an_entry_and_a_folder_of_one_name_saved_at_once_one_is_refused() {
    let library = Library::start().await;
    for round in 0..20 {
        let mut savers = JoinSet::new();
        for path in [format!("{round}"), format!("{round}/below")] {
            let documents = documents(&library.store);
            savers.spawn(async move {
                let saved = documents.save_library_entry("functions", &path, "{}", "x");
                saved.await.is_ok()
            });
        }
        let saved = savers.join_all().await;
        assert_eq!(saved.iter().filter(|saved| **saved).count(), 1, "{round}");
    }
}

#[tokio::test]
async fn entries_of_the_older_package_are_listed_and_read() {
    let library = Library::start().await;
    let store = &library.store;
    let old = r#"{"body":"return old;","meta":{"name":"Old","odd":7}}"#;
    store.set("nodered:library:functions:old/one.js", old).await;
    store
        .set("nodered:library:functions:text.js", "return text;")
        .await;
    store
        .set("nodered:library:flows:plain", r#"[{"id":"a"}]"#)
        .await;
    // printf '"zipped"' | gzip -n | base64 -w0
    store
        .set(
            "nodered:library:functions:zip.js",
            "gzip:H4sIAAAAAAAAA1OqyiwoSE1RAgBqzZKxCAAAAA==",
        )
        .await;
    for foreign in [
        "nodered:library:x",
        "nodered:library:functions:a//b",
        "nodered:library:functions:",
    ] {
        store.set(foreign, "{}").await;
    }
    store
        .command(&["RPUSH", "nodered:library:functions:list", "x"])
        .await;
    store.set("nodered:library:functions:bad.js", b"\xff").await;

    // The first save finds them too, before any listing does.
    let saved = library
        .documents
        .save_library_entry("functions", "old", "{}", "x")
        .await;
    assert_eq!(saved.expect_err("a folder").code(), Code::InvalidRequest);

    assert_eq!(
        library.entry("functions", "").await,
        Entry::Folder(vec![
            folder("old"),
            file("text.js", "{}"),
            file("zip.js", "{}")
        ])
    );
    assert_eq!(
        library.entry("functions", "old").await,
        Entry::Folder(vec![file("one.js", r#"{"name":"Old"}"#)])
    );
    assert_eq!(library.body("functions", "old/one.js").await, "return old;");
    assert_eq!(library.body("functions", "text.js").await, "return text;");
    assert_eq!(library.body("functions", "zip.js").await, "zipped");
    assert_eq!(library.body("flows", "plain").await, r#"[{"id":"a"}]"#);
    assert_eq!(
        library.entry_error("functions", "bad.js").await,
        Code::ValueDamaged
    );
}

#[tokio::test]
async fn the_database_is_scanned_once_and_never_again() {
    let library = Library::start().await;
    library.save("functions", "a.js", "{}", "a").await;
    library.store.command(&["CONFIG", "RESETSTAT"]).await;
    for _ in 0..3 {
        library.entry("functions", "").await;
        library.save("functions", "b.js", "{}", "b").await;
        library
            .documents
            .build_library_index()
            .await
            .expect("nothing to do");
    }
    let statistics = library.store.command(&["INFO", "commandstats"]).await;
    let statistics = statistics.text().expect("statistics");
    assert!(statistics.contains("cmdstat_hgetall"), "{statistics}");
    for command in ["cmdstat_scan:", "cmdstat_keys:"] {
        assert!(!statistics.contains(command), "{statistics}");
    }
}

#[tokio::test]
async fn an_index_that_is_built_keeps_what_was_saved_meanwhile() {
    let library = Library::start().await;
    let store = &library.store;
    store
        .set(
            "nodered:library:functions:a.js",
            r#"{"body":"a","meta":{"name":"old"}}"#,
        )
        .await;
    store
        .command(&[
            "HSET",
            "nodered:library-index",
            "functions:a.js",
            r#"{"name":"new"}"#,
        ])
        .await;
    assert_eq!(
        library.entry("functions", "").await,
        Entry::Folder(vec![file("a.js", r#"{"name":"new"}"#)])
    );
}
