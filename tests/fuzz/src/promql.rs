use promql::{
    ConfineError, Dialect, Expr, MatchOp, Matcher, ParseError, SeriesSelector, ast::VectorSelector, confine,
    matcher::is_label_name, parse, parse_with,
};

use crate::input;

/// A query, the namespace that it is confined to, and values of a label, one a line.
///
/// What comes out of confinement parses again, and another walk than confinement's finds the matcher of the namespace in every
/// vector selector of it; a print reads back as the same tree; a matcher's value is one literal and says itself; an error points
/// into the query.
pub fn promql(data: &[u8]) {
    let Some([text, namespace, values]) = input::texts(data) else {
        return;
    };
    let matcher = Matcher::equal("namespace", namespace);
    let expr = parse_with(text, Dialect::SENT);
    match &expr {
        Ok(expr) => analyses(expr, text),
        Err(error) => {
            points_inside(text, error);
            assert!(parse(text).is_err(), "{text} is read with its patterns alone");
        }
    }
    match confine(text, &matcher) {
        Ok(confined) => {
            assert!(expr.is_ok() && !namespace.is_empty());
            is_confined(confined.text(), &matcher);
            let twice =
                confine(confined.text(), &matcher).unwrap_or_else(|error| panic!("{confined:?}: {error}"));
            is_confined(twice.text(), &matcher);
        }
        Err(ConfineError::Unfaithful(error)) => panic!("{text}: {error}"),
        Err(error) => {
            if let Some(at) = error.location(text) {
                assert!(input::is_inside(text, at.line, at.column), "{error:?}");
            }
        }
    }
    if let Ok(selector) = SeriesSelector::parse(text) {
        series(&selector, &matcher);
    }
    literal(values);
}

fn analyses(expr: &Expr, text: &str) {
    let printed = expr.to_string();
    let again = parse_with(&printed, Dialect::SENT).unwrap_or_else(|error| panic!("{printed}: {error}"));
    assert_eq!(again, *expr, "{printed}");
    assert_eq!(again.to_string(), printed, "not canonical");
    let selectors = expr.selectors();
    let usages = expr.usages();
    assert_eq!(usages.len(), selectors.len());
    for (usage, selector) in usages.iter().zip(selectors) {
        assert_eq!(usage.span, selector.span());
        if let Some((_, at)) = usage.range {
            assert!(!at.of(text).is_empty());
        }
    }
    let _ = expr.widest_range();
    if expr.gives_one_row() {
        assert!(!matches!(expr, Expr::Vector(_)));
    }
    if let Some(loss) = expr.loss("pod") {
        assert!(!loss.span.of(text).is_empty(), "{loss:?}");
    }
    if let Some(found) = expr.unconfined(&|matcher| matcher.label == "pod") {
        assert!(!found.span.of(text).is_empty(), "{found:?}");
    }
    if let Err(error) = expr.check_patterns() {
        points_inside(text, &error);
        assert!(parse(text).is_err(), "{text}");
    }
}

fn points_inside(text: &str, error: &ParseError) {
    assert!(!error.message.is_empty());
    assert!(text.get(error.span.range()).is_some(), "{error:?}");
    let at = error.location(text);
    assert!(input::is_inside(text, at.line, at.column), "{error:?}");
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

/// Every vector selector holds the matcher, as another walk sees it.
fn is_confined(text: &str, matcher: &Matcher) {
    assert!(is_label_name(&matcher.label));
    let expr = parse_with(text, Dialect::SENT).unwrap_or_else(|error| panic!("{text}: {error}"));
    selectors(&expr, &mut |selector| {
        let held = selector.matchers.iter().any(|held| held.matcher == *matcher);
        assert!(held, "{text}: a selector without {matcher}");
    });
}

fn selectors(expr: &Expr, visit: &mut impl FnMut(&VectorSelector)) {
    match expr {
        Expr::Vector(selector) => visit(selector),
        Expr::Matrix(matrix) => visit(&matrix.selector),
        Expr::Aggregate(aggregate) => {
            selectors(&aggregate.argument, visit);
            if let Some(parameter) = &aggregate.parameter {
                selectors(parameter, visit);
            }
        }
        Expr::Unary(unary) => selectors(&unary.operand, visit),
        Expr::Binary(binary) => {
            selectors(&binary.left, visit);
            selectors(&binary.right, visit);
        }
        Expr::Paren(paren) => selectors(&paren.inner, visit),
        Expr::Subquery(subquery) => selectors(&subquery.inner, visit),
        Expr::Call(call) => call
            .arguments
            .iter()
            .for_each(|argument| selectors(argument, visit)),
        Expr::Number(_) | Expr::String(_) => {}
    }
}
