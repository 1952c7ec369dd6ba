//! Possible claims of a rule, from its spec alone: whether it may still make a claim, and what it names literally.

use std::{collections::BTreeMap, sync::Arc};

use promql::matcher::is_label_name;

use super::{ClaimKey, Metric, Subject, derive::may_describe, recorded::RecordedClaim};
use crate::{
    api::rule_spec::MetricsApi,
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

/// What a spec makes of a recorded series for a kind.
pub(super) enum Made {
    /// Nothing.
    Nothing,
    /// The metric of that name.
    Metric(Arc<str>),
    /// The metric of that name, where the series has another label too, of which the record does not tell.
    Perhaps(Arc<str>),
}

/// What `rule`, as it is now, makes of the series that a claim was recorded for.
pub(super) fn made(
    rule: &CompiledRule,
    key: &ClaimKey,
    claim: &RecordedClaim,
    resources: &Resources,
) -> Made {
    let Some(name) = name_of(rule, claim) else {
        return Made::Nothing;
    };
    let info = match (&key.resource, rule.api) {
        (None, MetricsApi::External) => return Made::Metric(name),
        (Some(kind), MetricsApi::Custom) => resources.resolve(kind),
        _ => None,
    };
    match info {
        Some(info) if describes(rule, info, &claim.label, resources) => Made::Metric(name),
        Some(info) if !claim.series.is_empty() && may_find(rule, info) => Made::Perhaps(name),
        _ => Made::Nothing,
    }
}

/// The label by which `rule` would know objects of the claim's kind, where it is another than the one that is recorded.
pub(super) fn label_now(
    rule: &CompiledRule,
    key: &ClaimKey,
    claim: &RecordedClaim,
    resources: &Resources,
) -> Option<Arc<str>> {
    let info = resources.resolve(key.resource.as_ref()?)?;
    if describes(rule, info, &claim.label, resources) {
        return None;
    }
    rule.naming.as_ref()?.association.label_for(info).map(Into::into)
}

fn name_of(rule: &CompiledRule, claim: &RecordedClaim) -> Option<Arc<str>> {
    match &rule.naming.as_ref()?.source {
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
    }
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
            info.is_some_and(|info| may_find(rule, info))
        })
}

/// Whether some label of a series could tell `rule` of objects of a kind.
fn may_find(rule: &CompiledRule, info: &ResourceInfo) -> bool {
    let Some(naming) = &rule.naming else { return false };
    let association = &naming.association;
    may_describe(rule, info) && (association.has_template() || association.label_for(info).is_some())
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
