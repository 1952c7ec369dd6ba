//! References of a template.

use super::super::Position;
use super::parse;

#[test]
fn references_name_the_fields() {
    let template =
        parse("<<.Series>>\n<<if .Series>><<$.GroupBy>><<end>><<with .LabelValuesByName>><<.pod>><<end>>");
    let fields: Vec<(&str, String)> = template
        .references()
        .fields
        .iter()
        .map(|field| (field.name, field.position.to_string()))
        .collect();
    let expected = [
        ("Series", "1:3"),
        ("Series", "2:6"),
        ("GroupBy", "2:18"),
        ("LabelValuesByName", "2:42"),
    ];
    assert_eq!(
        fields,
        expected.map(|(name, position)| (name, position.to_owned()))
    );
    assert_eq!(
        template.references().field("Series"),
        Some(Position { line: 1, column: 3 })
    );
    assert_eq!(template.references().field("GroupBySlice"), None);
}

#[test]
fn references_tell_which_keys_are_needed() {
    let needed = [
        r#"<<index .LabelValuesByName "k">>"#,
        r#"<<"k" | index .LabelValuesByName>>"#,
        r#"<<index $.LabelValuesByName ("k")>>"#,
        "<<.LabelValuesByName.k>>",
        r#"<<print (printf "%s" (index .LabelValuesByName "k"))>>"#,
        r#"<<index .LabelValuesByName "k" | printf "%q">>"#,
        r#"<<eq (index .LabelValuesByName "k") "a">>"#,
        r#"<<$m := .LabelValuesByName>><<index $m "k">>"#,
        r#"<<$x := index .LabelValuesByName "k">><<$x>>"#,
        r#"<<$x := index .LabelValuesByName "k">><<if $x>>a<<end>><<$x>>"#,
        r#"<<range .GroupBySlice>><<index $.LabelValuesByName "k">><<end>>"#,
        r#"<<if .Series>><<index .LabelValuesByName "k">><<end>><<index .LabelValuesByName "k">>"#,
    ];
    for text in needed {
        let template = parse(text);
        let keys: Vec<&str> = template
            .references()
            .required_keys()
            .map(|key| key.key.as_str())
            .collect();
        assert_eq!(keys, ["k"], "{text}");
    }
    let optional = [
        r#"<<if index .LabelValuesByName "k">>a<<end>>"#,
        r#"<<if .Series>>a<<else>><<index .LabelValuesByName "k">><<end>>"#,
        r#"<<if .Series>>a<<else if index .LabelValuesByName "k">>b<<end>>"#,
        r#"<<with index .LabelValuesByName "k">><<.>><<end>>"#,
        "<<with .Series>><<$.LabelValuesByName.k>><<end>>",
        r#"<<or (index .LabelValuesByName "k") "default">>"#,
        r#"<<and .Series (index .LabelValuesByName "k")>>"#,
        r#"<<$x := index .LabelValuesByName "k">>"#,
        r#"<<$x := index .LabelValuesByName "k">><<if $x>>a="<<$x>>"<<end>>"#,
        r#"<<range .LabelValuesByName>><<index $.LabelValuesByName "k">><<end>>"#,
        r#"<<range .GroupBySlice>>a<<else>><<index .LabelValuesByName "k">><<end>>"#,
    ];
    for text in optional {
        let template = parse(text);
        assert_eq!(template.references().keys.len(), 1, "{text}");
        assert_eq!(template.references().required_keys().next(), None, "{text}");
    }
    let template = parse("\n<<index .LabelValuesByName `k`>>");
    assert_eq!(
        template.references().keys[0].position,
        Position { line: 2, column: 3 }
    );
}
