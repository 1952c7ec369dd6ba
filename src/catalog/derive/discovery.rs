//! Discovery: what one rule's filters, naming and association make of a group of series, each by itself.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use crate::{
    api::rule_spec::MetricsApi,
    catalog::metric::{Metric, Subject},
    reason::Reason,
    resource::{GroupResource, ResourceInfo, Resources, Scope},
    rule::{
        Association, CompiledRule,
        naming::{Filter, Naming, Rename, Source},
    },
    sample::{NAME_LABEL, SeriesGroup, SeriesSet},
};

/// The part of a rule that series go through.
pub(super) struct Discovery<'a> {
    rule: &'a CompiledRule,
    association: &'a Association,
    filters: &'a [Filter],
    rename: &'a Rename,
    resources: &'a Resources,
    /// How many series count.
    pub(super) limit: usize,
    /// Many series share a name and a label; both are worked out once.
    names: RefCell<BTreeMap<&'a str, Result<Arc<str>, Reason>>>,
    kinds: RefCell<BTreeMap<&'a str, Option<Kind>>>,
}

/// A kind that a label tells of, and the label that queries ask by.
type Kind = (Arc<ResourceInfo>, Arc<str>);

// === impl Discovery ===

impl<'a> Discovery<'a> {
    /// `None` for a static rule, and for one without a name.
    pub(super) fn new(rule: &'a CompiledRule, resources: &'a Resources) -> Option<Self> {
        let Naming {
            source: Source::Series { filters, rename, .. },
            association,
        } = rule.naming.as_ref()?
        else {
            return None;
        };
        Some(Self {
            rule,
            association,
            filters,
            rename,
            resources,
            limit: limit(rule.limits.max_series),
            names: RefCell::default(),
            kinds: RefCell::default(),
        })
    }

    /// The groups of the series, how many series each stands for, and whether those are within the limit; a group that the limit
    /// cuts comes twice.
    pub(super) fn parts<'s>(
        &self,
        series: &'s SeriesSet,
    ) -> impl Iterator<Item = (&'s SeriesGroup, usize, bool)> + use<'s> {
        let mut left = self.limit;
        let parts = series.groups().flat_map(move |group| {
            let within = group.count().min(left);
            left -= within;
            [(group, within, true), (group, group.count() - within, false)]
        });
        parts.filter(|(_, count, _)| *count > 0)
    }

    /// The metrics that the series of a group make, should no others make the same.
    pub(super) fn metrics(&self, group: &'a SeriesGroup) -> Result<Vec<Metric>, Reason> {
        let mut names = self.names.borrow_mut();
        let name = names
            .entry(group.name())
            .or_insert_with(|| self.metric_name(group.name()))
            .clone()?;
        let metric = |subject| Metric {
            name: name.clone(),
            series: group.name().clone(),
            subject,
        };
        Ok(self.subjects(group)?.into_iter().map(metric).collect())
    }

    fn metric_name(&self, series: &str) -> Result<Arc<str>, Reason> {
        if !self.filters.iter().all(|filter| filter.keeps(series)) {
            return Err(Reason::Filtered);
        }
        self.rename.metric_name(series).map(Into::into)
    }

    fn subjects(&self, group: &'a SeriesGroup) -> Result<Vec<Subject>, Reason> {
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
        let mut kinds = self.kinds.borrow_mut();
        for label in group.labels() {
            if like_adapter && label == NAME_LABEL {
                continue;
            }
            let kind = kinds.entry(label).or_insert_with(|| self.kind(label));
            let Some((resource, label)) = kind else { continue };
            if resource.scope == Scope::Namespaced && !has_namespace {
                lacking = Reason::NoNamespaceLabel;
                continue;
            }
            subjects.push(Subject::Object {
                resource: resource.clone(),
                label: label.clone(),
            });
        }
        if subjects.is_empty() {
            Err(lacking)
        } else {
            Ok(subjects)
        }
    }

    /// The kind that a label tells of, where the rule may describe it.
    fn kind(&self, label: &str) -> Option<Kind> {
        let resource = self
            .association
            .resource_of(label, self.resources)
            .filter(|resource| may_describe(self.rule, resource))?;
        // There a kind has one label for all queries, whichever label of a series told of it.
        let asked = if self.rule.like_adapter() {
            self.association.label_for(resource)?
        } else {
            label.to_owned()
        };
        Some((Arc::new(resource.clone()), asked.into()))
    }
}

/// A `MetricRule` describes nothing outside its namespace but the namespace itself.
pub(in crate::catalog) fn may_describe(rule: &CompiledRule, resource: &ResourceInfo) -> bool {
    !rule.is_namespaced()
        || resource.scope == Scope::Namespaced
        || resource.group_resource == GroupResource::namespaces()
}

/// A limit of a rule; 0 is none.
pub(super) fn limit(limit: u32) -> usize {
    match limit {
        0 => usize::MAX,
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    }
}
