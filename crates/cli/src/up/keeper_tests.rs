//! Keepers with shell scripts as children.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::terminal::Style;
use crate::terminal::tests::Screen;
use crate::up::readiness::Readiness;
use crate::up::system;

use super::*;

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// A group with a place for its children and somebody who listens to its keepers.
struct Scene {
    place: TempDir,
    screen: Screen,
    group: Group,
    news: mpsc::UnboundedReceiver<News>,
    signals: watch::Sender<u32>,
    stop: Stop,
}

impl Scene {
    fn new() -> Self {
        let screen = Screen::default();
        let (sender, news) = mpsc::unbounded_channel();
        let (signals, counted) = watch::channel(0);
        Self {
            place: tempfile::tempdir().expect("a temporary directory"),
            group: Group::new(&screen.terminal(Style::default()), &sender),
            screen,
            news,
            signals,
            stop: Stop::new(counted),
        }
    }

    /// A child that runs a script, and counts as ready once `readiness` answers HTTP.
    fn plan(&self, name: &str, script: &str, readiness: SocketAddr) -> ChildPlan {
        ChildPlan {
            name: name.to_owned(),
            label: format!("{name} | "),
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            working_directory: self.place.path().to_owned(),
            pid_file: self.path(&format!("{name}.pid")),
            readiness: Readiness::Http(readiness),
            attempts: 3,
            patience: DEADLINE,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    async fn next(&mut self) -> Happened {
        let news = timeout(DEADLINE, self.news.recv()).await;
        news.expect("news before the deadline")
            .expect("a keeper that talks")
            .what
    }

    async fn started(&mut self) -> u32 {
        match self.next().await {
            Happened::Started { pid } => pid,
            other => panic!("not started: {other:?}"),
        }
    }

    async fn file_written(&self, name: &str) -> String {
        let path = self.path(name);
        let written = async {
            loop {
                match fs::read_to_string(&path) {
                    Ok(text) if text.ends_with('\n') => return text,
                    _ => sleep(Duration::from_millis(10)).await,
                }
            }
        };
        timeout(DEADLINE, written).await.expect("written in time")
    }

    async fn shown(&self, wanted: &str) {
        let shown = async {
            while !self.screen.text().contains(wanted) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(DEADLINE, shown)
            .await
            .unwrap_or_else(|_| panic!("{wanted:?} not in {:?}", self.screen.text()));
    }

    async fn end(&mut self) {
        timeout(DEADLINE, self.group.end(&mut self.stop))
            .await
            .expect("ended in time");
    }

    fn lives(&self, pid: u32) -> bool {
        system::belongs_to(pid, self.place.path())
    }
}

/// An address where every request is answered.
async fn answering() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = [0; 1024];
            assert_ne!(connection.read(&mut request).await.expect("a request"), 0);
            connection
                .write_all(b"HTTP/1.1 200 OK\r\n\r\n")
                .await
                .expect("a reader");
        }
    });
    address
}

/// An address where nobody ever answers.
fn silent() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1))
}

#[tokio::test]
async fn a_child_that_never_works_is_given_up_after_its_attempts() {
    let mut scene = Scene::new();
    let plan = scene.plan("broken", "echo no settings; exit 1", silent());
    scene.group.keep(plan);
    for delay in [1, 2] {
        scene.started().await;
        match scene.next().await {
            Happened::Ended { how, again_in } => {
                assert_eq!(how, "exit status: 1");
                assert_eq!(again_in, Duration::from_secs(delay));
            }
            other => panic!("not ended: {other:?}"),
        }
    }
    scene.started().await;
    assert!(matches!(scene.next().await, Happened::GivenUp { .. }));
    let line = "broken | no settings\n";
    scene.shown(&line.repeat(3)).await;
    scene.end().await;
}

#[tokio::test]
async fn a_child_that_crashes_after_it_worked_is_started_again() {
    let mut scene = Scene::new();
    let plan = scene.plan("crashing", "exec sleep 1000", answering().await);
    scene.group.keep(plan);
    let first = scene.started().await;
    assert!(matches!(scene.next().await, Happened::Ready));
    system::kill_group(first);
    match scene.next().await {
        Happened::Ended { how, .. } => assert!(how.contains("SIGKILL"), "{how}"),
        other => panic!("not ended: {other:?}"),
    }
    let second = scene.started().await;
    assert_ne!(first, second);
    assert!(matches!(scene.next().await, Happened::Ready));
    scene.end().await;
    assert!(!scene.lives(second));
}

#[tokio::test]
async fn a_child_ends_in_order_and_what_it_left_of_its_group_is_killed() {
    let mut scene = Scene::new();
    let script = "trap 'echo closing; exit 0' TERM; sleep 1000 & echo $! >helper; wait";
    let plan = scene.plan("orderly", script, silent());
    let pid_file = plan.pid_file.clone();
    scene.group.keep(plan);
    let pid = scene.started().await;
    assert_eq!(
        fs::read_to_string(&pid_file).expect("written"),
        pid.to_string()
    );
    let helper = scene.file_written("helper").await;
    let helper = helper.trim().parse().expect("a process id");
    assert!(scene.lives(helper));

    scene.end().await;
    scene.shown("orderly | closing\n").await;
    assert!(!scene.lives(pid));
    let gone = async {
        while scene.lives(helper) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, gone).await.expect("the helper is killed");
    assert!(!pid_file.exists());
}

#[tokio::test]
async fn a_second_signal_kills_a_child_that_does_not_end() {
    let mut scene = Scene::new();
    let script = "trap 'echo no' TERM; echo >ready; while :; do sleep 0.05; done";
    let plan = scene.plan("stubborn", script, silent());
    scene.group.keep(plan);
    let pid = scene.started().await;
    scene.file_written("ready").await;
    scene.signals.send_replace(1);
    {
        let screen = scene.screen.clone();
        let mut ended = pin!(scene.group.end(&mut scene.stop));
        let refused = async {
            while !screen.text().contains("stubborn | no\n") {
                sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = &mut ended => panic!("ended without being killed"),
            refused = timeout(DEADLINE, refused) => refused.expect("asked to end"),
        }
        scene.signals.send_replace(2);
        timeout(DEADLINE, ended).await.expect("killed");
    }
    assert!(!scene.lives(pid));
}

#[tokio::test]
async fn a_child_that_takes_too_long_to_end_is_killed() {
    let mut scene = Scene::new();
    let script = "trap '' TERM; echo >ready; while :; do sleep 0.05; done";
    let plan = ChildPlan {
        patience: Duration::from_millis(100),
        ..scene.plan("slow", script, silent())
    };
    scene.group.keep(plan);
    let pid = scene.started().await;
    scene.file_written("ready").await;
    scene.end().await;
    assert!(!scene.lives(pid));
    scene
        .shown("slow did not end within 100ms and is killed.")
        .await;
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_reported_like_one_that_ends() {
    let mut scene = Scene::new();
    let plan = ChildPlan {
        program: scene.path("missing"),
        attempts: 1,
        ..scene.plan("missing", "", silent())
    };
    scene.group.keep(plan);
    match scene.next().await {
        Happened::GivenUp { how } => assert!(how.contains("cannot start"), "{how}"),
        other => panic!("not given up: {other:?}"),
    }
    scene.end().await;
}
