//! Escaping of values in PromQL: each is written for where the template puts it.
//!
//! The template's own text is passed through. A value may stand only inside a string literal, and there it can say nothing but
//! itself: the quote, the operator before the literal and the author's text around it decide how it is written.

mod inside;
mod scan;
mod verbatim;

use promql::literal::{Quote, write_inside};
use promql::matcher::is_metric_name;
use promql::re2;

use self::inside::Inside;
use self::scan::{Literal, Scanner, State};
pub use self::verbatim::{adapter_text, substitute};
use crate::span::{Origin, Span};

/// A value stands where it cannot be written safely.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EscapeError {
    /// The cause.
    pub message: String,
    /// The index of the span that could not be written.
    pub span: usize,
}

/// The query that a template's output is.
///
/// - [`Origin::Text`] is taken as it is.
/// - [`Origin::Name`] stands unquoted where it is a legal name (several with commas between), or inside a literal as a value.
/// - [`Origin::Matchers`] stand between braces, or inside a literal as a value.
/// - [`Origin::Values`] stand inside a literal: quoted for it; in a pattern (`=~`, `!~`, the last argument of `label_replace`) each
///   RE2-escaped and several joined by `|`; in `label_replace`'s replacement with `$` doubled; in the literal of a function that
///   is not known here, only text that is plain in a pattern and a replacement alike.
///
/// # Errors
///
/// For a value outside of literals or in a comment, for several values outside of a pattern, for a value with a backtick or
/// (outside of a pattern) a backslash in a literal in backticks, and for a value right after something of the author's that it could continue: an unfinished escape, a
/// class, a repetition or a flag of a pattern, a `$1` of a replacement.
///
/// ```
/// use language::escaping::escape;
/// use language::span::{Origin, Span};
///
/// let query = |value| escape(&[
///     Span::new(Origin::Text, "up{pod=\""),
///     Span::new(Origin::Values, value),
///     Span::new(Origin::Text, "\"}"),
/// ]);
/// assert_eq!(query("\"} or secret{a=\"")?, r#"up{pod="\"} or secret{a=\""}"#);
/// # Ok::<(), language::escaping::EscapeError>(())
/// ```
pub fn escape(spans: &[Span]) -> Result<String, EscapeError> {
    let mut writer = Writer {
        scanner: Scanner::default(),
        out: String::new(),
    };
    for (index, span) in spans.iter().enumerate() {
        let outcome = match span.origin {
            Origin::Text => {
                writer.verbatim(&span.raw());
                Ok(())
            }
            Origin::Name => writer.name(span, &spans[index + 1..]),
            Origin::Matchers => writer.matchers(span, &spans[index + 1..]),
            Origin::Values => writer.values(&span.parts, &spans[index + 1..]),
        };
        outcome.map_err(|message| EscapeError { message, span: index })?;
    }
    Ok(writer.out)
}

struct Writer {
    scanner: Scanner,
    out: String,
}

impl Writer {
    fn verbatim(&mut self, text: &str) {
        text.chars().for_each(|c| self.scanner.feed(c));
        self.out.push_str(text);
    }

    fn name(&mut self, span: &Span, rest: &[Span]) -> Result<(), String> {
        let text = span.raw();
        match self.scanner.state {
            State::Literal(_) => self.values(&[text.into_owned()], rest),
            State::Unsure => Err(UNSURE.to_owned()),
            State::Code | State::Comment | State::CommentReturn => {
                if let Some(illegal) = text
                    .split(',')
                    .find(|name| !is_metric_name(name))
                    .filter(|_| !text.is_empty())
                {
                    return Err(format!(
                        "{illegal:?} is not a name that may stand unquoted: write it inside a string, such as {{\"<<.Series>>\"}}"
                    ));
                }
                self.verbatim(&text);
                Ok(())
            }
        }
    }

    fn matchers(&mut self, span: &Span, rest: &[Span]) -> Result<(), String> {
        let text = span.raw();
        match self.scanner.state {
            State::Literal(_) => self.values(&[text.into_owned()], rest),
            State::Code if self.scanner.braces => {
                for c in text.chars() {
                    if matches!(self.scanner.state, State::Code) && "{}#\\".contains(c) {
                        return Err("the matchers would leave the braces".to_owned());
                    }
                    self.scanner.feed(c);
                }
                self.out.push_str(&text);
                let whole = matches!(self.scanner.state, State::Code);
                if whole {
                    Ok(())
                } else {
                    Err("the matchers would leave a string open".to_owned())
                }
            }
            State::Code | State::Comment | State::CommentReturn | State::Unsure if text.is_empty() => Ok(()),
            State::Code | State::Comment | State::CommentReturn => {
                Err("matchers may stand only inside `{…}`".to_owned())
            }
            State::Unsure => Err(UNSURE.to_owned()),
        }
    }

    fn values(&mut self, parts: &[String], rest: &[Span]) -> Result<(), String> {
        let literal = match &mut self.scanner.state {
            State::Literal(literal) => literal,
            State::Code => return Err("a value may stand only inside a string".to_owned()),
            State::Comment | State::CommentReturn => {
                return Err("a value may not stand in a comment".to_owned());
            }
            State::Unsure => return Err(UNSURE.to_owned()),
        };
        if literal.in_escape() {
            return Err("a value may not follow an unfinished escape".to_owned());
        }
        let text = text_of(parts, literal, rest)?;
        literal.hold_value();
        write_inside(&mut self.out, &text, literal.quote).map_err(ToOwned::to_owned)
    }
}

const UNSURE: &str = "nothing may be placed after what servers read differently: a backslash outside of a string or at the end of one in \
     backticks, or a carriage return alone in a comment";

/// What the literal has to say, before it is quoted.
fn text_of(parts: &[String], literal: &Literal, rest: &[Span]) -> Result<String, String> {
    let neighbour = || "the text before the value would take it for a part of itself".to_owned();
    if let Inside::Pattern(before) = &literal.inside {
        if !before.is_complete() {
            return Err(neighbour());
        }
        let pattern = parts
            .iter()
            .map(|part| re2::quote(part))
            .collect::<Vec<_>>()
            .join("|");
        return Ok(if needs_group(parts.len(), literal, rest) {
            format!("(?:{pattern})")
        } else {
            pattern
        });
    }
    let value = match parts {
        [] => "",
        [value] => value,
        _ => return Err("several values need `=~` or `!~`".to_owned()),
    };
    match &literal.inside {
        // Written as it is, it would be the value for Prometheus and an escape of the closing backtick for MetricsQL.
        _ if literal.quote == Quote::Raw && value.contains('\\') => {
            Err("a value with a backslash cannot stand in a literal in backticks".to_owned())
        }
        Inside::Replacement(before) if !before.is_complete() => Err(neighbour()),
        Inside::Replacement(_) => Ok(value.replace('$', "$$")),
        Inside::Unknown(function) if value.contains(re2::is_meta) => Err(format!(
            "the value {value:?} may not stand in an argument of `{function}`, whose meaning is not known"
        )),
        Inside::Value | Inside::Unknown(_) | Inside::Pattern(_) => Ok(value.to_owned()),
    }
}

/// Whether the author's text around could reach into the alternatives, or a repetition bind to the last character only.
fn needs_group(parts: usize, literal: &Literal, rest: &[Span]) -> bool {
    let next = rest.iter().find(|span| span.raw_len() > 0);
    let next_char = next
        .filter(|span| span.origin == Origin::Text)
        .and_then(|span| span.raw().chars().next());
    let alone = literal.is_empty && next_char == Some(literal.quote.as_char());
    parts > 1 && !alone || next_char.is_some_and(|c| "*+?{".contains(c))
}

#[cfg(test)]
mod tests;
