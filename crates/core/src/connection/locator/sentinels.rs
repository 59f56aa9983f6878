//! All sentinels of a group, asked at once for its master.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::question::{Answers, Asker, gather};
use super::sentinel::{self, Master};
use crate::config::{ConnectionConfig, HostPort, SentinelConfig};
use crate::connection::stream::Connector;
use crate::error::{Code, Error, Result};

/// As many sentinels are remembered at most; a group has three or five.
const MOST: usize = 16;

/// The sentinels of one group.
pub(super) struct Sentinels {
    pub(super) group: String,
    pub(super) asker: Asker,
    configured: Vec<HostPort>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Those that others named, so that the group is found after the configured ones have gone.
    learnt: Vec<HostPort>,
    /// The newest epoch that was heard of.
    epoch: u64,
}

/// What one sentinel said.
struct Answer {
    master: Master,
    others: Vec<HostPort>,
}

impl Sentinels {
    /// # Errors
    /// Certificates or keys that cannot be read.
    pub(super) fn new(config: &ConnectionConfig, group: &SentinelConfig) -> Result<Self> {
        Ok(Self {
            group: group.group.clone(),
            asker: Asker::new(
                Connector::with_tls(config, group.tls.as_ref())?,
                group.username.as_deref(),
                group.password.as_ref(),
                "`sentinelUsername` and `sentinelPassword`",
            ),
            configured: group.sentinels.clone(),
            state: Mutex::default(),
        })
    }

    /// The configured sentinels, then those that they named.
    pub(super) fn known(&self) -> Vec<HostPort> {
        let mut known = self.configured.clone();
        for other in &self.state().learnt {
            if !known.contains(other) {
                known.push(other.clone());
            }
        }
        known.truncate(MOST.max(self.configured.len()));
        known
    }

    /// Where the master is.
    ///
    /// # Errors
    /// What each sentinel said or did.
    pub(super) async fn master(&self) -> Result<HostPort> {
        let known = self.known();
        let answers = gather(&known, |sentinel| self.ask(sentinel)).await;
        self.conclude(&answers, known.len())
    }

    async fn ask(&self, sentinel: &HostPort) -> Result<Answer> {
        let question = |what: &str| {
            let mut question = redis::cmd("SENTINEL");
            question.arg(what).arg(&self.group);
            question
        };
        let questions = [question("MASTER"), question("SENTINELS")];
        let replies = self.asker.ask(sentinel, &questions).await?;
        let [master, others] = replies.as_slice() else {
            return Err(Error::new(Code::StoreReply, "it did not answer everything"));
        };
        if let redis::Value::ServerError(error) = master
            && error.code() == "NOPERM"
        {
            return Err(self.asker.refusal(error.clone().into()));
        }
        let master =
            Master::read(master, &self.group).map_err(|why| Error::new(Code::StoreReply, why))?;
        Ok(Answer {
            master,
            others: sentinel::others(others),
        })
    }

    fn conclude(&self, answers: &Answers<'_, Answer>, known: usize) -> Result<HostPort> {
        let mut state = self.state();
        let given = answers.given.iter();
        let masters: Vec<Master> = given.map(|(_, answer)| answer.master.clone()).collect();
        let Some(chosen) = sentinel::choose(&masters, state.epoch, known) else {
            drop(state);
            return Err(self.nobody(answers));
        };
        state.epoch = chosen.epoch;
        let mut learnt: Vec<HostPort> = Vec::new();
        for (sentinel, answer) in &answers.given {
            if answer.master != *chosen {
                continue;
            }
            for place in answer.others.iter().chain([*sentinel]) {
                if learnt.len() < MOST && !learnt.contains(place) {
                    learnt.push(place.clone());
                }
            }
        }
        state.learnt = learnt;
        Ok(chosen.place.clone())
    }

    /// Why no master is known.
    fn nobody(&self, answers: &Answers<'_, Answer>) -> Error {
        let mut reasons = answers.reasons();
        if !answers.given.is_empty() {
            reasons.push("those that answer have missed a failover".to_owned());
        }
        let code = if answers.all_refused() {
            Code::StoreAuthentication
        } else {
            Code::StoreUnreachable
        };
        let (group, reasons) = (&self.group, reasons.join("; "));
        Error::new(
            code,
            format!("no sentinel says where the master of group {group} is ({reasons})"),
        )
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
