//! Weight of a rule: what it takes of a replica's memory, estimated from its spec alone, so that it is the same on every
//! replica.

use super::{CompiledRule, RuleObject};
use crate::api::rule_spec::RuleSpec;

/// A rule of which there is nothing to say.
const LEAST: usize = 1 << 10;
/// A label that names a kind, compiled.
const LABEL: usize = 512;

impl CompiledRule {
    /// What the rule takes, in bytes.
    pub fn weight(&self) -> usize {
        let patterns = self.naming.as_ref().map_or(0, super::Naming::weight);
        self.object.weight().saturating_add(patterns)
    }
}

impl RuleObject {
    /// What the rule as it was read takes, and what is made of its texts.
    fn weight(&self) -> usize {
        let violations: usize = self
            .violations
            .iter()
            .map(|violation| violation.path.len() + violation.message.len())
            .sum();
        let spec = match &self.spec {
            Ok(spec) => of_spec(spec),
            Err(message) => message.len(),
        };
        LEAST + 2 * violations + spec
    }
}

/// Templates and queries become trees: some words of memory for each piece of a few letters.
fn of_spec(spec: &RuleSpec) -> usize {
    let text = |text: Option<&String>| text.map_or(0, String::len);
    let filters: usize = spec
        .series_filters
        .iter()
        .map(|filter| text(filter.is.as_ref()) + text(filter.is_not.as_ref()))
        .sum();
    let names = spec
        .name
        .as_ref()
        .map_or(0, |name| text(name.matches.as_ref()) + text(name.r#as.as_ref()));
    let resources = spec.resources.as_ref().map_or(0, |resources| {
        let overrides: usize = resources
            .overrides
            .iter()
            .map(|(label, kind)| LABEL + 4 * (label.len() + kind.resource.len() + text(kind.group.as_ref())))
            .sum();
        overrides + 16 * text(resources.template.as_ref())
    });
    let backend = spec.backend_ref.as_ref().map_or(0, |backend| backend.name.len());
    16 * spec.metrics_query.len()
        + 16 * text(spec.series_query.as_ref())
        + 16 * names
        + 4 * (filters + backend)
        + resources
}
