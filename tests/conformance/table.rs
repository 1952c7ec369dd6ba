//! `docs/conformance.md`, from the results of a run.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::judge;
use crate::point::{Outcome, Point};
use crate::run::Results;

/// The sections of the table, each with its first point.
const SECTIONS: [(u8, &str); 11] = [
    (1, "Routing"),
    (16, "Selectors and parameters"),
    (26, "Bodies"),
    (37, "Errors"),
    (44, "Negotiation and headers"),
    (51, "Discovery, OpenAPI, health"),
    (64, "Authentication"),
    (74, "Authorization"),
    (79, "TLS and lifecycle"),
    (85, "HPA end to end"),
    (90, "Beyond Go's server"),
];

const HEAD: &str = "\
# Conformance

This page lists, in 110 points, what a server of `custom.metrics.k8s.io` and `external.metrics.k8s.io` has to do for kube-apiserver,
the HPA controller, kubectl and client-go, and how metricrule does it. `make conformance` writes it from its run. Each point is a test
in `tests/conformance`, called `point_NNN`, and `make test` fails if a result differs from this page.

Requests to any metrics API server can test a point of the kind `url`: `make conformance URL=https://host:port CA=file CERT=file
KEY=file` sends them to the server at that URL, which must hold the data of `tests/conformance/data.json` (or of `DATA=file`). `lab`
points rotate, count and stop things in the testbed; `unit` points test a part of the server. If a point has several kinds, the first
covers most of it, and only that one is used for another server.
";

/// The table of a run.
pub(crate) fn render(points: &[&Point], results: &Results) -> String {
    let mut text = HEAD.to_owned();
    for (position, (first, title)) in SECTIONS.iter().enumerate() {
        let next = SECTIONS.get(position + 1).map_or(u8::MAX, |(next, _)| *next);
        let _ = write!(
            text,
            "\n## {title}\n\n| Point | Requirement | Kind | Result |\n|--:|---|---|---|\n"
        );
        for point in points
            .iter()
            .filter(|point| (*first..next).contains(&point.number))
        {
            let passed = results.get(&point.number) == Some(&true);
            let kind = point.kinds();
            let _ = writeln!(
                text,
                "| {} | {} | {kind} | {} |",
                point.number,
                cell(point.says),
                result(point, passed)
            );
        }
    }
    text.push_str("\n## Where Go's server differs\n\n");
    text.push_str(
        "Go's server means one made with k8s.io/apiserver and sigs.k8s.io/custom-metrics-apiserver.\n\n",
    );
    text.push_str("| Point | What Go's server does, and why metricrule doesn't |\n|--:|---|\n");
    for (number, beyond) in points
        .iter()
        .filter_map(|point| Some((point.number, point.beyond?)))
    {
        let _ = writeln!(text, "| {number} | {} |", cell(beyond));
    }
    text.push_str(&judge::described());
    text
}

/// How many points are passed, differ, come later, failed.
pub(crate) fn summary(points: &[&Point], results: &Results) -> String {
    let count = |is: fn(Outcome) -> bool| {
        let passed = points
            .iter()
            .filter(|point| results.get(&point.number) == Some(&true));
        passed.filter(|point| is(point.outcome)).count()
    };
    let conforms = count(|outcome| matches!(outcome, Outcome::Conforms | Outcome::ConformsInPart(_)));
    let differs = count(|outcome| matches!(outcome, Outcome::Differs(_)));
    let later = count(|outcome| matches!(outcome, Outcome::Later(_)));
    let failed: Vec<_> = points
        .iter()
        .filter(|point| results.get(&point.number) != Some(&true))
        .map(|point| point.number)
        .collect();
    format!(
        "{} points: {conforms} passed, {differs} differ on purpose, {later} later, {} failed {failed:?}",
        points.len(),
        failed.len()
    )
}

/// Writes the table with `METRICRULE_WRITE=1`, else compares it with what is there.
///
/// # Errors
/// It cannot be written, or it is another.
pub(crate) fn check(points: &[&Point], results: &Results) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md");
    let rendered = render(points, results);
    if std::env::var_os("METRICRULE_WRITE").is_some() {
        return std::fs::write(&path, rendered).with_context(|| format!("writing {}", path.display()));
    }
    let written = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    ensure!(
        written == rendered,
        "docs/conformance.md is not what this run gives; `make conformance` writes it anew"
    );
    Ok(())
}

fn result(point: &Point, passed: bool) -> String {
    if !passed {
        return "**failed**".to_owned();
    }
    match point.outcome {
        Outcome::Conforms => "passed".to_owned(),
        Outcome::ConformsInPart(missing) => format!("passed; later: {}", cell(missing)),
        Outcome::Differs(why) => format!("differs on purpose: {}", cell(why)),
        Outcome::Later(instead) => format!("later: {}", cell(instead)),
    }
}

/// A text that a table's cell can hold.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
