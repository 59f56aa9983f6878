//! Where the store is and how it is reached.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{Secret, TlsConfig};
use crate::slots;

/// A connection to the store, every value checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionConfig {
    /// The server, or how it is found.
    pub topology: Topology,
    /// ACL user. `None`: the server's default user.
    pub username: Option<String>,
    /// Password of the user. `None`: no login.
    pub password: Option<Secret>,
    /// Number of the database, from 0. Always 0 with a cluster.
    pub database: i64,
    /// TLS to the servers that hold the data. `None`: plain text. TLS to sentinels is in
    /// [`SentinelConfig`].
    pub tls: Option<TlsConfig>,
    /// Limit of connecting, from name lookup to a session that is ready for commands.
    pub connect_timeout: Duration,
    /// Limit of one command. `None`: the caller's own limit.
    pub command_timeout: Option<Duration>,
    /// Idle time after which TCP checks that the peer is alive. `None`: our default.
    pub keep_alive: Option<Duration>,
    /// Name in `CLIENT LIST`. `None`: our default.
    pub connection_name: Option<String>,
    /// Which addresses of a host name are used.
    pub family: Family,
}

impl ConnectionConfig {
    /// Where this connection looks for the store, for a log line: `127.0.0.1:6379, database 2,
    /// TLS`. Without secrets.
    pub fn describe(&self) -> String {
        let mut description = self.topology.to_string();
        if self.database != 0 {
            description.push_str(&format!(", database {}", self.database));
        }
        if self.tls.is_some() {
            description.push_str(", TLS");
        }
        description
    }

    /// The same for keys that lie in the slot of `key`. It makes a difference in a cluster only: there a
    /// connection serves the keys of one slot.
    #[must_use]
    pub fn for_slot_of(&self, key: &str) -> Self {
        let mut config = self.clone();
        if let Topology::Cluster(cluster) = &mut config.topology
            && slots::slot_of(&cluster.home) != slots::slot_of(key)
        {
            key.clone_into(&mut cluster.home);
        }
        config
    }
}

/// How many servers there are and how the right one is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topology {
    /// One server.
    Standalone(Endpoint),
    /// The master of a group that sentinels watch.
    Sentinel(SentinelConfig),
    /// A cluster, by some of its nodes.
    Cluster(ClusterConfig),
}

impl fmt::Display for Topology {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standalone(endpoint) => endpoint.fmt(formatter),
            Self::Sentinel(sentinel) => {
                write!(
                    formatter,
                    "group {} of sentinels {}",
                    sentinel.group,
                    Joined(&sentinel.sentinels)
                )
            }
            Self::Cluster(cluster) => write!(formatter, "cluster {}", Joined(&cluster.nodes)),
        }
    }
}

/// Where one server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// On a TCP port.
    Tcp(HostPort),
    /// On a unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "unix socket {}", path.display()),
        }
    }
}

/// How the master of a group is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentinelConfig {
    /// Addresses of sentinels. At least one.
    pub sentinels: Vec<HostPort>,
    /// Name of the group of servers, `name` in the options.
    pub group: String,
    /// ACL user at the sentinels. `None`: their default user.
    pub username: Option<String>,
    /// Password at the sentinels. `None`: no login there.
    pub password: Option<Secret>,
    /// TLS to the sentinels, which may have other certificates than the servers. `None`: plain
    /// text.
    pub tls: Option<TlsConfig>,
}

/// How the servers of a cluster are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Addresses of nodes. At least one.
    pub nodes: Vec<HostPort>,
    /// A key in the one slot where all keys of this connection lie. As a rule it is never written.
    pub home: String,
}

/// A host and a TCP port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// Host name or address. An IPv6 address stands without brackets.
    pub host: String,
    /// TCP port, from 1.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

/// Which addresses of a host name are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Family {
    /// Any address.
    #[default]
    Any,
    /// IPv4 addresses.
    V4,
    /// IPv6 addresses.
    V6,
}

/// Addresses with commas between them.
struct Joined<'a>(&'a [HostPort]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, address) in self.0.iter().enumerate() {
            if position > 0 {
                formatter.write_str(", ")?;
            }
            address.fmt(formatter)?;
        }
        Ok(())
    }
}
