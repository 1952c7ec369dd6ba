use proptest::prelude::*;

use super::*;
use crate::ast::{Binary, VectorSelector};
use crate::dialect::Version;
use crate::error::ParseErrorKind;
use crate::operator::BinaryOp;

fn read(text: &str) -> Expr {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A text whose patterns were left to the server.
fn unread(text: &str) -> Expr {
    parse_with(text, Dialect::SENT).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> ParseError {
    parse(text).expect_err(text)
}

#[test]
fn errors_say_where_and_what() {
    for (text, location, message) in [
        ("", "1:1", "empty"),
        ("# only\n# comments", "1:1", "empty"),
        ("sum(a", "1:4", "never closed"),
        ("sum(a))", "1:7", "closes nothing"),
        ("a{b=\"c}", "1:5", "never closed"),
        (
            "sum(\n  rate(a[5m]) +\n)",
            "3:1",
            "expected an expression, found `)`",
        ),
        ("sum(a)\n  by (b) c", "2:10", "expected an operator"),
        ("a{b}", "1:4", "expected `=`"),
        ("a{b=c}", "1:5", "expected a string"),
        ("a{b=\"c\" d=\"e\"}", "1:9", "expected `,` or `}`"),
        ("rate(a[])", "1:8", "expected a duration"),
        ("rate(a[5m]) offset", "1:19", "found the end"),
        ("a @ b", "1:5", "expected a timestamp"),
        ("é", "1:1", "may not stand here"),
        ("\"é\" + ;", "1:7", "may not stand here"),
        ("1 + nope(a)", "1:5", "unknown function `nope`"),
        (
            "sum(rate(a)) ",
            "1:10",
            "takes a range vector as its first argument",
        ),
        ("rate(a[5m]) + sum(rate(b))", "1:24", "this is an instant vector"),
        ("1 + inf{a=\"b\"}", "1:8", "expected an operator"),
        ("a{b=\"\\q\"}", "1:5", "escape"),
        ("a offset inf", "1:10", "out of range"),
        ("a offset -1e30", "1:11", "out of range"),
        ("rate(a[1e400])", "1:8", "not a valid number"),
        ("rate(a[99999999999m])", "1:8", "not a valid duration"),
        ("1__0", "1:1", "not a valid number"),
        ("a ==", "1:5", "expected an expression"),
        ("by (a) b", "1:4", "expected an operator"),
        ("sum by a (b)", "1:8", "expected `(`"),
        ("a{b=~\"(\"}", "1:6", "not a valid pattern"),
        ("{}", "1:1", "needs a name"),
        ("a{__name__=\"b\"}", "1:3", "the metric's name is already `a`"),
        ("1 == 2", "1:3", "needs `bool`"),
        ("a + bool b", "1:3", "`bool` may follow only a comparison"),
        ("a and 1", "1:3", "needs an instant vector on both sides"),
        (
            "sum(1)",
            "1:5",
            "`sum` takes an instant vector, and this is a scalar",
        ),
        ("topk(a, b)", "1:6", "takes a scalar as its parameter"),
        ("rate(a[5m], 1)", "1:1", "takes 1 argument, and this call has 2"),
        ("a[5m] offset 1m offset 2m", "1:17", "only once"),
        ("a[5m:][1h:]", "1:1", "a subquery takes an instant vector"),
        ("(a)[5m]", "1:4", "only a selector can have a range"),
        ("a * on (b) group_left (b) c", "1:24", "may be in only one"),
        ("a[5m / 0]", "1:8", "divided by zero"),
        ("rate(a[0])", "1:8", "longer than 0"),
    ] {
        let error = refused(text);
        assert_eq!(error.location(text).to_string(), location, "{text}: {error}");
        assert!(error.message.contains(message), "{text}: {error}");
    }
}

#[test]
fn kinds_of_refusals() {
    for (text, kind) in [
        ("{a=~\".*\"}", ParseErrorKind::MatchAll),
        ("a{b=\"x\" or c=\"y\"}", ParseErrorKind::Alternatives),
        ("a{b=~\"(?=x)\"}", ParseErrorKind::Pattern),
        ("a +", ParseErrorKind::Invalid),
    ] {
        assert_eq!(refused(text).kind, kind, "{text}");
    }
    let stable = Dialect::default().stable();
    for text in ["limitk(1, a)", "info(a)", "a + fill (1) b"] {
        assert_eq!(
            parse_with(text, stable).unwrap_err().kind,
            ParseErrorKind::Dialect,
            "{text}"
        );
    }
    let many: Vec<String> = (0..65).map(|index| format!("a{{b=~\"x{index}\"}}")).collect();
    assert_eq!(refused(&many.join("+")).kind, ParseErrorKind::Bound);
}

#[test]
fn patterns_are_re2() {
    for text in [
        "a{b=\"(\"}",
        "a{b=~\"x|y\",c!~`\\Q.\\E`}",
        "a",
        "a{b=~\"é\"} # (",
        "{b=~\".*\"}",
    ] {
        assert_eq!(unread(text).check_patterns(), Ok(()));
    }
    for (text, location) in [
        ("a{b=~\"(\"}", "1:6"),
        ("a +\n b{c!~ '(?=x)'}", "2:8"),
        ("a{b=~`\\`}", "1:6"),
    ] {
        let error = unread(text).check_patterns().unwrap_err();
        assert_eq!(error.location(text).to_string(), location, "{text}");
        assert_eq!(error, refused(text));
    }
    let many: Vec<String> = (0..65).map(|index| format!("a{{b=~\"x{index}\"}}")).collect();
    let error = unread(&many.join("+")).check_patterns().unwrap_err();
    assert_eq!(error.kind, ParseErrorKind::Bound);
}

#[test]
fn versions_differ() {
    let old = Dialect::of(Version::V3_5);
    for text in [
        "a anchored",
        "a </ b",
        "step()",
        "a[max_of(1, 2)]",
        "a + fill (1) b",
        "start()",
    ] {
        assert!(parse_with(text, old).is_err() && parse(text).is_ok(), "{text}");
    }
    for text in ["a @ start() [5m]", "a offset (1 + 2) [5m]", "step + anchored"] {
        assert!(parse_with(text, old).is_ok(), "{text}");
    }
    assert!(parse_with("a[5m + 1m]", old.stable()).is_err());
    assert!(parse_with("a[5m + 1m]", Dialect::default().stable()).is_ok());
}

#[test]
fn every_node_has_its_place() {
    fn places<'a>(expr: &Expr, text: &'a str, found: &mut Vec<&'a str>) {
        found.push(expr.span().of(text));
        for child in expr.children() {
            places(child, text, found);
        }
    }
    for (text, expected) in [
        (
            " sum by (a) (rate(x{b='c'}[5m] offset 1m)) / -y # z",
            vec![
                "sum by (a) (rate(x{b='c'}[5m] offset 1m)) / -y",
                "sum by (a) (rate(x{b='c'}[5m] offset 1m))",
                "rate(x{b='c'}[5m] offset 1m)",
                "x{b='c'}[5m] offset 1m",
                "-y",
                "y",
            ],
        ),
        ("topk(- 1, (a @ end())[1h : 1m] anchored)", vec![]),
        (
            "max_over_time((a @ end())[1h : 1m])",
            vec![
                "max_over_time((a @ end())[1h : 1m])",
                "(a @ end())[1h : 1m]",
                "(a @ end())",
                "a @ end()",
            ],
        ),
    ] {
        let Ok(expr) = parse(text) else {
            assert!(expected.is_empty(), "{text}");
            continue;
        };
        let mut found = Vec::new();
        places(&expr, text, &mut found);
        assert_eq!(found, expected);
    }
}

#[test]
fn parts_have_places() {
    let text = "sum(a{b=~`c`}) without (d) * on (e) group_left (f) g offset -5m";
    let Expr::Binary(binary) = read(text) else {
        panic!("{text}")
    };
    let Binary {
        left,
        sign,
        matching,
        right,
        ..
    } = *binary;
    let (Expr::Aggregate(sum), Expr::Vector(selector)) = (*left, *right) else {
        panic!("{text}")
    };
    let VectorSelector { time, .. } = *selector;
    let matcher = &sum.argument.selectors()[0].matchers[0];
    let places = [
        sign,
        sum.name,
        sum.grouping.unwrap().place,
        matcher.place,
        matcher.value,
        matching.labels.unwrap().place,
        matching.group.unwrap().labels[0].place,
        time.offset.unwrap().place,
    ];
    let found = places.map(|place| place.span().of(text));
    assert_eq!(
        found,
        [
            "*",
            "sum",
            "without (d)",
            "b=~`c`",
            "`c`",
            "on (e)",
            "f",
            "offset -5m"
        ]
    );
}

#[test]
fn operators_bind_as_in_prometheus() {
    fn grouped(expr: &Expr) -> String {
        match expr {
            Expr::Binary(node) => format!(
                "({} {} {})",
                grouped(&node.left),
                node.operator,
                grouped(&node.right)
            ),
            Expr::Unary(node) => format!("({}{})", node.operator, grouped(&node.operand)),
            other => other.to_string(),
        }
    }
    for (text, expected) in [
        ("a + b * c ^ d ^ e", "(a + (b * (c ^ (d ^ e))))"),
        ("a - b - c", "((a - b) - c)"),
        ("-a ^ b * c", "((-(a ^ b)) * c)"),
        ("-1 ^ 2", "(-(1 ^ 2))"),
        ("- -1 * 2", "(1 * 2)"),
        ("a ^ -b ^ c", "(a ^ (-(b ^ c)))"),
        (
            "a or b and c unless d == bool e",
            "(a or ((b and c) unless (d == e)))",
        ),
        ("a atan2 b / c", "((a atan2 b) / c)"),
        ("a offset 5 + b", "(a offset 5s + b)"),
        ("a offset (5) + 3", "a offset (5) + 3"),
        ("a offset -(5) + 3", "(a offset -(5) + 3)"),
        ("a offset --5 + 3", "a offset --5 + 3"),
    ] {
        assert_eq!(grouped(&read(text)), expected);
    }
    let Expr::Binary(trim) = read("a </ b") else {
        panic!()
    };
    assert_eq!(trim.operator, BinaryOp::TrimUpper);
}

#[test]
fn prints_what_it_read() {
    for (text, printed) in [
        ("sum  by()(x)", "sum by () (x)"),
        ("sum(x) without (a, \"b.c\")", "sum without (a, \"b.c\") (x)"),
        ("a / ignoring() b", "a / ignoring () b"),
        ("a*on(x)group_left b", "a * on (x) group_left () b"),
        ("a > bool 1", "a > bool 1"),
        ("a @ -100.5", "a @ -100.500"),
        ("a @ end() offset -1h30m", "a @ end() offset -1h30m"),
        ("a offset 90m", "a offset 1h30m"),
        ("a offset 0", "a"),
        ("a[300] offset -(5)", "a[5m] offset -(5)"),
        ("rate(a[0.0001])", "rate(a[0.0001])"),
        ("a > 5m", "a > 300"),
        ("-a^2", "-a ^ 2"),
        ("(-1)^2", "(-1) ^ 2"),
        (
            "max_over_time(rate(a[5m])[1h:] @ 5)",
            "max_over_time(rate(a[5m])[1h:] @ 5.000)",
        ),
        (
            "{\"my.metric\", 'lab.el'!~`\\d+`}",
            "{__name__=\"my.metric\",\"lab.el\"!~\"\\\\d+\"}",
        ),
        ("sum{a='b'}", "sum{a=\"b\"}"),
        ("1_000 + 0x1F - .5e1 + Inf", "1000 + 31 - 5 + Inf"),
        ("a + fill (2) b", "a + fill_left (2) fill_right (2) b"),
        ("quantile(0.9, a) # no\n", "quantile(0.9, a)"),
        ("a{}", "a"),
        ("info(a, {})", "info(a, {})"),
        (
            "a[5m+step()*2:min_of(1m,range())]",
            "a[5m + step() * 2:min_of(1m, range())]",
        ),
        ("rate(a smoothed[5m])", "rate(a[5m] smoothed)"),
        ("'it\\'s' ", "'it\\'s'"),
    ] {
        let expr = read(text);
        assert_eq!(expr.to_string(), printed);
        assert_eq!(read(printed), expr);
    }
}

/// The deepest tree that the bounds let through, on half of the stack that a worker thread has.
#[test]
fn the_deepest_query_needs_little_stack() {
    let run = || {
        let (operators, depth) = (lexer::MAX_OPERATORS, lexer::MAX_DEPTH);
        let chain = "+a".repeat(operators - 1);
        let deep = format!("{}a{chain}{}", "sum(".repeat(depth), ")".repeat(depth));
        let right = format!("{}a{}", "(".repeat(depth), ")".repeat(depth)) + &"^a".repeat(operators - 10);
        let unary = format!("{}a", "-".repeat(operators));
        let offset = format!("a offset {}1{}", "-(".repeat(depth), ")".repeat(depth));
        let power = format!("a[1{}]", "^1".repeat(operators));
        for text in [deep, right, unary, offset, power] {
            let expr = read(&text);
            assert_eq!(read(&expr.to_string()), expr);
        }
    };
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(run);
    thread.unwrap().join().unwrap();
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn no_pile_of_tokens_panics(tokens in proptest::collection::vec(proptest::sample::select(&[
        "a", "sum", "rate", "by", "offset", "@", "start", "(", ")", "[", "]", "{", "}", "5m", "1e99", "inf", "nan", "-", "+",
        "=", "=~", "!~", "==", "and", "or", "\"x\"", "`\\`", "'", ",", ":", "#", "\n", "é", "bool", "on", "group_left", "fill",
        "label_replace", "0x", "1_", "_", "!", ".", "topk", "unless", "ignoring", "step", "max_of", "smoothed", "</",
    ][..]), 0..24)) {
        for text in [tokens.join(" "), tokens.concat()] {
            match parse(&text) {
                Ok(expr) => prop_assert_eq!(parse(&expr.to_string()), Ok(expr), "{}", text),
                Err(error) => prop_assert!(text.get(error.span.range()).is_some(), "{}: {:?}", text, error),
            }
        }
    }
}
