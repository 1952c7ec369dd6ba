//! Go as the oracle (tests/oracles/template), kinds of data, and bounds; the rest is in the modules.

mod arbitrary;
mod origins;
mod positions;
mod references;

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::span::{Origin, raw_text};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fixture {
    data: Vec<QuerySet>,
    cases: Vec<Case>,
    random: Vec<Case>,
    typed: Vec<Case>,
    torn: Vec<Case>,
    resources: Vec<ResourceSet>,
    resource_cases: Vec<Case>,
}

#[derive(Deserialize)]
struct QuerySet {
    name: String,
    series: String,
    label_matchers: String,
    label_values_by_name: BTreeMap<String, Vec<String>>,
    group_by: Vec<String>,
}

#[derive(Deserialize)]
struct ResourceSet {
    group: String,
    resource: String,
}

#[derive(Deserialize)]
struct Case {
    template: String,
    #[serde(default)]
    refused: String,
    outcomes: Vec<Outcome>,
}

/// Of Go, for each data set, or for all of them.
#[derive(Deserialize)]
struct Outcome {
    output: Option<String>,
    error: Option<String>,
}

fn fixture() -> Fixture {
    crate::fixture::read("template.json")
}

fn query_sets(fixture: &Fixture) -> Vec<(String, Data)> {
    let data = |set: &QuerySet| {
        Data::Query(QueryData {
            series: set.series.clone(),
            label_matchers: set.label_matchers.clone(),
            label_values_by_name: set.label_values_by_name.clone(),
            group_by: set.group_by.clone(),
        })
    };
    fixture
        .data
        .iter()
        .map(|set| (set.name.clone(), data(set)))
        .collect()
}

/// What differs from Go, one line each.
fn differences(cases: &[Case], fields: Fields, sets: &[(String, Data)]) -> Vec<String> {
    let mut differences = Vec::new();
    for case in cases {
        let outcomes = case.outcomes.iter().cycle();
        assert!(case.outcomes.len() == 1 || case.outcomes.len() == sets.len());
        let parsed = Template::parse(&case.template, fields);
        for ((name, data), go) in sets.iter().zip(outcomes) {
            let ours = match &parsed {
                Ok(template) => template
                    .render(data)
                    .map(|spans| raw_text(&spans))
                    .map_err(|error| format!("render: {error}")),
                Err(error) => Err(format!("parse: {error}")),
            };
            let same = match (&ours, &go.output) {
                (Err(_), Some(_)) if !case.refused.is_empty() => true,
                // Go writes the error of a verb into its output.
                (Err(_), Some(output)) => output.contains("%!"),
                (Ok(ours), Some(output)) => {
                    case.refused.is_empty() && ours == output && !output.contains("%!")
                }
                (Err(_), None) => true,
                (Ok(_), None) => false,
            };
            if !same {
                let go = (&go.output, go.error.as_deref());
                differences.push(format!(
                    "{:?} with {name}: ours {ours:?}, Go {go:?}",
                    case.template
                ));
            }
        }
    }
    differences
}

#[test]
fn queries_render_as_in_go() {
    let fixture = fixture();
    assert!(fixture.cases.len() > 800, "{}", fixture.cases.len());
    let differences = differences(&fixture.cases, Fields::Query, &query_sets(&fixture));
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

/// Templates of which each part fits its place: what Go renders is rendered, what fails in Go on some data fails.
#[test]
fn random_templates_that_fit_render_as_in_go() {
    let fixture = fixture();
    let differences = differences(&fixture.typed, Fields::Query, &query_sets(&fixture));
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
    let rendered = |case: &Case| case.outcomes.iter().any(|go| go.output.is_some());
    assert!(fixture.typed.iter().filter(|case| rendered(case)).count() * 2 > fixture.typed.len());
}

/// Templates put together by chance, or torn. Metricrule may refuse more than Go, for a reason of its own, but never renders
/// anything else.
#[test]
fn random_templates_render_as_in_go_or_not_at_all() {
    let fixture = fixture();
    let sets = query_sets(&fixture);
    let mut rendered = 0;
    for case in fixture.random.iter().chain(&fixture.torn) {
        let parsed = Template::parse(&case.template, Fields::Query);
        for ((name, data), go) in sets.iter().zip(case.outcomes.iter().cycle()) {
            let ours = parsed
                .as_ref()
                .map_err(|error| error.message.clone())
                .and_then(|template| template.render(data).map_err(|error| error.message));
            match (&ours, &go.output) {
                (Ok(spans), output) => {
                    rendered += 1;
                    assert_eq!(
                        Some(raw_text(spans)),
                        *output,
                        "{:?} with {name}: {:?}",
                        case.template,
                        go.error
                    );
                }
                (Err(message), Some(output)) => assert!(
                    output.contains("%!") || STRICTER.iter().any(|reason| message.contains(reason)),
                    "{:?} with {name}: {message}; Go: {output:?}",
                    case.template
                ),
                (Err(_), None) => {}
            }
        }
    }
    let all = fixture.random.len() * sets.len();
    assert!(rendered * 3 > all, "only {rendered} of {all} were rendered");
}

/// What is refused although Go renders it for some data: see the module's documentation.
const STRICTER: &[&str] = &[
    // of values whose types do not suit, in a place that is not reached
    "incompatible types for comparison",
    "can't index",
    "len of",
    "range can't iterate over",
    "can't use a number to iterate over more than one variable",
    "has no field",
    "unknown field",
    "wrong number of args for",
    "the format must be a string",
    "cannot print",
    "has no argument",
    "arguments but only",
    "bad argument index in a format",
    "a format ends with an unfinished %",
    "can't give an argument to something that is not a function",
    "nil is not a command",
    "what follows | must be a function",
    "undefined variable",
    // always
    "the template's data as a whole cannot be printed",
    "is not supported",
    "not valid UTF-8",
    "a number over 1000 in a format",
];

#[test]
fn resource_templates_render_as_in_go() {
    let fixture = fixture();
    let sets: Vec<(String, Data)> = fixture
        .resources
        .iter()
        .map(|set| {
            let data = Data::Resource {
                group: set.group.clone(),
                resource: set.resource.clone(),
            };
            (set.resource.clone(), data)
        })
        .collect();
    let differences = differences(&fixture.resource_cases, Fields::Resource, &sets);
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

fn sample() -> Data {
    let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    Data::Query(QueryData {
        series: "up".to_owned(),
        label_matchers: r#"pod="a""#.to_owned(),
        label_values_by_name: BTreeMap::from([
            ("pod".to_owned(), values(&["a", "b.c"])),
            ("tier".to_owned(), values(&["web"])),
        ]),
        group_by: values(&["pod", "node"]),
    })
}

fn parse(text: &str) -> Template {
    Template::parse(text, Fields::Query).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn span(origin: Origin, parts: &[&str]) -> Span {
    Span {
        origin,
        parts: parts.iter().map(|part| (*part).to_owned()).collect(),
    }
}

#[test]
fn other_data_than_parsed_for_is_an_error() {
    let tenant = Template::parse("team-<<.Namespace>>", Fields::Tenant).unwrap();
    let data = Data::Tenant {
        namespace: "shop".to_owned(),
    };
    let expected = vec![span(Origin::Text, &["team-"]), span(Origin::Values, &["shop"])];
    assert_eq!(tenant.render(&data).unwrap(), expected);
    assert_eq!(
        tenant.render(&sample()).unwrap_err().position,
        Position { line: 1, column: 8 }
    );
    assert!(Template::parse("<<.Series>>", Fields::Tenant).is_err());
    assert!(Template::parse("<<.Namespace>>", Fields::Query).is_err());
}

#[test]
fn work_and_output_are_bounded() {
    let refused = [
        ("<<range 1000000>><<end>>".to_owned(), "steps"),
        (
            "<<range 100000000000>><<range 10>><<end>><<end>>".to_owned(),
            "steps",
        ),
        (
            r#"<<$x := "0123456789abcdef">><<range 40>><<$x = print $x $x>><<end>>"#.to_owned(),
            "longer",
        ),
        (
            format!(
                r#"<<$x := "x">><<range 14>><<$x = print $x $x>><<end>><<range 99>><<printf "{}" $x>><<end>>"#,
                "%.0[1]s".repeat(500)
            ),
            "steps",
        ),
        (format!("<<range 5000>>{}<<end>>", "x".repeat(1000)), "longer"),
        (
            format!(r#"<<range 99999>><<$x := "{}">><<end>>"#, "x".repeat(4000)),
            "steps",
        ),
    ];
    for (text, message) in refused {
        let error = parse(&text).render(&sample()).unwrap_err();
        assert!(error.message.contains(message), "{error}");
    }
    let depth = |n: usize| format!("<<{}1{}>>", "(".repeat(n), ")".repeat(n));
    assert!(Template::parse(&depth(64), Fields::Query).is_ok());
    assert!(Template::parse(&depth(65), Fields::Query).is_err());
    let blocks = |n: usize| format!("{}{}", "<<if 1>>".repeat(n), "<<end>>".repeat(n));
    assert!(Template::parse(&blocks(64), Fields::Query).is_ok());
    assert!(Template::parse(&blocks(65), Fields::Query).is_err());
    let arms = format!("<<if 0>>{}<<end>>", "<<else if 0>>a".repeat(500));
    assert!(Template::parse(&arms, Fields::Query).is_ok());
    assert!(Template::parse(&"<<1>>".repeat(11_000), Fields::Query).is_err());
    assert!(Template::parse(&"x".repeat(MAX_TEXT), Fields::Query).is_ok());
    assert!(Template::parse(&"x".repeat(MAX_TEXT + 1), Fields::Query).is_err());
}
