//! Tokens.

use crate::dialect::Dialect;
use crate::literal::Quote;
use crate::operator::{Aggregation, BinaryOp};
use crate::span::Span;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A name without a colon, or a word that is a keyword in some places and a name in others.
    Word(Option<Keyword>),
    /// A name with a colon, which only a metric has.
    MetricName,
    /// A number.
    Number,
    /// A number with a unit, or several.
    Duration,
    /// A string, quotes included.
    String(Quote),
    /// One bracket, operator, comma or colon.
    Symbol(Symbol),
}

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: TokenKind,
    /// How it is written.
    pub text: &'a str,
    /// Where it stands.
    pub span: Span,
}

/// A word with a meaning of its own (`key` in `promql/parser/lex.go`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyword {
    /// `and`, `or`, `unless`, `atan2`
    Operator(BinaryOp),
    /// `sum` and its like
    Aggregation(Aggregation),
    /// `offset`
    Offset,
    /// `anchored`
    Anchored,
    /// `smoothed`
    Smoothed,
    /// `by`
    By,
    /// `without`
    Without,
    /// `on`
    On,
    /// `ignoring`
    Ignoring,
    /// `group_left`
    GroupLeft,
    /// `group_right`
    GroupRight,
    /// `fill`, where a parenthesis follows
    Fill,
    /// `fill_left`, where a parenthesis follows
    FillLeft,
    /// `fill_right`, where a parenthesis follows
    FillRight,
    /// `bool`
    Bool,
    /// `start`
    Start,
    /// `end`
    End,
    /// `step`
    Step,
    /// `range`
    Range,
    /// `max_of`
    MaxOf,
    /// `min_of`
    MinOf,
}

/// A token of one or two signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symbol {
    /// An operator between expressions; `+` and `-` are signs as well, and `!=` is an operator of matchers inside braces.
    Operator(BinaryOp),
    /// `=`
    Equal,
    /// `=~`
    Matches,
    /// `!~`
    MatchesNot,
    /// `@`
    At,
    /// `,`
    Comma,
    /// `:`
    Colon,
    /// `(`
    OpenParen,
    /// `)`
    CloseParen,
    /// `{`
    OpenBrace,
    /// `}`
    CloseBrace,
    /// `[`
    OpenBracket,
    /// `]`
    CloseBracket,
}

// === impl Token ===

impl<'a> Token<'a> {
    /// What stands between the quotes of a string.
    pub fn body(&self) -> &'a str {
        self.text
            .get(1..self.text.len().saturating_sub(1))
            .unwrap_or_default()
    }

    /// Whether it is this symbol.
    pub fn is(&self, symbol: Symbol) -> bool {
        self.kind == TokenKind::Symbol(symbol)
    }

    /// The keyword that it is.
    pub fn keyword(&self) -> Option<Keyword> {
        match self.kind {
            TokenKind::Word(keyword) => keyword,
            _ => None,
        }
    }

    /// The operator that it is between two expressions.
    pub fn operator(&self) -> Option<BinaryOp> {
        match self.kind {
            TokenKind::Symbol(Symbol::Operator(operator))
            | TokenKind::Word(Some(Keyword::Operator(operator))) => Some(operator),
            _ => None,
        }
    }
}

// === impl Keyword ===

impl Keyword {
    /// The keyword that a word is in a dialect, in upper or lower case. `followed` says whether a parenthesis comes next.
    pub(crate) fn of(word: &str, dialect: Dialect, followed: bool) -> Option<Self> {
        if word.len() > 12 {
            return None;
        }
        let lower = word.to_ascii_lowercase();
        let keyword = match lower.as_str() {
            "and" => Self::Operator(BinaryOp::And),
            "or" => Self::Operator(BinaryOp::Or),
            "unless" => Self::Operator(BinaryOp::Unless),
            "atan2" => Self::Operator(BinaryOp::Atan2),
            "offset" => Self::Offset,
            "by" => Self::By,
            "without" => Self::Without,
            "on" => Self::On,
            "ignoring" => Self::Ignoring,
            "group_left" => Self::GroupLeft,
            "group_right" => Self::GroupRight,
            "bool" => Self::Bool,
            "start" => Self::Start,
            "end" => Self::End,
            "anchored" if dialect.is_3_16() => Self::Anchored,
            "smoothed" if dialect.is_3_16() => Self::Smoothed,
            "fill" if dialect.is_3_16() && followed => Self::Fill,
            "fill_left" if dialect.is_3_16() && followed => Self::FillLeft,
            "fill_right" if dialect.is_3_16() && followed => Self::FillRight,
            "step" if dialect.is_3_16() => Self::Step,
            "range" if dialect.is_3_16() => Self::Range,
            "max_of" if dialect.is_3_16() => Self::MaxOf,
            "min_of" if dialect.is_3_16() => Self::MinOf,
            _ => Self::Aggregation(Aggregation::from_name(&lower)?),
        };
        Some(keyword)
    }

    /// Whether it may stand between brackets.
    pub(super) fn is_of_durations(self) -> bool {
        matches!(self, Self::Step | Self::Range | Self::MaxOf | Self::MinOf)
    }

    /// Whether it is the name of a metric where an expression may begin (`metric_identifier` in `generated_parser.y`).
    pub(crate) fn may_name_a_metric(self) -> bool {
        !matches!(
            self,
            Self::Operator(BinaryOp::Atan2)
                | Self::On
                | Self::Ignoring
                | Self::GroupLeft
                | Self::GroupRight
                | Self::Bool
        )
    }
}

// === impl Symbol ===

impl Symbol {
    /// How it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator(operator) => operator.as_str(),
            Self::Equal => "=",
            Self::Matches => "=~",
            Self::MatchesNot => "!~",
            Self::At => "@",
            Self::Comma => ",",
            Self::Colon => ":",
            Self::OpenParen => "(",
            Self::CloseParen => ")",
            Self::OpenBrace => "{",
            Self::CloseBrace => "}",
            Self::OpenBracket => "[",
            Self::CloseBracket => "]",
        }
    }
}
