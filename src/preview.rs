//! Preview of rules: compiled by the operator's own compiler, their series listed, their metrics derived, their queries planned
//! and answered, and compared with the rules and HPAs of a cluster. Nothing is written anywhere.

mod backends;
mod claims;
mod cluster;
mod credentials;
mod dropped;
pub mod input;
mod objects;
pub mod report;
mod request;
mod series;
#[cfg(test)]
mod tests;
mod text;
mod trust;
mod uses;
mod values;
mod world;

use std::sync::Arc;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use language::selector::Selector;

use self::{
    input::{Files, Given},
    report::{BackendReport, Finding, Report, RuleReport},
    series::Listings,
    world::World,
};
use crate::{
    catalog::{Catalog, RuleMetrics},
    check,
    document::SourceFile,
    kubernetes::{client::Connection, rights::ClusterError},
    reason::Reason,
    rule::{CompiledRule, Severity},
};

/// What is looked at.
#[derive(Debug, Default)]
pub struct Options {
    /// Asked instead of the backends that the rules name.
    pub backend: Option<String>,
    /// Namespaces to show queries and values for; empty: those that have series, up to a few.
    pub namespaces: Vec<String>,
    /// Metrics to show queries and values for; empty: all, up to a few.
    pub metrics: Vec<String>,
    /// What requests select series by.
    pub selector: Selector,
    /// Credentials of the cluster go wherever the files say.
    pub with_credentials: bool,
    /// Where the Secrets of backends are; `None`: where the operator is found to be.
    pub operator_namespace: Option<String>,
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// Something could not be read from the cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// Is told what is being done, in a few words.
pub type Progress<'a> = &'a (dyn Fn(&str) + Sync);

/// Looks at the rules of `files`. Without a `connection` they are alone, with the kinds that every cluster has.
///
/// # Errors
///
/// See [`PreviewError`]. What is wrong with a rule or a backend is a part of the report.
pub async fn preview(
    connection: Option<&Connection>,
    files: Files,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Report, PreviewError> {
    let Files {
        mut rules,
        backends,
        sources,
    } = files;
    let home = options.namespaces.first().map(String::as_str);
    let home = home.or_else(|| connection.map(|connection| connection.namespace.as_str()));
    let home = home.unwrap_or("default");
    for given in &mut rules {
        given.settle(home);
    }
    let checked = Checked::new(sources, home);
    let world = match connection {
        Some(connection) => cluster::read(connection, &rules, backends, options, progress).await?,
        None => world::alone(&rules, backends, options),
    };
    let mut listings = Listings::new(&world);
    listings.list(&world, &rules, progress).await;
    let catalogs = Catalogs {
        before: listings.catalog(&world.before),
        after: listings.catalog(&world.after),
    };
    let mut report = Report {
        rules: Vec::new(),
        notes: world.notes.clone(),
    };
    report.notes.extend(listings.notes());
    for given in &rules {
        let Some(rule) = world.after.get(&given.object.key) else {
            continue;
        };
        progress(&format!("asking for the values of {}", rule.key()));
        let rule = rule.clone();
        report
            .rules
            .push(look_at(&world, &listings, &catalogs, &checked, given, &rule, options).await);
    }
    Ok(report)
}

/// What a look at the files alone found.
struct Checked {
    sources: Vec<SourceFile>,
    report: check::Report,
}

impl Checked {
    fn new(sources: Vec<SourceFile>, home: &str) -> Self {
        let options = check::Options {
            namespace: home.to_owned(),
            ..check::Options::default()
        };
        let report = check::check(&sources, &options);
        Self { sources, report }
    }
}

/// What only the world tells, and files are wrong about.
const OF_THE_WORLD: [Reason; 4] = [
    Reason::UnknownResource,
    Reason::BackendNotFound,
    Reason::AmbiguousDefault,
    Reason::BackendNotAllowed,
];

/// What is served without the rules that are looked at, and with them.
struct Catalogs {
    before: Catalog,
    after: Catalog,
}

async fn look_at(
    world: &World,
    listings: &Listings,
    catalogs: &Catalogs,
    checked: &Checked,
    given: &Given,
    rule: &Arc<CompiledRule>,
    options: &Options,
) -> RuleReport {
    let findings = findings(world, checked, given, rule);
    let metrics: Option<Arc<RuleMetrics>> = catalogs
        .after
        .entry(rule.key())
        .map(|entry| entry.metrics.clone());
    let accepted = rule.refusals.is_empty();
    let series = rule.listed();
    let series = series.map(|selector| listings.report(rule, selector, world));
    let known = listings.objects(rule, metrics.as_deref());
    let mut shown = Vec::new();
    if let Some(metrics) = &metrics {
        shown = values::of_rule(world, catalogs, metrics, &known, options).await;
    }
    let hpas = world
        .hpas
        .as_ref()
        .map(|hpas: &Vec<HorizontalPodAutoscaler>| uses::of_rule(world, catalogs, rule, hpas, &known));
    RuleReport {
        rule: rule.key().to_string(),
        file: given.file.clone(),
        accepted,
        findings,
        backend: backend(world, rule),
        series,
        metrics: shown,
        hpas,
    }
}

fn backend(world: &World, rule: &CompiledRule) -> Option<BackendReport> {
    let record = rule.backend.as_ref().ok()?;
    let reached = world.reached.get(&record.name);
    Some(BackendReport {
        name: record.name.to_string(),
        way: reached.map(|reached| reached.way.clone()).unwrap_or_default(),
        problem: reached.and_then(|reached| reached.problem.clone()),
    })
}

/// Everything that the compiler and the table say of a rule, with its places in the file, and what the files say themselves.
fn findings(world: &World, checked: &Checked, given: &Given, rule: &CompiledRule) -> Vec<Finding> {
    let refusals = rule
        .refusals
        .iter()
        .map(|problem| (Severity::Error, problem.clone()));
    let backend = world
        .after
        .unresolved_backend(rule)
        .map(|problem| (Severity::Error, problem));
    let unresolved = rule
        .naming
        .iter()
        .flat_map(|naming| naming.association.unresolved());
    let warnings = unresolved
        .chain(&rule.warnings)
        .map(|problem| (Severity::Warning, problem.clone()));
    let said = refusals.chain(backend).chain(warnings);
    let mut findings: Vec<Finding> = said
        .map(|(severity, problem)| given.finding(severity, &problem))
        .collect();
    for diagnostic in &checked.report.diagnostics {
        let Some(finding) = given.checked(diagnostic, &checked.sources) else {
            continue;
        };
        let same = |known: &Finding| {
            known.reason == finding.reason && (known.path == finding.path || known.line == finding.line)
        };
        // What does not decode is said with its place by the check, and without by the compiler.
        if diagnostic.problem.reason == Reason::Undecodable {
            findings.retain(|known| known.reason != finding.reason || !known.path.is_empty());
        }
        if !OF_THE_WORLD.contains(&diagnostic.problem.reason) && !findings.iter().any(same) {
            findings.push(finding);
        }
    }
    findings.sort_by_key(|finding| (finding.severity != "error", finding.line, finding.column));
    findings
}
