//! Files of `src` and `crates`, and manifests: what holds for each.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};

use crate::{repository, source};

/// The longest that a file of `src` or `crates` may be, in lines.
const LONGEST: usize = 500;

#[test]
fn no_file_is_too_long() -> Result<()> {
    let mut long = Vec::new();
    let files = [
        repository::files("src", "rs")?,
        repository::files("crates", "rs")?,
    ];
    for file in files.concat() {
        let lines = repository::read(&file)?.lines().count();
        if lines > LONGEST {
            long.push(format!("{}: {lines} lines", file.display()));
        }
    }
    ensure!(long.is_empty(), "at most {LONGEST} lines:\n{}", long.join("\n"));
    Ok(())
}

#[test]
fn every_file_is_compiled() -> Result<()> {
    let sources = source::all()?.into_iter().chain(source::of_crates()?);
    let reached: BTreeSet<PathBuf> = sources.map(|source| source.file).collect();
    let mut files: BTreeSet<PathBuf> = repository::files("src", "rs")?.into_iter().collect();
    // Cargo itself finds the tests and examples of a package.
    let crates = repository::files("crates", "rs")?.into_iter();
    let parts = |file: &Path| file.components().any(|part| part.as_os_str() == "src");
    files.extend(crates.filter(|file| parts(file)));
    ensure!(
        reached.iter().any(|file| file.starts_with("crates")),
        "no package of `crates` is read"
    );
    let lost: Vec<_> = files.difference(&reached).collect();
    ensure!(lost.is_empty(), "no `mod` leads to {lost:?}");
    Ok(())
}

#[test]
fn nothing_is_unsafe_and_no_lint_is_allowed_in_passing() -> Result<()> {
    let mut found = Vec::new();
    for source in source::all()?.into_iter().chain(source::of_crates()?) {
        let file = source.file.display();
        found.extend(
            source
                .unsafe_lines
                .iter()
                .map(|line| format!("{file}:{line}: unsafe")),
        );
        let allows = source.allow_lines.iter();
        found.extend(allows.map(|line| format!("{file}:{line}: allow: use #[expect(…, reason = \"…\")]")));
    }
    ensure!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

#[test]
fn the_manifests_ask_for_the_lints() -> Result<()> {
    let root = repository::read("Cargo.toml")?;
    let lints = [
        "unsafe_code = \"forbid\"",
        "missing_docs = \"warn\"",
        "pedantic = { level = \"warn\", priority = -1 }",
        "unwrap_used = \"deny\"",
        "expect_used = \"deny\"",
        "panic = \"deny\"",
        "print_stdout = \"deny\"",
        "allow_attributes = \"warn\"",
        "allow_attributes_without_reason = \"warn\"",
    ];
    for lint in lints {
        ensure!(
            root.lines().any(|line| line == lint),
            "Cargo.toml: {lint} is gone"
        );
    }
    for manifest in [
        "Cargo.toml",
        "crates/language/Cargo.toml",
        "crates/promql/Cargo.toml",
        "tests/testbed/Cargo.toml",
        "tests/fuzz/Cargo.toml",
    ] {
        ensure!(
            repository::read(manifest)?.contains("\n[lints]\nworkspace = true\n"),
            "{manifest} does not take the workspace's lints"
        );
    }
    Ok(())
}

#[test]
fn one_version_of_rust_is_meant() -> Result<()> {
    let toolchain = repository::read("rust-toolchain.toml")?;
    let version = toolchain
        .lines()
        .find_map(|line| line.strip_prefix("channel = "))
        .unwrap_or_default()
        .trim_matches('"');
    ensure!(version.split('.').count() == 3, "rust-toolchain.toml: {version}");
    ensure!(
        repository::read("Containerfile")?.contains(&format!("/rust:{version}-")),
        "Containerfile: not {version}"
    );
    let minor = format!(
        "rust-version = \"{}\"",
        version.rsplit_once('.').map_or(version, |(minor, _)| minor)
    );
    for manifest in [
        "Cargo.toml",
        "crates/language/Cargo.toml",
        "crates/promql/Cargo.toml",
        "tests/testbed/Cargo.toml",
        "tests/fuzz/Cargo.toml",
        "fuzz/Cargo.toml",
    ] {
        ensure!(
            repository::read(manifest)?.contains(&minor),
            "{manifest}: not {minor}"
        );
    }
    Ok(())
}
