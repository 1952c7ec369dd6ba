//! Text that nobody wrote.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::{Data, Fields, MAX_OUTPUT, Position, QueryData, Span, Template};
use super::{parse, sample};
use crate::language::span::{Origin, raw_text};

/// Pieces that make templates which are often almost right.
fn fragments() -> impl Strategy<Value = String> {
    let fragment = prop::sample::select(vec![
        "<<",
        ">>",
        "<<- ",
        " ->>",
        "<<if .Series>>",
        "<<else>>",
        "<<else if .GroupBy>>",
        "<<end>>",
        "<<range .GroupBySlice>>",
        "<<range $i, $v := .LabelValuesByName>>",
        "<<with .LabelMatchers>>",
        "<<break>>",
        "<<$x := .Series>>",
        "<<$x>>",
        "<<.>>",
        "<<$v>>",
        "<<$i>>",
        ".Series",
        ".LabelMatchers",
        ".LabelValuesByName",
        ".GroupBy",
        ".GroupBySlice",
        "$.Series",
        "$x",
        "$v",
        ":=",
        "=",
        ",",
        "|",
        "(",
        ")",
        " ",
        "\n",
        "index ",
        "print ",
        "printf ",
        "len ",
        "eq ",
        "and ",
        "or ",
        "not ",
        "lt ",
        "nil",
        "true",
        "0",
        "1",
        "-1.5",
        "'é'",
        "\"pod\"",
        "\"%s\"",
        "\"%d|%v\"",
        "`raw`",
        "/*",
        "*/",
        "é",
        "<",
        ">",
        "\"",
        "text{} ",
        ".",
        ".x",
        "<<index .LabelValuesByName \"pod\">>",
        "<<print .Series .GroupBySlice>>",
        "<<printf \"%q\" .LabelValuesByName>>",
    ]);
    prop::collection::vec(fragment, 0..24).prop_map(|parts| parts.concat())
}

/// Parsing and rendering end without a panic, within the bounds, and always in the same way.
fn holds(text: &str) -> Result<(), TestCaseError> {
    let template = match Template::parse(text, Fields::Query) {
        Ok(template) => template,
        Err(error) => {
            let Position { line, column } = error.position;
            let found = text.split('\n').zip(1..).find(|(_, number)| *number == line);
            let columns = found.map(|(text, _)| text.chars().count() + 1);
            prop_assert!(
                columns.is_some_and(|columns| (1..=columns).contains(&(column as usize))),
                "{error}"
            );
            return Ok(());
        }
    };
    prop_assert_eq!(template.text(), text);
    let rendered = template.render(&sample());
    prop_assert_eq!(&rendered, &template.render(&sample()));
    if let Ok(spans) = rendered {
        prop_assert!(
            spans
                .iter()
                .all(|span| span.raw_len() > 0 && span.raw_len() == span.raw().len())
        );
        prop_assert!(spans.iter().map(Span::raw_len).sum::<usize>() <= MAX_OUTPUT);
        prop_assert!(
            !spans
                .windows(2)
                .any(|pair| pair.iter().all(|span| span.origin == Origin::Text))
        );
        prop_assert!(
            spans
                .iter()
                .all(|span| span.parts.len() == 1 || span.origin == Origin::Values)
        );
        if !text.contains("<<") {
            prop_assert_eq!(raw_text(&spans), text);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn arbitrary_text_is_safe(text in any::<String>()) {
        holds(&text)?;
    }

    #[test]
    fn arbitrary_actions_are_safe(before in ".{0,8}", inside in "[ -~é\\n]{0,40}", after in ".{0,8}") {
        holds(&format!("{before}<<{inside}>>{after}"))?;
    }

    #[test]
    fn mixed_fragments_are_safe(text in fragments()) {
        holds(&text)?;
    }

    /// What a value holds changes nothing around it: it comes out as it went in, as a span of its own.
    #[test]
    fn values_come_out_whole(values in prop::collection::vec(any::<String>(), 1..4), author in "[a-z{}\"]{0,8}") {
        let text = format!("{author}<<index .LabelValuesByName \"k\">>{author}");
        let data = Data::Query(QueryData {
            label_values_by_name: BTreeMap::from([("k".to_owned(), values.clone())]),
            ..QueryData::default()
        });
        let spans = parse(&text).render(&data).unwrap();
        let outside: Vec<&Span> = spans.iter().filter(|span| span.origin == Origin::Values).collect();
        if values.join("|").is_empty() {
            prop_assert!(outside.is_empty());
        } else {
            prop_assert_eq!(outside, [&Span { origin: Origin::Values, parts: values }]);
        }
        prop_assert!(spans.iter().all(|span| span.origin != Origin::Text || author.repeat(2).starts_with(&*span.raw())));
    }
}
