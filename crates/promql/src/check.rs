//! Check of a tree: types, counts of arguments, and what selectors pick (`checkAST` in `promql/parser/parse.go`).

use std::collections::HashMap;

use crate::ast::{Aggregate, Binary, Call, Expr, Unary, VectorSelector};
use crate::dialect::Patterns;
use crate::error::{ParseError, ParseErrorKind};
use crate::matcher::{MatchOp, Matcher, NAME_LABEL};
use crate::operator::Aggregation;
use crate::re2::Re2;
use crate::span::Span;
use crate::value::ValueType;

/// How many different patterns a text may have; compiling each takes time.
pub const MAX_PATTERNS: usize = 64;

/// Judges a tree that has the grammar's shape. Outer expressions come first, and no stack is needed for inner ones.
pub(crate) fn check(expr: &Expr, patterns: Patterns) -> Result<(), ParseError> {
    let mut checker = Checker {
        patterns,
        known: HashMap::new(),
    };
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        checker.expr(expr)?;
        let mut children = expr.children();
        // `call` has looked at the conditions of `info`.
        if matches!(expr, Expr::Call(call) if call.function.name == "info") {
            children.truncate(1);
        }
        open.extend(children.into_iter().rev());
    }
    Ok(())
}

impl Expr {
    /// Judges the patterns of a tree that was read [without](Patterns::Unread), in the order of the text.
    ///
    /// # Errors
    ///
    /// At the first pattern that is not valid RE2, and at the one after [`MAX_PATTERNS`] different ones.
    ///
    /// ```
    /// use promql::{Dialect, parse_with};
    ///
    /// let text = r#"up{job=~"(a|b"}"#;
    /// let expr = parse_with(text, Dialect::SENT)?;
    /// assert_eq!(expr.check_patterns().unwrap_err().span.of(text), r#""(a|b""#);
    /// # Ok::<(), promql::ParseError>(())
    /// ```
    pub fn check_patterns(&self) -> Result<(), ParseError> {
        let mut checker = Checker {
            patterns: Patterns::Compiled,
            known: HashMap::new(),
        };
        for selector in self.selectors() {
            for held in &selector.matchers {
                checker.takes_empty(&held.matcher, held.value.span())?;
            }
        }
        Ok(())
    }
}

struct Checker<'a> {
    patterns: Patterns,
    /// Whether each pattern that was compiled matches the empty value.
    known: HashMap<&'a str, bool>,
}

// === impl Checker ===

impl<'a> Checker<'a> {
    /// Judges an expression by the types of those right below it.
    fn expr(&mut self, expr: &'a Expr) -> Result<(), ParseError> {
        match expr {
            // The parser has looked at the type below a subquery, so that chains of brackets end.
            Expr::Number(_) | Expr::String(_) | Expr::Paren(_) | Expr::Subquery(_) => Ok(()),
            Expr::Vector(selector) => self.selector(selector, false),
            Expr::Matrix(matrix) => self.selector(&matrix.selector, false),
            Expr::Unary(unary) => sign(unary),
            Expr::Aggregate(node) => aggregate(node),
            Expr::Call(node) => self.call(node),
            Expr::Binary(node) => binary(node),
        }
    }

    fn call(&mut self, call: &'a Call) -> Result<(), ParseError> {
        let (function, found) = (call.function, call.arguments.len());
        let (least, most) = function.argument_counts();
        if found < least || most.is_some_and(|most| found > most) {
            let wanted = match most {
                Some(most) if most == least => least.to_string(),
                Some(most) => format!("{least} to {most}"),
                None => format!("{least} or more"),
            };
            let s = if wanted == "1" { "" } else { "s" };
            let message = format!(
                "`{}` takes {wanted} argument{s}, and this call has {found}",
                function.name
            );
            return Err(ParseError::new(call.place.span(), message));
        }
        for (index, argument) in call.arguments.iter().enumerate() {
            // What `info` adds labels of; Prometheus picks its series by other conditions too.
            if function.name == "info" && index == 1 {
                self.info_selector(argument)?;
                continue;
            }
            let found = argument.value_type();
            let Some(wanted) = function.argument(index).filter(|wanted| *wanted != found) else {
                continue;
            };
            let message = format!(
                "`{}` takes a {wanted} as its {} argument, and this is a {found}",
                function.name,
                ordinal(index)
            );
            return Err(ParseError::new(argument.span(), with_article(&message)));
        }
        Ok(())
    }

    fn info_selector(&mut self, argument: &'a Expr) -> Result<(), ParseError> {
        match argument {
            Expr::Vector(selector) if selector.name.is_none() => self.selector(selector, true),
            _ => Err(ParseError::new(
                argument.span(),
                "`info` takes matchers in braces as its second argument",
            )),
        }
    }

    fn selector(&mut self, selector: &'a VectorSelector, may_pick_all: bool) -> Result<(), ParseError> {
        let mut picks = selector.name.is_some() || may_pick_all;
        for matcher in &selector.matchers {
            let is_name = matcher.matcher.label == NAME_LABEL;
            if let Some(name) = selector.name.as_ref().filter(|_| is_name) {
                let message = format!("the metric's name is already `{}`", name.text);
                return Err(ParseError::new(matcher.place.span(), message));
            }
            let takes_empty = self.takes_empty(&matcher.matcher, matcher.value.span())?;
            picks |= !takes_empty;
        }
        if picks {
            return Ok(());
        }
        Err(ParseError::of_kind(
            ParseErrorKind::MatchAll,
            selector.span(),
            "a selector needs a name, or a matcher that does not match the empty value",
        ))
    }

    /// Whether a series without the label meets the condition.
    fn takes_empty(&mut self, matcher: &'a Matcher, value: Span) -> Result<bool, ParseError> {
        Ok(match matcher.op {
            MatchOp::Equal => matcher.value.is_empty(),
            MatchOp::NotEqual => !matcher.value.is_empty(),
            MatchOp::Regex | MatchOp::NotRegex if self.patterns == Patterns::Unread => false,
            MatchOp::Regex => self.matches_empty(&matcher.value, value)?,
            MatchOp::NotRegex => !self.matches_empty(&matcher.value, value)?,
        })
    }

    fn matches_empty(&mut self, pattern: &'a str, span: Span) -> Result<bool, ParseError> {
        if let Some(known) = self.known.get(pattern) {
            return Ok(*known);
        }
        if self.known.len() >= MAX_PATTERNS {
            let message = format!("the text has more than {MAX_PATTERNS} patterns");
            return Err(ParseError::of_kind(ParseErrorKind::Bound, span, message));
        }
        let compiled = Re2::compile_anchored(pattern).map_err(|error| {
            let message = format!("`{pattern}` is not a valid pattern: {error}");
            ParseError::of_kind(ParseErrorKind::Pattern, span, message)
        })?;
        let matches = compiled.is_match("");
        self.known.insert(pattern, matches);
        Ok(matches)
    }
}

fn sign(unary: &Unary) -> Result<(), ParseError> {
    let found = unary.operand.value_type();
    if is_number_or_rows(found) {
        return Ok(());
    }
    let message = format!("a sign needs a scalar or an instant vector, and this is a {found}");
    Err(ParseError::new(unary.operand.span(), with_article(&message)))
}

fn aggregate(aggregate: &Aggregate) -> Result<(), ParseError> {
    let operator = aggregate.operator;
    if let Some(parameter) = &aggregate.parameter {
        let wanted = match operator {
            Aggregation::CountValues => ValueType::String,
            _ => ValueType::Scalar,
        };
        let found = parameter.value_type();
        if found != wanted {
            let message = format!("`{operator}` takes a {wanted} as its parameter, and this is a {found}");
            return Err(ParseError::new(parameter.span(), with_article(&message)));
        }
    }
    let found = aggregate.argument.value_type();
    if found == ValueType::Vector {
        return Ok(());
    }
    let message = format!("`{operator}` takes an instant vector, and this is a {found}");
    Err(ParseError::new(aggregate.argument.span(), message))
}

fn binary(binary: &Binary) -> Result<(), ParseError> {
    let left = binary.left.value_type();
    let right = binary.right.value_type();
    let (operator, sign) = (binary.operator, binary.sign.span());
    let refuse = |span: Span, message: String| Err(ParseError::new(span, message));
    if binary.returns_bool && !operator.is_comparison() {
        return refuse(
            sign,
            format!("`bool` may follow only a comparison, and `{operator}` is not one"),
        );
    }
    let both_scalar = left == ValueType::Scalar && right == ValueType::Scalar;
    if operator.is_comparison() && !binary.returns_bool && both_scalar {
        return refuse(sign, format!("`{operator}` between two scalars needs `bool`"));
    }
    for (side, found) in [(&binary.left, left), (&binary.right, right)] {
        if !is_number_or_rows(found) {
            let message = format!("`{operator}` needs scalars or instant vectors, and this is a {found}");
            return refuse(side.span(), message);
        }
    }
    let matching = &binary.matching;
    let labels = matching.labels.as_ref();
    if let (Some(labels), Some(group)) = (labels, &matching.group)
        && labels.on
        && let Some(twice) = group.labels.iter().find(|label| labels.compares(&label.name))
    {
        let message = format!(
            "the label `{}` is in `on` and in the group, and may be in only one",
            twice.name
        );
        return refuse(twice.place.span(), message);
    }
    let both_rows = left == ValueType::Vector && right == ValueType::Vector;
    if !both_rows {
        if operator.is_set() {
            return refuse(
                sign,
                format!("`{operator}` needs an instant vector on both sides"),
            );
        }
        if let Some(labels) = labels.filter(|labels| !labels.labels.is_empty()) {
            let message = "`on` and `ignoring` need an instant vector on both sides";
            return refuse(labels.place.span(), message.to_owned());
        }
        if !matching.fill.is_empty() {
            let message = "`fill` needs an instant vector on both sides";
            return refuse(sign, message.to_owned());
        }
    } else if operator.is_set() {
        if let Some(group) = &matching.group {
            let message = format!("`{operator}` cannot have `group_left` or `group_right`");
            return refuse(group.place.span(), message);
        }
        if !matching.fill.is_empty() {
            return refuse(sign, format!("`{operator}` cannot have `fill`"));
        }
    }
    Ok(())
}

fn is_number_or_rows(found: ValueType) -> bool {
    matches!(found, ValueType::Scalar | ValueType::Vector)
}

/// `a instant vector` with the article that it has.
fn with_article(message: &str) -> String {
    message.replace(" a instant", " an instant")
}

fn ordinal(index: usize) -> String {
    const WORDS: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];
    WORDS
        .get(index)
        .map_or_else(|| format!("{}th", index + 1), |word| (*word).to_owned())
}
