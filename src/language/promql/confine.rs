//! Confines a query to the series that one matcher picks: how a `MetricRule` sees its own namespace only.
//!
//! What is sent is our print of the parsed tree, never the author's text, so that no difference between two parsers' readings of
//! that text can matter. The print is parsed again and compared, and every selector in it is looked at once more.

use promql_parser::label::{MatchOp as ParserOp, Matcher as ParserMatcher};
use promql_parser::parser::{Expr, Offset, VectorSelector};

use super::matcher::{MatchOp, Matcher, NAME_LABEL};
use super::syntax::{Query, QueryError, line_and_column, pattern_op};
use super::tree::Tree;
use super::{print, walk};
use crate::language::re2;

/// A query cannot be confined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfineError {
    /// The cause.
    pub message: String,
    /// Line and column of the cause in the query, from 1, where it is known.
    pub position: Option<(usize, usize)>,
}

/// The functions that read nothing but their arguments. `info()` is not among them: it reads `target_info` by itself.
const FUNCTIONS: [&str; 87] = [
    "abs",
    "absent",
    "absent_over_time",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "avg_over_time",
    "ceil",
    "changes",
    "clamp",
    "clamp_max",
    "clamp_min",
    "cos",
    "cosh",
    "count_over_time",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "deg",
    "delta",
    "deriv",
    "double_exponential_smoothing",
    "exp",
    "first_over_time",
    "floor",
    "histogram_avg",
    "histogram_count",
    "histogram_fraction",
    "histogram_quantile",
    "histogram_quantiles",
    "histogram_stddev",
    "histogram_stdvar",
    "histogram_sum",
    "hour",
    "idelta",
    "increase",
    "irate",
    "label_join",
    "label_replace",
    "last_over_time",
    "ln",
    "log10",
    "log2",
    "mad_over_time",
    "max_of",
    "max_over_time",
    "min_of",
    "min_over_time",
    "minute",
    "month",
    "pi",
    "predict_linear",
    "present_over_time",
    "quantile_over_time",
    "rad",
    "rate",
    "resets",
    "round",
    "scalar",
    "sgn",
    "sin",
    "sinh",
    "sort",
    "sort_by_label",
    "sort_by_label_desc",
    "sort_desc",
    "sqrt",
    "start_timestamp",
    "stddev_over_time",
    "stdvar_over_time",
    "sum_over_time",
    "tan",
    "tanh",
    "time",
    "timestamp",
    "ts_of_first_over_time",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
    "vector",
    "year",
    "end",
    "start",
];

/// The aggregations, listed so that one which a later version of the parser learns is refused until it is looked at.
const AGGREGATIONS: [&str; 14] = [
    "avg",
    "bottomk",
    "count",
    "count_values",
    "group",
    "limit_ratio",
    "limitk",
    "max",
    "min",
    "quantile",
    "stddev",
    "stdvar",
    "sum",
    "topk",
];

/// The query with `matcher` in each of its vector selectors, in subqueries and in the parameters of aggregations too.
///
/// A condition that the author wrote on the same label stays beside it. Labels that a query *makes* (`label_replace`,
/// `label_join`, `count_values`) are not looked at: its data is its own namespace's, and the rows of an answer are checked.
///
/// # Errors
///
/// For text that does not parse, `or` between matchers, a function or aggregation outside the list of those known to read only
/// their arguments (so for `info`), a tree that does not come back equal from its own print, and a `matcher` that would also
/// pick series without its label.
pub fn confine(text: &str, matcher: &Matcher) -> Result<String, ConfineError> {
    check_matcher(matcher)?;
    let mut query = Query::parse(text)?;
    check(query.expr()).map_err(|error| error.located(text))?;
    let before = query.selectors().len();
    walk::each_selector_mut(query.expr_mut(), &mut |selector| {
        selector.matchers.matchers.push(to_parser(matcher));
    });

    let printed = query.to_string();
    let reread = Query::parse(&printed).map_err(|error| unfaithful(&error.message))?;
    check(reread.expr())?;
    let selectors = reread.selectors();
    if selectors.len() != before || !selectors.iter().all(|selector| holds(selector, matcher)) {
        return Err(unfaithful("a selector was left out"));
    }
    if normal(reread.into_expr()) != normal(query.into_expr()) {
        return Err(unfaithful("it reads differently once printed"));
    }
    Ok(printed)
}

/// Whether a selector holds the matcher and has no alternative that does not.
fn holds(selector: &VectorSelector, matcher: &Matcher) -> bool {
    selector.matchers.or_matchers.is_empty()
        && selector
            .matchers
            .matchers
            .iter()
            .any(|m| print::matcher(m) == *matcher)
}

fn check_matcher(matcher: &Matcher) -> Result<(), ConfineError> {
    let confines = matcher.label != NAME_LABEL
        && match matcher.op {
            MatchOp::Equal => !matcher.value.is_empty(),
            MatchOp::Regex => re2::matches_fully(&matcher.value, "").is_ok_and(|empty| !empty),
            MatchOp::NotEqual | MatchOp::NotRegex => false,
        };
    if confines {
        Ok(())
    } else {
        Err(refusal(format!("`{matcher}` does not confine a query")))
    }
}

fn check(expr: &Expr) -> Result<(), ConfineError> {
    let mut refused = None;
    walk::each(expr, &mut |node| {
        if let Err(message) = check_node(node) {
            refused.get_or_insert_with(|| refusal(message));
        }
    });
    walk::each_selector(expr, &mut |selector| {
        if let Err(message) = check_selector(selector) {
            refused.get_or_insert_with(|| refusal(message));
        }
    });
    refused.map_or(Ok(()), Err)
}

fn check_node(node: &Expr) -> Result<(), String> {
    match node {
        Expr::Call(call) if call.func.name == "info" => {
            Err("`info()` reads series that the query does not name, so it cannot be confined".to_owned())
        }
        Expr::Call(call) if !FUNCTIONS.contains(&call.func.name) => Err(format!(
            "the function `{}` is not among those that can be confined",
            call.func.name
        )),
        Expr::Aggregate(aggregate) if !AGGREGATIONS.contains(&aggregate.op.to_string().as_str()) => {
            Err(format!(
                "the aggregation `{}` is not among those that can be confined",
                aggregate.op
            ))
        }
        Expr::Extension(_) => Err("the query has a node that cannot be confined".to_owned()),
        _ => Ok(()),
    }
}

fn check_selector(selector: &VectorSelector) -> Result<(), String> {
    if !selector.matchers.or_matchers.is_empty() {
        return Err(
            "a selector with `or` between its matchers cannot be confined: use the operator `or` instead"
                .to_owned(),
        );
    }
    // Read by VictoriaMetrics as the start of an alternative, should it stand unquoted.
    if selector
        .matchers
        .matchers
        .iter()
        .any(|m| m.name.eq_ignore_ascii_case("or"))
    {
        return Err("a selector with a label named `or` cannot be confined".to_owned());
    }
    Ok(())
}

fn to_parser(matcher: &Matcher) -> ParserMatcher {
    let op = match matcher.op {
        MatchOp::Equal => ParserOp::Equal,
        MatchOp::NotEqual => ParserOp::NotEqual,
        MatchOp::Regex => pattern_op(false),
        MatchOp::NotRegex => pattern_op(true),
    };
    ParserMatcher::new(op, &matcher.label, &matcher.value)
}

/// A tree in which what may differ in text is alike: names as matchers, matchers sorted, an offset of zero left out.
fn normal(mut expr: Expr) -> Expr {
    walk::each_mut(&mut expr, &mut |node| {
        if let Expr::Subquery(subquery) = node {
            without_zero(&mut subquery.offset);
        }
    });
    walk::each_selector_mut(&mut expr, &mut |selector| {
        let mut matchers = std::mem::take(&mut selector.matchers.matchers);
        matchers.extend(
            selector
                .name
                .take()
                .map(|name| ParserMatcher::new(ParserOp::Equal, NAME_LABEL, &name)),
        );
        matchers.sort_by_cached_key(print::matcher);
        selector.matchers.matchers = matchers;
        without_zero(&mut selector.offset);
    });
    expr
}

fn without_zero(offset: &mut Option<Offset>) {
    if matches!(offset, Some(Offset::Pos(by) | Offset::Neg(by)) if by.is_zero()) {
        *offset = None;
    }
}

impl ConfineError {
    /// The same with the place of the first node of `text` that is refused.
    fn located(self, text: &str) -> Self {
        let position = Tree::parse(text).ok().and_then(|tree| {
            let at = tree.first(&|expr| match expr {
                Expr::VectorSelector(selector) => check_selector(selector).is_err(),
                Expr::MatrixSelector(matrix) => check_selector(&matrix.vs).is_err(),
                expr => check_node(expr).is_err(),
            })?;
            Some(line_and_column(text, at))
        });
        Self { position, ..self }
    }
}

fn refusal(message: String) -> ConfineError {
    ConfineError {
        message,
        position: None,
    }
}

fn unfaithful(cause: &str) -> ConfineError {
    refusal(format!("the query cannot be written back faithfully: {cause}"))
}

impl From<QueryError> for ConfineError {
    fn from(error: QueryError) -> Self {
        Self {
            message: format!("the query does not parse: {}", error.message),
            position: error.position,
        }
    }
}

#[cfg(test)]
mod tests;
