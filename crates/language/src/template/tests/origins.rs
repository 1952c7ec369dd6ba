//! Origins of each stretch of output.

use super::super::Span;
use super::{parse, sample, span};
use crate::span::Origin;

fn spans(text: &str) -> Vec<Span> {
    parse(text)
        .render(&sample())
        .unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn check(cases: &[(&str, Vec<Span>)]) {
    for (text, expected) in cases {
        assert_eq!(&spans(text), expected, "{text}");
    }
}

#[test]
fn output_keeps_its_origins() {
    use Origin::{Matchers, Name, Text, Values};
    let several = || span(Values, &["a", "b.c"]);
    let cases: &[(&str, Vec<Span>)] = &[
        ("", vec![]),
        (
            r#"x{a="<<index .LabelValuesByName "pod">>"}"#,
            vec![span(Text, &[r#"x{a=""#]), several(), span(Text, &[r#""}"#])],
        ),
        (
            "<<.Series>>{<<.LabelMatchers>>}",
            vec![
                span(Name, &["up"]),
                span(Text, &["{"]),
                span(Matchers, &[r#"pod="a""#]),
                span(Text, &["}"]),
            ],
        ),
        (
            "<<.GroupBy>>",
            vec![span(Name, &["pod"]), span(Text, &[","]), span(Name, &["node"])],
        ),
        ("<<index .GroupBySlice 1>>", vec![span(Name, &["node"])]),
        // Text between actions is one span, whatever wrote it.
        (
            r#"a<<"b">><<if true>>c<<end>><<print 1 2>>d"#,
            vec![span(Text, &["abc1 2d"])],
        ),
        (r#"<<index .LabelValuesByName "absent">>"#, vec![]),
        ("<<.LabelValuesByName.tier>>", vec![span(Values, &["web"])]),
        (
            r#"<<print .Series (index .LabelValuesByName "pod") "x">>"#,
            vec![span(Name, &["up"]), several(), span(Text, &["x"])],
        ),
        // Two values side by side stay two.
        (
            "<<print .LabelValuesByName.pod .LabelValuesByName.tier>>",
            vec![several(), span(Values, &["web"])],
        ),
        (
            r#"<<printf "<%s|%v>" .Series .LabelValuesByName.pod>>"#,
            vec![
                span(Text, &["<"]),
                span(Name, &["up"]),
                span(Text, &["|"]),
                several(),
                span(Text, &[">"]),
            ],
        ),
    ];
    check(cases);
}

#[test]
fn functions_keep_the_most_suspicious_origin() {
    use Origin::{Matchers, Name, Text, Values};
    let several = || span(Values, &["a", "b.c"]);
    let cases: &[(&str, Vec<Span>)] = &[
        // A format that is not the author's keeps its origin too.
        ("<<printf .LabelValuesByName.pod>>", vec![several()]),
        (
            r#"<<printf (print .Series "%s") "x">>"#,
            vec![span(Name, &["up"]), span(Text, &["x"])],
        ),
        (
            r#"<<printf "%q" .LabelValuesByName.pod>>"#,
            vec![span(Values, &[r#""a|b.c""#])],
        ),
        (
            r#"<<printf "%q" (print .Series .LabelMatchers)>>"#,
            vec![span(Matchers, &[r#""uppod=\"a\"""#])],
        ),
        (r#"<<printf "%x" .Series>>"#, vec![span(Name, &["7570"])]),
        (
            r#"<<printf "%.2s" .LabelValuesByName.pod>>"#,
            vec![span(Values, &["a|"])],
        ),
        (r#"<<printf "%.9s" .LabelValuesByName.pod>>"#, vec![several()]),
        (
            r#"<<printf "%7s" .LabelValuesByName.pod>>"#,
            vec![span(Text, &["  "]), several()],
        ),
        // A byte of a value does not become the author's text by way of its number.
        (
            r#"<<printf "%c" (index .LabelValuesByName "tier" 0)>>"#,
            vec![span(Values, &["w"])],
        ),
        (
            r#"<<printf "%c" (len .LabelMatchers)>>"#,
            vec![span(Matchers, &["\x07"])],
        ),
        (
            r#"<<printf "%c%d" 65 (index .LabelValuesByName "tier" 0)>>"#,
            vec![span(Text, &["A119"])],
        ),
        (
            "<<$x := .LabelValuesByName.pod>><<with $x>><<.>><<end>>",
            vec![several()],
        ),
        (
            "<<range $k, $v := .LabelValuesByName>><<$k>>=<<$v>>;<<end>>",
            vec![
                span(Name, &["pod"]),
                span(Text, &["="]),
                several(),
                span(Text, &[";"]),
                span(Name, &["tier"]),
                span(Text, &["="]),
                span(Values, &["web"]),
                span(Text, &[";"]),
            ],
        ),
        ("<<or .LabelValuesByName.pod .Series>>", vec![several()]),
    ];
    check(cases);
}
