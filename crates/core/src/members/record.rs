//! The presence record: the same JSON for the sidebar, the command line and whoever reads the store.

use serde::{Deserialize, Serialize};

use crate::context::Counts;

/// One instance as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Its place, `<hostname>-<n>`.
    pub id: String,
    /// Unique to the process.
    pub instance: String,
    /// `admin` or `worker`.
    pub role: String,
    /// The host's name, as it stands in the id.
    pub host: String,
    /// The process's id on its host.
    pub pid: u32,
    /// When the process started, RFC 3339 in UTC.
    pub started: String,
    /// Version of node-red-cluster.
    pub version: String,
    /// Version of Node-RED.
    pub node_red: String,
    /// Version of Node.js.
    pub node: String,
    /// What it is doing.
    #[serde(flatten)]
    pub status: Status,
}

/// What changes about an instance while it lives.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Where it is in its life.
    pub state: State,
    /// Where the flows that it runs came from.
    pub source: Source,
    /// The revision that it should run and the one that it runs.
    pub revision: Revisions,
    /// The locks that it leads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leads: Vec<String>,
    /// How it stands with the packages of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packages: Option<Packages>,
    /// Its context stores, as they were at the last heartbeat.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<Counts>,
}

/// Where an instance is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The process starts.
    #[default]
    Starting,
    /// It waits for flows, or for the store.
    Waiting,
    /// Flows run.
    Running,
    /// Flows are stopped on purpose.
    Stopped,
    /// The process ends.
    Stopping,
}

/// Where the flows came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// From the store.
    Store,
    /// From the last good revision on the instance's own disk: the store was away.
    Disk,
    /// There are none yet.
    #[default]
    None,
}

/// The revision that an instance should run and the one that it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revisions {
    /// Number of the newest revision that it knows of.
    pub wanted: Option<u64>,
    /// Number of the revision that it runs.
    pub running: Option<u64>,
    /// Why it could not apply the wanted one.
    pub error: Option<Failure>,
    /// Node types that the flows need and that are not installed here.
    #[serde(default)]
    pub missing_types: Vec<String>,
}

/// How an instance stands with the packages of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Packages {
    /// What it does about them.
    pub state: PackagesState,
    /// Number of the newest revision of the packages that it knows of.
    pub wanted: Option<u64>,
    /// Number of the revision that it runs.
    pub running: Option<u64>,
    /// Why it does not run the wanted one.
    pub error: Option<Failure>,
    /// What is otherwise than on the admin, and why: packages of the instance's owner, modules that Node-RED
    /// does not load.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What an instance does about packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackagesState {
    /// It neither publishes nor follows.
    Off,
    /// There is nothing to follow yet.
    #[default]
    Waiting,
    /// npm is at work.
    Installing,
    /// It has what the admin has.
    Current,
    /// It has it from its next start on.
    RestartRequired,
    /// It ends in order to be started again.
    Restarting,
    /// It could not be done and is tried again.
    Failed,
}

/// An error in a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A stable code, `NRC_...` or Node-RED's own.
    pub code: String,
    /// What happened and what to do.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_is_the_documented_one() {
        let record = Record {
            id: "host-1".into(),
            instance: "4b5c".into(),
            role: "worker".into(),
            host: "host".into(),
            pid: 7,
            started: "2026-01-31T12:00:00.000Z".into(),
            version: "0.1.0".into(),
            node_red: "4.1.0".into(),
            node: "22.1.0".into(),
            status: Status {
                state: State::Running,
                source: Source::Store,
                revision: Revisions {
                    wanted: Some(12),
                    running: Some(11),
                    error: Some(Failure {
                        code: "NRC_X".into(),
                        message: "m".into(),
                    }),
                    missing_types: vec!["a".into()],
                },
                leads: vec!["nodered:leader".into()],
                packages: Some(Packages {
                    state: PackagesState::RestartRequired,
                    wanted: Some(3),
                    running: Some(2),
                    error: None,
                    notes: vec!["n".into()],
                }),
                context: Vec::new(),
            },
        };
        let json = r#"{"id":"host-1","instance":"4b5c","role":"worker","host":"host","pid":7,"started":"2026-01-31T12:00:00.000Z","version":"0.1.0","nodeRed":"4.1.0","node":"22.1.0","state":"running","source":"store","revision":{"wanted":12,"running":11,"error":{"code":"NRC_X","message":"m"},"missingTypes":["a"]},"leads":["nodered:leader"],"packages":{"state":"restart-required","wanted":3,"running":2,"error":null,"notes":["n"]}}"#;
        assert_eq!(serde_json::to_string(&record).unwrap(), json);
        assert_eq!(serde_json::from_str::<Record>(json).unwrap(), record);
    }

    #[test]
    fn what_is_not_known_yet_is_null_and_what_a_later_version_adds_is_passed_over() {
        let status = serde_json::to_string(&Status::default()).unwrap();
        assert_eq!(
            status,
            r#"{"state":"starting","source":"none","revision":{"wanted":null,"running":null,"error":null,"missingTypes":[]}}"#
        );
        let later = status.replacen('{', r#"{"later":["a"],"#, 1);
        assert_eq!(
            serde_json::from_str::<Status>(&later).unwrap(),
            Status::default()
        );
    }
}
