//! Usage of series: what a query does with each selector that it reads.

use std::time::Duration;

use crate::ast::{Binary, Call, Expr, VectorSelector};
use crate::function::{Function, Outcome, Rows};
use crate::matcher::Matcher;
use crate::operator::BinaryOp;
use crate::span::Span;

/// One selector of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The name of its series, where `=` gives it.
    pub name: Option<String>,
    /// Its conditions besides that name.
    pub matchers: Vec<Matcher>,
    /// Its name and braces.
    pub span: Span,
    /// Its range in an instant query, and where that stands.
    pub range: Option<(Duration, Span)>,
    /// The function that it is an argument of, right away or by a subquery, and where its name stands.
    pub function: Option<(&'static Function, Span)>,
    /// What of it reaches the answer.
    pub outcome: Outcome,
}

/// A selector that picks more than was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unconfined {
    /// The name of its series, where it gives one.
    pub name: Option<String>,
    /// Its name and braces.
    pub span: Span,
}

// === impl Expr ===

impl Expr {
    /// Its selectors, in the order of the text, each with what becomes of it.
    ///
    /// ```
    /// use promql::function::Outcome;
    ///
    /// let expr = promql::parse("sum(rate(requests_total[5m])) / count(up)")?;
    /// let outcomes: Vec<Outcome> = expr.usages().iter().map(|usage| usage.outcome).collect();
    /// assert_eq!(outcomes, [Outcome::Rate, Outcome::Other]);
    /// # Ok::<(), promql::ParseError>(())
    /// ```
    pub fn usages(&self) -> Vec<Usage> {
        let mut found = Vec::new();
        collect(self, Outcome::Values, None, &mut found);
        found
    }

    /// Where the answer can hold rows that none of the selectors with a matcher for which `confines` holds has asked for:
    /// the first selector without one whose series make rows by themselves. `None` where every row comes from such a selector
    /// or is joined with one.
    ///
    /// ```
    /// let text = r#"a{pod="x"} or on (pod) b"#;
    /// let found = promql::parse(text)?.unconfined(&|matcher| matcher.label == "pod");
    /// assert_eq!(found.unwrap().span.of(text), "b");
    /// # Ok::<(), promql::ParseError>(())
    /// ```
    pub fn unconfined(&self, confines: &dyn Fn(&Matcher) -> bool) -> Option<Unconfined> {
        match origin(self, confines) {
            Origin::Any(found) => Some(found),
            Origin::Confined | Origin::None => None,
        }
    }
}

fn collect(expr: &Expr, outcome: Outcome, call: Option<&Call>, found: &mut Vec<Usage>) {
    let (selector, range) = match expr {
        Expr::Vector(selector) => (&**selector, None),
        Expr::Matrix(matrix) => {
            let range = (matrix.range.length_at_an_instant(), matrix.window.span());
            (&matrix.selector, Some(range))
        }
        _ => {
            let call = match expr {
                Expr::Call(call) => Some(call),
                Expr::Subquery(_) | Expr::Paren(_) => call,
                _ => None,
            };
            for (index, child) in expr.children().into_iter().enumerate() {
                collect(child, outcome_below(expr, index, outcome), call, found);
            }
            return;
        }
    };
    let (name, matchers) = selector.parts();
    found.push(Usage {
        name,
        matchers,
        span: selector.span(),
        range,
        function: call.map(|call| (call.function, call.name.span())),
        outcome,
    });
}

/// What of the child `index` reaches the answer, where `outcome` of its parent does.
fn outcome_below(expr: &Expr, index: usize, outcome: Outcome) -> Outcome {
    match expr {
        Expr::Call(call) if call.function.outcome != Outcome::Values => call.function.outcome,
        Expr::Aggregate(aggregate) => {
            let is_parameter = aggregate.parameter.is_some() && index == 0;
            if is_parameter || !aggregate.operator.keeps_values() {
                Outcome::Other
            } else {
                outcome
            }
        }
        Expr::Binary(binary) => outcome_of_side(binary, index, outcome),
        _ => outcome,
    }
}

fn outcome_of_side(binary: &Binary, index: usize, outcome: Outcome) -> Outcome {
    let Binary { left, right, .. } = binary;
    match binary.operator {
        // Two counters make what is between them: started but not finished, a counter now and an hour ago.
        BinaryOp::Sub if !is_number(left) && !is_number(right) => Outcome::Other,
        // The rows with 0 as their value: what stands in where there is nothing else.
        BinaryOp::Mul if is_zero(left) || is_zero(right) => Outcome::Other,
        BinaryOp::And | BinaryOp::Unless if index == 1 => Outcome::Other,
        operator if operator.is_comparison() && (binary.returns_bool || index == 1) => Outcome::Other,
        _ => outcome,
    }
}

fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::Number(_) => true,
        Expr::Paren(paren) => is_number(&paren.inner),
        Expr::Unary(unary) => is_number(&unary.operand),
        _ => false,
    }
}

fn is_zero(expr: &Expr) -> bool {
    matches!(expr.without_parens(), Expr::Number(number) if number.value == 0.0)
}

/// Where the rows of an expression come from.
enum Origin {
    /// It makes no rows of its own: a number, `vector(0)`.
    None,
    Confined,
    Any(Unconfined),
}

fn origin(expr: &Expr, confines: &dyn Fn(&Matcher) -> bool) -> Origin {
    match expr {
        Expr::Vector(selector) => of_selector(selector, confines),
        Expr::Matrix(matrix) => of_selector(&matrix.selector, confines),
        Expr::Aggregate(aggregate) => origin(&aggregate.argument, confines),
        Expr::Call(call) if call.function.rows == Rows::One => Origin::None,
        Expr::Binary(binary) => {
            let left = origin(&binary.left, confines);
            let right = origin(&binary.right, confines);
            let fill = &binary.matching.fill;
            match (binary.operator, left, right) {
                (BinaryOp::Unless, left, _) => left,
                // A row needs a partner on the other side, unless one is filled in there.
                (operator, Origin::Confined, _) if operator != BinaryOp::Or && fill.left.is_none() => {
                    Origin::Confined
                }
                (operator, _, Origin::Confined) if operator != BinaryOp::Or && fill.right.is_none() => {
                    Origin::Confined
                }
                (_, left, right) => either(left, right),
            }
        }
        _ => expr
            .children()
            .into_iter()
            .map(|child| origin(child, confines))
            .fold(Origin::None, either),
    }
}

fn of_selector(selector: &VectorSelector, confines: &dyn Fn(&Matcher) -> bool) -> Origin {
    let (name, matchers) = selector.parts();
    if matchers.iter().any(confines) {
        Origin::Confined
    } else {
        let span = selector.span();
        Origin::Any(Unconfined { name, span })
    }
}

fn either(left: Origin, right: Origin) -> Origin {
    match (left, right) {
        (Origin::Any(found), _) | (_, Origin::Any(found)) => Origin::Any(found),
        (Origin::None, Origin::None) => Origin::None,
        _ => Origin::Confined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    fn outcomes(text: &str) -> Vec<(String, Outcome)> {
        let usages = parse(text).unwrap().usages();
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
            ("a{pod=\"x\"} + fill_left (0) b", Some("b")),
            ("a{pod=\"x\"} + fill_right (0) b", None),
            ("b + fill_right (0) a{pod=\"x\"}", Some("b")),
            ("b * on (pod) group_left a{pod=\"x\"}", None),
            ("a{pod=\"x\"} or b", Some("b")),
            ("a{pod=\"x\"} or vector(0)", None),
            ("a unless b{pod=\"x\"}", Some("a")),
            ("vector(scalar(a))", None),
            ("absent(a)", None),
            ("1", None),
            ("topk(scalar(b), a{pod=\"x\"})", None),
        ] {
            let expr = parse(text).unwrap();
            let found = expr.unconfined(&|matcher| matcher.value == "x");
            assert_eq!(found.and_then(|found| found.name).as_deref(), expected, "{text}");
        }
    }
}
