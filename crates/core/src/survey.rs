//! What a store does not allow, or may throw away, said once: so that an operator whose server, proxy or access
//! rules forbid a command reads what works less well, and which command it is.
//!
//! Asked are only commands without which everything still works, and only in a way that changes nothing.
//! Those whose absence shows at their use say so there: `HELLO` (the greeting), `CLIENT TRACKING` (tracking),
//! `SUBSCRIBE` (the subscriptions). `CLIENT SETNAME` is a courtesy to whoever reads `CLIENT LIST`. What nothing works without ends in an error that names it.
//!
//! - `essential`: the commands that nothing stands in for
//! - `memory`: whether the store throws keys away when its memory is full

mod essential;
mod memory;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::connection::{Connection, Request, Session};
use crate::error::{Code, Error};

pub use essential::ESSENTIAL;
pub(crate) use essential::check;

/// For one answer. A store that takes longer is asked again in its next session.
const LIMIT: Duration = Duration::from_secs(10);

/// Before a session is asked anything: the start of an instance comes first.
const PAUSE: Duration = Duration::from_millis(200);

/// The largest client id that every server accepts, and that no client has.
const NOBODY: &str = "9007199254740991";

/// A command that is a help where it is allowed.
struct Help {
    command: &'static str,
    /// Changes nothing.
    question: &'static [&'static str],
    /// What is lost without it.
    lost: &'static str,
}

/// As docs/operations.md lists them.
const HELPS: &[Help] = &[
    Help {
        command: "CLIENT ID",
        question: &["CLIENT", "ID"],
        lost: "a connection that was lost cannot be ended at the store, so a write that a frozen server or a slow network still holds may land after a newer one",
    },
    Help {
        command: "CLIENT INFO",
        question: &["CLIENT", "INFO"],
        lost: "over a network a connection that was lost is ended at the store only where INFO tells that the server is still the same",
    },
    Help {
        command: "CLIENT KILL",
        question: &["CLIENT", "KILL", "ID", NOBODY],
        lost: "a connection that was lost cannot be ended at the store, so a write that a frozen server or a slow network still holds may land after a newer one",
    },
    Help {
        command: "INFO",
        question: &["INFO", "memory"],
        lost: "restarts of the store are not noticed, a takeover of a leader that could be at once waits for a TTL, and nobody warns of a store that removes keys",
    },
    Help {
        command: "TIME",
        question: &["TIME"],
        lost: "no leader can be elected, and names of the context are ordered by the clock of each machine",
    },
];

static SHARED: Mutex<Vec<Weak<Survey>>> = Mutex::new(Vec::new());

/// The survey of one store, for everybody in this process who uses it.
#[derive(Debug)]
pub struct Survey {
    connection: Connection,
    /// What was said already.
    said: Mutex<HashSet<String>>,
}

impl Survey {
    /// The survey of the store behind `connection`; begins where there is none yet, and ends when nobody
    /// holds it any more. Must be called on a tokio runtime.
    pub fn shared(connection: &Connection) -> Arc<Self> {
        let mut shared = lock(&SHARED);
        shared.retain(|survey| survey.strong_count() > 0);
        let same = shared.iter().filter_map(Weak::upgrade).find(|survey| {
            survey.connection.config() == connection.config() && !survey.connection.is_closed()
        });
        if let Some(survey) = same {
            return survey;
        }
        let survey = Arc::new(Self {
            connection: connection.clone(),
            said: Mutex::default(),
        });
        shared.push(Arc::downgrade(&survey));
        tokio::spawn(keep(Arc::downgrade(&survey), connection.clone()));
        survey
    }

    async fn ask(&self, session: &Session) {
        if let Err(error) = check(&self.connection).await {
            self.say("essential", || error.to_string());
        }
        for help in HELPS {
            let mut question = redis::Cmd::new();
            question.arg(help.question);
            let request = Request::Command(question);
            let answer: Result<redis::Value, Error> =
                self.connection.run_on(session, &request, LIMIT).await;
            match answer {
                Ok(answer) => {
                    self.unsay(help.command);
                    if help.command == "INFO" {
                        self.look_at_memory(&answer);
                    }
                }
                Err(error) if is_forbidden(&error) => self.say(help.command, || {
                    format!(
                        "the store at {} does not allow {}: {} ({}); see \"What a store must allow\" in docs/operations.md",
                        self.connection.describe(),
                        help.command,
                        help.lost,
                        error.message()
                    )
                }),
                // Of the link, or of a store that is not ready: the next session is asked again.
                Err(_) => return,
            }
        }
    }

    fn look_at_memory(&self, info: &redis::Value) {
        let Ok(info) = redis::from_redis_value_ref::<String>(info) else {
            return;
        };
        match memory::danger(&info) {
            Some(danger) => self.say(&danger.key(), || {
                danger.describe(&self.connection.describe())
            }),
            None => self.unsay_all(memory::KEY),
        }
    }

    fn say(&self, what: &str, sentence: impl FnOnce() -> String) {
        if lock(&self.said).insert(what.to_owned()) {
            tracing::warn!("{}", sentence());
        }
    }

    /// It is as it should be, and is told again when it is not.
    fn unsay(&self, what: &str) {
        lock(&self.said).remove(what);
    }

    fn unsay_all(&self, beginning: &str) {
        lock(&self.said).retain(|said| !said.starts_with(beginning));
    }
}

/// Asks in each session.
async fn keep(survey: Weak<Survey>, connection: Connection) {
    let mut epochs = connection.epochs();
    loop {
        epochs.borrow_and_update();
        if let Some(session) = connection.session() {
            tokio::time::sleep(PAUSE).await;
            let Some(held) = survey.upgrade() else { return };
            held.ask(&session).await;
        }
        // An error means that the links are closed.
        if epochs.changed().await.is_err() || survey.strong_count() == 0 {
            return;
        }
    }
}

/// Whether the store knows the question and refuses it, or does not know it.
fn is_forbidden(error: &Error) -> bool {
    matches!(error.code(), Code::StorePermission | Code::StoreReply)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
