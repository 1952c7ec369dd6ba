//! The temporary folder of a testbed: everything that it writes, its logs included.
//!
//! A test binary has no exit hook, and statics are never dropped. So a small shell waits on a pipe that the kernel closes when
//! this process ends, however it ends, and then removes the folder – unless something failed: then the folder stays for its
//! logs to be read.

use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result};
use std::os::unix::process::CommandExt;

/// Waits for the end of its standard input, then removes the folder unless it holds the file `keep`. `$1` comes from
/// `tempfile`, never from a user.
const JANITOR: &str = r#"cat >/dev/null; sleep 0.3; [ -e "$1/keep" ] || rm -rf -- "$1""#;

/// A temporary folder that goes when its owner goes, also when the process is killed.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    janitor: Child,
    pipe: Option<ChildStdin>,
}

impl Folder {
    /// A new folder below the system's folder for temporary files.
    ///
    /// # Errors
    /// The folder cannot be made, or its janitor not be started.
    pub fn new() -> Result<Self> {
        let path = tempfile::Builder::new()
            .prefix("metricrule-testbed-")
            .tempdir()
            .context("temporary folder")?
            .keep();
        let mut janitor = Command::new("sh")
            .args(["-c", JANITOR, "janitor"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // out of reach of a Ctrl-C for the foreground group
            .process_group(0)
            .spawn()
            .context("starting the janitor of the temporary folder")?;
        let pipe = janitor.stdin.take();
        Ok(Self { path, janitor, pipe })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the folder after the end, and says on standard error where it is.
    #[expect(
        clippy::print_stderr,
        reason = "a failing test has to name its logs, and there is no other place to say it"
    )]
    pub fn keep(&self, why: &str) {
        let marker = self.path.join("keep");
        if !marker.exists() && std::fs::write(&marker, why).is_ok() {
            eprintln!("testbed: {why}; logs are kept in {}", self.path.display());
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep("a test panicked");
        }
        drop(self.pipe.take());
        let _ = self.janitor.wait();
    }
}
