//! Lines and columns.

use super::super::{Fields, Position, Template};
use super::{parse, sample};

#[test]
fn errors_of_parsing_have_their_place() {
    let cases = [
        (
            "<<.Nope>>",
            "1:3",
            "unknown field .Nope; the fields are .Series, .LabelMatchers",
        ),
        ("größe\n  ü<<.Series>>é<<.Nope>>", "2:18", "unknown field"),
        ("a\r\nb <<print 名前 >>", "2:11", "function \"名前\" not defined"),
        ("x\n<<\n  .Series .GroupBy\n>>", "3:11", "can't give an argument"),
        ("<<if .Series>>\n\na", "1:1", "<<if>> without <<end>>"),
        (
            "é<<range .GroupBySlice>>x<<else>>y",
            "1:2",
            "<<range>> without <<end>>",
        ),
        ("a<<end>>", "1:2", "unexpected <<end>>"),
        ("\n\n  <<.Series", "3:3", "unclosed action"),
        ("<<print (len .Series >>", "1:9", "unclosed left paren"),
        ("<<print 1)>>", "1:10", "unexpected right paren"),
        ("x <</* y", "1:3", "unclosed comment"),
        ("x <</* y */ z>>", "1:12", "a comment must end"),
        (r#"<<print "a>>"#, "1:9", "unterminated quoted string"),
        ("<<$x>>", "1:3", "undefined variable \"$x\""),
        ("<<html .Series>>", "1:3", "function \"html\" is not supported"),
        ("<<template \"x\">>", "1:3", "<<template>> is not supported"),
        (
            "<<range .GroupBySlice>><<.Series>><<end>>",
            "1:26",
            "write $.Series",
        ),
        (
            "<<eq .Series 1>>",
            "1:3",
            "incompatible types for comparison: a string and a whole number",
        ),
        ("<<print (len 5)>>", "1:14", "len of a whole number"),
        ("<<printf \"%d\" .Series>>", "1:10", "%d cannot print a string"),
        ("<<printf \"%s %s\" .Series>>", "1:10", "%s has no argument"),
        (
            "<<index .GroupBySlice \"a\">>",
            "1:23",
            "can't index a list with a string",
        ),
        (
            "<<range .Series>><<end>>",
            "1:9",
            "range can't iterate over a string",
        ),
        ("<<.Series | .GroupBy>>", "1:13", "must be a function"),
        (
            "<<index .LabelValuesByName>>  <<->>",
            "1:33",
            "illegal number syntax",
        ),
        ("<<.>>", "1:3", "as a whole cannot be printed"),
        ("<<continue>>", "1:3", "outside <<range>>"),
    ];
    for (text, position, message) in cases {
        let error = Template::parse(text, Fields::Query).expect_err(text);
        assert_eq!(error.position.to_string(), position, "{text:?}: {error}");
        assert!(error.message.contains(message), "{text:?}: {error}");
    }
}

#[test]
fn errors_of_rendering_have_their_place() {
    let cases = [
        ("ü\n<<index .GroupBySlice 7>>", "2:3", "index out of range: 7"),
        (
            "<<.Series>>\n é <<print (index .Series 99)>>",
            "2:13",
            "index out of range",
        ),
        (
            "<<$x := .LabelValuesByName.absent>><<len $x>>",
            "1:38",
            "error calling len: len of nil",
        ),
        ("<<or true ($x := 1)>><<$x>>", "1:24", "undefined variable: $x"),
        (
            "<<printf .Series 1>>",
            "1:3",
            "printf has 1 arguments but only 0 verbs",
        ),
    ];
    for (text, position, message) in cases {
        let error = parse(text).render(&sample()).expect_err(text);
        assert_eq!(error.position.to_string(), position, "{text:?}: {error}");
        assert!(error.message.contains(message), "{text:?}: {error}");
    }
}

#[test]
fn output_knows_its_place() {
    let located = parse("ü<<.Series>>\né\n <<if true>><< .LabelMatchers>>x<<end>>")
        .render_located(&sample())
        .unwrap();
    let places: Vec<(String, String)> = located
        .iter()
        .map(|(span, position)| (span.raw().into_owned(), position.to_string()))
        .collect();
    let expected = [
        ("ü", "1:1"),
        ("up", "1:4"),
        ("\né\n ", "1:13"),
        (r#"pod="a""#, "3:16"),
        ("x", "3:32"),
    ];
    assert_eq!(
        places,
        expected.map(|(text, position)| (text.to_owned(), position.to_owned()))
    );
    assert_eq!(located[1].1, Position { line: 1, column: 4 });
}
