//! Plan of a request: the query that a backend gets. Pure: a rule, a request and names in, a query out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use language::selector::{Operator, Requirement, Selector};
use promql::{MatchOp, Matcher, matcher::is_label_name};

use super::{
    Failure, adapter,
    request::{self, MetricRequest, ObjectName},
};
use crate::{
    catalog::{Served, Subject},
    reason::Reason,
    resource::{ResourceInfo, Scope},
    rule::{BackendRecord, metrics_query::Ingredients},
};

/// The most that one query may hold, in bytes: names of ten thousand pods fit.
pub const QUERY_MAX: usize = 1 << 20;

/// One query to a backend.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Whom to ask.
    pub backend: Arc<BackendRecord>,
    /// The query, ready to send.
    pub promql: Arc<str>,
    /// More rows than this fail the request; `None`: no limit.
    pub max_samples: Option<u64>,
    /// How old an answer may be that is served; zero: none is.
    pub refresh: Duration,
}

/// A query and what its rows must satisfy.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `None`: no object was selected, so there is nothing to ask.
    pub ask: Option<Ask>,
    /// The rule and its metric.
    pub served: Served,
    /// Rows must carry one of these names; empty for an External metric.
    pub names: BTreeSet<Arc<str>>,
    /// Whether one object was asked for by its name.
    pub by_name: bool,
    /// The kind and the label of its objects' names; `None` for an External metric.
    pub subject: Option<(Arc<ResourceInfo>, Arc<str>)>,
    /// The label that must hold `namespace` where a row carries it.
    pub namespace_label: Option<Arc<str>>,
    /// The namespace of the request.
    pub namespace: Option<Arc<str>>,
    /// The lowest target that an HPA divides the sum of the values by, in thousandths; `None` where none is known.
    pub target: Option<i64>,
    /// As the request named it; for the sentence of a failure.
    pub sought: String,
}

/// Plans a request for the metric of a rule. `names` are those of the objects that were asked for or selected; none gives a plan
/// without an ask. An external metric has none.
///
/// # Errors
///
/// `InvalidSelector` and `SelectorRequired` for what the request sent; the rule's own reason where it cannot answer.
pub fn plan(request: &MetricRequest, served: &Served, names: &[String]) -> Result<Plan, Failure> {
    match request {
        MetricRequest::Custom(request) => plan_custom(served, request, names),
        MetricRequest::External(request) => plan_external(served, request),
    }
}

pub(super) fn plan_custom(
    served: &Served,
    route: &request::Custom,
    names: &[String],
) -> Result<Plan, Failure> {
    let Subject::Object { resource, label } = &served.metric.subject else {
        return Err(Failure::new(
            Reason::UnknownMetric,
            "the metric describes no objects",
        ));
    };
    let like_adapter = served.rule.like_adapter();
    if like_adapter {
        adapter::admit(&served.rule, resource, route, names)?;
    }
    let namespace = match &route.object {
        // The namespace is the object here, and its name is matched as that.
        ObjectName::Namespace => None,
        ObjectName::Named(_) | ObjectName::All => route.namespace.as_deref(),
    };
    let namespace_label = served
        .rule
        .namespace_label
        .as_deref()
        .filter(|_| namespace.is_some())
        .map(Arc::<str>::from);
    let mut ingredients = ingredients(served, &route.metric_selector)?;
    if let (Some(label), Some(namespace)) = (&namespace_label, namespace) {
        ingredients.require(label, &[namespace.to_owned()], like_adapter);
    }
    let plan = |ask| Plan {
        ask,
        served: served.clone(),
        names: names.iter().map(|name| name.as_str().into()).collect(),
        by_name: !matches!(route.object, ObjectName::All),
        subject: Some((resource.clone(), label.clone())),
        namespace_label: namespace_label.clone(),
        namespace: namespace
            .filter(|_| resource.scope == Scope::Namespaced || namespace_label.is_some())
            .map(Into::into),
        target: None,
        sought: if like_adapter {
            route.sought_object()
        } else {
            route.sought()
        },
    };
    if names.is_empty() {
        return Ok(plan(None));
    }
    ingredients.require(label, names, like_adapter);
    ingredients.group_by = vec![label.to_string()];
    let ask = ask(served, &ingredients)?;
    Ok(plan(Some(ask)))
}

pub(super) fn plan_external(served: &Served, route: &request::External) -> Result<Plan, Failure> {
    let mut ingredients = ingredients(served, &route.selector)?;
    let label = served.rule.namespace_label.as_deref();
    if let Some(label) = label {
        let like_adapter = served.rule.like_adapter();
        ingredients.require(label, std::slice::from_ref(&route.namespace), like_adapter);
    }
    Ok(Plan {
        ask: Some(ask(served, &ingredients)?),
        served: served.clone(),
        names: BTreeSet::new(),
        by_name: false,
        subject: None,
        namespace_label: label.map(Into::into),
        namespace: Some(route.namespace.as_str().into()),
        // For External metrics an HPA checks what it divides.
        target: None,
        sought: route.sought(),
    })
}

// === impl Ingredients ===

impl Ingredients {
    /// Adds a matcher for one of `values` of `label`, unless the same one is there already (the label of an object may be
    /// that of its namespace); prometheus-adapter writes it twice.
    fn require(&mut self, label: &str, values: &[String], like_adapter: bool) {
        let matcher = if like_adapter {
            adapter::one_of(label, values)
        } else {
            Matcher::one_of(label, values)
        };
        if like_adapter || !self.matchers.contains(&matcher) {
            self.matchers.push(matcher);
        }
        // The path decides which object and namespace are meant, whatever the selector says.
        self.values.insert(label.to_owned(), values.to_vec());
    }
}

fn ingredients(served: &Served, selector: &Selector) -> Result<Ingredients, Failure> {
    let mut matchers = Vec::new();
    let mut values = BTreeMap::new();
    let like_adapter = served.rule.like_adapter();
    for requirement in &selector.requirements {
        let checked = matcher(requirement)?;
        matchers.push(match adapter::matcher(requirement) {
            Some(matcher) if like_adapter => matcher,
            _ => checked,
        });
        let fills = like_adapter
            || matches!(
                requirement.operator,
                Operator::Equals | Operator::DoubleEquals | Operator::In
            );
        if fills {
            values.insert(requirement.key.clone(), requirement.values.clone());
        }
    }
    let series = served.metric.series.to_string();
    Ok(Ingredients {
        series,
        matchers,
        values,
        group_by: Vec::new(),
    })
}

fn matcher(requirement: &Requirement) -> Result<Matcher, Failure> {
    let Requirement {
        key,
        operator,
        values,
    } = requirement;
    if !is_label_name(key) {
        return Err(Failure::new(
            Reason::InvalidSelector,
            format!(
                "{key:?} in the metric's selector is not a valid label name of a metric ([a-zA-Z_][a-zA-Z0-9_]*); \
                 select by the labels of the metric, not of a Kubernetes object"
            ),
        ));
    }
    Ok(match operator {
        Operator::Equals | Operator::DoubleEquals | Operator::In => Matcher::one_of(key, values),
        Operator::NotEquals | Operator::NotIn => {
            let any = Matcher::one_of(key, values);
            let op = if any.op == MatchOp::Equal {
                MatchOp::NotEqual
            } else {
                MatchOp::NotRegex
            };
            Matcher { op, ..any }
        }
        Operator::Exists => Matcher::new(key, MatchOp::NotEqual, ""),
        Operator::DoesNotExist => Matcher::equal(key, ""),
        Operator::GreaterThan | Operator::LessThan => {
            let message = format!("`<` and `>` ({key:?}) compare numbers, but labels of metrics are strings");
            return Err(Failure::new(Reason::InvalidSelector, message));
        }
    })
}

fn ask(served: &Served, ingredients: &Ingredients) -> Result<Ask, Failure> {
    let rule = &served.rule;
    let backend = rule
        .backend
        .as_ref()
        .map_err(|problem| Failure::of_rule(&rule.key().to_string(), problem))?;
    let Some(query) = &rule.query else {
        return Err(Failure::new(
            Reason::Internal,
            format!("the rule {} has no query", rule.key()),
        ));
    };
    let promql = query.render(ingredients).map_err(|error| {
        let place = error.position.map_or_else(String::new, |p| {
            format!(" at spec.metricsQuery:{}:{}", p.line, p.column)
        });
        match error.reason {
            // These are about the request, and are for whoever sent it.
            Reason::SelectorRequired | Reason::LimitExceeded => Failure::new(error.reason, error.message),
            reason => Failure::new(
                reason,
                format!(
                    "the query of the rule {}{place} cannot be rendered for this request: {}",
                    rule.key(),
                    error.message
                ),
            ),
        }
    })?;
    if promql.len() > QUERY_MAX {
        return Err(Failure::new(
            Reason::LimitExceeded,
            format!(
                "the query for these objects would be longer than {QUERY_MAX} bytes; select fewer objects"
            ),
        ));
    }
    let max_samples = match rule.limits.max_samples {
        0 => None,
        limit => Some(limit.into()),
    };
    Ok(Ask {
        backend: backend.clone(),
        promql: promql.into(),
        max_samples,
        refresh: rule.refresh,
    })
}
