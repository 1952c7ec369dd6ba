//! Confinement of a query to the series that one matcher picks.
//!
//! What is sent is our print of the parsed tree, never the author's text, so that no difference between two parsers' readings of
//! that text can matter. The print is parsed again and compared, and every selector in it is looked at once more.

use crate::ast::{Expr, Name, SelectorMatcher, VectorSelector};
use crate::dialect::Dialect;
use crate::error::{ParseError, ParseErrorKind};
use crate::matcher::{MatchOp, Matcher, NAME_LABEL, is_keyword};
use crate::parser::parse_with;
use crate::re2;
use crate::span::{Location, Place, Span};

/// A query of which every selector holds a matcher.
#[derive(Clone, Debug, PartialEq)]
pub struct Confined {
    text: String,
    expr: Expr,
}

/// A query cannot be confined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfineError {
    /// The text is not PromQL.
    #[error("not valid PromQL: {0}")]
    Parse(#[from] ParseError),
    /// A function that reads series which are not its arguments.
    #[error("`{function}()` reads series that the query does not name, so it cannot be confined")]
    ReadsMore {
        /// Its name.
        function: &'static str,
        /// Where the name stands.
        span: Span,
    },
    /// A label named `or`, which VictoriaMetrics may take for the start of an alternative.
    #[error("a selector with a label named `or` cannot be confined")]
    LabelNamedOr {
        /// The matcher.
        span: Span,
    },
    /// The matcher also picks series without its label, or it is one of the name.
    #[error("`{0}` does not confine a query")]
    Matcher(Matcher),
    /// With the matcher on every selector the query is beyond the bounds of the parser.
    #[error("once confined, {0}")]
    Bound(String),
    /// What was printed does not read back as what was meant. It is not known to happen.
    #[error("the query cannot be written back faithfully: {0}")]
    Unfaithful(String),
}

// === impl Confined ===

impl Confined {
    /// The query to send.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same, owned.
    pub fn into_text(self) -> String {
        self.text
    }

    /// The tree of it.
    pub const fn expr(&self) -> &Expr {
        &self.expr
    }
}

// === impl ConfineError ===

impl ConfineError {
    /// Where the cause stands in the text, where it stands there.
    pub const fn span(&self) -> Option<Span> {
        match self {
            Self::Parse(error) => Some(error.span),
            Self::ReadsMore { span, .. } | Self::LabelNamedOr { span } => Some(*span),
            Self::Matcher(_) | Self::Bound(_) | Self::Unfaithful(_) => None,
        }
    }

    /// The same as line and column of the text that was to be confined.
    pub fn location(&self, text: &str) -> Option<Location> {
        self.span().map(|span| span.location(text))
    }
}

/// The query with `matcher` in each of its vector selectors, in subqueries and in the parameters of aggregations too.
///
/// A condition that the author wrote on the same label stays beside it. Labels that a query *makes* (`label_replace`,
/// `label_join`, `count_values`) are not looked at: whoever reads the answer checks its rows, or does not trust their labels.
/// Patterns are left to the server.
///
/// # Errors
///
/// For text that does not parse, for a function that reads more than its arguments (`info`), for a label named `or`, for a tree
/// that does not come back equal from its own print, and for a `matcher` that would also pick series without its label.
///
/// ```
/// use promql::{Matcher, confine};
///
/// let shop = Matcher::equal("namespace", "shop");
/// let confined = confine("sum(rate(requests_total[5m])) / scalar(count(up))", &shop)?;
/// assert_eq!(
///     confined.text(),
///     r#"sum(rate(requests_total{namespace="shop"}[5m])) / scalar(count(up{namespace="shop"}))"#,
/// );
/// assert!(confine("info(up)", &shop).is_err());
/// # Ok::<(), promql::ConfineError>(())
/// ```
pub fn confine(text: &str, matcher: &Matcher) -> Result<Confined, ConfineError> {
    check_matcher(matcher)?;
    let mut expr = parse_with(text, Dialect::SENT)?;
    check(&expr)?;
    let before = expr.selectors().len();
    expr.each_mut(&mut |node| {
        if let Some(selector) = node.selector_mut() {
            add(selector, matcher);
        }
    });

    let text = expr.to_string();
    // The matchers may make a text too long that was not.
    let reread = parse_with(&text, Dialect::SENT).map_err(|error| match error.kind {
        ParseErrorKind::Bound => ConfineError::Bound(error.message),
        _ => ConfineError::Unfaithful(error.message),
    })?;
    check(&reread)?;
    let selectors = reread.selectors();
    let holds = |selector: &&VectorSelector| selector.conditions().any(|held| held == *matcher);
    if selectors.len() != before || !selectors.iter().all(holds) {
        return Err(ConfineError::Unfaithful("a selector was left out".to_owned()));
    }
    if reread != expr {
        return Err(ConfineError::Unfaithful(
            "it reads differently once printed".to_owned(),
        ));
    }
    Ok(Confined { text, expr: reread })
}

/// Adds the matcher, behind those of the author. A name that is a word to some server goes into the braces.
fn add(selector: &mut VectorSelector, matcher: &Matcher) {
    if let Some(Name { text, place }) = selector.name.take_if(|name| is_keyword(&name.text)) {
        selector
            .matchers
            .insert(0, held(Matcher::equal(NAME_LABEL, text), place));
    }
    selector.matchers.push(held(matcher.clone(), Place::default()));
}

const fn held(matcher: Matcher, place: Place) -> SelectorMatcher {
    SelectorMatcher {
        matcher,
        value: place,
        place,
    }
}

fn check_matcher(matcher: &Matcher) -> Result<(), ConfineError> {
    let confines = matcher.label != NAME_LABEL
        && match matcher.op {
            MatchOp::Equal => !matcher.value.is_empty(),
            MatchOp::Regex => re2::matches_fully(&matcher.value, "").is_ok_and(|empty| !empty),
            MatchOp::NotEqual | MatchOp::NotRegex => false,
        };
    if confines {
        Ok(())
    } else {
        Err(ConfineError::Matcher(matcher.clone()))
    }
}

/// The first thing of the text that cannot be confined.
fn check(expr: &Expr) -> Result<(), ConfineError> {
    let mut refused = None;
    expr.each(&mut |node| {
        if let Err(error) = check_node(node) {
            refused.get_or_insert(error);
        }
    });
    refused.map_or(Ok(()), Err)
}

fn check_node(node: &Expr) -> Result<(), ConfineError> {
    if let Expr::Call(call) = node
        && !call.function.is_confinable
    {
        return Err(ConfineError::ReadsMore {
            function: call.function.name,
            span: call.name.span(),
        });
    }
    let mut matchers = node
        .selector()
        .into_iter()
        .flat_map(|selector| &selector.matchers);
    match matchers.find(|held| held.matcher.label.eq_ignore_ascii_case("or")) {
        Some(or) => Err(ConfineError::LabelNamedOr {
            span: or.place.span(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
