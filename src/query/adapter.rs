//! prometheus-adapter's reading of a request, where it differs.

use language::selector::{Operator, Requirement};
use promql::{MatchOp, Matcher};

use super::{
    Failure,
    request::{self, ObjectName},
};
use crate::{reason::Reason, resource::ResourceInfo, rule::CompiledRule};

/// The matcher of a requirement: a list of one value is a pattern still, several are joined without being escaped
/// (`selectMatcher` and `selectTargetValue`, `pkg/naming/metrics_query.go`). `None` for `<` and `>`.
pub(super) fn matcher(requirement: &Requirement) -> Option<Matcher> {
    let values = &requirement.values;
    let several = values.len() > 1;
    let op = match requirement.operator {
        Operator::Equals | Operator::DoubleEquals if several => MatchOp::Regex,
        Operator::NotEquals if several => MatchOp::NotRegex,
        Operator::Equals | Operator::DoubleEquals | Operator::DoesNotExist => MatchOp::Equal,
        Operator::NotEquals | Operator::Exists => MatchOp::NotEqual,
        Operator::In => MatchOp::Regex,
        Operator::NotIn => MatchOp::NotRegex,
        Operator::GreaterThan | Operator::LessThan => return None,
    };
    Some(Matcher::new(&requirement.key, op, values.join("|")))
}

/// The matcher of the objects asked for, by their names as they are (`Build`, `pkg/naming/metrics_query.go`).
pub(super) fn one_of(label: &str, names: &[String]) -> Matcher {
    let op = if names.len() > 1 {
        MatchOp::Regex
    } else {
        MatchOp::Equal
    };
    Matcher::new(label, op, names.join("|"))
}

/// Whether a request is one that it answers at all.
///
/// # Errors
///
/// `UnknownMetric` for a kind at the wrong end of the path (only namespaces, nodes and persistentvolumes are asked for beside
/// namespaces: `SetSeries`, `pkg/custom-provider/series_registry.go`), for a request of a namespace where no label holds one,
/// and where no object was selected (`QueryForMetric`, there).
pub(super) fn admit(
    rule: &CompiledRule,
    resource: &ResourceInfo,
    route: &request::Custom,
    names: &[String],
) -> Result<(), Failure> {
    let unknown = |cause: &str| {
        Err(Failure::new(Reason::UnknownMetric, cause)
            .after(route.sought_kind())
            .in_words_of(rule))
    };
    let of_namespace = route.namespace.is_some() && route.object != ObjectName::Namespace;
    if of_namespace == resource.is_root() {
        return unknown("prometheus-adapter knows the kind at the other end of the path");
    }
    if of_namespace && rule.namespace_label.is_none() {
        return unknown("the rule maps no label to namespaces");
    }
    if names.is_empty() {
        return unknown("the selector matches no objects");
    }
    Ok(())
}
