//! Resolution: which rule answers a request, or why none does and which rules may be meant.

use super::{
    Failure,
    request::{self, MetricRequest},
};
use crate::{
    api::metric_rule::RuleKey,
    catalog::{Catalog, ClaimKey, Served, Standing},
    reason::Reason,
    resource::{GroupResource, ResourceInfo, Scope},
    rule::RuleTable,
};

/// How many rules the reply to a request for an unknown metric names, and how many kinds.
const NAMED: usize = 3;

/// Why no rule answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Rules and claims were not read yet.
    NotSynced,
    /// The cluster has no kind of that name.
    UnknownKind(GroupResource),
    /// Objects of this kind live in namespaces, and the request names none.
    NoNamespace(GroupResource),
    /// No rule makes the metric for the request.
    UnknownMetric {
        /// Other kinds that rules make it for.
        others: Vec<GroupResource>,
        /// Rules that are not in force and may make it, with the reason of each.
        near: Vec<(RuleKey, Reason)>,
    },
}

/// The rule that answers a request, and which of its metrics is meant. [`may_answer`] says whether it can be asked.
///
/// # Errors
///
/// See [`Refusal`].
pub fn resolve(catalog: &Catalog, request: &MetricRequest) -> Result<Served, Refusal> {
    if !catalog.is_synced() {
        return Err(Refusal::NotSynced);
    }
    let namespace = request.namespace();
    let (resource, served) = match request {
        MetricRequest::Custom(route) => {
            let resource = known_kind(catalog, route)?;
            let kind = &resource.group_resource;
            let served = catalog.custom(kind, &route.metric, namespace);
            let named = |served: &&Served| served.rule.like_adapter() || kind.group == route.resource.group;
            (Some(kind), served.filter(named))
        }
        MetricRequest::External(route) => (None, catalog.external(&route.metric, &route.namespace)),
    };
    served.cloned().ok_or_else(|| {
        let claim = ClaimKey {
            resource: resource.cloned(),
            name: request.metric().into(),
        };
        let near = catalog.near_misses(&claim, namespace, NAMED).into_iter();
        Refusal::UnknownMetric {
            others: resource.map_or_else(Vec::new, |kind| other_kinds(catalog, kind, request)),
            near: near.map(|(rule, reason)| (rule.clone(), reason)).collect(),
        }
    })
}

/// Whether the rule that a request belongs to can be asked for it.
///
/// # Errors
///
/// What is wrong with the rule or its backend, or `NotSynced` while its claim is not settled.
pub fn may_answer(table: &RuleTable, served: &Served, namespace: Option<&str>) -> Result<(), Failure> {
    let rule = &served.rule;
    if let Some(problem) = rule.refusal() {
        return Err(Failure::of_rule(&rule.key().to_string(), problem));
    }
    table
        .check_backend(rule, namespace)
        .map_err(|problem| Failure::new(problem.reason, problem.message))?;
    let because = |failure: Option<Reason>| {
        failure.map_or_else(String::new, |reason| {
            format!(" (the last listing failed: {})", reason.code())
        })
    };
    let waits_for = match served.standing {
        Standing::Answers => return Ok(()),
        Standing::Unrecorded => "its claim is recorded, because another rule may make it too".to_owned(),
        Standing::Edited(failure) => {
            format!("the series of its new spec are listed{}", because(failure))
        }
        Standing::Unlisted(failure) => format!("its series are listed{}", because(failure)),
    };
    let cause = format!(
        "the rule {} claims this metric, and answers when {waits_for}",
        rule.key()
    );
    Err(Failure::new(Reason::NotSynced, cause))
}

// === impl Refusal ===

impl Refusal {
    /// What the client is told.
    pub fn failure(&self, request: &MetricRequest) -> Failure {
        let cause = match self {
            Self::NotSynced => {
                let cause = "this replica has just started, and has not read the rules and their claims yet";
                return Failure::new(Reason::NotSynced, cause);
            }
            Self::UnknownKind(kind) => {
                format!(
                    "the cluster has no resource {kind}; write a resource of a group like deployments.apps"
                )
            }
            Self::NoNamespace(kind) => {
                format!("{kind} are namespaced: request them below /namespaces/{{namespace}}/")
            }
            Self::UnknownMetric { others, near } => {
                let cause = match request {
                    MetricRequest::External(_) => {
                        "no rule makes an external metric with that name for this namespace; `kubectl get \
                         metricrules,clustermetricrules -A` shows the rules"
                            .to_owned()
                    }
                    MetricRequest::Custom(_) if others.is_empty() => {
                        "no rule makes it for this request; `kubectl get metricrules,clustermetricrules -A` shows the \
                         rules, and their conditions show what happened to their series"
                            .to_owned()
                    }
                    MetricRequest::Custom(_) => {
                        let others: Vec<String> = others.iter().map(ToString::to_string).collect();
                        format!(
                            "no rule makes it for this kind of object; other rules make it for {}",
                            others.join(", ")
                        )
                    }
                };
                // Nothing of a rule's text.
                let near = near.iter().map(|(rule, reason)| {
                    let reason = reason.code();
                    format!("; the {rule} is not active ({reason}) and may make it")
                });
                std::iter::once(cause).chain(near).collect()
            }
        };
        Failure::new(Reason::UnknownMetric, cause).after(request.sought())
    }
}

fn known_kind<'a>(catalog: &'a Catalog, route: &request::Custom) -> Result<&'a ResourceInfo, Refusal> {
    // prometheus-adapter takes a bare name of any group; a rule in its semantics alone is served by one.
    let resources = &catalog.table.resources;
    let bare = || {
        let name = Some(&route.resource).filter(|named| named.group.is_empty())?;
        resources.find(None, &name.resource)
    };
    let resource = resources
        .resolve(&route.resource)
        .or_else(bare)
        .ok_or_else(|| Refusal::UnknownKind(route.resource.clone()))?;
    if route.namespace.is_none() && resource.scope == Scope::Namespaced {
        return Err(Refusal::NoNamespace(resource.group_resource.clone()));
    }
    Ok(resource)
}

fn other_kinds(catalog: &Catalog, kind: &GroupResource, request: &MetricRequest) -> Vec<GroupResource> {
    let kinds = catalog.custom_metrics().map(|(other, _)| &other.group_resource);
    kinds
        .filter(|other| {
            let (metric, namespace) = (request.metric(), request.namespace());
            *other != kind && catalog.custom(other, metric, namespace).is_some()
        })
        .take(NAMED)
        .cloned()
        .collect()
}
