//! What can be said of a query's answer before it is asked: whether it has more than one row, and which labels it reads by.

use promql_parser::parser::{Expr, LabelModifier};

use super::{Matcher, Query, print};

/// Aggregations that may give several rows without any grouping.
const SEVERAL: [&str; 5] = ["topk", "bottomk", "limitk", "limit_ratio", "count_values"];

impl Query {
    /// Whether the answer has one row at most, whatever series there are: an aggregation without grouping, a scalar, and what
    /// is made of these. `false` says nothing: a selector may well pick a single series.
    pub fn gives_one_row(&self) -> bool {
        one_row(self.expr())
    }

    /// The matchers of each selector, in the order of the text; the metric's name is not among them.
    pub fn matchers(&self) -> Vec<Vec<Matcher>> {
        let selectors = self.selectors().into_iter();
        selectors
            .map(|selector| selector.matchers.matchers.iter().map(print::matcher).collect())
            .collect()
    }
}

fn one_row(expr: &Expr) -> bool {
    match expr {
        Expr::Paren(paren) => one_row(&paren.expr),
        Expr::Unary(unary) => one_row(&unary.expr),
        Expr::Subquery(subquery) => one_row(&subquery.expr),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => true,
        Expr::Aggregate(aggregate) => {
            !SEVERAL.contains(&aggregate.op.to_string().as_str())
                && groups(aggregate.modifier.as_ref()) == Some(&[])
        }
        Expr::Binary(binary) => match binary.op.to_string().as_str() {
            "and" | "unless" => one_row(&binary.lhs),
            _ => one_row(&binary.lhs) && one_row(&binary.rhs),
        },
        Expr::Call(call) => match call.func.name {
            "scalar" | "vector" | "absent" | "absent_over_time" => true,
            // the buckets of one histogram
            "histogram_quantile" => call
                .args
                .args
                .iter()
                .all(|arg| one_row(arg) || is_one_histogram(arg)),
            _ => call.args.args.iter().all(|arg| one_row(arg)),
        },
        Expr::VectorSelector(_) | Expr::MatrixSelector(_) | Expr::Extension(_) => false,
    }
}

fn is_one_histogram(expr: &Expr) -> bool {
    match expr {
        Expr::Paren(paren) => is_one_histogram(&paren.expr),
        Expr::Aggregate(aggregate) => {
            matches!(groups(aggregate.modifier.as_ref()), Some([label]) if label == "le")
                && !SEVERAL.contains(&aggregate.op.to_string().as_str())
        }
        _ => false,
    }
}

/// The labels of `by (…)`, none where nothing is said; `None` for `without (…)`.
fn groups(modifier: Option<&LabelModifier>) -> Option<&[String]> {
    match modifier {
        None => Some(&[]),
        Some(LabelModifier::Include(labels)) => Some(&labels.labels),
        Some(LabelModifier::Exclude(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
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
            "max_over_time(a[5m])",
            "histogram_quantile(0.9, sum by (le, pod) (rate(a_bucket[5m])))",
            "histogram_quantile(0.9, rate(a_bucket[5m]))",
        ] {
            assert!(!query(text).gives_one_row(), "{text}");
        }
    }

    #[test]
    fn matchers_of_each_selector() {
        let found = query("sum(a{b=\"c\",d!~\"e\"}) / sum(rate({__name__=\"f\"}[5m])) + g").matchers();
        let text: Vec<Vec<String>> = found
            .iter()
            .map(|matchers| matchers.iter().map(ToString::to_string).collect())
            .collect();
        assert_eq!(
            text,
            [
                vec!["b=\"c\"".to_owned(), "d!~\"e\"".to_owned()],
                vec!["__name__=\"f\"".to_owned()],
                vec![]
            ]
        );
    }
}
