//! Whole command lines that end before anything is started.

use std::net::TcpListener;
use std::path::Path;

use crate::environment::StandardOutput;
use crate::terminal::tests::Screen;

use super::*;

fn environment(place: &Path) -> Environment {
    Environment {
        node: "/usr/bin/node".into(),
        package_root: place.join("package"),
        working_directory: place.to_owned(),
        node_red: Some(place.join("red.js")),
        standard_output: StandardOutput::default(),
        variables: Default::default(),
    }
}

/// The exit code of a command line and everything that it wrote.
async fn run_line(line: &str, environment: Environment) -> (i32, String) {
    let screen = Screen::default();
    let terminal = screen.terminal(Style::default());
    let (_signals, counted) = watch::channel(0);
    let arguments = line.split_whitespace().map(str::to_owned).collect();
    let exit_code = run_on(&terminal, arguments, environment, Stop::new(counted)).await;
    terminal.finish().await;
    (exit_code, screen.text())
}

/// Runs `up` with a port that is free for itself and the first worker.
async fn up(flags: &str, environment: Environment) -> (i32, String) {
    let port = free_port();
    run_line(
        &format!("up --workers 0 --port {port} {flags}"),
        environment,
    )
    .await
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

#[tokio::test]
async fn version_and_help_are_answers_and_nonsense_is_refused() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let line = |line: &'static str| run_line(line, environment(place.path()));
    let version = format!("node-red-cluster {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(line("--version").await, (0, version));
    let (exit_code, help) = line("up --help").await;
    assert_eq!(exit_code, 0);
    assert!(help.contains("--workers <N>"), "{help}");
    let (exit_code, refusal) = line("pu").await;
    assert_eq!(exit_code, 2);
    assert!(refusal.contains("'pu'"), "{refusal}");
    assert_eq!(line("").await.0, 2);
}

#[tokio::test]
async fn a_missing_node_red_is_refused_with_what_to_type() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let mut environment = environment(place.path());
    environment.node_red = None;
    let (exit_code, refusal) = up("", environment).await;
    assert_eq!(exit_code, 2);
    assert!(refusal.contains("npm install node-red"), "{refusal}");
}

#[tokio::test]
async fn a_missing_store_is_refused_with_what_to_do() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let (exit_code, refusal) = up("", environment(place.path())).await;
    assert_eq!(exit_code, 2);
    assert!(refusal.contains("NODE_RED_CLUSTER_STORE"), "{refusal}");
    assert!(refusal.contains("--url"), "{refusal}");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_refused_without_its_password() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let flags = format!("--url redis://:s3cret@127.0.0.1:{}", free_port());
    let (exit_code, refusal) = up(&flags, environment(place.path())).await;
    assert_eq!(exit_code, 2);
    assert!(refusal.contains("does not answer"), "{refusal}");
    assert!(!refusal.contains("s3cret"), "{refusal}");
    assert_eq!(up("--url store", environment(place.path())).await.0, 2);
}

#[tokio::test]
async fn a_port_in_use_is_refused_with_its_number_and_who_needs_it() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let stranger = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = stranger.local_addr().expect("bound").port();
    let line = format!("up --workers 0 --port {port}");
    let (exit_code, refusal) = run_line(&line, environment(place.path())).await;
    assert_eq!(exit_code, 2);
    assert!(refusal.contains(&format!("Port {port}")), "{refusal}");
    assert!(refusal.contains("admin needs it"), "{refusal}");
    assert!(refusal.contains("--port"), "{refusal}");
}
