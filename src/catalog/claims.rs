//! Claims: the rule that answers if several claim one metric. It depends on specs and listings, never on their order.

use std::{collections::BTreeMap, sync::Arc};

use super::{ClaimKey, Served, Standing, possible::Possible};
use crate::{
    api::metric_rule::RuleKey,
    rule::{CompiledRule, Namespaces, table::precedence},
};

/// How many metrics a conflict names.
const NAMED: usize = 5;

/// The claims of one metric of one kind.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// Of `MetricRule`s, by their namespace.
    own: BTreeMap<Arc<str>, Vec<Claim>>,
    /// Of `ClusterMetricRule`s.
    cluster: Vec<Claim>,
}

/// One rule's claim.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// The rule as it is now: its reach and its rank decide, whichever of its specs answers.
    pub(super) rule: Arc<CompiledRule>,
    /// What a request is answered by.
    pub(super) served: Served,
}

/// What a rule claims and another rule answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// At most five of the metrics.
    pub metrics: Vec<Arc<str>>,
    /// How many claims it lost.
    pub total: usize,
    /// The rule that answers the first of them.
    pub winner: RuleKey,
    /// Whether there is no claim left that it answers.
    pub serves_nothing: bool,
}

// === impl Claim ===

impl Claim {
    /// Whether a former spec of the rule would answer.
    fn is_former(&self) -> bool {
        self.served.rule.object.generation != self.rule.object.generation
    }
}

// === impl Claims ===

impl Claims {
    pub(super) fn add(&mut self, claim: Claim) {
        match &claim.rule.key().namespace {
            Some(namespace) => self.own.entry(namespace.as_str().into()).or_default().push(claim),
            None => self.cluster.push(claim),
        }
    }

    /// Whether some listing has found it for some rule.
    pub(super) fn were_found(&self) -> bool {
        self.all()
            .any(|claim| !matches!(claim.served.standing, Standing::Unlisted(_)))
    }

    /// Lets a claim that is recorded nowhere be answered, where no other rule claims the same or could. Not one of a former spec:
    /// which former specs go on elsewhere no replica knows.
    pub(super) fn let_alone(&mut self, key: &ClaimKey, possible: &Possible<'_>) {
        let alone: Vec<RuleKey> = self
            .all()
            .filter(|claim| claim.served.standing == Standing::Unrecorded && !claim.is_former())
            .filter(|claim| {
                let contested = self.all().any(|other| {
                    other.rule.key() != claim.rule.key()
                        && other
                            .rule
                            .scope
                            .overlaps(&claim.rule.scope, possible.namespaces())
                });
                !contested && !possible.contested(&claim.rule, key)
            })
            .map(|claim| claim.rule.key().clone())
            .collect();
        for claim in self.own.values_mut().flatten().chain(&mut self.cluster) {
            if claim.served.standing == Standing::Unrecorded && alone.contains(claim.rule.key()) {
                claim.served.standing = Standing::Answers;
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = &Claim> {
        self.own.values().flatten().chain(&self.cluster)
    }

    /// Sorts the claims and notes who lost. A `ClusterMetricRule` that a `MetricRule` shadows in its namespace has lost
    /// nothing.
    pub(super) fn settle(
        &mut self,
        metric: &Arc<str>,
        namespaces: &Namespaces,
        conflicts: &mut BTreeMap<RuleKey, Conflict>,
    ) {
        for claims in self.own.values_mut().chain([&mut self.cluster]) {
            claims.sort_by(|a, b| precedence(&a.rule, &b.rule));
            for (index, loser) in claims.iter().enumerate() {
                let mut before = claims.iter().take(index);
                let Some(winner) = before.find(|w| w.rule.scope.overlaps(&loser.rule.scope, namespaces))
                else {
                    continue;
                };
                let conflict = conflicts
                    .entry(loser.rule.key().clone())
                    .or_insert_with(|| Conflict {
                        metrics: Vec::new(),
                        total: 0,
                        winner: winner.rule.key().clone(),
                        serves_nothing: false,
                    });
                conflict.total += 1;
                if conflict.metrics.len() < NAMED && !conflict.metrics.contains(metric) {
                    conflict.metrics.push(metric.clone());
                }
            }
        }
    }

    /// The namespaces whose `MetricRule`s make the metric; none where a `ClusterMetricRule` does.
    pub(super) fn owners(&self) -> Vec<&str> {
        if self.cluster.is_empty() {
            self.own.keys().map(AsRef::as_ref).collect()
        } else {
            Vec::new()
        }
    }

    /// Whether the first of the cluster's rules answers as prometheus-adapter does.
    pub(super) fn like_adapter(&self) -> bool {
        self.cluster
            .first()
            .is_some_and(|claim| claim.served.rule.like_adapter())
    }

    /// The claim that answers a request of `namespace`.
    pub(super) fn winner(&self, namespace: Option<&str>, namespaces: &Namespaces) -> Option<&Served> {
        let own = namespace.and_then(|namespace| self.own.get(namespace)?.first());
        let claim = own.or_else(|| {
            self.cluster
                .iter()
                .find(|claim| claim.rule.scope.covers(namespace, namespaces))
        });
        claim.map(|claim| &claim.served)
    }
}
