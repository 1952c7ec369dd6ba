//! What a rule could claim, by its spec alone: whether a claim may still be its, and what it says literally.

use std::{collections::BTreeMap, sync::Arc};

use super::{ClaimKey, Metric, Subject, derive::may_describe, recorded::RecordedClaim};
use crate::{
    api::rule_spec::MetricsApi,
    language::promql::matcher::is_label_name,
    resource::{ResourceInfo, Resources, Scope},
    rule::{CompiledRule, Namespaces, RuleTable, naming::Source},
};

/// What the rules of a table could claim beyond what they do.
pub(super) struct Possible<'a> {
    table: &'a RuleTable,
    /// Rules that can make one metric alone, by its name.
    single: BTreeMap<String, Vec<&'a Arc<CompiledRule>>>,
    /// All others that list series.
    open: Vec<&'a Arc<CompiledRule>>,
}

// === impl Possible ===

impl<'a> Possible<'a> {
    pub(super) fn new(table: &'a RuleTable) -> Self {
        let mut possible = Self {
            table,
            single: BTreeMap::new(),
            open: Vec::new(),
        };
        for rule in table.rules.iter() {
            match rule.naming.as_ref().map(|naming| &naming.source) {
                None => {}
                Some(Source::Static { metric }) => possible.add_single(metric.clone(), rule),
                Some(Source::Series { admitted, rename, .. }) => match admitted.only() {
                    None => possible.open.push(rule),
                    Some(series) => {
                        if let Ok(metric) = rename.metric_name(series) {
                            possible.add_single(metric, rule);
                        }
                    }
                },
            }
        }
        possible
    }

    pub(super) fn namespaces(&self) -> &'a Namespaces {
        &self.table.namespaces
    }

    /// Whether a rule other than `rule` could claim what it claims, for a request that both are for.
    pub(super) fn contested(&self, rule: &CompiledRule, key: &ClaimKey) -> bool {
        let single = self.single.get(&*key.name).into_iter().flatten();
        single.chain(&self.open).any(|other| {
            other.key() != rule.key()
                && could_claim(other, key, &self.table.resources)
                && other.scope.overlaps(&rule.scope, &self.table.namespaces)
        })
    }

    fn add_single(&mut self, metric: String, rule: &'a Arc<CompiledRule>) {
        self.single.entry(metric).or_default().push(rule);
    }
}

/// Whether `rule` makes this claim where a series of that name with that label is there.
pub(super) fn can_make(
    rule: &CompiledRule,
    key: &ClaimKey,
    claim: &RecordedClaim,
    resources: &Resources,
) -> bool {
    made(rule, key, claim, resources).is_some_and(|name| name == key.name)
}

/// What `rule` calls the metric that it makes of a recorded series for a kind; `None` where it makes none of it.
pub(super) fn made(
    rule: &CompiledRule,
    key: &ClaimKey,
    claim: &RecordedClaim,
    resources: &Resources,
) -> Option<Arc<str>> {
    let name = match &rule.naming.as_ref()?.source {
        Source::Static { metric } => claim.series.is_empty().then(|| metric.as_str().into()),
        Source::Series {
            admitted,
            filters,
            rename,
            ..
        } => {
            let is_kept =
                admitted.admits(&claim.series) && filters.iter().all(|filter| filter.keeps(&claim.series));
            let name = rename.metric_name(&claim.series).ok();
            name.filter(|_| is_kept).map(Into::into)
        }
    };
    let describes_kind = match (&key.resource, rule.api) {
        (None, MetricsApi::External) => true,
        (Some(kind), MetricsApi::Custom) => resources
            .resolve(kind)
            .is_some_and(|info| describes(rule, info, &claim.label, resources)),
        _ => false,
    };
    name.filter(|_| describes_kind)
}

/// Whether some series that the backend may have could make `rule` claim what `key` says. Rather yes than no.
fn could_claim(rule: &CompiledRule, key: &ClaimKey, resources: &Resources) -> bool {
    let Some(naming) = &rule.naming else { return false };
    let kind = match (&key.resource, rule.api) {
        (None, MetricsApi::External) => None,
        (Some(kind), MetricsApi::Custom) => Some(kind),
        _ => return false,
    };
    let named = match &naming.source {
        Source::Static { metric } => **metric == *key.name,
        Source::Series {
            admitted,
            filters,
            rename,
            ..
        } => match admitted.only() {
            Some(series) => {
                filters.iter().all(|filter| filter.keeps(series))
                    && rename.metric_name(series).is_ok_and(|name| name == *key.name)
            }
            None => rename.could_make(&key.name),
        },
    };
    named
        && kind.is_none_or(|kind| {
            let info = resources.resolve(kind);
            info.is_some_and(|info| {
                may_describe(rule, info)
                    && (naming.association.has_template() || naming.association.label_for(info).is_some())
            })
        })
}

/// Whether a request for what `key` says may be about `rule`, as far as its spec can be read.
pub(super) fn may_be_about(rule: &CompiledRule, key: &ClaimKey, resources: &Resources) -> bool {
    if rule.naming.is_some() {
        return could_claim(rule, key, resources);
    }
    let Ok(spec) = &rule.object.spec else { return true };
    let api = match key.resource {
        Some(_) => MetricsApi::Custom,
        None => MetricsApi::External,
    };
    spec.api == api
        && rule
            .literal
            .as_ref()
            .is_none_or(|literal| literal.metric == key.name)
}

/// What `rule` claims by the words of its spec, whatever else is wrong with it: a static name, or the one series name through
/// filters and `name`, for the kinds of `overrides`. It ignores parts that cannot be read; without a name there is no claim.
pub(super) fn literal(rule: &CompiledRule, resources: &Resources) -> Vec<Metric> {
    let Ok(spec) = &rule.object.spec else {
        return Vec::new();
    };
    let Some(literal) = &rule.literal else {
        return Vec::new();
    };
    let metric = |subject| Metric {
        name: literal.metric.clone(),
        series: literal.series.clone(),
        subject,
    };
    if spec.api == MetricsApi::External {
        return vec![metric(Subject::External)];
    }
    let mut kinds = BTreeMap::new();
    let overrides = spec.resources.iter().flat_map(|mapping| &mapping.overrides);
    for (label, named) in overrides.filter(|(label, _)| is_label_name(label)) {
        let info = resources.find(named.group.as_deref(), &named.resource);
        if let Some(info) = info.filter(|info| may_describe(rule, info)) {
            kinds
                .entry(info.group_resource.clone())
                .or_insert_with(|| Subject::Object {
                    resource: Arc::new(info.clone()),
                    label: label.as_str().into(),
                });
        }
    }
    kinds.into_values().map(metric).collect()
}

fn describes(rule: &CompiledRule, info: &ResourceInfo, label: &str, resources: &Resources) -> bool {
    let Some(naming) = &rule.naming else { return false };
    if !may_describe(rule, info) {
        return false;
    }
    if rule.like_adapter() {
        return naming.association.label_for(info).as_deref() == Some(label);
    }
    let has_namespace = info.scope == Scope::Cluster || rule.namespace_label.is_some();
    has_namespace && naming.association.resource_of(label, resources) == Some(info)
}
