use metricrule::language::promql::{
    MatchOp, Matcher, Query, QueryError, SeriesSelector, check_patterns, confine, matcher::is_label_name,
    widest_range,
};
use promql_parser::parser::{self, Expr, VectorSelector};

use crate::input;

/// A query, the namespace that it is confined to, and values of a label, one a line.
///
/// What comes out of confinement parses again, here and by the parser alone, and every vector selector of it holds the matcher of
/// the namespace; a print reads back as the same; a matcher's value is one literal and says itself; an error points into the
/// query.
pub fn promql(data: &[u8]) {
    let Some([text, namespace, values]) = input::texts(data) else {
        return;
    };
    let matcher = Matcher::equal("namespace", namespace);
    let query = Query::parse(text);
    match &query {
        Ok(query) => {
            let printed = query.to_string();
            let again = Query::parse(&printed).unwrap_or_else(|error| panic!("{printed}: {error}"));
            assert_eq!(again.to_string(), printed, "not canonical");
            let _ = widest_range(query);
        }
        Err(error) => points_inside(text, error),
    }
    if let Err(error) = check_patterns(text) {
        points_inside(text, &error);
    }
    match confine(text, &matcher) {
        Ok(confined) => {
            assert!(query.is_ok() && !namespace.is_empty());
            is_confined(&confined, &matcher);
            let twice = confine(&confined, &matcher).unwrap_or_else(|error| panic!("{confined}: {error}"));
            is_confined(&twice, &matcher);
        }
        Err(error) => {
            if let Some((line, column)) = error.position {
                assert!(input::is_inside(text, line, column), "{error:?}");
            }
        }
    }
    if let Ok(selector) = SeriesSelector::parse(text) {
        series(&selector, &matcher);
    }
    literal(values);
}

fn points_inside(text: &str, error: &QueryError) {
    assert!(!error.message.is_empty());
    if let Some((line, column)) = error.position {
        assert!(input::is_inside(text, line, column), "{error:?}");
    }
}

fn series(selector: &SeriesSelector, matcher: &Matcher) {
    let printed = selector.to_string();
    assert_eq!(
        SeriesSelector::parse(&printed).as_ref(),
        Ok(selector),
        "{printed}"
    );
    let confined = selector.to_string_with(matcher);
    let again = SeriesSelector::parse(&confined).unwrap_or_else(|error| panic!("{confined}: {error}"));
    assert!(again.matchers().any(|held| held == matcher), "{confined}");
    assert_eq!(again.name(), selector.name());
    is_confined(&confined, matcher);
}

/// A value, or several, of whatever characters, is one literal that says itself.
fn literal(values: &str) {
    let values: Vec<&str> = values.split('\n').collect();
    let matcher = Matcher::one_of("label", &values);
    let text = format!("up{{{matcher}}}");
    let selector = match SeriesSelector::parse(&text) {
        Ok(selector) => selector,
        // a pattern may be too long to compile
        Err(error) => {
            assert!(values.len() > 1 && text.len() > 512, "{text}: {error}");
            return;
        }
    };
    let held: Vec<&Matcher> = selector.matchers().collect();
    assert_eq!(held, [&matcher], "{text}");
    if values.len() == 1 {
        assert_eq!((matcher.op, matcher.value.as_str()), (MatchOp::Equal, values[0]));
    }
}

/// Every vector selector holds the matcher, as another walk over the parser's own tree sees it.
fn is_confined(text: &str, matcher: &Matcher) {
    assert!(is_label_name(&matcher.label));
    Query::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    // the parser takes patterns for Rust's, and refuses some of RE2's
    let Ok(expr) = parser::parse(text) else {
        assert!(text.contains('~'), "{text} parses here alone");
        return;
    };
    selectors(&expr, &mut |selector| {
        assert!(selector.matchers.or_matchers.is_empty(), "{text}");
        let held = selector.matchers.matchers.iter().any(|held| {
            held.name == matcher.label
                && held.value == matcher.value
                && held.op.to_string() == matcher.op.as_str()
        });
        assert!(held, "{text}: a selector without {matcher}");
    });
}

fn selectors(expr: &Expr, visit: &mut impl FnMut(&VectorSelector)) {
    match expr {
        Expr::VectorSelector(selector) => visit(selector),
        Expr::MatrixSelector(matrix) => visit(&matrix.vs),
        Expr::Aggregate(aggregate) => {
            selectors(&aggregate.expr, visit);
            if let Some(param) = &aggregate.param {
                selectors(param, visit);
            }
        }
        Expr::Unary(unary) => selectors(&unary.expr, visit),
        Expr::Binary(binary) => {
            selectors(&binary.lhs, visit);
            selectors(&binary.rhs, visit);
        }
        Expr::Paren(paren) => selectors(&paren.expr, visit),
        Expr::Subquery(subquery) => selectors(&subquery.expr, visit),
        Expr::Call(call) => call.args.args.iter().for_each(|arg| selectors(arg, visit)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => {}
        Expr::Extension(_) => panic!("a node that nobody knows"),
    }
}
