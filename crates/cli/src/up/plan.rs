//! What is to run: the options as meant, and the instances that follow from them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::arguments::UpArguments;
use crate::environment::Environment;
use crate::failure::Failure;

use super::directory::Directory;
use super::store_url::StoreUrl;

/// Root of the admin's editor and HTTP API.
pub(super) const ADMIN_ROOT: &str = "/admin";
/// Root of the HTTP endpoints of flows, the same on all instances.
pub(super) const NODE_ROOT: &str = "/api";

/// Everything `up` was asked to do, checked.
#[derive(Debug)]
pub(super) struct Plan {
    /// Where everything is kept.
    pub(super) directory: Directory,
    /// The store to use; `None` when `up` runs its own.
    pub(super) store: Option<StoreUrl>,
    /// Where the instances listen.
    pub(super) host: IpAddr,
    /// The admin, then the workers.
    pub(super) instances: Vec<Instance>,
    /// Node-RED's `red.js`.
    pub(super) node_red: PathBuf,
}

/// Who an instance is in the cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    Admin,
    Worker,
}

impl Role {
    /// The role's name in settings and messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Worker => "worker",
        }
    }
}

/// One Node-RED process of the cluster.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    /// `admin`, `worker-1`, ...
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) port: u16,
    /// Node-RED's user directory of this instance.
    pub(super) user_directory: PathBuf,
}

impl Plan {
    /// Decides what the arguments mean together.
    pub(super) fn of(arguments: &UpArguments, environment: &Environment) -> Result<Self, Failure> {
        let store = arguments.url.as_deref().map(StoreUrl::parse).transpose()?;
        let directory = Directory::at(environment.working_directory.join(&arguments.dir));
        let instances = instances(arguments.workers, arguments.port, directory.root())?;
        let Some(node_red) = environment.node_red.clone() else {
            return Err(Failure::Refused(format!(
                "Node-RED was not found in {}, in {}, beside this package, or among the global \
                 packages of {}. Install it where you are with: npm install node-red",
                directory.root().display(),
                environment.working_directory.display(),
                environment.node.display(),
            )));
        };
        Ok(Self {
            directory,
            store,
            host: arguments.host,
            instances,
            node_red,
        })
    }

    /// Where to reach a port of an instance from this machine.
    pub(super) fn address(&self, port: u16) -> SocketAddr {
        let reachable = match self.host {
            IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            host => host,
        };
        SocketAddr::new(reachable, port)
    }
}

fn instances(workers: u16, first_port: u16, directory: &Path) -> Result<Vec<Instance>, Failure> {
    if first_port.checked_add(workers).is_none() {
        return Err(Failure::Refused(format!(
            "--port {first_port} leaves no ports for {workers} workers, which take those after \
             it: the last port there is is {}. Choose {} or lower.",
            u16::MAX,
            u16::MAX - workers,
        )));
    }
    let instance = |number: u16| {
        let (name, role) = match number {
            0 => ("admin".to_owned(), Role::Admin),
            _ => (format!("worker-{number}"), Role::Worker),
        };
        Instance {
            user_directory: directory.join(&name),
            port: first_port + number,
            name,
            role,
        }
    };
    Ok((0..=workers).map(instance).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_admin_comes_first_and_the_workers_take_the_ports_after_it() {
        let instances = instances(2, 1880, Path::new("/data")).expect("ports suffice");
        let seen: Vec<_> = instances
            .iter()
            .map(|instance| (instance.name.as_str(), instance.role, instance.port))
            .collect();
        assert_eq!(
            seen,
            [
                ("admin", Role::Admin, 1880),
                ("worker-1", Role::Worker, 1881),
                ("worker-2", Role::Worker, 1882),
            ]
        );
        assert_eq!(instances[2].user_directory, Path::new("/data/worker-2"));
    }

    #[test]
    fn workers_without_ports_are_refused_with_the_highest_port_that_works() {
        let refusal = instances(3, 65533, Path::new("/data")).expect_err("no port 65536");
        assert!(refusal.to_string().contains("65532 or lower"), "{refusal}");
        assert!(instances(3, 65532, Path::new("/data")).is_ok());
    }
}
