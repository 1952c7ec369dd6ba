mod escapes;

use proptest::prelude::*;

use self::escapes::ESCAPES;
use super::*;
use crate::fixture;

fn ours() -> Matcher {
    Matcher::equal("namespace", "shop")
}

/// Each selector of a text, looked at without anything that `confine` uses to look.
fn all_confined(text: &str) -> bool {
    fn look(expr: &Expr) -> bool {
        let held = |selector: &VectorSelector| {
            let mut matchers = selector.matchers.iter().map(|m| &m.matcher);
            matchers.any(|m| m.label == "namespace" && m.value == "shop" && m.op == MatchOp::Equal)
        };
        match expr {
            Expr::Aggregate(node) => {
                look(&node.argument) && node.parameter.as_ref().is_none_or(|param| look(param))
            }
            Expr::Unary(node) => look(&node.operand),
            Expr::Binary(node) => look(&node.left) && look(&node.right),
            Expr::Paren(node) => look(&node.inner),
            Expr::Subquery(node) => look(&node.inner),
            Expr::Number(_) | Expr::String(_) => true,
            Expr::Vector(selector) => held(selector),
            Expr::Matrix(node) => held(&node.selector),
            Expr::Call(node) => node.function.name != "info" && node.arguments.iter().all(look),
        }
    }
    look(&read(text))
}

fn read(text: &str) -> Expr {
    parse_with(text, Dialect::SENT).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What `confine` makes of a text.
fn confined(text: &str) -> Result<String, ConfineError> {
    confine(text, &ours()).map(Confined::into_text)
}

#[test]
fn the_matcher_goes_into_every_selector() {
    for (text, confined) in [
        ("up", r#"up{namespace="shop"}"#),
        ("up{}", r#"up{namespace="shop"}"#),
        (
            r#"up{namespace="other"}"#,
            r#"up{namespace="other",namespace="shop"}"#,
        ),
        (r#"{__name__=~".+"}"#, r#"{__name__=~".+",namespace="shop"}"#),
        (r#"{"my.metric"}"#, r#"{__name__="my.metric",namespace="shop"}"#),
        (
            "sum by (pod) (rate(http_requests_total{pod=~\"a|b\"}[2m] offset 1m)) # per second",
            r#"sum by (pod) (rate(http_requests_total{pod=~"a|b",namespace="shop"}[2m] offset 1m))"#,
        ),
        (
            "histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m])))",
            r#"histogram_quantile(0.9, sum by (le) (rate(x_bucket{namespace="shop"}[5m])))"#,
        ),
        (
            "max_over_time(rate(a[5m])[1h:1m] @ end()) / on (pod) group_left (node) b",
            r#"max_over_time(rate(a{namespace="shop"}[5m])[1h:1m] @ end()) / on (pod) group_left (node) b{namespace="shop"}"#,
        ),
        (
            "topk(scalar(a), b)",
            r#"topk(scalar(a{namespace="shop"}), b{namespace="shop"})"#,
        ),
        (
            "absent(a) or vector(0)",
            r#"absent(a{namespace="shop"}) or vector(0)"#,
        ),
        ("a{b=`\\d+`}", r#"a{b="\\d+",namespace="shop"}"#),
        ("a @ -100", r#"a{namespace="shop"} @ -100.000"#),
        ("sum by () (a)", r#"sum by () (a{namespace="shop"})"#),
        ("a offset 0s > bool 0", r#"a{namespace="shop"} > bool 0"#),
        ("rate(a[300])", r#"rate(a{namespace="shop"}[5m])"#),
        (
            "rate(a[0.0001] offset -5)",
            r#"rate(a{namespace="shop"}[0.0001] offset -5s)"#,
        ),
        ("a > 5m", r#"a{namespace="shop"} > 300"#),
        ("limit{a='b'}", r#"{__name__="limit",a="b",namespace="shop"}"#),
        (
            "rate(a[max_of(5m, step())] smoothed)",
            r#"rate(a{namespace="shop"}[max_of(5m, step())] smoothed)"#,
        ),
        (
            "range() * integral(a[5m])",
            r#"range() * integral(a{namespace="shop"}[5m])"#,
        ),
        ("a offset 0 > bool 0", r#"a{namespace="shop"} > bool 0"#),
        ("vector(1) + time()", "vector(1) + time()"),
        ("sum(a) by (b)", r#"sum by (b) (a{namespace="shop"})"#),
    ] {
        let printed = confine(text, &ours()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(printed.text(), confined);
        assert!(all_confined(printed.text()));
    }
}

#[test]
fn patterns_are_left_to_the_server() {
    let expected = r#"a{b=~"\\Qx\\E",c!~"(?=x)",namespace="shop"}"#;
    assert_eq!(confined(r#"a{b=~`\Qx\E`,c!~"(?=x)"}"#).as_deref(), Ok(expected));
}

#[test]
fn nobody_escapes() {
    let mut passed = 0;
    for text in ESCAPES {
        if let Ok(printed) = confined(text) {
            assert!(all_confined(&printed), "{text} came out as {printed}");
            assert_eq!(
                confined(&printed).map(|again| all_confined(&again)),
                Ok(true),
                "{printed}"
            );
            passed += 1;
        }
    }
    // Neither everything passes nor everything is refused.
    assert!(
        ESCAPES.len() >= 150 && (90..ESCAPES.len() - 30).contains(&passed),
        "{passed} of {}",
        ESCAPES.len()
    );
}

#[test]
fn refusals_say_why() {
    for (text, cause) in [
        ("info(up)", "`info()`"),
        ("sum(topk(scalar(info(up)), up))", "`info()`"),
        ("up{a=\"b\" or c=\"d\"}", "`or`"),
        ("up{\"OR\"=\"x\"}", "named `or`"),
        ("up{or=\"x\"}", "named `or`"),
        ("up and", "not valid PromQL: expected an expression"),
        ("label_set(up, \"a\", \"b\")", "unknown function `label_set`"),
    ] {
        let error = confined(text).expect_err(text);
        assert!(error.to_string().contains(cause), "{text}: {error}");
    }
    for (text, location) in [
        ("up +\n\n)", "3:1"),
        ("up +\n sum(info(up))", "2:6"),
        ("up + a{b=\"c\",Or='d'}", "1:14"),
    ] {
        let error = confined(text).expect_err(text);
        assert_eq!(
            error.location(text).map(|at| at.to_string()).as_deref(),
            Some(location),
            "{text}"
        );
    }
}

#[test]
fn only_a_matcher_that_confines() {
    for matcher in [
        Matcher::equal("namespace", ""),
        Matcher::new("namespace", MatchOp::NotEqual, "shop"),
        Matcher::new("namespace", MatchOp::NotRegex, "shop"),
        Matcher::new("namespace", MatchOp::Regex, ".*"),
        Matcher::new("namespace", MatchOp::Regex, "("),
        Matcher::equal("__name__", "up"),
    ] {
        assert!(confine("up", &matcher).is_err(), "{matcher}");
    }
    let several = Matcher::one_of("namespace", &["a", "b"]);
    assert_eq!(confine("up", &several).unwrap().text(), r#"up{namespace=~"a|b"}"#);
    let odd = Matcher::equal("k8s.ns", "a\"} or {b=\"");
    assert_eq!(
        confine("up", &odd).unwrap().text(),
        r#"up{"k8s.ns"="a\"} or {b=\""}"#
    );
}

/// Queries made of parts that are each valid somewhere.
fn query() -> impl Strategy<Value = String> {
    let selector = prop::sample::select(
        &[
            "a",
            "secret",
            "{\"b.c\"}",
            "{__name__=~\".+\"}",
            "sum{x='y'}",
            "a{namespace!=`shop`}",
            "a{b=\"} or c{\"}",
            "a{\"or\"=\"\"}",
        ][..],
    );
    let leaf = (
        selector,
        prop::sample::select(&["", " offset 5m", " @ 5", " @ end()", "[5m]", "[5m:1m] offset 1h"][..]),
    )
        .prop_map(|(selector, time)| {
            if time.starts_with('[') {
                format!("rate({selector}{time})")
            } else {
                format!("{selector}{time}")
            }
        });
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (
                inner.clone(),
                prop::sample::select(
                    &[
                        "+",
                        "or",
                        "unless on (x)",
                        "* on () group_left (y)",
                        "== bool",
                        "^"
                    ][..]
                ),
                inner.clone()
            )
                .prop_map(|(l, op, r)| format!("{l} {op} {r}")),
            (
                prop::sample::select(&["sum", "topk by (x)", "quantile", "count_values", "limitk"][..]),
                inner.clone(),
                inner.clone()
            )
                .prop_map(|(op, param, arg)| match op {
                    "sum" => format!("sum({arg})"),
                    "count_values" => format!("count_values(\"namespace\", {arg})"),
                    _ => format!("{op}(scalar({param}), {arg})"),
                }),
            inner.clone().prop_map(|e| format!("({e})")),
            inner.clone().prop_map(|e| format!("-{e}")),
            inner
                .clone()
                .prop_map(|e| format!("max_over_time(({e})[1h:] @ -5)")),
            inner
                .clone()
                .prop_map(|e| format!("label_replace({e}, \"namespace\", \"$1\", \"x\", \"(.*)\") # }}\n")),
            inner.prop_map(|e| format!("vector(scalar({e}))")),
        ]
    })
}

/// A row of `tests/fixtures/confined.json`: what Prometheus' own parser sees in a query (`tests/oracles/promql`).
#[derive(serde::Deserialize)]
struct Row {
    query: String,
    selectors: Vec<Vec<Seen>>,
    error: Option<String>,
}

#[derive(serde::Deserialize)]
struct Seen {
    label: String,
    op: String,
    value: String,
}

/// Prometheus reads each confined query as we do, down to the values, and sees our matcher in each selector.
#[test]
fn prometheus_agrees() {
    let rows: Vec<Row> = fixture::read("confined.json");
    for row in &rows {
        if let Some(error) = &row.error {
            // Newer than the Prometheus that was asked.
            assert!(row.query.contains("fill"), "{}: {error}", row.query);
            continue;
        }
        let expr = read(&row.query);
        let read = sorted(
            expr.selectors()
                .into_iter()
                .map(|selector| sorted(selector.conditions())),
        );
        let theirs = sorted(
            row.selectors
                .iter()
                .map(|selector| sorted(selector.iter().map(seen))),
        );
        assert_eq!(read, theirs, "{}", row.query);
        assert!(
            theirs.iter().all(|selector| selector.contains(&ours())),
            "{}",
            row.query
        );
    }
    let judged: Vec<&str> = rows.iter().map(|row| row.query.as_str()).collect();
    let unjudged: Vec<String> = ESCAPES
        .iter()
        .filter_map(|text| confined(text).ok())
        .filter(|text| !judged.contains(&text.as_str()))
        .collect();
    assert!(
        unjudged.is_empty(),
        "add to tests/fixtures/confined.json and run its oracle: {unjudged:#?}"
    );
}

fn seen(matcher: &Seen) -> Matcher {
    let op = [
        MatchOp::Equal,
        MatchOp::NotEqual,
        MatchOp::Regex,
        MatchOp::NotRegex,
    ]
    .into_iter()
    .find(|op| op.as_str() == matcher.op);
    Matcher::new(matcher.label.as_str(), op.unwrap(), matcher.value.as_str())
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort();
    items
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_comes_out_is_confined(text in query()) {
        match confined(&text) {
            Ok(printed) => prop_assert!(all_confined(&printed), "{} came out as {}", text, printed),
            // Of these parts only a label `or` is refused, and a comment that swallows the rest.
            Err(error) => prop_assert!(text.contains("\"or\"") || text.contains('#'), "{}: {}", text, error),
        }
    }
}
