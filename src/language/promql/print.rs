//! Writes a tree as PromQL.
//!
//! promql-parser's own printer loses an empty `by ()` and `ignoring ()`, negative timestamps and the quoting of metric names.
//! This one writes the oldest and plainest form of everything, so that every server reads it alike. What has no text
//! (a range of less than a millisecond) comes out as something that does not parse back to the same tree, and `confine` sees that.

use std::fmt::{self, Write};
use std::time::{Duration, SystemTime};

use promql_parser::label::{Labels, MatchOp as ParserOp, Matcher as ParserMatcher};
use promql_parser::parser::{
    AtModifier, BinModifier, Expr, LabelModifier, Offset, VectorMatchCardinality, VectorMatchFillValues,
    VectorSelector,
};
use promql_parser::util::display_duration;

use super::literal::quoted;
use super::matcher::{MatchOp, Matcher, NAME_LABEL, is_keyword, is_label_name, is_metric_name};

/// Displays a tree.
pub(super) struct Printed<'a>(pub(super) &'a Expr);

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        expr(f, self.0)
    }
}

/// promql-parser's matcher as ours.
pub(super) fn matcher(parsed: &ParserMatcher) -> Matcher {
    let op = match parsed.op {
        ParserOp::Equal => MatchOp::Equal,
        ParserOp::NotEqual => MatchOp::NotEqual,
        ParserOp::Re(_) => MatchOp::Regex,
        ParserOp::NotRe(_) => MatchOp::NotRegex,
    };
    Matcher::new(parsed.name.as_str(), op, parsed.value.as_str())
}

/// Writes a selector: the name before the braces where it may stand there, else as a matcher.
pub(super) fn selector(out: &mut impl Write, name: Option<&str>, matchers: &[Matcher]) -> fmt::Result {
    let mut matchers: Vec<String> = matchers.iter().map(ToString::to_string).collect();
    if let Some(name) = name {
        if is_metric_name(name) && !is_keyword(name) {
            out.write_str(name)?;
        } else {
            matchers.insert(0, Matcher::equal(NAME_LABEL, name).to_string());
        }
    }
    if matchers.is_empty() {
        Ok(())
    } else {
        write!(out, "{{{}}}", matchers.join(","))
    }
}

fn expr(out: &mut fmt::Formatter<'_>, node: &Expr) -> fmt::Result {
    match node {
        Expr::Aggregate(aggregate) => {
            write!(out, "{}", aggregate.op)?;
            match &aggregate.modifier {
                Some(LabelModifier::Include(labels)) => write!(out, " by ({}) (", List(labels))?,
                Some(LabelModifier::Exclude(labels)) => write!(out, " without ({}) (", List(labels))?,
                None => out.write_char('(')?,
            }
            if let Some(param) = &aggregate.param {
                expr(out, param)?;
                out.write_str(", ")?;
            }
            expr(out, &aggregate.expr)?;
            out.write_char(')')
        }
        Expr::Unary(unary) => {
            out.write_char('-')?;
            expr(out, &unary.expr)
        }
        Expr::Binary(binary) => {
            expr(out, &binary.lhs)?;
            write!(out, " {} ", binary.op)?;
            if let Some(modifier) = &binary.modifier {
                bin_modifier(out, modifier)?;
            }
            expr(out, &binary.rhs)
        }
        Expr::Paren(paren) => {
            out.write_char('(')?;
            expr(out, &paren.expr)?;
            out.write_char(')')
        }
        Expr::Subquery(subquery) => {
            expr(out, &subquery.expr)?;
            let step = subquery.step.as_ref().map(display_duration).unwrap_or_default();
            write!(out, "[{}:{step}]", display_duration(&subquery.range))?;
            time(out, subquery.at.as_ref(), subquery.offset.as_ref())
        }
        Expr::NumberLiteral(number) => float(out, number.val),
        Expr::StringLiteral(literal) => out.write_str(&quoted(&literal.val)),
        Expr::VectorSelector(vector) => {
            vector_selector(out, vector)?;
            time(out, vector.at.as_ref(), vector.offset.as_ref())
        }
        Expr::MatrixSelector(matrix) => {
            vector_selector(out, &matrix.vs)?;
            write!(out, "[{}]", display_duration(&matrix.range))?;
            time(out, matrix.vs.at.as_ref(), matrix.vs.offset.as_ref())
        }
        Expr::Call(call) => {
            write!(out, "{}(", call.func.name)?;
            for (index, arg) in call.args.args.iter().enumerate() {
                if index > 0 {
                    out.write_str(", ")?;
                }
                expr(out, arg)?;
            }
            out.write_char(')')
        }
        Expr::Extension(_) => out.write_str("?"),
    }
}

fn vector_selector(out: &mut impl Write, vector: &VectorSelector) -> fmt::Result {
    if vector.matchers.or_matchers.is_empty() {
        let matchers: Vec<Matcher> = vector.matchers.matchers.iter().map(matcher).collect();
        return selector(out, vector.name.as_deref(), &matchers);
    }
    let groups = vector.matchers.or_matchers.iter().map(|group| {
        let matchers: Vec<String> = group.iter().map(|m| matcher(m).to_string()).collect();
        matchers.join(",")
    });
    let groups: Vec<String> = groups.collect();
    write!(
        out,
        "{}{{{}}}",
        vector.name.as_deref().unwrap_or_default(),
        groups.join(" or ")
    )
}

fn time(out: &mut impl Write, at: Option<&AtModifier>, offset: Option<&Offset>) -> fmt::Result {
    match at {
        None => {}
        Some(AtModifier::Start) => out.write_str(" @ start()")?,
        Some(AtModifier::End) => out.write_str(" @ end()")?,
        Some(AtModifier::At(instant)) => {
            let (sign, since) = match instant.duration_since(SystemTime::UNIX_EPOCH) {
                Ok(after) => ("", after),
                Err(before) => ("-", before.duration()),
            };
            write!(out, " @ {sign}{}.{:03}", since.as_secs(), since.subsec_millis())?;
        }
    }
    match offset {
        // `offset 0s` says nothing, and not every parser takes it.
        None | Some(Offset::Pos(Duration::ZERO) | Offset::Neg(Duration::ZERO)) => Ok(()),
        Some(Offset::Pos(by)) => write!(out, " offset {}", display_duration(by)),
        Some(Offset::Neg(by)) => write!(out, " offset -{}", display_duration(by)),
    }
}

fn bin_modifier(out: &mut impl Write, modifier: &BinModifier) -> fmt::Result {
    let BinModifier {
        card,
        matching,
        return_bool,
        fill_values,
    } = modifier;
    if *return_bool {
        out.write_str("bool ")?;
    }
    match matching {
        Some(LabelModifier::Include(labels)) => write!(out, "on ({}) ", List(labels))?,
        Some(LabelModifier::Exclude(labels)) => write!(out, "ignoring ({}) ", List(labels))?,
        None => {}
    }
    match card {
        VectorMatchCardinality::ManyToOne(labels) => write!(out, "group_left ({}) ", List(labels))?,
        VectorMatchCardinality::OneToMany(labels) => write!(out, "group_right ({}) ", List(labels))?,
        VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany => {}
    }
    let VectorMatchFillValues { rhs, lhs } = fill_values;
    for (word, value) in [("fill_left", lhs), ("fill_right", rhs)] {
        if let Some(value) = value {
            write!(out, "{word} (")?;
            float(out, *value)?;
            out.write_str(") ")?;
        }
    }
    Ok(())
}

fn float(out: &mut impl Write, value: f64) -> fmt::Result {
    if value.is_infinite() {
        out.write_str(if value > 0.0 { "Inf" } else { "-Inf" })
    } else {
        write!(out, "{value}")
    }
}

/// The labels of a grouping.
struct List<'a>(&'a Labels);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, label) in self.0.labels.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            if is_label_name(label) {
                write!(f, "{comma}{label}")?;
            } else {
                write!(f, "{comma}{}", quoted(label))?;
            }
        }
        Ok(())
    }
}
