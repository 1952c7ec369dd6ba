//! Place of a finding: its start, its end, and what its author may have meant.

use crate::document::{Document, Node, Position};

/// The place of a problem of the rule language: of a token inside the field's text, or of the field as a whole.
pub(super) fn of_problem(
    document: &Document,
    path: &str,
    position: Option<Position>,
) -> (Position, Option<Position>) {
    let (node, whole) = document.nearest(path);
    match (position.filter(|_| whole), node.text()) {
        (Some(position), Some(text)) => {
            let start = document.inside(node, position);
            let width = token_width(text, position);
            let last = Position {
                column: position.column + width.saturating_sub(1),
                ..position
            };
            let last = document.inside(node, last);
            let end = Position {
                column: last.column + 1,
                ..last
            };
            (
                start,
                (width > 0 && end.line == start.line && end.column > start.column).then_some(end),
            )
        }
        _ if whole => of_node(document, document.named(path).unwrap_or(node)),
        // What is missing has no extent.
        _ => (document.start(node), None),
    }
}

/// The place of a value or a key; the end of one that goes over several lines is no help.
pub(super) fn of_node(document: &Document, node: &Node) -> (Position, Option<Position>) {
    let (start, end) = (document.start(node), document.end(node));
    let on_one_line = end.line == start.line && end.column > start.column;
    (start, on_one_line.then_some(end))
}

/// How many characters the token at `position` has; 0 behind the end of its line.
fn token_width(text: &str, position: Position) -> u32 {
    let line = text.split('\n').nth(position.line.saturating_sub(1) as usize);
    let rest = line
        .unwrap_or_default()
        .chars()
        .skip(position.column.saturating_sub(1) as usize);
    let rest: Vec<char> = rest.collect();
    let word = |c: &char| c.is_alphanumeric() || matches!(c, '_' | ':');
    let skipped = usize::from(rest.first() == Some(&'.'));
    let width = match rest.iter().skip(skipped).take_while(|c| word(c)).count() {
        0 => usize::from(!rest.is_empty()),
        width => width + skipped,
    };
    u32::try_from(width).unwrap_or(u32::MAX)
}

/// A longer text is no misspelling of a name, and the comparison costs the product of both lengths.
const LONGEST: usize = 128;

/// The one of `known` that `text` was most likely meant to be.
pub(super) fn closest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if text.len() > LONGEST {
        return None;
    }
    let lower = text.to_lowercase();
    known
        .into_iter()
        .filter(|known| known.len() <= LONGEST)
        .map(|known| {
            (
                strsim::normalized_damerau_levenshtein(&lower, &known.to_lowercase()),
                known,
            )
        })
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// The one of `known` that begins or ends with `text`, and is the most like it: `seriesQuery` for `series`.
pub(super) fn longer<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if text.len() > LONGEST {
        return None;
    }
    let lower = text.to_lowercase();
    known
        .into_iter()
        .filter(|known| {
            let known = known.to_lowercase();
            text.len() >= 4 && (known.starts_with(&lower) || known.ends_with(&lower))
        })
        .min_by_key(|known| known.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_a_width() {
        for (text, line, column, width) in [
            ("sum(x)", 1, 1, 3),
            ("sum(x)", 1, 4, 1),
            ("<<.Seriez>>", 1, 3, 7),
            ("a\nrate[5m]", 2, 5, 1),
            ("ab", 1, 3, 0),
            ("ab", 9, 1, 0),
        ] {
            assert_eq!(
                token_width(text, Position { line, column }),
                width,
                "{text} {line}:{column}"
            );
        }
    }

    #[test]
    fn what_was_meant() {
        let fields = ["metricsQuery", "seriesQuery", "name"];
        assert_eq!(closest("metricQuery", fields), Some("metricsQuery"));
        assert_eq!(closest("seriesquery", fields), Some("seriesQuery"));
        assert_eq!(closest("interval", fields), None);
        assert_eq!(longer("Query", fields), Some("seriesQuery"));
        assert_eq!(longer("me", fields), None);
    }
}
