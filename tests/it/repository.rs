//! Where things are, and how to read them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// The root of the work tree.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file, by its path from the root.
pub(crate) fn read(path: impl AsRef<Path>) -> Result<String> {
    let path = root().join(path);
    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

/// Every file below a folder whose name ends in `.extension`, as paths from the root, sorted.
pub(crate) fn files(folder: impl AsRef<Path>, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == extension) {
                found.push(path.strip_prefix(root())?.to_path_buf());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Compares a generated text with the committed one; with `METRICRULE_WRITE=1` writes it instead.
///
/// The error says how to bring the file up to date.
pub(crate) fn up_to_date(path: &str, generated: &str) -> Result<()> {
    if std::env::var_os("METRICRULE_WRITE").is_some_and(|value| value == "1") {
        return fs::write(root().join(path), generated).with_context(|| format!("writing {path}"));
    }
    let committed = read(path)?;
    let committed: Vec<&str> = committed.lines().collect();
    let generated: Vec<&str> = generated.lines().collect();
    let gone: Vec<_> = committed
        .iter()
        .filter(|line| !generated.contains(line))
        .collect();
    let new: Vec<_> = generated
        .iter()
        .filter(|line| !committed.contains(line))
        .collect();
    anyhow::ensure!(
        committed == generated,
        "{path} is out of date; look at the difference and, if it is meant, run `make crds`\ngone: {gone:#?}\nnew: {new:#?}"
    );
    Ok(())
}
