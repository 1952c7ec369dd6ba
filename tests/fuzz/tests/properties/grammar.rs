//! Sentences near the languages: most are valid, and those that are not fail late.

use proptest::{collection::vec, option, prelude::*, sample::select};

/// Sentences for a target; `None` for those whose input is no language of ours.
pub(crate) fn of(target: &str) -> Option<BoxedStrategy<String>> {
    Some(match target {
        "promql" => query(),
        "template" => template(),
        "selector" => selector(),
        "route" => route(),
        "quantity" => quantity(),
        "re2" => pattern(),
        _ => return None,
    })
}

fn one_of(words: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    select(words).prop_map(str::to_owned)
}

/// Values that mean something somewhere.
fn hostile() -> BoxedStrategy<String> {
    prop_oneof![
        3 => one_of(&["\"", "\\", "'", "`", "}", "{", "|", ".*", "$1", "\n", "# ", "<<", ">>", "%41", "\\Q", "(?i)"]),
        2 => "[a-z0-9-]{0,8}",
        1 => "\\PC{0,4}",
    ]
    .boxed()
}

fn hostile_text() -> BoxedStrategy<String> {
    vec(hostile(), 0..5).prop_map(|parts| parts.concat()).boxed()
}

// === PromQL ===

fn matchers() -> BoxedStrategy<String> {
    let label = one_of(&["a", "pod", "namespace", "__name__", "\"quoted.label\""]);
    let operator = one_of(&["=", "!=", "=~", "!~"]);
    let value = hostile_text().prop_map(|text| format!("{text:?}"));
    let value = prop_oneof![one_of(&["\"x\"", "'x.*'", "`\\d+`", "\"\""]), value];
    let matcher =
        (label, operator, value).prop_map(|(label, operator, value)| format!("{label}{operator}{value}"));
    vec(matcher, 0..4).prop_map(|matchers| matchers.join(",")).boxed()
}

fn query() -> BoxedStrategy<String> {
    let name = one_of(&["up", "http_requests_total", "node:cpu:rate5m", ""]);
    let time = one_of(&[
        "",
        "",
        " offset 5m",
        " offset -1h30m",
        " @ 1700000000.5",
        " @ end() offset 1m",
    ]);
    let instant = (name, matchers(), time.clone()).prop_map(|(name, matchers, time)| {
        let matchers = if name.is_empty() && matchers.is_empty() {
            "a=\"b\"".to_owned()
        } else {
            matchers
        };
        format!("{name}{{{matchers}}}{time}")
    });
    let number = one_of(&["1", "0x1F", "1e3", ".5", "Inf", "NaN", "1_000", "5m", "-2"]);
    let leaf = prop_oneof![4 => instant, 1 => number];
    let grouping = one_of(&["", " by (pod)", " without (a, b)", " by (\"quoted.label\")"]);
    let sentence = leaf.prop_recursive(4, 24, 3, move |inner| {
        let aggregation = one_of(&["sum", "max", "group", "stddev", "count"]);
        let parameter = one_of(&["topk", "quantile", "limitk"]);
        let over = one_of(&["rate", "max_over_time", "absent_over_time", "deriv"]);
        let window = one_of(&["[5m]", "[5m:1m]", "[1h:]", "[1d]"]);
        let call = one_of(&[
            "abs",
            "absent",
            "scalar",
            "vector",
            "timestamp",
            "info",
            "sort_desc",
        ]);
        let operator = one_of(&[
            "+",
            "/",
            "^",
            "> bool",
            "or",
            "unless on (pod)",
            "and ignoring (a)",
            "* on (pod) group_left (b)",
            "%",
        ]);
        prop_oneof![
            (aggregation, grouping.clone(), inner.clone())
                .prop_map(|(name, grouping, inner)| format!("{name}{grouping} ({inner})")),
            (parameter, inner.clone(), inner.clone())
                .prop_map(|(name, parameter, inner)| format!("{name}(scalar({parameter}), {inner})")),
            (over, inner.clone(), window, time.clone())
                .prop_map(|(name, inner, window, time)| format!("{name}({inner}{window}{time})")),
            (call, inner.clone()).prop_map(|(name, inner)| format!("{name}({inner})")),
            (inner.clone(), operator, inner.clone())
                .prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
            (inner.clone(), hostile_text()).prop_map(|(inner, text)| format!(
                "label_replace({inner}, \"pod\", {text:?}, \"a\", \"(.*)\")"
            )),
            inner.prop_map(|inner| format!("-({inner}) # a comment\n")),
        ]
    });
    let namespace = prop_oneof![one_of(&["shop", "a-1", ""]), hostile_text()];
    (sentence, namespace, hostile_text())
        .prop_map(|(query, namespace, values)| format!("{query}\n--\n{namespace}\n--\n{values}"))
        .boxed()
}

// === templates ===

fn template() -> BoxedStrategy<String> {
    let value = one_of(&[
        ".Series",
        ".LabelMatchers",
        ".GroupBy",
        "$",
        "index .LabelValuesByName \"pod\"",
        "index .LabelValuesByName \"a\" | printf \"%s\"",
        "index .GroupBySlice 0",
        "len .LabelValuesByName",
        "printf \"x%qy\" .Series",
        "(print .LabelMatchers)",
    ]);
    let action = value.clone().prop_map(|value| format!("<<{value}>>"));
    let text = one_of(&[
        "up",
        "{",
        "}",
        "sum(",
        ")",
        "{a=\"",
        "\"}",
        "{pod=~\"",
        "=~'^",
        "$'}",
        " + ",
        "[5m]",
        "`",
        "\\",
        "# ",
        "\n",
        "label_replace(up, \"a\", \"",
        "\", \"b\", \"(.*)\")",
    ]);
    let query = one_of(&[
        "sum(rate(<<.Series>>{<<.LabelMatchers>>}[2m])) by (<<.GroupBy>>)",
        "up{pod=\"<<index .LabelValuesByName \"pod\">>\"}",
        "up{pod=~\"x<<index .LabelValuesByName \"pod\">>y\"}",
        "up{pod!~'(?:<<index .LabelValuesByName \"a\">>)+',a=`<<index .LabelValuesByName \"a\">>`}",
        "label_replace(up, \"a\", \"-<<index .LabelValuesByName \"a\">>\", \"b\", \"<<index .LabelValuesByName \"pod\">>(.*)\")",
    ]);
    let part = prop_oneof![3 => action, 3 => text, 1 => query.clone()];
    let block = part.prop_recursive(3, 16, 3, move |inner| {
        let body = vec(inner, 0..3).prop_map(|parts| parts.concat());
        prop_oneof![
            (value.clone(), body.clone(), body.clone())
                .prop_map(|(value, one, two)| format!("<<if {value}>>{one}<<else>>{two}<<end>>")),
            (value.clone(), body.clone())
                .prop_map(|(value, body)| format!("<<with $x := {value}>>{body}<<$x>><<end>>")),
            body.prop_map(|body| format!(
                "<<range $k, $v := .LabelValuesByName>><<$k>>=\"<<$v>>\"{body}<<end>>"
            )),
        ]
    });
    let blocks = vec(block, 0..6).prop_map(|parts| parts.concat());
    let text = prop_oneof![blocks, query];
    let series = one_of(&["http_requests_total", "up", "utf-8.name", ""]);
    let values = (vec(hostile_text(), 1..3), vec(hostile_text(), 1..3));
    (text, series, values)
        .prop_map(|(text, series, (pod, a))| {
            let line = |values: &[String]| values.join("|").replace('\n', "\\n");
            format!("{text}\n--\n{series}\n--\npod={}\na={}", line(&pod), line(&a))
        })
        .boxed()
}

// === requests ===

fn selector() -> BoxedStrategy<String> {
    let key = prop_oneof![
        3 => one_of(&["app", "a", "example.com/app", "A.b_c-d", "1"]),
        1 => "[A-Za-z0-9._/-]{0,70}",
    ];
    let value = prop_oneof![3 => "[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", 1 => hostile(), 1 => Just(String::new())];
    let list = vec(value.clone(), 0..4).prop_map(|values| values.join(","));
    let requirement = (
        key,
        one_of(&["=", "==", "!=", " in ", " notin ", "", "!", ">", "<"]),
        value,
        list,
    )
        .prop_map(|(key, operator, value, list)| match operator.as_str() {
            "" => key,
            "!" => format!("!{key}"),
            " in " | " notin " => format!("{key}{operator}({list})"),
            operator => format!("{key}{operator}{value}"),
        });
    vec(requirement, 0..5)
        .prop_map(|requirements| requirements.join(","))
        .boxed()
}

fn route() -> BoxedStrategy<String> {
    let segment = prop_oneof![
        4 => one_of(&["namespaces", "shop", "pods", "p-1", "metrics", "requests", "*", "deployments.apps", "status"]),
        1 => one_of(&["", "..", "%2A", "%2F", "%00", "%zz", "%C3%A9", "%FF", "watch", "A", "a.b.c"]),
        1 => "[a-z0-9.-]{0,300}",
    ];
    let base = one_of(&[
        "/apis/custom.metrics.k8s.io/v1beta1",
        "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop",
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop",
        "/apis",
        "/openapi/v3",
        "/readyz",
        "",
    ]);
    let selector =
        selector().prop_map(|text| text.replace('%', "%25").replace('&', "%26").replace('+', "%2B"));
    let parameter = prop_oneof![
        (one_of(&["labelSelector", "metricLabelSelector"]), selector)
            .prop_map(|(name, value)| format!("{name}={value}")),
        one_of(&[
            "watch=1",
            "limit=x",
            "timeout=1m",
            "timeout=0",
            "fieldSelector=metadata.name%3Dp-1",
            "pretty",
            "a=%zz"
        ]),
    ];
    let query = option::of(vec(parameter, 0..4).prop_map(|parameters| parameters.join("&")));
    (
        one_of(&["GET", "GET", "GET", "HEAD", "POST", "BREW"]),
        base,
        vec(segment, 0..6),
        query,
    )
        .prop_map(|(method, base, segments, query)| {
            let path: String = segments.iter().flat_map(|segment| ["/", segment]).collect();
            let query = query.map_or_else(String::new, |query| format!("?{query}"));
            format!("{method} {base}{path}{query}")
        })
        .boxed()
}

fn quantity() -> BoxedStrategy<String> {
    let suffix = one_of(&[
        "", "n", "u", "m", "k", "M", "E", "Ki", "Gi", "Ei", "e3", "E-9", "e+12", "e400",
    ]);
    ("[+-]?[0-9]{0,25}(\\.[0-9]{0,25})?", suffix)
        .prop_map(|(number, suffix)| format!("{number}{suffix}"))
        .boxed()
}

fn pattern() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        one_of(&[
            "a",
            ".",
            "\\d",
            "\\pL",
            "[a-z]",
            "[^\\s-]",
            "[[:alpha:]_]",
            "^",
            "$",
            "\\b",
            "\\Qa+\\E",
            "\\x41",
            "é",
            "(?i)"
        ]),
        "[a-c]{1,3}",
    ];
    let pattern = leaf.prop_recursive(4, 24, 3, |inner| {
        let repetition = one_of(&["*", "+?", "{2,3}", "{,2}", "??", "{3}", "**"]);
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(|parts| parts.concat()),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("{left}|{right}")),
            (one_of(&["(", "(?:", "(?P<n>", "(?s:", "(?i-m:"]), inner.clone())
                .prop_map(|(open, inner)| format!("{open}{inner})")),
            (inner, repetition).prop_map(|(inner, repetition)| format!("{inner}{repetition}")),
        ]
    });
    (
        pattern,
        "[a-cé\n_]{0,12}",
        one_of(&["$1", "${n}-$0", "x", "$$", "$1x"]),
    )
        .prop_map(|(pattern, text, replacement)| format!("{pattern}\n--\n{text}\n--\n{replacement}"))
        .boxed()
}
