//! What to start.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tempfile::TempDir;

use super::launch::Plan;
use super::{Server, loopback};
use crate::certificates::Certificates;
use crate::clock::WallClock;
use crate::error::{IoContext, Result};

/// Options for a [`Server`]. Without any, it has no password, no TLS and no persistence.
#[derive(Debug, Default)]
#[must_use = "a server runs only once start() is called"]
pub struct ServerBuilder {
    settings: Settings,
}

/// What was asked for.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) part: Part,
    /// Password of the user `default`.
    pub(super) password: Option<String>,
    /// Name and rules of further ACL users.
    pub(super) users: Vec<(String, String)>,
    /// Whether TLS, and if so what it asks of clients.
    pub(super) tls: Option<ClientCertificate>,
    /// Made for several servers; without it a server with TLS makes its own.
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) persistence: Persistence,
    /// Plain-text address of the server to replicate.
    pub(super) primary: Option<SocketAddr>,
    /// Of the server's process, besides the test's own.
    pub(super) environment: Vec<(OsString, OsString)>,
    /// Further lines of the configuration file.
    pub(super) lines: Vec<String>,
}

/// What a server is to others.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    #[default]
    Alone,
    /// A server that Sentinels watch: it names to them the port that is for clients.
    Watched,
    /// A Sentinel, which has no data.
    Sentinel,
    /// A node of a cluster.
    Node,
}

/// What a server with TLS asks of its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientCertificate {
    NotAsked,
    Required,
}

/// What outlives a restart.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    #[default]
    None,
    AppendOnly,
}

impl ServerBuilder {
    /// Sets the password of the user `default` (`requirepass`).
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.settings.password = Some(password.into());
        self
    }

    /// Adds an ACL user with the server's own rules, such as
    /// `on >secret ~nodered:* &nodered:* +@all`.
    pub fn acl_user(mut self, name: impl Into<String>, rules: impl Into<String>) -> Self {
        self.settings.users.push((name.into(), rules.into()));
        self
    }

    /// Speaks TLS on [`Server::port`], with [`Server::certificates`] made for this server.
    pub fn tls(mut self) -> Self {
        self.settings.tls.get_or_insert(ClientCertificate::NotAsked);
        self
    }

    /// Speaks TLS, and only with clients that show a certificate of the server's authority.
    pub fn tls_with_client_certificate(mut self) -> Self {
        self.settings.tls = Some(ClientCertificate::Required);
        self
    }

    /// Keeps every write in an append-only file, so that data outlive [`Server::stop`] and
    /// [`Server::kill`].
    pub fn append_only(mut self) -> Self {
        self.settings.persistence = Persistence::AppendOnly;
        self
    }

    /// Replicates another server. The replica answers at once; its link to the primary is up
    /// when `ROLE` says `connected`.
    pub fn replica_of(mut self, primary: &Server) -> Self {
        self.settings.primary = Some(loopback(primary.plan.ports.plain));
        self
    }

    /// Lets the server go by a wall clock that the test sets. Expiry, `TIME` and the ids of
    /// streams follow it.
    pub fn wall_clock(mut self, clock: &WallClock) -> Self {
        self.settings.environment.extend(clock.environment());
        self
    }

    /// Adds a line to the server's configuration file, such as `maxmemory 10mb`. It wins over
    /// what the testkit writes.
    pub fn configuration_line(mut self, line: impl Into<String>) -> Self {
        self.settings.lines.push(line.into());
        self
    }

    /// Makes it one of several servers that know one another.
    pub(crate) fn part(mut self, part: Part) -> Self {
        self.settings.part = part;
        self
    }

    /// Replicates the server at an address, through TLS or not.
    pub(crate) fn replica_at(mut self, primary: SocketAddr) -> Self {
        self.settings.primary = Some(primary);
        self
    }

    /// Speaks TLS with certificates that other servers have too.
    pub(crate) fn tls_with(mut self, certificates: Option<&Arc<Certificates>>) -> Self {
        let Some(certificates) = certificates else {
            return self;
        };
        self.settings.certificates = Some(Arc::clone(certificates));
        self.tls()
    }

    /// Starts the server and returns once it answers.
    ///
    /// # Errors
    /// [`Error::NoServerBinary`](crate::Error::NoServerBinary) before set-up,
    /// [`Error::Exited`](crate::Error::Exited) with the server's log when it does not accept its
    /// configuration, [`Error::Late`](crate::Error::Late) when it does not answer in time.
    pub async fn start(self) -> Result<Server> {
        // A short name, as the path of a unix socket has at most 104 bytes.
        let directory = TempDir::with_prefix("nrc-").action("make a temporary directory")?;
        let mut plan = Plan::new(self.settings, directory.path())?;
        let running = plan.launch_on_free_ports().await?;
        Ok(Server {
            running: Some(running),
            frozen: AtomicBool::new(false),
            plan,
            directory,
        })
    }
}

impl Settings {
    /// URL of the server at a port of 127.0.0.1, for the user `default`.
    pub(super) fn url(&self, port: u16) -> String {
        let scheme = if self.tls.is_some() {
            "rediss"
        } else {
            "redis"
        };
        match &self.password {
            Some(password) => format!("{scheme}://:{}@127.0.0.1:{port}", percent_encoded(password)),
            None => format!("{scheme}://127.0.0.1:{port}"),
        }
    }
}

/// Escapes everything that could mean something in a URL.
fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_carries_password_and_tls() {
        assert_eq!(Settings::default().url(7000), "redis://127.0.0.1:7000");
        let settings = Server::builder().password("p@ss/é").tls().settings;
        assert_eq!(
            settings.url(7000),
            "rediss://:p%40ss%2F%C3%A9@127.0.0.1:7000"
        );
    }

    #[test]
    fn asking_for_tls_twice_keeps_the_stricter_form() {
        let settings = Server::builder()
            .tls_with_client_certificate()
            .tls()
            .settings;
        assert_eq!(settings.tls, Some(ClientCertificate::Required));
    }
}
