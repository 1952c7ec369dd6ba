//! Text that nobody wrote.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::{Data, Fields, MAX_OUTPUT, Position, QueryData, Span, Template};
use super::{parse, sample};
use crate::span::{Origin, raw_text};

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

/// A piece of a template of which can be told what it puts out.
#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Series,
    /// `index` of the map.
    Value(String),
    /// The innermost dot, if there is one.
    Dot,
    /// A variable of the innermost scope, set to a literal and put out.
    Variable(String),
    If(bool, Vec<Self>, Vec<Self>),
    /// Over the labels to group by, with index.
    Labels(Vec<Self>),
    Times(usize, Vec<Self>, Vec<Self>),
    With(String, Vec<Self>, Vec<Self>),
    /// An action that takes the space around it away.
    Trimmed,
}

impl Piece {
    fn source(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Series => "<<$.Series>>".to_owned(),
            Self::Value(key) => format!("<<index $.LabelValuesByName {key:?}>>"),
            Self::Dot => "<<with print .>><<.>><<end>>".to_owned(),
            Self::Variable(text) => format!("<<$v := `{text}`>><<$v | printf \"%s\">>"),
            Self::If(truth, yes, no) => format!(
                "<<if eq $.Series \"{}\">>{}<<else>>{}<<end>>",
                if *truth { "up" } else { "down" },
                source(yes),
                source(no)
            ),
            Self::Labels(body) => format!(
                "<<range $i, $l := $.GroupBySlice>><<$i>><<$l>>{}<<end>>",
                source(body)
            ),
            Self::Times(count, body, none) => {
                format!("<<range {count}>>{}<<else>>{}<<end>>", source(body), source(none))
            }
            Self::With(text, body, none) => {
                format!("<<with {text:?}>>{}<<else>>{}<<end>>", source(body), source(none))
            }
            Self::Trimmed => " \n<<- print \"t\" ->>\t ".to_owned(),
        }
    }

    /// What it puts out where `dot` is the dot, and nothing at the top.
    fn output(&self, dot: &str) -> String {
        match self {
            Self::Text(text) | Self::Variable(text) => text.clone(),
            Self::Series => "up".to_owned(),
            Self::Value(key) => match key.as_str() {
                "pod" => "a|b.c".to_owned(),
                "tier" => "web".to_owned(),
                _ => String::new(),
            },
            Self::Dot => dot.to_owned(),
            Self::If(truth, yes, no) => output(if *truth { yes } else { no }, dot),
            Self::Labels(body) => format!("0pod{}1node{}", output(body, "pod"), output(body, "node")),
            Self::Times(0, _, none) => output(none, dot),
            Self::Times(count, body, _) => (0..*count)
                .map(|number| output(body, &number.to_string()))
                .collect(),
            Self::With(text, _, none) if text.is_empty() => output(none, dot),
            Self::With(text, body, _) => output(body, text),
            Self::Trimmed => "t".to_owned(),
        }
    }
}

fn source(pieces: &[Piece]) -> String {
    pieces.iter().map(Piece::source).collect()
}

fn output(pieces: &[Piece], dot: &str) -> String {
    pieces.iter().map(|piece| piece.output(dot)).collect()
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    // without space at the ends, which a neighbour might take away
    let text = "([a-z{}=\"éü>]([a-z \\n{}]{0,4}[a-z{}])?)?";
    let leaf = prop_oneof![
        text.prop_map(Piece::Text),
        Just(Piece::Series),
        prop::sample::select(vec!["pod", "tier", "absent"]).prop_map(|key| Piece::Value(key.to_owned())),
        Just(Piece::Dot),
        "[a-z \"\\\\]{0,5}".prop_map(Piece::Variable),
        Just(Piece::Trimmed),
    ];
    let piece = leaf.prop_recursive(4, 40, 4, |inner| {
        let list = prop::collection::vec(inner, 0..4);
        prop_oneof![
            (any::<bool>(), list.clone(), list.clone())
                .prop_map(|(truth, yes, no)| Piece::If(truth, yes, no)),
            list.clone().prop_map(Piece::Labels),
            (0..3usize, list.clone(), list.clone())
                .prop_map(|(count, body, none)| Piece::Times(count, body, none)),
            ("[a-z]{0,3}", list.clone(), list).prop_map(|(text, body, none)| Piece::With(text, body, none)),
        ]
    });
    prop::collection::vec(piece, 0..5)
}

proptest! {
    /// Whatever blocks are put into each other, what comes out is what each of them says.
    #[test]
    fn what_is_put_together_comes_out(pieces in pieces()) {
        let text = format!("<<with \"\">><<else>><<with \"top\">>{}<<end>><<end>>", source(&pieces));
        let spans = parse(&text).render(&sample()).unwrap();
        prop_assert_eq!(raw_text(&spans), output(&pieces, "top"));
    }

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
