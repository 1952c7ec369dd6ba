//! Advice on a rule that works: mistakes that return a number, but not the intended one.
//!
//! Found when the rule is compiled, from its spec alone, so that the controller, `check` and `preview` say the same. Each finding
//! has a reason of its own and a place in the author's text. Advice is given only where it is certain, or as good as that: who is
//! warned without cause stops reading warnings.

mod counter;
mod range;
mod rows;
#[cfg(test)]
mod tests;

use std::{fmt::Write as _, time::Duration};

use language::{span::Span, template::Position};
use promql::{Dialect, Expr};

use super::{
    CompiledRule, MetricsQuery, Problem,
    locate::{locate, offset_of, opening, position_of},
    metrics_query::{SENTINEL_SERIES, Setting, sentinels},
    naming::Source,
};
use crate::{api::rule_spec::RuleSpec, reason::Reason, resource::Resources};

const PATH: &str = "spec.metricsQuery";

/// The reasons that advice has.
pub const REASONS: [Reason; 6] = [
    Reason::CounterWithoutRate,
    Reason::RateOfGauge,
    Reason::ShortRange,
    Reason::GroupByLost,
    Reason::MatchersIgnored,
    Reason::ReadsAllSeries,
];

/// What advice is based on and a rule does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assumptions {
    /// How often the targets are scraped.
    pub scrape_interval: Duration,
}

/// A rule whose query was rendered with made-up data, and what came out.
struct Specimen<'a> {
    spec: &'a RuleSpec,
    expr: Expr,
    spans: Vec<(Span, Position)>,
    /// The ending that every series of `<<.Series>>` has, where it is known that it names counters.
    counter: Option<&'static str>,
}

/// The advice on one rule whose query compiled.
pub(super) fn lint(
    rule: &CompiledRule,
    spec: &RuleSpec,
    setting: Setting<'_>,
    query: &MetricsQuery,
    resources: &Resources,
    assumptions: Assumptions,
) -> Vec<Problem> {
    let mut found = Vec::new();
    found.extend(reads_all_series(rule));
    if rule.naming.is_none() {
        // Whose metric it is, is not known.
        return found;
    }
    let Some(specimen) = Specimen::new(rule, spec, setting, query) else {
        // It is not PromQL, which was said.
        return found;
    };
    counter::lint(&specimen, assumptions, &mut found);
    range::lint(&specimen, assumptions, &mut found);
    rows::lint(&specimen, rule, setting, resources, &mut found);
    found
}

fn reads_all_series(rule: &CompiledRule) -> Option<Problem> {
    let Source::Series { selector, .. } = &rule.naming.as_ref()?.source else {
        return None;
    };
    if selector.is_selective() {
        return None;
    }
    if !rule.refusals.is_empty() {
        // Then it is refused for that.
        return None;
    }
    let limits = &rule.limits;
    let most = match limits.max_series {
        0 => "without a limit".to_owned(),
        most => format!("up to limits.maxSeries, {most}"),
    };
    let message = format!(
        "no matcher narrows the series, so each listing reads every series of the backend and keeps the names of their metrics and labels, {most}"
    );
    Some(
        Problem::new(Reason::ReadsAllSeries, "spec.seriesQuery", message)
            .suggest("add a name or a label with a value, such as `{__name__=~\"http_.+\"}`"),
    )
}

// === impl Assumptions ===

impl Default for Assumptions {
    /// 30 seconds: what prometheus-operator writes into a configuration that says nothing.
    fn default() -> Self {
        Self {
            scrape_interval: Duration::from_secs(30),
        }
    }
}

// === impl Specimen ===

impl<'a> Specimen<'a> {
    fn new(
        rule: &CompiledRule,
        spec: &'a RuleSpec,
        setting: Setting<'_>,
        query: &MetricsQuery,
    ) -> Option<Self> {
        let mut ingredients = sentinels(setting, &query.keys(), 1);
        let counter = counter::ending(rule, spec);
        if let Some(Source::Series { selector, .. }) = rule.naming.as_ref().map(|naming| &naming.source) {
            ingredients.series = match (selector.name(), counter) {
                (Some(name), _) => name.to_owned(),
                (None, ending) => format!("{SENTINEL_SERIES}{}", ending.unwrap_or_default()),
            };
        }
        let (spans, text) = query.specimen(&ingredients)?;
        Some(Self {
            spec,
            expr: promql::parse_with(&text, Dialect::SENT).ok()?,
            spans,
            counter,
        })
    }

    /// A finding at `at` of the rendered text.
    fn problem(&self, reason: Reason, at: promql::Span, message: String) -> Problem {
        let mut problem = Problem::new(reason, PATH, message);
        problem.position = self
            .offset(at.start)
            .map(|offset| position_of(&self.spec.metrics_query, offset));
        problem
    }

    /// What the author wrote for a stretch of the rendered text.
    fn written(&self, at: promql::Span) -> Option<&'a str> {
        let written = self
            .spec
            .metrics_query
            .get(self.offset(at.start)?..self.offset(at.end)?)?;
        (!written.is_empty()).then_some(written)
    }

    /// From a byte of the rendered text to the one of the template that it comes from; of a value where its action begins, `<<`
    /// included.
    fn offset(&self, of: usize) -> Option<usize> {
        let text = &self.spec.metrics_query;
        let Position { line, column } = opening(text, locate(&self.spans, of)?);
        offset_of(text, usize::try_from(line).ok()?, usize::try_from(column).ok()?)
    }

    /// The same, with `otherwise` where that cannot be told.
    fn written_or(&self, at: promql::Span, otherwise: &str) -> String {
        self.written(at).unwrap_or(otherwise).trim().to_owned()
    }

    /// How a series is called in a message; one that was made up has no name.
    fn series_name(&self, name: Option<&str>) -> String {
        match name {
            Some(name) if !name.starts_with(SENTINEL_SERIES) => format!("{name:?}"),
            _ => match self.counter {
                Some(ending) => format!("the series, a *{ending},"),
                None => "the series".to_owned(),
            },
        }
    }
}

/// `30s`, `1m30s`: as `PromQL` writes a duration.
pub(super) fn duration(duration: Duration) -> String {
    let mut millis = duration.as_millis();
    let mut text = String::new();
    for (unit, length) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        let count = millis / length;
        millis %= length;
        if count > 0 {
            // Writing to a String cannot fail.
            let _ = write!(text, "{count}{unit}");
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}
