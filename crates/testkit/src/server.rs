//! One server process and its life.
//!
//! - `builder`: [`ServerBuilder`], what to start.
//! - `configuration`: writes the server's configuration file.
//! - `data`: [`SavedData`], what a server had on its disk at a moment.
//! - `process`: the child process, its signals and its log.
//! - `launch`: starts a process and waits until it answers.

mod builder;
mod configuration;
mod data;
mod launch;
mod process;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

pub use builder::ServerBuilder;
pub(crate) use builder::{ClientCertificate, Part};
pub use data::SavedData;
use launch::{Plan, Running};

use crate::certificates::Certificates;
use crate::client::Client;
use crate::error::{Error, IoContext, Result};
use crate::proxy::Proxy;
use crate::resp::Value;
use process::Process;

/// How long a server may take to end after a polite signal: it may have to write its data.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// The testkit's own ACL user, so that tests may set passwords and users as they like without
/// locking the testkit out. The servers listen on 127.0.0.1 only and live for one test.
pub(crate) const OWN_USER: &str = "testkit";
pub(crate) const OWN_PASSWORD: &str = "testkit";

/// A real Valkey or Redis server in a temporary directory.
///
/// It keeps its ports through [`stop`](Self::stop), [`kill`](Self::kill) and
/// [`start`](Self::start). Dropped, it is killed and its directory is removed.
#[derive(Debug)]
pub struct Server {
    /// `None` while the server is stopped. First, so that the process ends before its directory.
    running: Option<Running>,
    /// Whether the process was frozen with [`pause`](Self::pause).
    frozen: AtomicBool,
    plan: Plan,
    directory: TempDir,
}

impl Server {
    /// Options for a server that is to be started.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// Starts a server without password, TLS or persistence.
    ///
    /// # Errors
    /// See [`ServerBuilder::start`].
    pub async fn start_default() -> Result<Self> {
        Self::builder().start().await
    }

    /// The TCP port for clients, with TLS if that was asked for.
    pub fn port(&self) -> u16 {
        self.plan.ports.for_clients()
    }

    /// The TCP port that speaks plain text, also on a server with TLS.
    pub(crate) fn plain_port(&self) -> u16 {
        self.plan.ports.plain
    }

    /// 127.0.0.1 with [`port`](Self::port), for a [`Proxy`].
    pub fn address(&self) -> SocketAddr {
        loopback(self.port())
    }

    /// The unix socket. It speaks plain text, also on a server with TLS.
    pub fn unix_path(&self) -> &Path {
        &self.plan.files.socket
    }

    /// The server's temporary directory, where a test may keep files of its own.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The server's URL with its password: `redis://...`, or `rediss://...` with TLS.
    pub fn url(&self) -> String {
        self.plan.settings.url(self.port())
    }

    /// The same URL by way of a proxy.
    pub fn url_through(&self, proxy: &Proxy) -> String {
        self.plan.settings.url(proxy.port())
    }

    /// The certificates of a server with TLS.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.plan.certificates.as_deref()
    }

    /// Everything that the server has logged since it was last started.
    ///
    /// # Errors
    /// [`Error::Io`] when the log cannot be read.
    pub fn log(&self) -> Result<String> {
        process::read_log(&self.plan.files.log)
    }

    /// Runs one command from outside, with all rights, and returns its answer.
    ///
    /// # Errors
    /// [`Error::Refused`] when the server answers with an error, [`Error::Io`] when it does not
    /// run, [`Error::Late`] when it does not answer within 10 seconds.
    pub async fn command(&self, arguments: &[impl AsRef<[u8]>]) -> Result<Value> {
        self.connect().await?.command(arguments).await
    }

    /// A connection of its own, for transactions and subscriptions seen from outside.
    ///
    /// # Errors
    /// As [`command`](Self::command).
    pub async fn connect(&self) -> Result<Client> {
        Client::connect(&self.plan.files.socket, &self.plan.credentials()).await
    }

    /// Freezes the server (SIGSTOP): connections stay open, and nothing answers.
    ///
    /// # Errors
    /// [`Error::NotRunning`] when the server is stopped.
    pub fn pause(&self) -> Result<()> {
        self.process()?.signal(Signal::STOP)?;
        self.frozen.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Lets a frozen server go on (SIGCONT).
    ///
    /// # Errors
    /// [`Error::NotRunning`] when the server is stopped.
    pub fn resume(&self) -> Result<()> {
        self.process()?.signal(Signal::CONT)?;
        self.frozen.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Whether it runs and is not frozen, so that it answers.
    pub fn answers(&self) -> bool {
        self.running.is_some() && !self.frozen.load(Ordering::Relaxed)
    }

    /// Stops the server as an operator does (SIGTERM), and waits until it has ended.
    ///
    /// # Errors
    /// [`Error::NotRunning`] when it is stopped already, [`Error::Late`] when it does not end
    /// within 15 seconds and had to be killed.
    pub async fn stop(&mut self) -> Result<()> {
        let mut running = self.running.take().ok_or(Error::NotRunning)?;
        running.process.signal(Signal::TERM)?;
        // A frozen process acts on SIGTERM only once it goes on.
        running.process.signal(Signal::CONT)?;
        running.process.wait(STOP_LIMIT).await?;
        running.close_front().await;
        Ok(())
    }

    /// Ends the server on the spot (SIGKILL), as a crash or the kernel's out-of-memory killer does.
    ///
    /// # Errors
    /// [`Error::NotRunning`] when it is stopped already.
    pub async fn kill(&mut self) -> Result<()> {
        let mut running = self.running.take().ok_or(Error::NotRunning)?;
        running.process.signal(Signal::KILL)?;
        running.process.wait(STOP_LIMIT).await?;
        running.close_front().await;
        Ok(())
    }

    /// Starts a stopped server again on its port: with its data if it is
    /// [append-only](ServerBuilder::append_only), else empty.
    ///
    /// # Errors
    /// [`Error::AlreadyRunning`] when it was not stopped; otherwise as [`ServerBuilder::start`].
    pub async fn start(&mut self) -> Result<()> {
        if self.running.is_some() {
            return Err(Error::AlreadyRunning);
        }
        self.frozen.store(false, Ordering::Relaxed);
        self.running = Some(self.plan.launch().await?);
        Ok(())
    }

    /// Starts a stopped server again on its port with all its data lost.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_empty(&mut self) -> Result<()> {
        if self.running.is_some() {
            return Err(Error::AlreadyRunning);
        }
        let data = &self.plan.files.data;
        recreate(data).action(format!("empty {}", data.display()))?;
        self.start().await
    }

    /// Copies what the server has on its disk now. That is all its data if it is
    /// [append-only](ServerBuilder::append_only).
    ///
    /// # Errors
    /// [`Error::Io`] when the copy fails.
    pub fn save_data(&self) -> Result<SavedData> {
        SavedData::copy(&self.plan.files.data)
    }

    /// Starts a stopped server again on its port with the data that it had at an earlier moment,
    /// as after a restore from a backup.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(&mut self, data: &SavedData) -> Result<()> {
        if self.running.is_some() {
            return Err(Error::AlreadyRunning);
        }
        let folder = &self.plan.files.data;
        recreate(folder).action(format!("empty {}", folder.display()))?;
        data.restore(folder)?;
        self.start().await
    }

    fn process(&self) -> Result<&Process> {
        self.running
            .as_ref()
            .map(|running| &running.process)
            .ok_or(Error::NotRunning)
    }
}

fn recreate(directory: &Path) -> io::Result<()> {
    fs::remove_dir_all(directory)?;
    fs::create_dir(directory)
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
