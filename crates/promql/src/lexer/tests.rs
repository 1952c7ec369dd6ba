use super::*;

fn cut(text: &str) -> Vec<&str> {
    let tokens = tokens(text, Dialect::default()).unwrap();
    tokens.iter().map(|token| token.text).collect()
}

fn error(text: &str) -> ParseError {
    tokens(text, Dialect::default()).expect_err(text)
}

#[test]
fn tokens_are_cut_as_prometheus_does() {
    for (text, expected) in [
        (
            "sum(rate(a:b{x=~'y'}[5m:1m])) # end",
            "sum ( rate ( a:b { x =~ 'y' } [ 5m : 1m ] ) )",
        ),
        ("1e-3+0x1F-3 - .5 == 1_000", "1e-3 + 0x1F - 3 - .5 == 1_000"),
        ("{a!='}',b='\\'#'}", "{ a != '}' , b = '\\'#' }"),
        ("a # {\r`\\` # `", "a `\\`"),
        ("a offset -5m @ start()", "a offset - 5m @ start ( )"),
        (
            "a[step()+range():max_of(1,2)]",
            "a [ step ( ) + range ( ) : max_of ( 1 , 2 ) ]",
        ),
        ("a</b>/c<d", "a </ b >/ c < d"),
        ("a[5m # c\n]", "a [ 5m ]"),
    ] {
        assert_eq!(cut(text).join(" "), expected, "{text}");
    }
}

#[test]
fn words_are_keywords_where_they_may_be() {
    let kinds = |text: &str, dialect| -> Vec<Option<Keyword>> {
        let tokens = tokens(text, dialect).unwrap();
        tokens.iter().map(Token::keyword).collect()
    };
    let newest = Dialect::default();
    assert_eq!(
        kinds("SUM", newest),
        [Some(Keyword::Aggregation(crate::operator::Aggregation::Sum))]
    );
    assert_eq!(kinds("fill + 1", newest)[0], None);
    assert_eq!(kinds("fill (1)", newest)[0], Some(Keyword::Fill));
    assert_eq!(kinds("{by=\"x\"}", newest)[1], None);
    assert_eq!(
        kinds("anchored", Dialect::of(crate::dialect::Version::V3_5)),
        [None]
    );
}

#[test]
fn errors_say_where() {
    for (text, at) in [
        ("a)", 1),
        ("sum(a", 3),
        ("a{b=\"c}", 4),
        ("a{b=\"c\n\"}", 4),
        ("{a[5m]}", 2),
        ("(a]", 2),
        ("a ; b", 2),
        ("a =~ \"x\"", 2),
        ("é", 0),
        ("a{{", 2),
        ("a[ # c\n5m]", 3),
        ("a[5m offset 1]", 5),
        ("1.2.3", 0),
        ("\"\u{fffd}\"", 1),
    ] {
        assert_eq!(error(text).span.start, at, "{text}");
    }
}

#[test]
fn bounds() {
    let read = |text: String| tokens(&text, Dialect::default()).map(|_| ());
    assert!(read(format!("{}1{}", "(".repeat(100), ")".repeat(100))).is_ok());
    for text in [
        format!("{}1{}", "(".repeat(101), ")".repeat(101)),
        format!("a{}", "+a".repeat(301)),
        format!("{}a", "-".repeat(301)),
        "\"\",".repeat(2001),
        " ".repeat(MAX_BYTES + 1),
    ] {
        assert_eq!(read(text).unwrap_err().kind, ParseErrorKind::Bound);
    }
}
