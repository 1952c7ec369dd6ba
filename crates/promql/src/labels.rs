//! Labels of an answer: which of them its rows have, and where a query loses one.

use crate::ast::{Aggregate, Binary, Call, Clause, Expr, Side, VectorSelector};
use crate::function::{Function, Labels};
use crate::matcher::MatchOp;
use crate::operator::{Aggregation, BinaryOp};
use crate::span::Span;
use crate::value::ValueType;

/// Where a query loses a label, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// What of the text does it.
    pub span: Span,
    /// How.
    pub cause: LossCause,
}

/// How a label is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// An aggregation into one row, `sum(…)`.
    Aggregation(Aggregation),
    /// `by (…)` without the label, or `without (…)` with it.
    Clause {
        /// The word.
        clause: Clause,
        /// The labels listed.
        labels: Vec<String>,
    },
    /// A function whose answer has no such label: `vector`, `absent`.
    Function(&'static Function),
    /// `on (…)` without the label, or `ignoring (…)` with it.
    Matching,
    /// A number.
    Number,
}

// === impl Expr ===

impl Expr {
    /// Where the rows of the answer lose `label`; `None` where they may have it. What cannot be known for certain counts as
    /// kept: a selector may always find the label, and one side of an `or` is enough.
    ///
    /// ```
    /// let text = "sum(rate(requests_total[5m])) by (job)";
    /// let expr = promql::parse(text)?;
    /// assert_eq!(expr.loss("job"), None);
    /// assert_eq!(expr.loss("pod").unwrap().span.of(text), "by (job)");
    /// # Ok::<(), promql::ParseError>(())
    /// ```
    pub fn loss(&self, label: &str) -> Option<Loss> {
        match self {
            Self::Vector(_) | Self::Matrix(_) => None,
            Self::Number(_) | Self::String(_) => Some(Loss::new(self.span(), LossCause::Number)),
            Self::Unary(unary) => unary.operand.loss(label),
            Self::Paren(paren) => paren.inner.loss(label),
            Self::Subquery(subquery) => subquery.inner.loss(label),
            Self::Aggregate(aggregate) => aggregate
                .argument
                .loss(label)
                .or_else(|| aggregated(aggregate, label)),
            Self::Call(call) => called(call, label),
            Self::Binary(binary) => joined(binary, label),
        }
    }

    /// The labels that the aggregations of the query list after `by`.
    pub fn grouped_by(&self) -> Vec<&str> {
        let mut found = Vec::new();
        self.each(&mut |expr| {
            if let Self::Aggregate(aggregate) = expr
                && let Some(grouping) = &aggregate.grouping
                && grouping.clause == Clause::By
            {
                found.extend(grouping.labels.iter().map(|label| &*label.name));
            }
        });
        found
    }
}

// === impl Loss ===

impl Loss {
    const fn new(span: Span, cause: LossCause) -> Self {
        Self { span, cause }
    }
}

/// How an aggregation loses a label that its argument has.
fn aggregated(aggregate: &Aggregate, label: &str) -> Option<Loss> {
    if aggregate.operator.keeps_rows() {
        return None;
    }
    if aggregate.operator == Aggregation::CountValues
        && matches!(aggregate.parameter.as_deref(), Some(Expr::String(made)) if made.value == label)
    {
        return None;
    }
    let Some(grouping) = &aggregate.grouping else {
        let cause = LossCause::Aggregation(aggregate.operator);
        return Some(Loss::new(aggregate.name.span(), cause));
    };
    if grouping.keeps(label) {
        return None;
    }
    let cause = LossCause::Clause {
        clause: grouping.clause,
        labels: grouping.labels.iter().map(|label| label.name.clone()).collect(),
    };
    Some(Loss::new(grouping.place.span(), cause))
}

fn called(call: &Call, label: &str) -> Option<Loss> {
    let by_function = || Some(Loss::new(call.name.span(), LossCause::Function(call.function)));
    let makes = || matches!(call.arguments.get(1), Some(Expr::String(made)) if made.value == label);
    match call.function.labels {
        Labels::Lost => by_function(),
        Labels::Equalities => match call.arguments.first().and_then(Expr::selector) {
            Some(selector) if equals(selector, label) => None,
            _ => by_function(),
        },
        Labels::KeptAndMade if makes() => None,
        Labels::Kept | Labels::KeptAndMade => {
            // The other arguments are numbers and strings.
            match call.arguments.iter().find(|argument| has_rows(argument)) {
                Some(vector) => vector.loss(label),
                None => by_function(),
            }
        }
    }
}

fn has_rows(expr: &Expr) -> bool {
    matches!(expr.value_type(), ValueType::Vector | ValueType::Matrix)
}

fn equals(selector: &VectorSelector, label: &str) -> bool {
    let mut matchers = selector.matchers.iter().map(|matcher| &matcher.matcher);
    matchers
        .any(|matcher| matcher.label == label && matcher.op == MatchOp::Equal && !matcher.value.is_empty())
}

/// The labels of a row that two sides make (`resultMetric` in Prometheus' promql/engine.go).
fn joined(binary: &Binary, label: &str) -> Option<Loss> {
    let (left, right) = (&binary.left, &binary.right);
    match (has_rows(left), has_rows(right)) {
        (false, false) => return Some(Loss::new(binary.place.span(), LossCause::Number)),
        (true, false) => return left.loss(label),
        (false, true) => return right.loss(label),
        (true, true) => {}
    }
    match binary.operator {
        BinaryOp::Or => return left.loss(label).and_then(|loss| right.loss(label).map(|_| loss)),
        BinaryOp::And | BinaryOp::Unless => return left.loss(label),
        _ => {}
    }
    let matching = &binary.matching;
    if let Some(group) = &matching.group {
        let many_is_left = group.many == Side::Left;
        let from_left = many_is_left != group.takes(label);
        return if from_left {
            left.loss(label)
        } else {
            right.loss(label)
        };
    }
    let labels = matching.labels.as_ref();
    left.loss(label).or_else(|| {
        let dropping = labels.filter(|labels| !labels.compares(label))?;
        Some(Loss::new(dropping.place.span(), LossCause::Matching))
    })
}

#[cfg(test)]
mod tests {
    use crate::parse;

    /// The text at the loss, `-` where the label is kept.
    fn lost(text: &str) -> &str {
        let loss = parse(text).unwrap().loss("pod");
        loss.map_or("-", |loss| loss.span.of(text))
    }

    #[test]
    fn labels_flow_through_a_query() {
        for (text, expected) in [
            ("a", "-"),
            ("rate(a[5m])", "-"),
            ("sum(a)", "sum"),
            ("sum by (pod) (a)", "-"),
            ("sum(a) by (job)", "by (job)"),
            ("sum by () (a)", "by ()"),
            ("sum without (pod) (a)", "without (pod)"),
            ("sum without (job) (a)", "-"),
            ("sum by (pod) (sum(a))", "sum"),
            ("topk(3, a)", "-"),
            ("topk(3, sum(a))", "sum"),
            ("count_values(\"pod\", a)", "-"),
            ("count_values(\"x\", a)", "count_values"),
            ("histogram_quantile(0.9, sum by (le) (rate(a[5m])))", "by (le)"),
            ("histogram_quantile(0.9, sum by (le, pod) (rate(a[5m])))", "-"),
            ("label_replace(sum(a), \"pod\", \"$1\", \"x\", \"(.*)\")", "-"),
            ("label_replace(sum(a), \"x\", \"$1\", \"x\", \"(.*)\")", "sum"),
            ("label_join(a, \"x\", \",\", \"y\")", "-"),
            ("absent(a{pod=\"x\"})", "-"),
            ("absent(a{pod=~\"x\"})", "absent"),
            ("vector(1)", "vector"),
            ("vector(scalar(a))", "vector"),
            ("time()", "time"),
            ("1 + 2", "1 + 2"),
            ("a or vector(0)", "-"),
            ("sum(a) or vector(0)", "sum"),
            ("sum(a) and b", "sum"),
            ("a and on () sum(b)", "-"),
            ("a unless sum(b)", "-"),
            ("a / scalar(sum(b))", "-"),
            ("100 * a", "-"),
            ("100 * sum(a)", "sum"),
            ("a / on (job) b", "on (job)"),
            ("a / on (pod) b", "-"),
            ("a / ignoring (pod) b", "ignoring (pod)"),
            ("a * on (job) group_left (x) b", "-"),
            ("sum(a) * on () group_right () b", "-"),
            ("sum by (job) (a) * on (job) group_left (pod) b", "-"),
            ("a * on (job) group_left (pod) sum by (job) (b)", "by (job)"),
            ("sum(a) / sum(b)", "sum"),
            ("-(sum(a))", "sum"),
            ("max_over_time(sum(a)[1h:1m])", "sum"),
            ("max_over_time(a[1h:1m])", "-"),
            ("clamp_min(a, 0)", "-"),
            ("hour()", "hour"),
            ("hour(a)", "-"),
            ("round(sum(a), 2)", "sum"),
            ("quantile_over_time(0.5, a[5m])", "-"),
            ("histogram_quantiles(sum(a), \"pod\", 0.5)", "-"),
            ("max_of(1, step())", "max_of"),
            ("100", "100"),
            ("a / on () b", "on ()"),
        ] {
            assert_eq!(lost(text), expected, "{text}");
        }
    }
}
