//! Which labels the rows of an answer have.

use std::ops::Range;

use promql_parser::label::MatchOp as ParserOp;
use promql_parser::parser::{AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorMatchCardinality};

use super::tree::{Node, Tree};

/// Where a query loses a label, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The bytes of the text that do it, where they are known.
    pub at: Option<Range<usize>>,
    /// How.
    pub cause: LossCause,
}

/// How a label is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// An aggregation into one row, `sum(…)`.
    Aggregation {
        /// `sum`
        operator: String,
    },
    /// `by (…)` without the label, or `without (…)` with it.
    Clause {
        /// `by` or `without`.
        word: &'static str,
        /// The labels listed.
        labels: Vec<String>,
    },
    /// A function whose answer has no such label: `vector`, `absent`.
    Function {
        /// Its name.
        name: String,
    },
    /// `on (…)` without the label, or `ignoring (…)` with it.
    Matching,
    /// A number.
    Number,
}

impl Tree {
    /// Where the rows of the answer lose `label`; `None` where they may have it. What cannot be known for certain counts as
    /// kept: a selector may always find the label, and one side of an `or` is enough.
    pub fn loss(&self, label: &str) -> Option<Loss> {
        loss(&self.root(), label)
    }

    /// The labels that the aggregations of the query list after `by`.
    pub fn grouped_by(&self) -> Vec<&str> {
        let mut found = Vec::new();
        super::walk::each(self.expr(), &mut |expr| {
            if let Expr::Aggregate(AggregateExpr {
                modifier: Some(LabelModifier::Include(labels)),
                ..
            }) = expr
            {
                found.extend(labels.labels.iter().map(String::as_str));
            }
        });
        found
    }
}

fn loss(node: &Node<'_>, label: &str) -> Option<Loss> {
    let lost = |cause| {
        Some(Loss {
            at: node.clause().or_else(|| node.at()),
            cause,
        })
    };
    let below = |index: usize| node.children.get(index).and_then(|child| loss(child, label));
    match node.expr {
        Expr::VectorSelector(_) | Expr::MatrixSelector(_) | Expr::Extension(_) => None,
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Some(Loss {
            at: None,
            cause: LossCause::Number,
        }),
        Expr::Unary(_) | Expr::Paren(_) | Expr::Subquery(_) => below(0),
        Expr::Aggregate(aggregate) => {
            // The parameter comes first, where there is one.
            let inner = below(node.children.len().saturating_sub(1));
            inner.or_else(|| aggregated(aggregate, label).and_then(lost))
        }
        Expr::Call(call) => called(call, node, label),
        Expr::Binary(binary) => joined(binary, node, label),
    }
}

/// How an aggregation loses a label that its argument has.
fn aggregated(aggregate: &AggregateExpr, label: &str) -> Option<LossCause> {
    let operator = aggregate.op.to_string().to_ascii_lowercase();
    if ["topk", "bottomk", "limitk", "limit_ratio"].contains(&operator.as_str()) {
        return None;
    }
    if operator == "count_values"
        && matches!(aggregate.param.as_deref(), Some(Expr::StringLiteral(made)) if made.val == label)
    {
        return None;
    }
    match &aggregate.modifier {
        None => Some(LossCause::Aggregation { operator }),
        Some(modifier) => {
            let listed = modifier.labels().labels.iter().any(|listed| listed == label);
            (listed != modifier.is_include()).then(|| LossCause::Clause {
                word: if modifier.is_include() { "by" } else { "without" },
                labels: modifier.labels().labels.clone(),
            })
        }
    }
}

fn called(call: &Call, node: &Node<'_>, label: &str) -> Option<Loss> {
    let lost = || {
        Some(Loss {
            at: node.at(),
            cause: LossCause::Function {
                name: call.func.name.to_owned(),
            },
        })
    };
    let string = |index: usize| match call.args.args.get(index).map(AsRef::as_ref) {
        Some(Expr::StringLiteral(literal)) => Some(literal.val.as_str()),
        _ => None,
    };
    match call.func.name {
        "scalar" | "vector" | "time" | "pi" => lost(),
        // They make labels of the equalities of a plain selector.
        "absent" | "absent_over_time" => match call.args.args.first().map(AsRef::as_ref) {
            Some(Expr::VectorSelector(selector)) if equals(&selector.matchers.matchers, label) => None,
            Some(Expr::MatrixSelector(matrix)) if equals(&matrix.vs.matchers.matchers, label) => None,
            _ => lost(),
        },
        "label_replace" | "label_join" if string(1) == Some(label) => None,
        _ => {
            // A function of a vector keeps its labels but the name; its other arguments are numbers and strings.
            let mut vectors = node
                .children
                .iter()
                .zip(&call.args.args)
                .filter(|(_, arg)| has_rows(arg));
            match vectors.next() {
                Some((child, _)) => loss(child, label),
                None if call.args.args.is_empty() => lost(),
                None => None,
            }
        }
    }
}

/// Whether an argument is, or can be, more than a number or a string.
fn has_rows(arg: &Expr) -> bool {
    match arg {
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => false,
        Expr::Unary(unary) => has_rows(&unary.expr),
        Expr::Paren(paren) => has_rows(&paren.expr),
        Expr::Binary(binary) => has_rows(&binary.lhs) || has_rows(&binary.rhs),
        Expr::Call(call) => !["scalar", "time", "pi"].contains(&call.func.name),
        _ => true,
    }
}

fn equals(matchers: &[promql_parser::label::Matcher], label: &str) -> bool {
    matchers.iter().any(|matcher| {
        matcher.name == label && matches!(matcher.op, ParserOp::Equal) && !matcher.value.is_empty()
    })
}

/// The labels of a row that two sides make (`resultMetric` in Prometheus' promql/engine.go).
fn joined(binary: &BinaryExpr, node: &Node<'_>, label: &str) -> Option<Loss> {
    let side = |index: usize| node.children.get(index).and_then(|child| loss(child, label));
    match (has_rows(&binary.lhs), has_rows(&binary.rhs)) {
        (false, false) => {
            return Some(Loss {
                at: None,
                cause: LossCause::Number,
            });
        }
        (true, false) => return side(0),
        (false, true) => return side(1),
        (true, true) => {}
    }
    match binary.op.to_string().to_ascii_lowercase().as_str() {
        "or" => return side(0).and_then(|loss| side(1).map(|_| loss)),
        "and" | "unless" => return side(0),
        _ => {}
    }
    let modifier = binary.modifier.as_ref();
    match modifier.map(|modifier| &modifier.card) {
        Some(VectorMatchCardinality::ManyToOne(taken)) => {
            side(usize::from(taken.labels.iter().any(|l| l == label)))
        }
        Some(VectorMatchCardinality::OneToMany(taken)) => {
            side(usize::from(!taken.labels.iter().any(|l| l == label)))
        }
        _ => {
            let dropped = match modifier.and_then(|modifier| modifier.matching.as_ref()) {
                Some(LabelModifier::Include(labels)) => !labels.labels.iter().any(|l| l == label),
                Some(LabelModifier::Exclude(labels)) => labels.labels.iter().any(|l| l == label),
                None => false,
            };
            side(0).or_else(|| {
                dropped.then_some(Loss {
                    at: None,
                    cause: LossCause::Matching,
                })
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text at the loss, `?` where there is none, `-` where the label is kept.
    fn lost(text: &str) -> String {
        match Tree::parse(text).unwrap().loss("pod") {
            None => "-".to_owned(),
            Some(loss) => loss.at.map_or("?", |at| &text[at]).to_owned(),
        }
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
            ("1 + 2", "?"),
            ("a or vector(0)", "-"),
            ("sum(a) or vector(0)", "sum"),
            ("sum(a) and b", "sum"),
            ("a and on () sum(b)", "-"),
            ("a unless sum(b)", "-"),
            ("a / scalar(sum(b))", "-"),
            ("100 * a", "-"),
            ("100 * sum(a)", "sum"),
            ("a / on (job) b", "?"),
            ("a / on (pod) b", "-"),
            ("a / ignoring (pod) b", "?"),
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
        ] {
            assert_eq!(lost(text), expected, "{text}");
        }
    }
}
