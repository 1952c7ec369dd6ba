use std::collections::BTreeMap;

use language::{
    escaping::escape,
    span::{Origin, Span},
    template::{Data, Fields, MAX_OUTPUT, Position, QueryData, Template},
};
use promql::{Dialect, Expr, Matcher, ParseErrorKind, matcher::is_label_name, parse_with};

use crate::input;

/// Stands around every value, and in nothing else.
const MARK: char = '\u{e000}';

/// A template of a query, the name of its series, and values of labels, as `label=value|value` one a line.
///
/// Output knows where it came from: no part of a value is ever taken for the author's text or for a name. Put into PromQL, values
/// change literals and nothing else. Output is bounded, and errors point into the template.
pub fn template(data: &[u8]) {
    let Some([text, series, labels]) = input::texts(data) else {
        return;
    };
    for fields in [Fields::Resource, Fields::Tenant] {
        if let Err(error) = Template::parse(text, fields) {
            points_inside(text, error.position);
        }
    }
    let template = match Template::parse(text, Fields::Query) {
        Ok(template) => template,
        Err(error) => {
            assert!(!error.message.is_empty());
            points_inside(text, error.position);
            return;
        }
    };
    assert_eq!(template.text(), text);
    if text.contains(MARK) || series.contains(MARK) {
        return;
    }
    let hostile: BTreeMap<&str, Vec<String>> = labels
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(label, _)| is_label_name(label))
        .map(|(label, values)| (label, values.split('|').map(ToOwned::to_owned).collect()))
        .collect();

    let marked = render(&template, series, &hostile, |value| {
        format!("{MARK}{value}{MARK}")
    });
    for span in marked.iter().flatten() {
        assert!(
            span.origin >= Origin::Matchers || !span.raw().contains(MARK),
            "a value is taken for {:?}: {span:?}",
            span.origin
        );
    }
    let marked_placed = marked.as_deref().and_then(|spans| escape(spans).ok());
    let plain = render(&template, series, &hostile, |value| format!("v{}", value.len()));
    let given = render(&template, series, &hostile, ToOwned::to_owned);
    for (spans, placed) in [
        (marked, marked_placed),
        (given.clone(), given.and_then(|spans| escape(&spans).ok())),
    ] {
        if let (Some(plain), Some(spans), Some(placed)) = (&plain, spans, placed) {
            differ_in_literals(plain, &spans, &placed);
        }
    }
}

fn render(
    template: &Template,
    series: &str,
    labels: &BTreeMap<&str, Vec<String>>,
    value: impl Fn(&str) -> String,
) -> Option<Vec<Span>> {
    let values: BTreeMap<String, Vec<String>> = labels
        .iter()
        .map(|(label, values)| {
            (
                (*label).to_owned(),
                values.iter().map(|text| value(text)).collect(),
            )
        })
        .collect();
    let matchers: Vec<String> = values
        .iter()
        .map(|(label, values)| Matcher::one_of(label, values).to_string())
        .collect();
    let data = Data::Query(QueryData {
        series: series.to_owned(),
        label_matchers: matchers.join(","),
        group_by: values.keys().take(1).cloned().collect(),
        label_values_by_name: values,
    });
    let located = template.render_located(&data);
    let spans = template.render(&data);
    match (located, spans) {
        (Ok(located), Ok(spans)) => {
            assert!(spans.iter().map(Span::raw_len).sum::<usize>() <= MAX_OUTPUT);
            assert!(spans.iter().all(|span| span.raw_len() > 0), "an empty span");
            for (span, position) in &located {
                assert!(!span.parts.is_empty());
                points_inside(template.text(), *position);
            }
            assert!(
                located
                    .into_iter()
                    .map(|(span, _)| span)
                    .eq(spans.iter().cloned())
            );
            Some(spans)
        }
        (Err(located), Err(error)) => {
            assert_eq!(located, error);
            points_inside(template.text(), error.position);
            None
        }
        (located, spans) => panic!("{located:?}, {spans:?}"),
    }
}

/// Where the author's text came out the same, the query is the same but for its literals.
fn differ_in_literals(plain: &[Span], spans: &[Span], placed: &str) {
    let shape = |spans: &[Span]| -> Vec<(Origin, String)> {
        let own = |span: &Span| span.origin <= Origin::Name;
        let spans = spans.iter();
        spans
            .map(|span| {
                (
                    span.origin,
                    if own(span) {
                        span.raw().into_owned()
                    } else {
                        String::new()
                    },
                )
            })
            .collect()
    };
    // a condition, or `len`, may depend on a value
    if shape(plain) != shape(spans) {
        return;
    }
    let Ok(plain) = escape(plain) else { return };
    let Ok(expr) = parse_with(&plain, Dialect::SENT) else {
        return;
    };
    let hostile = match parse_with(placed, Dialect::SENT) {
        Ok(expr) => expr,
        // what it says of the values, and not of the text: `{a=""}` picks everything
        Err(error) if error.kind == ParseErrorKind::MatchAll => return,
        Err(error) => panic!("{plain} parses, {placed} does not: {error}"),
    };
    assert_eq!(
        without_literals(expr),
        without_literals(hostile),
        "{plain}\n{placed}"
    );
}

/// The same with empty literals.
fn without_literals(mut expr: Expr) -> Expr {
    expr.each_mut(&mut |node| {
        if let Expr::String(literal) = node {
            literal.value.clear();
        }
        if let Some(selector) = node.selector_mut() {
            for held in &mut selector.matchers {
                held.matcher.value.clear();
            }
        }
    });
    expr
}

fn points_inside(text: &str, position: Position) {
    let place = |n: u32| usize::try_from(n).expect("small");
    assert!(
        input::is_inside(text, place(position.line), place(position.column)),
        "{position}: {text:?}"
    );
}
