//! Starts a process and waits until it answers.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::builder::{Part, Settings};
use super::process::Process;
use super::{OWN_PASSWORD, OWN_USER, configuration, loopback};
use crate::certificates::Certificates;
use crate::client::Client;
use crate::error::{Error, IoContext, Result};
use crate::release::Release;
use crate::tls_front::{PlainText, TlsFront};
use crate::wait::INTERVAL;
use crate::{ports, store_binary};

/// How long a server may take until it answers, on a busy machine and with data to load.
const READY_LIMIT: Duration = Duration::from_secs(15);

/// How often other ports are tried when another process was quicker.
const PORT_ATTEMPTS: usize = 5;

/// Everything needed to start the server, the first time and again.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) settings: Settings,
    pub(super) files: Files,
    pub(super) ports: Ports,
    /// With TLS only.
    pub(super) certificates: Option<Arc<Certificates>>,
    tls_by: TlsBy,
    binary: PathBuf,
    /// Of the binary: older releases do not know every option.
    release: Release,
}

/// Where the server keeps what.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) socket: PathBuf,
    pub(super) data: PathBuf,
    pub(super) log: PathBuf,
    configuration: PathBuf,
}

/// TCP ports on 127.0.0.1.
#[derive(Debug)]
pub(super) struct Ports {
    /// Plain text; on a server with TLS for its replicas only.
    pub(super) plain: u16,
    /// With TLS only.
    pub(super) tls: Option<u16>,
}

/// Who ends TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TlsBy {
    /// The server itself.
    Server,
    /// The testkit, because the server was built without TLS.
    Front,
}

/// A server that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) process: Process,
    front: Option<TlsFront>,
}

impl Running {
    /// Closes what stands before the server, once the process has ended.
    pub(super) async fn close_front(self) {
        if let Some(front) = self.front {
            front.close().await;
        }
    }
}

impl Files {
    pub(super) fn in_directory(directory: &Path) -> Self {
        Self {
            socket: directory.join("socket"),
            data: directory.join("data"),
            log: directory.join("log"),
            configuration: directory.join("configuration"),
        }
    }
}

impl Ports {
    fn pick(settings: &Settings) -> Result<Self> {
        let plain = match settings.part {
            Part::Node => ports::pick_with_bus()?,
            Part::Alone | Part::Watched | Part::Sentinel => ports::pick()?,
        };
        Ok(Self {
            plain,
            tls: settings.tls.map(|_| ports::pick()).transpose()?,
        })
    }

    pub(super) fn for_clients(&self) -> u16 {
        self.tls.unwrap_or(self.plain)
    }
}

impl Plan {
    /// Finds the binary and prepares the directory.
    pub(super) fn new(settings: Settings, directory: &Path) -> Result<Self> {
        let files = Files::in_directory(directory);
        fs::create_dir(&files.data).action(format!("make {}", files.data.display()))?;
        let binary = store_binary::find()?;
        let certificates = match (&settings.certificates, settings.tls) {
            (Some(shared), Some(_)) => Some(Arc::clone(shared)),
            (None, Some(_)) => Some(Arc::new(Certificates::generate(directory)?)),
            (_, None) => None,
        };
        Ok(Self {
            release: Release::of(&binary)?,
            binary,
            ports: Ports::pick(&settings)?,
            certificates,
            tls_by: match settings.part {
                Part::Alone => TlsBy::Server,
                // One way on every build: Sentinels and nodes reach the others in plain text, by
                // the port that they name to clients.
                Part::Watched | Part::Sentinel | Part::Node => TlsBy::Front,
            },
            files,
            settings,
        })
    }

    /// How the testkit itself logs in.
    pub(super) fn credentials(&self) -> Vec<&str> {
        if self.settings.part == Part::Sentinel && !self.release.knows(6, 2) {
            // Such a Sentinel has no users.
            return self.settings.password.as_deref().into_iter().collect();
        }
        vec![OWN_USER, OWN_PASSWORD]
    }

    /// Starts the server for the first time: on other ports if these were lost to another
    /// process, and with TLS in front of it if it has none.
    pub(super) async fn launch_on_free_ports(&mut self) -> Result<Running> {
        let mut attempts = 0;
        loop {
            self.write_configuration()?;
            match self.launch().await {
                Err(error) if lacks_tls(&error) && self.tls_by == TlsBy::Server => {
                    self.tls_by = TlsBy::Front;
                }
                Err(error) if lost_port(&error) && attempts < PORT_ATTEMPTS => {
                    attempts += 1;
                    self.ports = Ports::pick(&self.settings)?;
                }
                outcome => return outcome,
            }
        }
    }

    /// Once only: a server started again finds what it wrote into the file itself, as Sentinels do.
    fn write_configuration(&self) -> Result<()> {
        let tls = self.certificates.as_deref().map(|made| (made, self.tls_by));
        let text =
            configuration::render(&self.settings, &self.ports, &self.files, tls, &self.release);
        let path = &self.files.configuration;
        fs::write(path, text).action(format!("write {}", path.display()))
    }

    /// Starts the server on its ports and returns once it answers.
    pub(super) async fn launch(&self) -> Result<Running> {
        let options: &[&str] = match self.settings.part {
            Part::Sentinel => &["--sentinel"],
            Part::Alone | Part::Watched | Part::Node => &[],
        };
        let mut process = Process::spawn(
            &self.binary,
            &self.files.configuration,
            options,
            &self.files.log,
            &self.settings.environment,
        )?;
        self.ready(&mut process).await?;
        Ok(Running {
            front: self.front()?,
            process,
        })
    }

    fn front(&self) -> Result<Option<TlsFront>> {
        match (&self.certificates, self.settings.tls, self.ports.tls) {
            (Some(certificates), Some(client_certificate), Some(port))
                if self.tls_by == TlsBy::Front =>
            {
                let server = loopback(self.ports.plain);
                let plain_text = match self.settings.part {
                    Part::Alone => PlainText::Refused,
                    Part::Watched | Part::Sentinel | Part::Node => PlainText::Passed,
                };
                TlsFront::start(port, server, certificates, client_certificate, plain_text)
                    .map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Waits until the server answers PING over its unix socket, which it opens after its ports.
    async fn ready(&self, process: &mut Process) -> Result<()> {
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            let late = Instant::now() >= deadline;
            process.check()?;
            // No socket yet, a socket left by a killed server, or still loading: look again.
            if self.ping().await.is_ok() {
                return Ok(());
            }
            if late {
                return Err(Error::Late {
                    what: "the server's first answer".to_owned(),
                    limit: READY_LIMIT,
                });
            }
            sleep(INTERVAL).await;
        }
    }

    async fn ping(&self) -> Result<()> {
        let mut client = Client::connect(&self.files.socket, &self.credentials()).await?;
        client.command(&["PING"]).await.map(drop)
    }
}

/// Whether the server ended because it was built without TLS. Such builds either know the option
/// all the same and say what they lack, or do not know it.
fn lacks_tls(error: &Error) -> bool {
    matches!(error, Error::Exited { log, .. }
        if log.contains("Failed finding TLS support")
            || (log.contains("'tls-port ") && log.contains("Bad directive")))
}

fn lost_port(error: &Error) -> bool {
    ports::is_taken(error)
        || matches!(error, Error::Exited { log, .. } if log.contains("Address already in use"))
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;

    fn exited(log: &str) -> Error {
        Error::Exited {
            status: ExitStatus::default(),
            log: log.to_owned(),
        }
    }

    #[test]
    fn only_missing_tls_is_taken_for_missing_tls() {
        assert!(lacks_tls(&exited("# Failed finding TLS support.")));
        assert!(lacks_tls(&exited(
            ">>> 'tls-port 7001'\nBad directive or wrong number of arguments"
        )));
        assert!(!lacks_tls(&exited(">>> 'tls-cert-file x'\nBad directive")));
        assert!(!lacks_tls(&exited(
            "Failed to configure TLS. Check logs for more info."
        )));
    }

    #[test]
    fn a_lost_port_is_told_from_other_failures() {
        assert!(lost_port(&exited(
            "Could not create server TCP listening socket 127.0.0.1:7000: bind: Address already in use"
        )));
        assert!(!lost_port(&exited("FATAL CONFIG FILE ERROR")));
    }
}
