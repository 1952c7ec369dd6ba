//! The temporary folder of a testbed: everything that it writes, its logs included.
//!
//! A test binary has no exit hook, and statics are never dropped. So a small shell waits on a pipe that the kernel closes when
//! this process ends, however it ends, and then removes the folder – unless something failed: then the folder stays for its
//! logs to be read.

use std::fs::{OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result};

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

/// Writes a file that nobody but its owner reads, also where it was there before.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())
    };
    write().with_context(|| format!("writing {}", path.display()))
}

impl Folder {
    /// A new folder below the system's folder for temporary files.
    ///
    /// # Errors
    /// The folder cannot be made, or its janitor not be started.
    pub fn new() -> Result<Self> {
        let path = tempfile::Builder::new()
            .prefix("metricrule-testbed-")
            // Keys and kubeconfigs of an administrator are in it.
            .permissions(Permissions::from_mode(0o700))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_user_of_the_machine_reads_no_key() -> Result<()> {
        let folder = Folder::new()?;
        let mode = |path: &Path| anyhow::Ok(path.metadata()?.permissions().mode() & 0o777);
        assert_eq!(mode(folder.path())?, 0o700);
        let key = folder.path().join("key.pem");
        std::fs::write(&key, "former")?;
        write_private(&key, "key")?;
        assert_eq!(mode(&key)?, 0o600);
        assert_eq!(std::fs::read_to_string(&key)?, "key");
        Ok(())
    }
}
