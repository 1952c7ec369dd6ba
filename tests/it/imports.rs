//! Who may import whom: the table of docs/architecture.md, read from there.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    repository,
    source::{self, Source},
};

const DOCUMENT: &str = "docs/architecture.md";
const HEADING: &str = "## Who may import whom";

/// What the pure rings may not name: anything that waits, talks, or asks the time or the environment.
///
/// Types that only carry such things in (`std::time::Duration`, `std::net::IpAddr`, a `SystemTime` as a value) are fine.
const IMPURE: [&str; 24] = [
    "tokio",
    "tokio_util",
    "tokio_rustls",
    "reqwest",
    "axum",
    "hyper",
    "hyper_util",
    "tower",
    "tower_http",
    "moka",
    "backon",
    "kube::Client",
    "kube::Api",
    "kube::client",
    "kube::runtime",
    "std::env",
    "std::fs",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime::now",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "tracing_subscriber",
];

/// The rings that know no clock, no client and no runtime.
const PURE: [u8; 2] = [0, 1];

#[derive(Debug)]
struct Row {
    ring: u8,
    uses: BTreeSet<String>,
}

/// Module → what it may use.
type Table = BTreeMap<String, Row>;

/// Reads the table: rows of `| ring | module | may use |`, names in backticks.
fn parse(document: &str) -> Result<Table> {
    let (_, section) = document
        .split_once(HEADING)
        .with_context(|| format!("{DOCUMENT} has no heading `{HEADING}`"))?;
    let section = section
        .split_once("\n## ")
        .map_or(section, |(section, _)| section);
    let mut table = Table::new();
    for line in section.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [ring, module, uses] = cells[..] else {
            bail!("a row has three cells: {line}")
        };
        let Ok(ring) = ring.parse() else { continue };
        let names = |cell: &str| {
            cell.split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        for module in names(module) {
            let row = Row {
                ring,
                uses: names(uses).into_iter().collect(),
            };
            ensure!(
                table.insert(module.clone(), row).is_none(),
                "two rows for {module}"
            );
        }
    }
    ensure!(!table.is_empty(), "no row below `{HEADING}`");
    Ok(table)
}

/// What is wrong with the table itself.
fn faults(table: &Table, modules: &BTreeSet<&str>) -> Vec<String> {
    let mut faults = Vec::new();
    for module in modules.iter().filter(|module| !table.contains_key(**module)) {
        faults.push(format!("the module {module} has no row"));
    }
    for (module, row) in table {
        if !modules.contains(module.as_str()) {
            faults.push(format!("the row of {module} names no module"));
        }
        for used in &row.uses {
            match table.get(used) {
                None => faults.push(format!("{module} may use {used}, which is no module")),
                Some(other) if other.ring > row.ring => {
                    faults.push(format!("{module} may use {used} of an outer ring"));
                }
                Some(_) if reaches(table, used, module) => {
                    faults.push(format!("{module} and {used} may use each other"));
                }
                Some(_) => {}
            }
        }
    }
    faults
}

/// Whether `from` may use `to`, through others as well.
fn reaches(table: &Table, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        if module == to {
            return true;
        }
        if seen.insert(module) {
            open.extend(
                table
                    .get(module)
                    .into_iter()
                    .flat_map(|row| &row.uses)
                    .map(String::as_str),
            );
        }
    }
    false
}

/// The imports that the table does not have, one line each.
fn violations(table: &Table, modules: &BTreeSet<&str>, sources: &[Source]) -> Vec<String> {
    let mut violations = Vec::new();
    for source in sources.iter().filter(|source| !source.test) {
        let Some((module, row)) = source.top().and_then(|top| table.get_key_value(top)) else {
            continue;
        };
        for name in &source.names {
            let place = format!("{}:{}", source.file.display(), name.line);
            let path = name.segments.join("::");
            match &name.segments[..] {
                [first, used, ..] if first == "crate" => {
                    if !modules.contains(used.as_str()) {
                        violations.push(format!("{place}: {path} is in no module"));
                    } else if used != module && !row.uses.contains(used) {
                        violations.push(format!("{place}: {module} may not use {used}"));
                    }
                }
                _ if PURE.contains(&row.ring) && is_impure(&path) => {
                    violations.push(format!(
                        "{place}: {module} is in ring {} and may not use {path}",
                        row.ring
                    ));
                }
                _ => {}
            }
        }
    }
    violations
}

/// Whether a path begins with a forbidden one, or with its last parts (`use std::env; env::var(…)`).
fn is_impure(path: &str) -> bool {
    IMPURE.iter().any(|impure| {
        let tail = impure.split_once("::").map_or("", |(_, tail)| tail);
        let begins =
            |with: &str| path == with || path.strip_prefix(with).is_some_and(|rest| rest.starts_with("::"));
        begins(impure)
            || (!tail.is_empty() && path.contains("::") && (begins(tail) || begins(last_two(impure))))
    })
}

/// `SystemTime::now` of `std::time::SystemTime::now`.
fn last_two(path: &str) -> &str {
    path.rmatch_indices("::")
        .nth(1)
        .map_or(path, |(at, _)| &path[at + 2..])
}

fn planted(module: &str, text: &str) -> Result<Source> {
    let file = format!("src/{module}/planted.rs").into();
    Source::parse(file, &[module.into(), "planted".into()], false, text)
}

#[test]
fn imports_follow_the_table() -> Result<()> {
    let table = parse(&repository::read(DOCUMENT)?)?;
    let sources = source::all()?;
    let modules = source::modules(&sources);
    let faults = faults(&table, &modules);
    ensure!(faults.is_empty(), "{DOCUMENT}:\n{}", faults.join("\n"));
    let violations = violations(&table, &modules, &sources);
    ensure!(
        violations.is_empty(),
        "not in the table of {DOCUMENT}:\n{}",
        violations.join("\n")
    );
    ensure!(
        !reaches(&table, "server", "controller"),
        "server must not reach controller"
    );
    ensure!(
        !reaches(&table, "controller", "server"),
        "controller must not reach server"
    );
    Ok(())
}

/// The packages of `crates` are as pure as the inner rings.
#[test]
fn crates_are_pure() -> Result<()> {
    let sources = source::of_crates()?;
    let mut impure = Vec::new();
    for source in sources.iter().filter(|source| !source.test) {
        for name in &source.names {
            let path = name.segments.join("::");
            let foreign = ["kube", "k8s_openapi", "metricrule"].contains(&name.segments[0].as_str());
            if is_impure(&path) || foreign {
                impure.push(format!("{}:{}: {path}", source.file.display(), name.line));
            }
        }
    }
    ensure!(sources.len() > 40, "only {} files are read", sources.len());
    ensure!(impure.is_empty(), "not pure:\n{}", impure.join("\n"));
    Ok(())
}

#[test]
fn a_planted_violation_is_found() -> Result<()> {
    let table = parse(&repository::read(DOCUMENT)?)?;
    let mut sources = source::all()?;
    sources.push(planted(
        "server",
        "use crate::{answer::Answers, controller::lease};",
    )?);
    sources.push(planted("rule", "fn f() { let _ = super::super::backend::x(); }")?);
    sources.push(planted(
        "query",
        "use std::{time::{self, SystemTime}, env};\nfn f() { time::Instant::now(); SystemTime::now(); }",
    )?);
    sources.push(planted(
        "catalog",
        "use kube::{Client, ResourceExt};\nuse jiff::Timestamp;\nfn f() { Timestamp::now(); }",
    )?);
    sources.push(planted(
        "status",
        "#[cfg(test)]\nmod tests { use tokio::time; use crate::server; }",
    )?);
    let modules = source::modules(&sources);
    let found = violations(&table, &modules, &sources);
    let planted: Vec<&str> = found
        .iter()
        .filter_map(|line| line.split_once("planted.rs"))
        .map(|(_, what)| what)
        .collect();
    assert_eq!(
        planted,
        [
            ":1: server may not use controller",
            ":1: rule may not use backend",
            ":1: query is in ring 1 and may not use std::env",
            ":2: query is in ring 1 and may not use time::Instant::now",
            ":2: query is in ring 1 and may not use SystemTime::now",
            ":1: catalog is in ring 1 and may not use kube::Client",
            ":3: catalog is in ring 1 and may not use Timestamp::now",
        ]
    );
    Ok(())
}

#[test]
fn a_fault_of_the_table_is_found() -> Result<()> {
    let table = parse(&format!(
        "{HEADING}\n\n| ring | module | may use |\n|---|---|---|\n| 0 | `a` | – |\n| 0 | `b`, `c` | `a`, `d`, `gone` |\n| 1 | `d` | `c` |\n| 1 | `e` | |\n\n## Next\n| 3 | `x` | |\n"
    ))?;
    let modules = BTreeSet::from(["a", "b", "c", "d", "f"]);
    assert_eq!(
        faults(&table, &modules),
        [
            "the module f has no row",
            "b may use d of an outer ring",
            "b may use gone, which is no module",
            "c may use d of an outer ring",
            "c may use gone, which is no module",
            "d and c may use each other",
            "the row of e names no module",
        ]
    );
    Ok(())
}
