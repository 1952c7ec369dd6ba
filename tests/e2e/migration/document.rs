//! The commands of the document, taken from it and run by a shell.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testbed::Testbed;
use tokio::process::Command;
use tokio::time::timeout;

const DOCUMENT: &str = "docs/migrating-from-prometheus-adapter.md";
/// The longest that one block may take.
const DEADLINE: Duration = Duration::from_mins(2);

/// The document, and where its commands run.
pub(super) struct Document {
    text: String,
    folder: PathBuf,
    kubeconfig: PathBuf,
    path: String,
}

/// What a block said.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Document {
    /// Reads it, and makes a folder to run in, with kubectl and this build of metricrule on the PATH.
    pub(super) fn open(testbed: &Testbed) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = testbed.folder().join("migration");
        let programs = folder.join("bin");
        std::fs::create_dir_all(&programs)?;
        let metricrule = Path::new(env!("CARGO_BIN_EXE_metricrule"));
        for (name, program) in [
            ("kubectl", testbed.program("kubectl")?),
            ("metricrule", metricrule),
        ] {
            std::os::unix::fs::symlink(program, programs.join(name))?;
        }
        let path = std::env::var("PATH").context("no PATH")?;
        Ok(Self {
            text: std::fs::read_to_string(root.join(DOCUMENT)).context(DOCUMENT)?,
            kubeconfig: testbed.control_plane().kubeconfig().to_path_buf(),
            path: format!("{}:{path}", programs.display()),
            folder,
        })
    }

    /// The blocks of commands of the section whose heading begins so.
    pub(super) fn blocks(&self, heading: &str) -> Result<Vec<String>> {
        let start = self.text.find(&format!("\n## {heading}"));
        let section =
            &self.text[start.with_context(|| format!("{DOCUMENT} has no section {heading}"))? + 1..];
        let section = &section[..section.find("\n## ").unwrap_or(section.len())];
        let blocks = section.split("```sh\n").skip(1);
        Ok(blocks
            .filter_map(|rest| Some(rest.split_once("```")?.0.to_owned()))
            .collect())
    }

    /// Runs the `index`-th block of a section. What the testbed has otherwise than a cluster is replaced; each replacement has to
    /// have something to replace.
    pub(super) async fn run(&self, heading: &str, index: usize, instead: &[(&str, &str)]) -> Result<Said> {
        let blocks = self.blocks(heading)?;
        let mut script = blocks
            .get(index)
            .with_context(|| format!("{heading} has {} blocks", blocks.len()))?
            .clone();
        for (from, to) in instead {
            ensure!(script.contains(from), "{heading}: no {from:?} in\n{script}");
            script = script.replace(from, to);
        }
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", &script])
            .current_dir(&self.folder)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBECACHEDIR", self.folder.join("cache"))
            .env("PATH", &self.path)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = timeout(DEADLINE, command.output())
            .await
            .with_context(|| format!("{heading}: not done in time:\n{script}"))??;
        let said = Said {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        ensure!(
            output.status.success(),
            "{heading}: {}\n{script}\n{said:?}",
            output.status
        );
        Ok(said)
    }

    /// A file that a block wrote.
    pub(super) fn file(&self, name: &str) -> Result<String> {
        std::fs::read_to_string(self.folder.join(name)).with_context(|| name.to_owned())
    }
}
