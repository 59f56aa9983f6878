//! Nested properties and atomic operations: together, exactly once, without touching the rest.

use node_red_cluster_core::context::operation::Operation;
use node_red_cluster_core::error::Code;
use serde_json::{Value, json};

use crate::process::Process;
use crate::support::{access, look, text};

#[tokio::test]
async fn a_nested_change_leaves_every_other_byte_as_it_was() {
    let server = access::server().await;
    let process = Process::open(server.address()).await;
    let before = r#"{"z":[], "n":9007199254740993,"f":1e5, "s":"\ud800","a":{"b":1}}"#;
    look(&server, &["SET", "nodered:context:global:o", before]).await;
    process
        .change("global", &[("o.a.b", Some("[2]"))])
        .await
        .unwrap();
    let after = text(&server, &["GET", "nodered:context:global:o"])
        .await
        .unwrap();
    assert_eq!(after, before.replace("{\"b\":1}", "{\"b\":[2]}"));
}

#[tokio::test]
async fn a_large_value_is_changed_in_place_time_and_again() {
    let server = access::server().await;
    for compression in [false, true] {
        let options = json!({ "enableCompression": compression });
        let process = Process::with(server.address(), options.clone()).await;
        let other = Process::with(server.address(), options).await;
        let items: Vec<Value> = (0..3000)
            .map(|at| json!({ "id": at, "text": "some words" }))
            .collect();
        let large = json!({ "items": items, "n": 0 }).to_string();
        process.set("global", "big", Some(&large)).await.unwrap();
        for round in 0..20 {
            let (writer, value) = if round % 2 == 0 {
                (&process, "\"x\"")
            } else {
                (&other, "123456")
            };
            let expression = format!("big.items[{}].text", round * 100);
            writer
                .change("global", &[(&expression, Some(value))])
                .await
                .unwrap();
        }
        let read: Value =
            serde_json::from_str(&other.read("global", "big").await.unwrap().unwrap()).unwrap();
        for round in 0..20 {
            let expected = if round % 2 == 0 {
                json!("x")
            } else {
                json!(123456)
            };
            assert_eq!(read["items"][round * 100]["text"], expected);
        }
        assert_eq!(read["items"][1]["text"], "some words");
        assert_eq!(read["items"].as_array().unwrap().len(), 3000);
    }
}

#[tokio::test]
async fn a_value_that_an_operator_changed_meanwhile_is_not_overlooked() {
    let server = access::server().await;
    let process = Process::open(server.address()).await;
    let filler = "x".repeat(2000);
    process
        .change(
            "global",
            &[("o.a", Some("1")), ("o.f", Some(&format!("\"{filler}\"")))],
        )
        .await
        .unwrap();
    process
        .change("global", &[("o.a", Some("2"))])
        .await
        .unwrap();
    let changed = format!("{{\"operator\":true,\"f\":\"{filler}\"}}");
    look(&server, &["SET", "nodered:context:global:o", &changed]).await;
    process
        .change("global", &[("o.a", Some("3"))])
        .await
        .unwrap();
    let read: Value =
        serde_json::from_str(&process.read("global", "o").await.unwrap().unwrap()).unwrap();
    assert_eq!((&read["operator"], &read["a"]), (&json!(true), &json!(3)));
}

#[tokio::test]
async fn increments_of_four_processes_add_up() {
    let server = access::server().await;
    let mut tasks = Vec::new();
    for number in 0..4 {
        let process = Process::open(server.address()).await;
        tasks.push(tokio::spawn(async move {
            for round in 0..500 {
                let expression = if round % 2 == 0 {
                    "n".to_owned()
                } else {
                    format!("o.p{number}")
                };
                process
                    .operate(&expression, Operation::Increment(1.0))
                    .await
                    .unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let process = Process::open(server.address()).await;
    assert_eq!(
        process.read("global", "n").await.unwrap().as_deref(),
        Some("1000")
    );
    let parts: Value =
        serde_json::from_str(&process.read("global", "o").await.unwrap().unwrap()).unwrap();
    for number in 0..4 {
        assert_eq!(parts[format!("p{number}")], 250);
    }
}

#[tokio::test]
async fn operations_give_their_results_and_errors_change_nothing() {
    let server = access::server().await;
    let process = Process::open(server.address()).await;
    let run =
        async |expression: &str, operation: Operation| process.operate(expression, operation).await;
    let one = |text: &str| Some(text.to_owned());
    assert_eq!(
        run("n", Operation::Increment(2.5)).await.unwrap(),
        one("2.5")
    );
    let append = Operation::Append {
        value: "1".to_owned(),
        limit: None,
    };
    assert_eq!(run("list", append.clone()).await.unwrap(), one("1"));
    assert_eq!(run("list", append.clone()).await.unwrap(), one("2"));
    let compare = |expected: Option<&str>, value: Option<&str>| Operation::CompareAndSet {
        expected: expected.map(str::to_owned),
        value: value.map(str::to_owned),
    };
    assert_eq!(
        run("c", compare(None, Some("1"))).await.unwrap(),
        one("true")
    );
    assert_eq!(
        run("c", compare(None, Some("2"))).await.unwrap(),
        one("false")
    );
    assert_eq!(
        run("c", compare(Some("1.0"), Some("2"))).await.unwrap(),
        one("true")
    );
    assert_eq!(
        run("c", Operation::GetAndSet(one("3"))).await.unwrap(),
        one("2")
    );
    assert_eq!(
        run("c", Operation::DeleteIf(one("3"))).await.unwrap(),
        one("true")
    );
    assert_eq!(run("c", Operation::GetAndSet(None)).await.unwrap(), None);
    assert_eq!(process.names("global").await, ["n", "list"]);

    let error = run("list", Operation::Increment(1.0)).await.unwrap_err();
    assert_eq!(error.code(), Code::ValueInvalid);
    assert!(error.message().contains("list"), "{error}");
    let error = process
        .change("global", &[("a", Some("1")), ("b[", Some("1"))])
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::InvalidExpression);
    assert_eq!(process.read("global", "a").await.unwrap(), None);
}

#[tokio::test]
async fn a_property_that_is_removed_and_set_again_comes_last() {
    let server = access::server().await;
    let process = Process::open(server.address()).await;
    let one = Some("1");
    process
        .change("global", &[("a.x", one), ("b.x", one)])
        .await
        .unwrap();
    process
        .change("global", &[("a", None), ("a.x", one), ("b.y", one)])
        .await
        .unwrap();
    assert_eq!(process.names("global").await, ["b", "a"]);
    process
        .change("global", &[("b", None), ("c.x", one), ("b.x", one)])
        .await
        .unwrap();
    assert_eq!(process.names("global").await, ["a", "c", "b"]);
}

#[tokio::test]
async fn one_property_that_cannot_be_updated_fails_alone() {
    let server = access::server().await;
    let process = Process::open(server.address()).await;
    look(&server, &["RPUSH", "nodered:context:global:list", "x"]).await;
    look(
        &server,
        &["SET", "nodered:context:global:damaged", "gzip:AAAA"],
    )
    .await;
    let add = || Operation::Increment(1.0);
    // Those behind the first one share a round.
    let (_, first, list, damaged, last) = tokio::join!(
        process.set("global", "ahead", Some("1")),
        process.operate("first", add()),
        process.operate("list", add()),
        process.operate("damaged.n", add()),
        process.operate("last", add()),
    );
    assert_eq!(first.unwrap().as_deref(), Some("1"));
    assert_eq!(last.unwrap().as_deref(), Some("1"));
    let error = list.unwrap_err();
    assert_eq!(error.code(), Code::StoreReply);
    assert!(error.message().contains("`list`"), "{error}");
    let error = damaged.unwrap_err();
    assert_eq!(error.code(), Code::ValueDamaged);
    assert_eq!(error.message().matches("`damaged`").count(), 1, "{error}");
}
