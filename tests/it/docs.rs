//! The documents say what is there.

use anyhow::{Context, Result, ensure};

use crate::repository;

/// Relative links of a Markdown text, without their anchors.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    targets
        .filter(|target| !target.contains("://") && !target.starts_with('#') && !target.contains(' '))
        .map(|target| target.split_once('#').map_or(target, |(file, _)| file))
}

#[test]
fn links_lead_somewhere() -> Result<()> {
    let mut documents = repository::files("docs", "md")?;
    documents.extend(
        [
            "README.md",
            "CONTRIBUTING.md",
            "CHANGELOG.md",
            "SECURITY.md",
            "crates/language/README.md",
            "crates/promql/README.md",
        ]
        .map(Into::into),
    );
    let mut dead = Vec::new();
    for document in documents {
        let text = repository::read(&document)?;
        let folder = repository::root().join(&document);
        let folder = folder.parent().unwrap_or(&folder);
        dead.extend(
            links(&text)
                .filter(|link| !folder.join(link).exists())
                .map(|link| format!("{}: {link}", document.display())),
        );
    }
    ensure!(dead.is_empty(), "links to nothing:\n{}", dead.join("\n"));
    Ok(())
}

/// The crates that a manifest names, of all its tables of dependencies.
fn dependencies(manifest: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in repository::read(manifest)?.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| inside) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[test]
fn every_dependency_has_its_line() -> Result<()> {
    let document = repository::read("docs/dependencies.md")?;
    let mut names = dependencies("Cargo.toml")?;
    for manifest in [
        "crates/language/Cargo.toml",
        "crates/promql/Cargo.toml",
        "tests/testbed/Cargo.toml",
        "tests/fuzz/Cargo.toml",
        "fuzz/Cargo.toml",
    ] {
        names.extend(dependencies(manifest)?);
    }
    names.retain(|name| name != "metricrule" && !document.contains(&format!("\n| `{name}` |")));
    ensure!(names.is_empty(), "docs/dependencies.md says nothing of {names:?}");
    Ok(())
}

#[test]
fn every_dependency_is_used() -> Result<()> {
    let packages = [
        (
            "Cargo.toml",
            vec!["src", "tests/it", "tests/e2e", "tests/conformance"],
        ),
        ("crates/language/Cargo.toml", vec!["crates/language"]),
        ("crates/promql/Cargo.toml", vec!["crates/promql"]),
        ("tests/testbed/Cargo.toml", vec!["tests/testbed"]),
        ("tests/fuzz/Cargo.toml", vec!["tests/fuzz"]),
        ("fuzz/Cargo.toml", vec!["fuzz/targets"]),
    ];
    for (manifest, folders) in packages {
        let mut text = String::new();
        for folder in folders {
            for file in repository::files(folder, "rs")? {
                text += &repository::read(file)?;
            }
        }
        let used = |name: &str| {
            let path = format!("{}::", name.replace('-', "_"));
            let starts =
                |at: usize| !text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
            text.match_indices(&path).any(|(at, _)| starts(at))
        };
        let unused: Vec<_> = dependencies(manifest)?
            .into_iter()
            .filter(|name| !used(name))
            .collect();
        ensure!(unused.is_empty(), "{manifest}: not used: {unused:?}");
    }
    Ok(())
}

#[test]
fn files_that_the_documents_name_exist() -> Result<()> {
    let mut gone = Vec::new();
    for document in [
        "README.md",
        "CONTRIBUTING.md",
        "docs/architecture.md",
        "docs/installing.md",
        "docs/rules.md",
    ] {
        let text = repository::read(document)?;
        let names = text.split('`').skip(1).step_by(2);
        let folders = [
            "src/",
            "crates/",
            "tests/",
            "tools/",
            "charts/",
            "docs/",
            "examples/",
            "crds/",
        ];
        let files =
            names.filter(|name| folders.iter().any(|folder| name.starts_with(folder)) && !name.contains(' '));
        gone.extend(
            files
                .filter(|file| !repository::root().join(file).exists())
                .map(|file| format!("{document}: {file}")),
        );
    }
    ensure!(gone.is_empty(), "no such file:\n{}", gone.join("\n"));
    Ok(())
}

/// Names in the last column of the tables of a Markdown text.
fn tests_named(text: &str) -> impl Iterator<Item = &str> {
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| ") && line.ends_with(" |"));
    let columns = rows.filter_map(|row| row.trim_end_matches(" |").rsplit_once(" | "));
    columns.flat_map(|(_, names)| names.split('`').skip(1).step_by(2))
}

#[test]
fn every_claim_about_security_has_a_test() -> Result<()> {
    let text = repository::read("SECURITY.md")?;
    let mut sources = String::new();
    for folder in ["src", "crates", "tests"] {
        for file in repository::files(folder, "rs")? {
            sources += &repository::read(&file)?;
        }
    }
    sources += &repository::read("docs/conformance.md")?;
    let exists = |name: &str| match name.strip_prefix("point_") {
        Some(number) => sources.contains(&format!("\n| {} |", number.trim_start_matches('0'))),
        None => sources.contains(&format!("fn {name}(")),
    };
    let names: Vec<_> = tests_named(&text).collect();
    ensure!(
        names.len() > 30,
        "the tables of SECURITY.md are not read: {names:?}"
    );
    let missing: Vec<_> = names.iter().filter(|name| !exists(name)).collect();
    ensure!(
        missing.is_empty(),
        "SECURITY.md names tests that do not exist: {missing:?}"
    );
    for (number, line) in text.lines().enumerate() {
        let row = line.starts_with("| ") && !line.starts_with("| claim");
        ensure!(
            !row || line.contains('`'),
            "SECURITY.md:{}: a claim without a test",
            number + 1
        );
    }
    Ok(())
}

/// What follows the first `from`, up to the next `to`.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Result<&'a str> {
    let (_, rest) = text.split_once(from).with_context(|| format!("no {from:?}"))?;
    Ok(rest.split_once(to).map_or(rest, |(part, _)| part))
}

/// Advice about `honor_labels` alone left the namespace's label to whoever exposes it on a target that has none.
#[test]
fn each_way_to_write_another_namespaces_label_is_named_where_the_label_is_trusted() -> Result<()> {
    let security = repository::read("SECURITY.md")?;
    let installing = repository::read("docs/installing.md")?;
    let crd = repository::read("crds/metricbackends.yaml")?;
    let labels = between(&crd, "\n              labels:\n", "\n                    items:")?;
    for (place, text) in [
        ("SECURITY.md", between(&security, "### Platform team", "\n### ")?),
        (
            "docs/installing.md",
            between(&installing, "## The label of the namespace", "\n## ")?,
        ),
        ("the field's description in the CRD", labels),
    ] {
        let lower = text.to_lowercase();
        for word in ["honor_labels", "target", "relabel"] {
            ensure!(lower.contains(word), "{place} does not speak of {word}: {text}");
        }
    }
    Ok(())
}
