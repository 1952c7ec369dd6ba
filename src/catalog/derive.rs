//! Derivation of one rule's metrics from the series of its selector.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    api::rule_spec::MetricsApi,
    reason::Reason,
    resource::{GroupResource, ResourceInfo, Resources, Scope},
    rule::{
        Association, CompiledRule,
        naming::{Filter, Rename, Source},
    },
    sample::{NAME_LABEL, SeriesGroup, SeriesSet},
};

/// How many discovered metrics a status shows.
const SAMPLES: usize = 10;

/// A metric that a rule makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// As requests name it.
    pub name: Arc<str>,
    /// The series that it is made from; empty for a static rule.
    pub series: Arc<str>,
    /// What it describes.
    pub subject: Subject,
}

/// What a metric describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Objects of a kind.
    Object {
        /// The kind.
        resource: Arc<ResourceInfo>,
        /// The label that holds an object's name.
        label: Arc<str>,
    },
    /// Nothing in the cluster.
    External,
}

/// The metrics of one rule.
#[derive(Clone, Debug)]
pub struct RuleMetrics {
    /// The rule.
    pub rule: Arc<CompiledRule>,
    /// By name, then kind.
    pub metrics: Vec<Metric>,
    /// The counts behind them.
    pub discovered: Discovered,
    /// The names of series that a metric's name is made of, and that name no object.
    pub nobodys: BTreeSet<Arc<str>>,
}

/// What became of a rule's series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovered {
    /// Series that the selector matched.
    pub series: usize,
    /// Different metric names.
    pub metrics: usize,
    /// Series, or for `Duplicate` and `Truncated` names, that came to nothing.
    pub dropped: BTreeMap<Reason, usize>,
    /// At most ten: series, metric, group-resource.
    pub sample: Vec<(Arc<str>, Arc<str>, Option<GroupResource>)>,
}

/// From (metric, kind) to the series that makes it.
type Found = BTreeMap<(Arc<str>, Option<GroupResource>), Metric>;

/// The metrics that `rule` makes of `series`; a static rule needs none.
pub fn derive(rule: &Arc<CompiledRule>, series: &SeriesSet, resources: &Resources) -> RuleMetrics {
    let mut discovered = Discovered::default();
    let mut nobodys = BTreeSet::new();
    let found = match rule
        .naming
        .as_ref()
        .map(|naming| (&naming.source, &naming.association))
    {
        None => Found::new(),
        Some((Source::Static { metric }, association)) => {
            static_metrics(rule, metric, association, &mut discovered)
        }
        Some((Source::Series { filters, rename, .. }, association)) => {
            let naming = Discovery {
                rule,
                association,
                filters,
                rename,
                resources,
            };
            naming.metrics(series, &mut discovered, &mut nobodys)
        }
    };
    let found = truncate(rule, found, &mut discovered);
    let names: BTreeSet<&Arc<str>> = found.keys().map(|(name, _)| name).collect();
    discovered.metrics = names.len();
    discovered.sample = found
        .iter()
        .take(SAMPLES)
        .map(|((name, resource), metric)| (metric.series.clone(), name.clone(), resource.clone()))
        .collect();
    RuleMetrics {
        rule: rule.clone(),
        metrics: found.into_values().collect(),
        discovered,
        nobodys,
    }
}

struct Discovery<'a> {
    rule: &'a CompiledRule,
    association: &'a Association,
    filters: &'a [Filter],
    rename: &'a Rename,
    resources: &'a Resources,
}

// === impl Discovery ===

impl Discovery<'_> {
    fn metrics(
        &self,
        series: &SeriesSet,
        discovered: &mut Discovered,
        nobodys: &mut BTreeSet<Arc<str>>,
    ) -> Found {
        discovered.series = series.len();
        let limit = match self.rule.limits.max_series {
            0 => usize::MAX,
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        let usable = series.len() - series.unusable();
        if usable > limit {
            *discovered.dropped.entry(Reason::Truncated).or_default() += usable - limit;
        }
        if series.unusable() > 0 {
            *discovered.dropped.entry(Reason::InvalidName).or_default() += series.unusable();
        }
        let mut found = Found::new();
        let mut shadowed: BTreeSet<(Arc<str>, Arc<str>)> = BTreeSet::new();
        // Many series share a name and a label; both are worked out once.
        let mut names: BTreeMap<&str, Result<Arc<str>, Reason>> = BTreeMap::new();
        let mut kinds: BTreeMap<&str, Option<Arc<ResourceInfo>>> = BTreeMap::new();
        let mut left = limit;
        for group in series.groups() {
            // Of the last group that counts perhaps a part.
            let count = group.count().min(left);
            if count == 0 {
                break;
            }
            left -= count;
            let series_name = group.name();
            let metric = names
                .entry(series_name)
                .or_insert_with(|| self.metric_name(series_name))
                .clone();
            let outcome = metric.and_then(|metric| {
                let subjects = self.subjects(group, &mut kinds).inspect_err(|_| {
                    nobodys.insert(series_name.clone());
                })?;
                Ok((metric, subjects))
            });
            match outcome {
                Err(reason) => *discovered.dropped.entry(reason).or_default() += count,
                Ok((metric, subjects)) => {
                    for subject in subjects {
                        let new = Metric {
                            name: metric.clone(),
                            series: series_name.clone(),
                            subject,
                        };
                        if let Some(other) = insert(&mut found, new, self.rule.like_adapter()) {
                            shadowed.insert((metric.clone(), other));
                        }
                    }
                }
            }
        }
        if !shadowed.is_empty() {
            discovered.dropped.insert(Reason::Duplicate, shadowed.len());
        }
        found
    }

    fn metric_name(&self, series: &str) -> Result<Arc<str>, Reason> {
        if !self.filters.iter().all(|filter| filter.keeps(series)) {
            return Err(Reason::Filtered);
        }
        self.rename.metric_name(series).map(Into::into)
    }

    fn subjects<'s>(
        &self,
        group: &'s SeriesGroup,
        kinds: &mut BTreeMap<&'s str, Option<Arc<ResourceInfo>>>,
    ) -> Result<Vec<Subject>, Reason> {
        if self.rule.api == MetricsApi::External {
            return Ok(vec![Subject::External]);
        }
        // prometheus-adapter takes series without a namespace too (`SetSeries`, `pkg/custom-provider/series_registry.go`).
        let like_adapter = self.rule.like_adapter();
        let has_namespace = like_adapter
            || self
                .rule
                .namespace_label
                .as_deref()
                .is_some_and(|label| group.has(label));
        let mut subjects = Vec::new();
        let mut lacking = Reason::NoResource;
        for label in group.labels() {
            if like_adapter && label == NAME_LABEL {
                continue;
            }
            let kind = kinds.entry(label).or_insert_with(|| {
                self.association
                    .resource_of(label, self.resources)
                    .cloned()
                    .map(Arc::new)
            });
            let Some(resource) = kind.as_ref().filter(|resource| may_describe(self.rule, resource)) else {
                continue;
            };
            if resource.scope == Scope::Namespaced && !has_namespace {
                lacking = Reason::NoNamespaceLabel;
                continue;
            }
            // There a kind has one label for all queries, whichever label of a series told of it.
            let asked = if like_adapter {
                self.association.label_for(resource)
            } else {
                Some(label.to_owned())
            };
            let Some(asked) = asked else { continue };
            subjects.push(Subject::Object {
                resource: resource.clone(),
                label: asked.into(),
            });
        }
        if subjects.is_empty() {
            Err(lacking)
        } else {
            Ok(subjects)
        }
    }
}

fn static_metrics(
    rule: &CompiledRule,
    metric: &str,
    association: &Association,
    discovered: &mut Discovered,
) -> Found {
    let mut found = Found::new();
    let mut add = |subject| {
        insert(
            &mut found,
            Metric {
                name: metric.into(),
                series: "".into(),
                subject,
            },
            false,
        )
    };
    if rule.api == MetricsApi::External {
        add(Subject::External);
        return found;
    }
    for resource in association
        .overridden()
        .filter(|resource| may_describe(rule, resource))
    {
        let Some(label) = association.label_for(resource) else {
            continue;
        };
        // Without the namespace's label a query could not tell objects of one name in two namespaces apart.
        if resource.scope == Scope::Namespaced && rule.namespace_label.is_none() {
            *discovered.dropped.entry(Reason::NoNamespaceLabel).or_default() += 1;
            continue;
        }
        add(Subject::Object {
            resource: Arc::new(resource.clone()),
            label: label.into(),
        });
    }
    found
}

/// A `MetricRule` describes nothing outside its namespace but the namespace itself.
pub(super) fn may_describe(rule: &CompiledRule, resource: &ResourceInfo) -> bool {
    !rule.is_namespaced()
        || resource.scope == Scope::Namespaced
        || resource.group_resource == GroupResource::namespaces()
}

/// Keeps the lower series name where two make one metric, or the higher (`keep_last`: prometheus-adapter keeps the one that
/// the backend listed last, and backends list in order); gives the name that lost.
fn insert(found: &mut Found, new: Metric, keep_last: bool) -> Option<Arc<str>> {
    let resource = match &new.subject {
        Subject::Object { resource, .. } => Some(resource.group_resource.clone()),
        Subject::External => None,
    };
    let key = (new.name.clone(), resource);
    match found.get_mut(&key) {
        None => {
            found.insert(key, new);
            None
        }
        Some(known) if known.series == new.series => None,
        Some(known) if (known.series < new.series) != keep_last => Some(new.series),
        Some(known) => Some(std::mem::replace(known, new).series),
    }
}

fn truncate(rule: &CompiledRule, found: Found, discovered: &mut Discovered) -> Found {
    let limit = match rule.limits.max_metrics {
        0 => return found,
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let names: BTreeSet<Arc<str>> = found.keys().map(|(name, _)| name.clone()).collect();
    if names.len() <= limit {
        return found;
    }
    *discovered.dropped.entry(Reason::Truncated).or_default() += names.len() - limit;
    let kept: BTreeSet<Arc<str>> = names.into_iter().take(limit).collect();
    found
        .into_iter()
        .filter(|((name, _), _)| kept.contains(name))
        .collect()
}
