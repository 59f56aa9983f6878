//! Wall clocks that a test sets while a process runs, as an administrator or NTP sets a machine's.
//!
//! A small library, compiled here and preloaded by the process, shifts what the process reads as
//! the time of day. Monotonic clocks stay as they are, and so does every timer. Linux only, and
//! only for programs that are linked with a C library at run time.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::error::{Error, IoContext, Result};

const SOURCE: &str = include_str!("clock.c");

/// What the library reads to find its file.
const VARIABLE: &str = "NRC_CLOCK_SHIFT";

/// Makes wall clocks that can be set. Its files live as long as it or one of its clocks.
#[derive(Debug, Clone)]
pub struct Clocks {
    directory: Arc<TempDir>,
    library: PathBuf,
}

/// The wall clock of one process, or of several that share it. Right until it is set.
#[derive(Debug)]
pub struct WallClock {
    file: File,
    path: PathBuf,
    clocks: Clocks,
}

/// Which way a clock is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    /// The clock is fast by so much.
    Ahead(Duration),
    /// The clock is slow by so much.
    Behind(Duration),
}

impl Clocks {
    /// Whether clocks can be set on this system.
    pub const POSSIBLE: bool = cfg!(target_os = "linux");

    /// Compiles the library with the C compiler that Rust itself links with.
    ///
    /// # Errors
    /// [`Error::Clock`] when there is no working compiler, and on other systems than Linux.
    pub fn new() -> Result<Self> {
        if !Self::POSSIBLE {
            return Err(Error::Clock("only Linux lets a test do so".to_owned()));
        }
        let directory = TempDir::with_prefix("nrc-").action("make a temporary directory")?;
        let source = directory.path().join("clock.c");
        let library = directory.path().join("clock.so");
        fs::write(&source, SOURCE).action(format!("write {}", source.display()))?;
        let compiled = Command::new("cc")
            .args(["-std=gnu11", "-O2", "-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .output()
            .action("run cc")?;
        if !compiled.status.success() {
            let said = String::from_utf8_lossy(&compiled.stderr);
            return Err(Error::Clock(format!("cc failed: {}", said.trim())));
        }
        Ok(Self {
            directory: Arc::new(directory),
            library,
        })
    }

    /// A clock by a name of its own, such as the name of its machine.
    ///
    /// # Errors
    /// [`Error::Io`] when its file cannot be written.
    pub fn clock(&self, name: &str) -> Result<WallClock> {
        let path = self.directory.path().join(name);
        let file = File::create(&path).action(format!("write {}", path.display()))?;
        let clock = WallClock {
            file,
            path,
            clocks: self.clone(),
        };
        clock.put(0)?;
        Ok(clock)
    }
}

impl WallClock {
    /// Sets the clock, of running processes too.
    ///
    /// # Errors
    /// [`Error::Io`] when its file cannot be written.
    pub fn set(&self, shift: Shift) -> Result<()> {
        self.put(shift.micros())
    }

    /// What a process needs in its environment to go by this clock.
    pub fn environment(&self) -> [(OsString, OsString); 2] {
        [
            ("LD_PRELOAD".into(), self.clocks.library.clone().into()),
            (VARIABLE.into(), self.path.clone().into()),
        ]
    }

    fn put(&self, micros: i64) -> Result<()> {
        // One aligned word: whoever has the file mapped sees all of it or nothing.
        self.file
            .write_all_at(&micros.to_ne_bytes(), 0)
            .action(format!("write {}", self.path.display()))
    }
}

impl Shift {
    /// The clock is right.
    pub const NONE: Self = Self::Ahead(Duration::ZERO);

    fn micros(self) -> i64 {
        let whole = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        match self {
            Self::Ahead(duration) => whole(duration),
            Self::Behind(duration) => -whole(duration),
        }
    }
}
