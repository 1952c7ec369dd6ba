//! Advice for the author of a rule before the switch.

use language::template::{Fields, Template};
use promql::{
    SeriesSelector,
    re2::{Expansion, Re2},
};

use super::config::{RawResource, RawRule};
use crate::{
    api::rule_spec::MetricsApi,
    import::{Note, Severity},
    reason::Reason,
    resource::Resources,
    rule::Problem,
};

/// Adds what is worth knowing of one rule; the compiler's findings are not among it.
pub(super) fn rule(raw: &RawRule, resources: &Resources, notes: &mut Vec<Note>) {
    let mut advice = Advice { raw, notes };
    advice.name();
    advice.query();
    advice.resources(resources);
}

/// A query that asks for everything, whatever the request says, where the compiler could not read it well enough to say so.
pub(super) fn matchers(raw: &RawRule, found: &[Problem], notes: &mut Vec<Note>) {
    let said = found
        .iter()
        .any(|problem| problem.reason == Reason::MatchersIgnored);
    let Ok(template) = Template::parse(&raw.metrics_query, Fields::Query) else {
        return;
    };
    let references = template.references();
    let read = references
        .field("LabelMatchers")
        .or_else(|| references.field("LabelValuesByName"));
    if said || read.is_some() || raw.metrics_query.is_empty() {
        return;
    }
    let subject = if raw.api == MetricsApi::External {
        "the namespace and the selector"
    } else {
        "the objects and the namespace"
    };
    let message = format!("the query has no <<.LabelMatchers>>, so it ignores {subject} of a request");
    let place = raw.part.place("metricsQuery", None);
    notes.push(Note::new(
        Severity::Warning,
        place,
        Reason::MatchersIgnored,
        message,
    ));
}

struct Advice<'a> {
    raw: &'a RawRule,
    notes: &'a mut Vec<Note>,
}

// === impl Advice ===

impl Advice<'_> {
    fn warn(&mut self, field: &str, reason: Reason, message: impl Into<String>) {
        self.say(Severity::Warning, field, reason, message);
    }

    fn say(&mut self, severity: Severity, field: &str, reason: Reason, message: impl Into<String>) {
        let place = self.raw.part.place(field, None);
        self.notes.push(Note::new(severity, place, reason, message));
    }

    fn name(&mut self) {
        let (matches, r#as) = (self.raw.matches.as_str(), self.raw.r#as.as_str());
        let Ok(pattern) = Re2::compile(if matches.is_empty() { ".*" } else { matches }) else {
            return;
        };
        let selector = SeriesSelector::parse(&self.raw.series_query).ok();
        let series = selector.as_ref().and_then(SeriesSelector::name);
        let expansion = Expansion::parse(r#as);
        match series {
            Some(series) if !matches.is_empty() && !pattern.is_match(series) => {
                let message = format!(
                    "it does not match {series}, the only series of the rule, so the rule has no metrics"
                );
                self.warn("name.matches", Reason::NeverWorked, message);
            }
            Some(_) => {}
            None => {
                let constant = !r#as.is_empty() && expansion.references().next().is_none();
                if constant {
                    let message = "the rule can find several series, and all of them get this one name: \
                                   prometheus-adapter answers with a random one, metricrule with the first in \
                                   lexical order";
                    self.warn("name.as", Reason::Duplicate, message);
                }
                if !matches.is_empty() && !pattern.is_match("") {
                    let message = "it is also a filter: a series whose name does not match makes no metric";
                    self.say(Severity::Info, "name.matches", Reason::NameNotMatched, message);
                }
            }
        }
    }

    fn query(&mut self) {
        if self.raw.metrics_query.is_empty() {
            let message = "without metricsQuery, prometheus-adapter sends an empty query, which Prometheus refuses: every \
                 request fails";
            self.warn("", Reason::NeverWorked, message);
        }
    }

    fn resources(&mut self, resources: &Resources) {
        let namespaces = resources.find(Some(""), "namespaces");
        let mapped = |named: &RawResource| {
            let group = Some(named.group.as_str()).filter(|group| !group.is_empty());
            resources.find(group, &named.resource.to_lowercase())
        };
        let has_namespace = !self.raw.template.is_empty()
            || self
                .raw
                .overrides
                .values()
                .any(|named| namespaces.is_some() && mapped(named) == namespaces);
        if self.raw.api == MetricsApi::External && !has_namespace && self.raw.namespaced != Some(false) {
            let message = "no label is mapped to namespaces, so prometheus-adapter answers every request for the \
                           rule with 500; map one in resources.overrides, or set resources.namespaced to false";
            self.warn("", Reason::NeverWorked, message);
        }
    }
}
