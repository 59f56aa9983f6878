//! The scripts of an election and what they are given.

use redis::Cmd;

use super::lease::{Candidate, Request};
use crate::config::Standing as Eligibility;
use crate::connection::{Request as StoreRequest, Session};
use crate::keyspace::Keyspace;

/// All scripts of an election begin with the same lines, which read what the store has.
macro_rules! script {
    ($name:literal) => {
        concat!(
            include_str!("../scripts/election_record.lua"),
            include_str!(concat!("../scripts/election_", $name, ".lua"))
        )
    };
}

const LOOK: &str = script!("look");
const ACQUIRE: &str = script!("acquire");
const RENEW: &str = script!("renew");
const RELEASE: &str = script!("release");
const MEMORY: &str = include_str!("../scripts/election_memory.lua");

/// One election as one candidate takes part in it.
#[derive(Debug)]
pub(super) struct Election {
    pub(super) lock: String,
    /// The candidate's id.
    pub(super) holder: String,
    pub(super) host: String,
    pub(super) channel: String,
    pub(super) memory_key: String,
}

impl Election {
    /// The script that carries out a request in this session.
    pub(super) fn script(
        &self,
        request: &Request,
        candidate: &Candidate,
        floor: u64,
        session: &Session,
    ) -> StoreRequest {
        let mut keys = vec![
            self.lock.clone(),
            Keyspace::election_record(&self.lock, session.clustered),
        ];
        let reserve = candidate.eligibility == Eligibility::Reserve;
        let mut arguments = vec![
            self.holder.clone(),
            self.host.clone(),
            candidate.ttl.as_millis().to_string(),
            u8::from(reserve).to_string(),
            run_of(session).unwrap_or_default().to_owned(),
            self.channel.clone(),
            serde_json::Value::from(self.lock.as_str()).to_string(),
            format!("{:016x}", fastrand::u64(..)),
        ];
        let script = match request {
            Request::Acquire { watched, memory } => {
                if memory.is_some() {
                    keys.push(self.memory_key.clone());
                }
                arguments.push(floor.to_string());
                arguments.push(watched.clone());
                arguments.push(memory.clone().unwrap_or_default());
                ACQUIRE
            }
            Request::Renew { token } => {
                arguments.push(token.to_string());
                RENEW
            }
            Request::Release { token } => {
                arguments.push(token.to_string());
                RELEASE
            }
            // The last two are no scripts; what reads does no harm.
            Request::Look | Request::Ask | Request::Want => LOOK,
        };
        StoreRequest::Script {
            script,
            keys,
            arguments: arguments.into_iter().map(String::into_bytes).collect(),
        }
    }

    /// The script that reads an election for who takes no part in it.
    pub(super) fn look(lock: &str, session: &Session) -> StoreRequest {
        StoreRequest::Script {
            script: LOOK,
            keys: vec![
                lock.to_owned(),
                Keyspace::election_record(lock, session.clustered),
            ],
            arguments: Vec::new(),
        }
    }
}

/// The script that marks the store's memory, or reads the mark that is there.
pub(super) fn memory(key: &str) -> StoreRequest {
    StoreRequest::Script {
        script: MEMORY,
        keys: vec![key.to_owned()],
        arguments: vec![uuid::Uuid::new_v4().to_string().into_bytes()],
    }
}

/// A message on a channel.
pub(super) fn publish(channel: &str, message: &str) -> StoreRequest {
    let mut command = Cmd::new();
    command.arg("PUBLISH").arg(channel).arg(message);
    StoreRequest::Command(command)
}

/// The run of the server, where it is what a run id looks like: it becomes part of messages.
pub(super) fn run_of(session: &Session) -> Option<&str> {
    let run = session.run.as_deref()?;
    let fits =
        !run.is_empty() && run.len() <= 64 && run.bytes().all(|byte| byte.is_ascii_alphanumeric());
    fits.then_some(run)
}
