//! Location in a template, found from a place in a query that was rendered from it.

use language::{
    span::{Origin, Span},
    template::Position,
};

/// Where the byte at `offset` of the concatenated `spans` was written: inside the author's text that very place, inside a value
/// the action that put it there.
pub(super) fn locate(spans: &[(Span, Position)], offset: usize) -> Option<Position> {
    let mut start = 0;
    for (span, position) in spans {
        let length = span.raw_len();
        if offset < start + length {
            return Some(match span.origin {
                Origin::Text => advance(*position, span.raw().get(..offset - start)?),
                _ => *position,
            });
        }
        start += length;
    }
    // Behind the end: something is missing there.
    let (last, position) = spans.last()?;
    Some(if last.origin == Origin::Text {
        advance(*position, &last.raw())
    } else {
        *position
    })
}

/// The offset in bytes of a line and column, both from 1, the column in characters.
pub(super) fn offset_of(text: &str, line: usize, column: usize) -> Option<usize> {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.checked_sub(1)?)
        .map(str::len)
        .sum();
    let line = text.get(start..)?;
    Some(
        start
            + line
                .char_indices()
                .nth(column.checked_sub(1)?)
                .map_or(line.len(), |(offset, _)| offset),
    )
}

/// Where the action begins that puts in what stands at `position` of a template, `<<` included; of the author's own text that very
/// place.
pub(super) fn opening(template: &str, position: Position) -> Position {
    let Position { line, column } = position;
    let offset = usize::try_from(line)
        .ok()
        .zip(usize::try_from(column).ok())
        .and_then(|(line, column)| offset_of(template, line, column));
    let before = offset
        .and_then(|offset| template.get(..offset))
        .map(str::trim_end);
    let opened = before.and_then(|before| before.strip_suffix("<<-").or_else(|| before.strip_suffix("<<")));
    opened.map_or(position, behind)
}

/// Line and column of the byte at `offset`.
pub(super) fn position_of(text: &str, offset: usize) -> Position {
    behind(text.get(..offset).unwrap_or(text))
}

/// The place behind a text.
pub(super) fn behind(text: &str) -> Position {
    advance(Position { line: 1, column: 1 }, text)
}

fn advance(from: Position, over: &str) -> Position {
    over.chars().fold(from, |at, c| match c {
        '\n' => Position {
            line: at.line + 1,
            column: 1,
        },
        _ => Position {
            column: at.column + 1,
            ..at
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use language::{
        span::raw_text,
        template::{Data, Fields, QueryData, Template},
    };

    fn rendered(template: &str) -> (Vec<(Span, Position)>, String) {
        let data = QueryData {
            series: "a_very_long_series".to_owned(),
            label_matchers: "a=\"b\"".to_owned(),
            ..QueryData::default()
        };
        let template = Template::parse(template, Fields::Query).unwrap();
        let spans = template.render_located(&Data::Query(data)).unwrap();
        let text = raw_text(&spans.iter().map(|(span, _)| span.clone()).collect::<Vec<_>>());
        (spans, text)
    }

    #[test]
    fn text_is_found_where_it_was_written() {
        let (spans, text) = rendered("sum(\n  rate(<<.Series>>{<<.LabelMatchers>>}[2m])\n) by pod");
        let at = |needle: &str| locate(&spans, text.find(needle).unwrap()).unwrap().to_string();
        assert_eq!(at("sum"), "1:1");
        assert_eq!(at("rate"), "2:3");
        assert!(
            at("a_very").starts_with("2:"),
            "a value is where its action stands"
        );
        assert_eq!(at("[2m]"), "2:39");
        assert_eq!(at("pod"), "3:6");
        assert_eq!(locate(&spans, text.len()).unwrap().to_string(), "3:9");
    }

    #[test]
    fn an_action_begins_with_its_delimiter() {
        let template = "ä\n  <<- .Series>>{<<.LabelMatchers>>} x";
        for (line, column, opened) in [(2, 7, "2:3"), (2, 19, "2:17"), (2, 36, "2:36"), (1, 1, "1:1")] {
            assert_eq!(opening(template, Position { line, column }).to_string(), opened);
        }
    }

    #[test]
    fn columns_count_characters() {
        let (spans, text) = rendered("/* ä */ <<.Series>> ]");
        let offset = offset_of(&text, 1, 28).unwrap();
        assert_eq!(text.get(offset..), Some("]"));
        assert_eq!(locate(&spans, offset).unwrap().to_string(), "1:21");
    }
}
