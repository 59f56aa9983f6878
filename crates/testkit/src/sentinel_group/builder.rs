//! What to start.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::SentinelGroup;
use crate::certificates::Certificates;
use crate::error::Result;
use crate::release::Release;
use crate::server::{OWN_PASSWORD, OWN_USER, Part, Server, ServerBuilder};

/// Options for a [`SentinelGroup`]. Without any, it has a primary, a replica and three Sentinels,
/// without password and TLS.
#[derive(Debug, Default)]
#[must_use = "a group runs only once start() is called"]
pub struct SentinelGroupBuilder {
    settings: Settings,
}

/// What was asked for.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) name: String,
    replicas: usize,
    sentinels: usize,
    password: Option<String>,
    sentinel_password: Option<String>,
    /// Name and rules of ACL users of the servers with data.
    users: Vec<(String, String)>,
    /// Name and rules of ACL users of the Sentinels.
    sentinel_users: Vec<(String, String)>,
    tls: bool,
    sentinel_tls: bool,
    append_only: bool,
    down_after: Duration,
    failover_timeout: Duration,
    /// Further lines of the configuration of the servers with data.
    lines: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "mymaster".to_owned(),
            replicas: 1,
            sentinels: 3,
            password: None,
            sentinel_password: None,
            users: Vec::new(),
            sentinel_users: Vec::new(),
            tls: false,
            sentinel_tls: false,
            append_only: false,
            down_after: Duration::from_secs(2),
            failover_timeout: Duration::from_secs(3),
            lines: Vec::new(),
        }
    }
}

impl SentinelGroupBuilder {
    /// The name by which Sentinels know the group, `mymaster` unless given.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// How many servers replicate the primary, 1 unless given.
    pub fn replicas(mut self, count: usize) -> Self {
        self.settings.replicas = count;
        self
    }

    /// How many Sentinels there are, 3 unless given. More than half of them must agree.
    pub fn sentinels(mut self, count: usize) -> Self {
        self.settings.sentinels = count;
        self
    }

    /// Password of the user `default` of the servers with data.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.settings.password = Some(password.into());
        self
    }

    /// Adds an ACL user to the servers with data, with the server's own rules.
    pub fn acl_user(mut self, name: impl Into<String>, rules: impl Into<String>) -> Self {
        self.settings.users.push((name.into(), rules.into()));
        self
    }

    /// Password of the user `default` of the Sentinels.
    pub fn sentinel_password(mut self, password: impl Into<String>) -> Self {
        self.settings.sentinel_password = Some(password.into());
        self
    }

    /// Adds an ACL user to the Sentinels, with the server's own rules. Redis 6.0 has no such
    /// users there.
    pub fn sentinel_acl_user(mut self, name: impl Into<String>, rules: impl Into<String>) -> Self {
        let user = (name.into(), rules.into());
        self.settings.sentinel_users.push(user);
        self
    }

    /// Servers with data speak TLS with clients.
    pub fn tls(mut self) -> Self {
        self.settings.tls = true;
        self
    }

    /// Sentinels speak TLS with clients.
    pub fn sentinel_tls(mut self) -> Self {
        self.settings.sentinel_tls = true;
        self
    }

    /// Keeps every write of every server in an append-only file.
    pub fn append_only(mut self) -> Self {
        self.settings.append_only = true;
        self
    }

    /// How long a server may be silent until Sentinels find it down, 2 seconds unless given.
    pub fn down_after(mut self, silence: Duration) -> Self {
        self.settings.down_after = silence;
        self
    }

    /// The `failover-timeout` of the Sentinels, 3 seconds unless given.
    pub fn failover_timeout(mut self, timeout: Duration) -> Self {
        self.settings.failover_timeout = timeout;
        self
    }

    /// Adds a line to the configuration of all servers with data.
    pub fn configuration_line(mut self, line: impl Into<String>) -> Self {
        self.settings.lines.push(line.into());
        self
    }

    /// Starts everything and returns once the group has [settled](SentinelGroup::settled).
    ///
    /// # Errors
    /// As [`ServerBuilder::start`] for each server, and [`Error::Late`](crate::Error::Late) when
    /// the group does not settle.
    pub async fn start(self) -> Result<SentinelGroup> {
        let Self { settings } = self;
        let certificates = (settings.tls || settings.sentinel_tls)
            .then(Certificates::shared)
            .transpose()?;
        let data_certificates = certificates.as_ref().filter(|_| settings.tls);
        let primary = settings.server(data_certificates).start().await?;
        let address = primary.address();
        let mut servers = vec![primary];
        for _ in 0..settings.replicas {
            let replica = settings.server(data_certificates).replica_at(address);
            servers.push(replica.start().await?);
        }
        let mut sentinels = Vec::new();
        for _ in 0..settings.sentinels {
            let sentinel = settings.start_sentinel(address, certificates.as_ref());
            sentinels.push(sentinel.await?);
        }
        let group = SentinelGroup {
            sentinels,
            servers,
            settings,
            certificates,
        };
        group.settled().await?;
        Ok(group)
    }
}

impl Settings {
    fn server(&self, certificates: Option<&Arc<Certificates>>) -> ServerBuilder {
        let mut builder = Server::builder().part(Part::Watched).tls_with(certificates);
        if let Some(password) = &self.password {
            builder = builder.password(password);
        }
        if self.append_only {
            builder = builder.append_only();
        }
        for (name, rules) in &self.users {
            builder = builder.acl_user(name, rules);
        }
        for line in &self.lines {
            builder = builder.configuration_line(line);
        }
        builder
    }

    pub(super) async fn start_sentinel(
        &self,
        primary: SocketAddr,
        certificates: Option<&Arc<Certificates>>,
    ) -> Result<Server> {
        let release = Release::under_test()?;
        let mut builder = Server::builder()
            .part(Part::Sentinel)
            .tls_with(certificates.filter(|_| self.sentinel_tls));
        if let Some(password) = &self.sentinel_password {
            builder = builder.password(password);
        }
        for (name, rules) in &self.sentinel_users {
            builder = builder.acl_user(name, rules);
        }
        for line in self.sentinel_lines(primary, &release) {
            builder = builder.configuration_line(line);
        }
        let sentinel = builder.start().await?;
        if release.knows(7, 0) {
            hurry(&sentinel).await?;
        }
        Ok(sentinel)
    }

    fn sentinel_lines(&self, primary: SocketAddr, release: &Release) -> Vec<String> {
        let name = &self.name;
        let (ip, port) = (primary.ip(), primary.port());
        let quorum = self.sentinels / 2 + 1;
        let mut lines = vec![
            format!("sentinel monitor {name} {ip} {port} {quorum}"),
            format!("sentinel auth-user {name} {OWN_USER}"),
            format!("sentinel auth-pass {name} {OWN_PASSWORD}"),
            format!(
                "sentinel down-after-milliseconds {name} {}",
                self.down_after.as_millis()
            ),
            format!(
                "sentinel failover-timeout {name} {}",
                self.failover_timeout.as_millis()
            ),
        ];
        // Before 6.2 Sentinels show one another their own password.
        if release.knows(6, 2) {
            lines.push(format!("sentinel sentinel-user {OWN_USER}"));
            lines.push(format!("sentinel sentinel-pass {OWN_PASSWORD}"));
        }
        lines
    }
}

/// Has a Sentinel look and tell more often than its defaults of 10 and 2 seconds, which only take
/// a test's time. It forgets this when it is started again.
async fn hurry(sentinel: &Server) -> Result<()> {
    for (period, milliseconds) in [("info-period", "1000"), ("publish-period", "250")] {
        let command = ["SENTINEL", "DEBUG", period, milliseconds];
        sentinel.command(&command).await?;
    }
    Ok(())
}
