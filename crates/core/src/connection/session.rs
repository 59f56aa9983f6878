//! One session of the command link, for whoever must know where a request is carried out.

/// A session of the command link: from one connect until the link is lost or given up. Its parts belong
/// together; what was asked with [`super::Connection::run_on`] for this session is never carried out in
/// another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Grows with each connect.
    pub epoch: u64,
    /// Names the run of the server process at the other end and its reign as a master, which ends where it
    /// becomes a replica; none where access rules forbid to ask.
    pub run: Option<String>,
    /// Whether the server is part of a cluster, so that keys of one script must share a slot. False where
    /// that cannot be learnt.
    pub clustered: bool,
}
