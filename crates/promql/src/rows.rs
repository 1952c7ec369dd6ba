//! Rows of an answer: whether there can be more than one.

use crate::ast::{Aggregate, Clause, Expr, Fill};
use crate::function::{Labels, Rows};
use crate::operator::BinaryOp;

// === impl Expr ===

impl Expr {
    /// Whether the answer has one row at most, whatever series there are: an aggregation without grouping, a scalar, and what
    /// is made of these. `false` says nothing: a selector may well pick a single series.
    ///
    /// ```
    /// assert!(promql::parse("sum(rate(requests_total[5m]))")?.gives_one_row());
    /// assert!(!promql::parse("sum by (pod) (rate(requests_total[5m]))")?.gives_one_row());
    /// # Ok::<(), promql::ParseError>(())
    /// ```
    pub fn gives_one_row(&self) -> bool {
        let all = |arguments: &[Self]| arguments.iter().all(Self::gives_one_row);
        match self {
            Self::Paren(paren) => paren.inner.gives_one_row(),
            Self::Unary(unary) => unary.operand.gives_one_row(),
            Self::Subquery(subquery) => subquery.inner.gives_one_row(),
            Self::Number(_) | Self::String(_) => true,
            Self::Aggregate(aggregate) => {
                aggregate.operator.gives_one_row_per_group() && groups(aggregate) == Some(Vec::new())
            }
            Self::Binary(binary) => {
                let both = binary.left.gives_one_row() && binary.right.gives_one_row();
                match binary.operator {
                    BinaryOp::And | BinaryOp::Unless => binary.left.gives_one_row(),
                    // Rows with unequal labels stand beside each other.
                    BinaryOp::Or => both && !makes_labels(&binary.left) && !makes_labels(&binary.right),
                    _ if binary.matching.fill != Fill::default() => {
                        both && !makes_labels(&binary.left) && !makes_labels(&binary.right)
                    }
                    _ => both,
                }
            }
            Self::Call(call) => match call.function.rows {
                Rows::One => true,
                Rows::Several => false,
                Rows::OfArgument => all(&call.arguments),
                Rows::OfHistograms => {
                    let mut arguments = call.arguments.iter();
                    arguments.all(|argument| argument.gives_one_row() || is_one_histogram(argument))
                }
            },
            Self::Vector(_) | Self::Matrix(_) => false,
        }
    }
}

/// Whether something in an expression without labels of series may make labels of its own.
fn makes_labels(expr: &Expr) -> bool {
    let mut found = false;
    expr.each(&mut |node| {
        if let Expr::Call(call) = node {
            found |= matches!(call.function.labels, Labels::KeptAndMade | Labels::Equalities);
        }
    });
    found
}

fn is_one_histogram(expr: &Expr) -> bool {
    match expr.without_parens() {
        Expr::Aggregate(aggregate) => {
            aggregate.operator.gives_one_row_per_group() && groups(aggregate) == Some(vec!["le"])
        }
        _ => false,
    }
}

/// The labels of `by (…)`, none where nothing is said; `None` for `without (…)`.
fn groups(aggregate: &Aggregate) -> Option<Vec<&str>> {
    match &aggregate.grouping {
        None => Some(Vec::new()),
        Some(grouping) if grouping.clause == Clause::By => {
            Some(grouping.labels.iter().map(|label| &*label.name).collect())
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    fn query(text: &str) -> Expr {
        parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn one_row_at_most() {
        for text in [
            "sum(a)",
            "sum by () (a)",
            "(avg(rate(a[5m])))",
            "-max(a)",
            "sum(a) / sum(b)",
            "sum(a) / sum(b) > 5",
            "sum(a) or vector(0)",
            "sum(a) and b",
            "scalar(a)",
            "vector(1)",
            "time()",
            "42",
            "absent(a)",
            "round(sum(a), 0.1)",
            "max_over_time(sum(a)[1h:])",
            "histogram_quantile(0.9, sum by (le) (rate(a_bucket[5m])))",
            "histogram_quantile(0.9, sum(rate(a[5m])))",
            "label_replace(sum(a), \"b\", \"c\", \"d\", \"e\")",
            "histogram_fraction(0, 1, sum by (le) (rate(a_bucket[5m])))",
            "hour()",
        ] {
            assert!(query(text).gives_one_row(), "{text}");
        }
    }

    #[test]
    fn any_number_of_rows() {
        for text in [
            "a",
            "rate(a[5m])",
            "sum by (pod) (a)",
            "sum without (pod) (a)",
            "topk(3, a)",
            "count_values(\"v\", a)",
            "a / 2",
            "a and sum(b)",
            "sum(a) or b",
            "sum(a) or absent(b{x=\"1\"})",
            "sum(a) or label_replace(sum(b), \"x\", \"y\", \"\", \"\")",
            "sum(a) + fill(0) absent(b{x=\"1\"})",
            "max_over_time(a[5m])",
            "histogram_quantile(0.9, sum by (le, pod) (rate(a_bucket[5m])))",
            "histogram_quantile(0.9, rate(a_bucket[5m]))",
            "histogram_quantiles(sum(a), \"q\", 0.5, 0.9)",
            "rate(sum by (le) (a)[5m:])",
        ] {
            assert!(!query(text).gives_one_row(), "{text}");
        }
    }
}
