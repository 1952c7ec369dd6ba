//! What a query does with the series that it reads.

use std::{ops::Range, time::Duration};

use promql_parser::parser::{Expr, MatrixSelector, VectorSelector};

use super::matcher::{MatchOp, Matcher, NAME_LABEL};
use super::print;
use super::tree::{Node, Tree};

/// One selector of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The name of its series, where `=` gives it.
    pub name: Option<String>,
    /// Its conditions besides that name.
    pub matchers: Vec<Matcher>,
    /// The bytes of it, its matchers included and its range not.
    pub at: Option<Range<usize>>,
    /// Its range, and where that stands.
    pub range: Option<(Duration, Option<Range<usize>>)>,
    /// The function that it is an argument of, right away or by a subquery, and where that stands.
    pub function: Option<(String, Option<Range<usize>>)>,
    /// What of it reaches the answer.
    pub outcome: Outcome,
}

/// What becomes of the values of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answer is made of the values themselves: as they are, added up, the highest within a range.
    Values,
    /// Of the speed at which they grow.
    Rate,
    /// Of their number, their presence, how often they change; or of the difference of two of them.
    Other,
}

/// Functions of a range that make a rate of a counter.
const RATES: [&str; 3] = ["rate", "irate", "increase"];
/// Functions that look at something else than the values.
const OTHERS: [&str; 19] = [
    "absent",
    "absent_over_time",
    "changes",
    "count_over_time",
    "present_over_time",
    "resets",
    "timestamp",
    "start_timestamp",
    "ts_of_first_over_time",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
    "predict_linear",
    "sgn",
    "stddev_over_time",
    "stdvar_over_time",
    "mad_over_time",
    "histogram_count",
    "info",
];

impl Tree {
    /// Its selectors, in the order of the text.
    pub fn usages(&self) -> Vec<Usage> {
        let mut found = Vec::new();
        collect(&self.root(), Outcome::Values, None, &mut found);
        found
    }

    /// Where the answer can hold rows that none of the selectors with a matcher for which `confines` holds has asked for:
    /// the first selector without one whose series make rows by themselves. `None` where every row comes from such a selector
    /// or is joined with one.
    pub fn unconfined(&self, confines: &dyn Fn(&Matcher) -> bool) -> Option<Unconfined> {
        match rows(&self.root(), confines) {
            Rows::Any(at) => Some(at),
            Rows::Confined | Rows::None => None,
        }
    }
}

/// A selector that picks more than was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unconfined {
    /// The name of its series, where it gives one.
    pub name: Option<String>,
    /// The bytes of it, its matchers included and its range not.
    pub at: Option<Range<usize>>,
}

fn collect(node: &Node<'_>, outcome: Outcome, function: Option<&Node<'_>>, found: &mut Vec<Usage>) {
    let (selector, range) = match node.expr {
        Expr::VectorSelector(selector) => (selector, None),
        Expr::MatrixSelector(MatrixSelector { vs, range }) => (vs, Some((*range, node.clause()))),
        _ => {
            for (index, child) in node.children.iter().enumerate() {
                let outcome = outcome_below(node, index, outcome);
                let function = match node.expr {
                    Expr::Call(_) => Some(node),
                    Expr::Subquery(_) | Expr::Paren(_) => function,
                    _ => None,
                };
                collect(child, outcome, function, found);
            }
            return;
        }
    };
    let name_of = |node: &Node<'_>| match node.expr {
        Expr::Call(call) => Some((call.func.name.to_owned(), node.at())),
        _ => None,
    };
    let (name, matchers) = parts(selector);
    found.push(Usage {
        name,
        matchers,
        at: node.whole(),
        range,
        function: function.and_then(name_of),
        outcome,
    });
}

/// What of the child `index` reaches the answer, where `outcome` of its parent does.
fn outcome_below(node: &Node<'_>, index: usize, outcome: Outcome) -> Outcome {
    match node.expr {
        Expr::Call(call) if RATES.contains(&call.func.name) => Outcome::Rate,
        Expr::Call(call) if OTHERS.contains(&call.func.name) => Outcome::Other,
        Expr::Aggregate(aggregate) => {
            match aggregate.op.to_string().to_ascii_lowercase().as_str() {
                "count" | "count_values" | "group" | "stddev" | "stdvar" => Outcome::Other,
                // Only a parameter stands before the argument.
                _ if index + 1 < node.children.len() => Outcome::Other,
                _ => outcome,
            }
        }
        Expr::Binary(binary) => {
            let operator = binary.op.to_string().to_ascii_lowercase();
            let compares = ["==", "!=", ">", "<", ">=", "<="].contains(&operator.as_str());
            let is_bool = binary
                .modifier
                .as_ref()
                .is_some_and(|modifier| modifier.return_bool);
            match operator.as_str() {
                // Two counters make what is between them: started but not finished, a counter now and an hour ago.
                "-" if !is_number(&binary.lhs) && !is_number(&binary.rhs) => Outcome::Other,
                // The rows with 0 as their value: what stands in where there is nothing else.
                "*" if is_zero(&binary.lhs) || is_zero(&binary.rhs) => Outcome::Other,
                "and" | "unless" if index == 1 => Outcome::Other,
                _ if compares && (is_bool || index == 1) => Outcome::Other,
                _ => outcome,
            }
        }
        _ => outcome,
    }
}

fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::NumberLiteral(_) => true,
        Expr::Paren(paren) => is_number(&paren.expr),
        Expr::Unary(unary) => is_number(&unary.expr),
        _ => false,
    }
}

fn is_zero(expr: &Expr) -> bool {
    match expr {
        Expr::NumberLiteral(number) => number.val == 0.0,
        Expr::Paren(paren) => is_zero(&paren.expr),
        _ => false,
    }
}

fn parts(selector: &VectorSelector) -> (Option<String>, Vec<Matcher>) {
    let alternatives = selector.matchers.or_matchers.iter().flatten();
    let mut matchers: Vec<Matcher> = selector
        .matchers
        .matchers
        .iter()
        .chain(alternatives)
        .map(print::matcher)
        .collect();
    let mut name = selector.name.clone();
    if name.is_none()
        && let Some(index) = matchers
            .iter()
            .position(|matcher| matcher.label == NAME_LABEL && matcher.op == MatchOp::Equal)
    {
        name = Some(matchers.remove(index).value);
    }
    (name, matchers)
}

enum Rows {
    /// It makes no rows of its own: a number, `vector(0)`.
    None,
    Confined,
    Any(Unconfined),
}

fn rows(node: &Node<'_>, confines: &dyn Fn(&Matcher) -> bool) -> Rows {
    match node.expr {
        Expr::VectorSelector(selector) | Expr::MatrixSelector(MatrixSelector { vs: selector, .. }) => {
            let (name, matchers) = parts(selector);
            // Of alternatives each would have to be looked at; a false alarm is worse than none.
            if !selector.matchers.or_matchers.is_empty() || matchers.iter().any(confines) {
                Rows::Confined
            } else {
                Rows::Any(Unconfined {
                    name,
                    at: node.whole(),
                })
            }
        }
        Expr::Aggregate(_) => node
            .children
            .last()
            .map_or(Rows::None, |child| rows(child, confines)),
        Expr::Call(call) if ["scalar", "vector", "absent", "absent_over_time"].contains(&call.func.name) => {
            Rows::None
        }
        Expr::Binary(binary) => {
            let mut sides = node.children.iter().map(|child| rows(child, confines));
            let (left, right) = (
                sides.next().unwrap_or(Rows::None),
                sides.next().unwrap_or(Rows::None),
            );
            match binary.op.to_string().to_ascii_lowercase().as_str() {
                "or" => either(left, right),
                "unless" => left,
                // A row needs a partner on the other side.
                _ => match (left, right) {
                    (Rows::Confined, _) | (_, Rows::Confined) => Rows::Confined,
                    (left, right) => either(left, right),
                },
            }
        }
        _ => node
            .children
            .iter()
            .map(|child| rows(child, confines))
            .fold(Rows::None, either),
    }
}

fn either(left: Rows, right: Rows) -> Rows {
    match (left, right) {
        (Rows::Any(at), _) | (_, Rows::Any(at)) => Rows::Any(at),
        (Rows::None, Rows::None) => Rows::None,
        _ => Rows::Confined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(text: &str) -> Vec<(String, Outcome)> {
        let usages = Tree::parse(text).unwrap().usages();
        let named = usages
            .into_iter()
            .map(|usage| (usage.name.unwrap_or_default(), usage.outcome));
        named.collect()
    }

    #[test]
    fn what_reaches_the_answer() {
        use Outcome::{Other, Rate, Values};
        for (text, expected) in [
            ("a", vec![Values]),
            ("{__name__=\"a\"}", vec![Values]),
            ("sum by (x) (rate(a[5m]))", vec![Rate]),
            ("increase(sum(a)[5m:])", vec![Rate]),
            ("max_over_time(a[5m])", vec![Values]),
            ("delta(a[5m])", vec![Values]),
            ("count(a)", vec![Other]),
            ("absent(a)", vec![Other]),
            ("a / b", vec![Values, Values]),
            ("a - b", vec![Other, Other]),
            ("a - 1", vec![Values]),
            ("a > 5", vec![Values]),
            ("a > bool 5", vec![Other]),
            ("rate(a[1m]) > b", vec![Rate, Other]),
            ("a and b", vec![Values, Other]),
            ("rate(a[1m]) or a * 0", vec![Rate, Other]),
            ("a * 10", vec![Values]),
            ("topk(scalar(a), b)", vec![Other, Values]),
            ("time() - timestamp(a)", vec![Other]),
        ] {
            let found: Vec<Outcome> = outcomes(text).into_iter().map(|(_, outcome)| outcome).collect();
            assert_eq!(found, expected, "{text}");
        }
        assert_eq!(outcomes("{__name__=\"a\"}")[0].0, "a");
    }

    #[test]
    fn rows_that_were_not_asked_for() {
        for (text, expected) in [
            ("a{pod=\"x\"}", None),
            ("a", Some("a")),
            ("sum by (pod) (rate(a[5m]))", Some("a")),
            ("a{pod=\"x\"} / b", None),
            ("b * on (pod) group_left a{pod=\"x\"}", None),
            ("a{pod=\"x\"} or b", Some("b")),
            ("a{pod=\"x\"} or vector(0)", None),
            ("a unless b{pod=\"x\"}", Some("a")),
            ("vector(scalar(a))", None),
            ("absent(a)", None),
            ("1", None),
            ("topk(scalar(b), a{pod=\"x\"})", None),
        ] {
            let tree = Tree::parse(text).unwrap();
            let found = tree.unconfined(&|matcher| matcher.value == "x");
            assert_eq!(found.and_then(|found| found.name).as_deref(), expected, "{text}");
        }
    }
}
