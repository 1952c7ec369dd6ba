//! Printer of trees: what `Display` of an [`Expr`] writes.
//!
//! The text is the oldest and plainest form of everything, so that every server reads it alike, and it reads back to an equal
//! tree. What Prometheus' own printer would write is not the aim. A tree that no text has, which only a hand makes (a pattern
//! of a range with an offset inside, a string that cannot be quoted), is written as near as there is.

mod duration;

use std::fmt::{self, Display, Formatter, Write as _};

use self::duration::Plain;
use crate::ast::{
    Aggregate, Binary, Call, Expr, Fill, Grouping, Label, Matching, NumberLiteral, Side, StringLiteral,
    Subquery, Time, VectorSelector, When,
};
use crate::dialect::Dialect;
use crate::lexer::Keyword;
use crate::literal::{Quote, quoted, write_inside};
use crate::matcher::{Matcher, NAME_LABEL, is_label_name, is_metric_name};

// === impl Display ===

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aggregate(node) => node.fmt(f),
            Self::Binary(node) => node.fmt(f),
            Self::Call(node) => node.fmt(f),
            Self::Matrix(matrix) => {
                selector(f, &matrix.selector)?;
                write!(f, "[{}]{}", Plain(&matrix.range), matrix.selector.time)
            }
            Self::Number(number) => number.fmt(f),
            Self::Paren(paren) => write!(f, "({})", paren.inner),
            Self::String(string) => string.fmt(f),
            Self::Subquery(node) => node.fmt(f),
            Self::Unary(unary) => write!(f, "{}{}", unary.operator, unary.operand),
            Self::Vector(vector) => {
                selector(f, vector)?;
                vector.time.fmt(f)
            }
        }
    }
}

impl Display for Aggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.operator)?;
        if let Some(Grouping { clause, labels, .. }) = &self.grouping {
            write!(f, " {} {} ", clause.as_str(), List(labels))?;
        }
        f.write_char('(')?;
        if let Some(parameter) = &self.parameter {
            write!(f, "{parameter}, ")?;
        }
        write!(f, "{})", self.argument)
    }
}

impl Display for Binary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.left, self.operator)?;
        if self.returns_bool {
            f.write_str("bool ")?;
        }
        write!(f, "{}{}", self.matching, self.right)
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.function.name)?;
        for (index, argument) in self.arguments.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{argument}")?;
        }
        f.write_char(')')
    }
}

impl Display for NumberLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.value.is_infinite() {
            f.write_str(if self.value > 0.0 { "Inf" } else { "-Inf" })
        } else {
            write!(f, "{}", self.value)
        }
    }
}

impl Display for StringLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut inside = String::new();
        // Backticks hold a value that other quotes would escape; what they cannot hold is quoted.
        if self.quote == Quote::Double || write_inside(&mut inside, &self.value, self.quote).is_err() {
            return f.write_str(&quoted(&self.value));
        }
        let quote = self.quote.as_char();
        write!(f, "{quote}{inside}{quote}")
    }
}

impl Display for Subquery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}:", self.inner, Plain(&self.range))?;
        if let Some(step) = &self.step {
            Plain(step).fmt(f)?;
        }
        write!(f, "]{}", self.time)
    }
}

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // What goes on over operators stands first, so that what follows ends it.
        let offset = self.offset.as_ref();
        let (first, last) = if offset.is_some_and(|offset| duration::goes_on(&offset.by)) {
            (offset, None)
        } else {
            (None, offset)
        };
        if let Some(offset) = first {
            write!(f, " offset {}", Plain(&offset.by))?;
        }
        if let Some(extended) = self.extended {
            write!(f, " {}", extended.as_str())?;
        }
        match self.at.map(|at| at.when) {
            None => {}
            Some(When::Start) => f.write_str(" @ start()")?,
            Some(When::End) => f.write_str(" @ end()")?,
            Some(When::Milliseconds(milliseconds)) => {
                let sign = if milliseconds < 0 { "-" } else { "" };
                let since = milliseconds.unsigned_abs();
                write!(f, " @ {sign}{}.{:03}", since / 1000, since % 1000)?;
            }
        }
        match last {
            None => Ok(()),
            Some(offset) => write!(f, " offset {}", Plain(&offset.by)),
        }
    }
}

impl Display for Matching {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(labels) = &self.labels {
            let word = if labels.on { "on" } else { "ignoring" };
            write!(f, "{word} {} ", List(&labels.labels))?;
        }
        if let Some(group) = &self.group {
            let word = match group.many {
                Side::Left => "group_left",
                Side::Right => "group_right",
            };
            write!(f, "{word} {} ", List(&group.labels))?;
        }
        let Fill { left, right } = &self.fill;
        for (word, value) in [("fill_left", left), ("fill_right", right)] {
            if let Some(value) = value {
                write!(f, "{word} ({value}) ")?;
            }
        }
        Ok(())
    }
}

/// Name and conditions. A name that no text has before the braces, which only a hand makes, stands in them.
fn selector(f: &mut Formatter<'_>, selector: &VectorSelector) -> fmt::Result {
    let matchers = selector.matchers.iter().map(|matcher| &matcher.matcher);
    let name = selector.name.as_ref().map(|name| &*name.text);
    named(f, name, matchers, |name| !is_reserved(name))
}

/// Writes a selector: the name before the braces where `bare` says that it may stand there, else as a matcher.
pub(crate) fn named<'a>(
    out: &mut impl fmt::Write,
    name: Option<&str>,
    matchers: impl Iterator<Item = &'a Matcher>,
    bare: impl Fn(&str) -> bool,
) -> fmt::Result {
    let mut conditions: Vec<String> = matchers.map(ToString::to_string).collect();
    if let Some(name) = name {
        if is_metric_name(name) && bare(name) {
            out.write_str(name)?;
        } else {
            conditions.insert(0, Matcher::equal(NAME_LABEL, name).to_string());
        }
    }
    if conditions.is_empty() {
        // An empty text is not a selector, and `info` takes one without matchers.
        return out.write_str(if name.is_none() { "{}" } else { "" });
    }
    write!(out, "{{{}}}", conditions.join(","))
}

/// Whether a word is never the name of a metric before its braces.
fn is_reserved(name: &str) -> bool {
    let is_number = ["inf", "nan"].iter().any(|word| word.eq_ignore_ascii_case(name));
    is_number || Keyword::of(name, Dialect::default(), false).is_some_and(|word| !word.may_name_a_metric())
}

/// The labels of a list, in parentheses.
struct List<'a>(&'a [Label]);

impl Display for List<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('(')?;
        for (index, label) in self.0.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            // A keyword may stand there as it is, but for two that are numbers.
            let is_number = label.name.eq_ignore_ascii_case("inf") || label.name.eq_ignore_ascii_case("nan");
            if is_label_name(&label.name) && !is_number {
                write!(f, "{comma}{}", label.name)?;
            } else {
                write!(f, "{comma}{}", quoted(&label.name))?;
            }
        }
        f.write_char(')')
    }
}
