//! Commands that run and end: kubectl, helm.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

/// Longer than anything here takes by itself: helm waits for the CRDs, `kubectl delete` for finalizers.
const DEADLINE: Duration = Duration::from_mins(2);

/// What a command that ended has said.
#[derive(Clone, Debug)]
pub struct Said {
    /// Whether its exit code was 0.
    pub success: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs a command with `input` on its standard input, at most two minutes long.
///
/// # Errors
/// It cannot be started, or did not end in time (it is killed then). A failure of the command itself is in [`Said`].
pub async fn run(program: &Path, args: &[&str], envs: &[(&str, &Path)], input: &str) -> Result<Said> {
    let name = format!(
        "{} {}",
        program.file_name().unwrap_or_default().display(),
        args.join(" ")
    );
    let mut child = Command::new(program)
        .args(args)
        .envs(envs.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {name}"))?;
    let mut stdin = child.stdin.take().context("a child without standard input")?;
    let input = input.to_owned();
    let talk = async move {
        // a command that does not read its input closes the pipe
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        child.wait_with_output().await
    };
    let Ok(output) = timeout(DEADLINE, talk).await else {
        bail!("{name}: not done after {DEADLINE:?}")
    };
    let output = output.with_context(|| name)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Said {
        success: output.status.success(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    })
}

// === impl Said ===

impl Said {
    /// The standard output of a command that has to succeed.
    ///
    /// # Errors
    /// It failed; with what it wrote to standard error.
    pub fn ok(self, what: &str) -> Result<String> {
        if !self.success {
            bail!("{what}: {}", self.stderr.trim());
        }
        Ok(self.stdout)
    }
}
