//! What a test can do with a program of its own.

use std::path::Path;
use std::time::Duration;

use node_red_cluster_testkit::{Lines, Program};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(150);

/// A program that says what it is told.
fn echo() -> (Program, Lines) {
    let variable = ("GREETING".into(), "hello".into());
    let script = r#"echo "$GREETING"; while read -r line; do echo "$line"; done; exit 3"#;
    Program::start(Path::new("/bin/sh"), &["-c", script], [variable]).expect("a shell")
}

async fn hear(lines: &mut Lines) -> Option<String> {
    let line = timeout(SOON, lines.next()).await.expect("in time");
    line.expect("text")
}

#[tokio::test]
async fn talks_in_lines_and_is_frozen_and_thawed() {
    let (mut program, mut lines) = echo();
    assert_eq!(hear(&mut lines).await.as_deref(), Some("hello"));
    program.pause().expect("freeze it");
    program.say("are you there?").await.expect("say it");
    assert!(timeout(SILENCE, lines.next()).await.is_err());
    program.resume().expect("thaw it");
    assert_eq!(hear(&mut lines).await.as_deref(), Some("are you there?"));
}

#[tokio::test]
async fn what_it_said_outlives_it() {
    let (mut program, mut lines) = echo();
    assert_eq!(hear(&mut lines).await.as_deref(), Some("hello"));
    program.say("last words").await.expect("say it");
    assert_eq!(hear(&mut lines).await.as_deref(), Some("last words"));
    program.kill().await.expect("kill it");
    assert_eq!(hear(&mut lines).await, None);
    program.resume().expect_err("nobody is there");
}
