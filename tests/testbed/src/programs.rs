//! Where the external programs are: `tools/build` knows, and builds them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// The paths of the external programs by name: `kube-apiserver`, `kube-controller-manager`, `kubectl`, `etcd`, `kwok`, `helm`,
/// `prometheus`, `kubectl-1.20`, `custom-metrics-test-adapter`, `metrics-clients`.
#[derive(Clone, Debug)]
pub struct Programs(BTreeMap<String, PathBuf>);

/// The root of the work tree that this crate was compiled in.
pub fn repository() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder
        .ancestors()
        .nth(2)
        .unwrap_or(crate_folder)
        .to_path_buf()
}

impl Programs {
    /// Asks `tools/build --print`, which looks into `KUBEBUILDER_ASSETS`, the cache and, for Prometheus, `PATH`.
    ///
    /// # Errors
    /// Some are not built yet; the error names them and the command that builds them.
    pub async fn locate() -> Result<Self> {
        let script = repository().join("tools/build");
        let output = Command::new(&script)
            .arg("--print")
            .output()
            .await
            .with_context(|| format!("running {}", script.display()))?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let text = String::from_utf8(output.stdout).context("tools/build --print")?;
        Ok(Self(
            text.lines()
                .filter_map(|line| line.split_once('='))
                .map(|(n, p)| (n.into(), p.into()))
                .collect(),
        ))
    }

    /// The path of a program.
    ///
    /// # Errors
    /// `tools/build` knows no program of that name.
    pub fn path(&self, name: &str) -> Result<&Path> {
        self.0
            .get(name)
            .map(PathBuf::as_path)
            .with_context(|| format!("tools/build knows no {name}"))
    }
}
