mod bounds;

use super::*;

fn only(text: &str) -> Document {
    let mut documents = Document::parse_stream(text).unwrap();
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

/// Every non-blank character of every scalar must be found where the source has it.
fn assert_aligned(text: &str, path: &str) {
    let document = only(text);
    let node = document.get(path).unwrap();
    let decoded = node.text().unwrap();
    let lines: Vec<&str> = text.split('\n').collect();
    let (mut line, mut column) = (1, 1);
    for c in decoded.chars() {
        let at = document.inside(node, Position { line, column });
        let source = lines[at.line as usize - 1].chars().nth(at.column as usize - 1);
        if !c.is_whitespace() && source != Some('\\') {
            assert_eq!(source, Some(c), "{path} {line}:{column} of {decoded:?}");
        }
        (line, column) = if c == '\n' {
            (line + 1, 1)
        } else {
            (line, column + 1)
        };
    }
}

#[test]
fn text_is_found_in_every_style() {
    for text in [
        "a: sum(rate(x[2m])) by (pod)\n",
        "a: sum(rate(x\n   [2m]))\n   by\n\n   (pod)\n",
        "a: 'it''s ''one'''\n",
        "a: 'two\n  lines\n\n  here'\n",
        "a: \"x \\\"y\\\" \\\\ \\u00e4 z\\tw\\\n   joined ä end\"\n",
        "a: |\n  sum(\n    rate(x)\n  ) \n\n  by (pod)\n",
        "a: |2-\n    sum(\n  rate\n",
        "a: >\n  sum(\n  rate(x)\n    deeper\n  back\n\n  end\n",
        "a: |\n  |\n  x\n",
        "a: > # a comment\n\n  first\n  second\n",
        "a: !!str 12\n",
        "# ä\na: ä ö\n",
        "a: {b: [x, 'y']}\n",
    ] {
        let path = if text.contains("{b") { "a.b[1]" } else { "a" };
        assert_aligned(text, path);
    }
}

#[test]
fn a_document_inside_a_scalar_has_places_in_the_file() {
    let text = "data:\n  config.yaml: |\n    rules:\n    - seriesQuery: |\n        up{\n        x}\n";
    let outer = only(text);
    let node = outer.get("data[config.yaml]").unwrap();
    let inner = outer.parse_nested(node).unwrap();
    let at = inner[0].locate("rules[0].seriesQuery", Some(Position { line: 2, column: 2 }));
    assert_eq!((at.line, at.column), (6, 10));
}

#[test]
fn an_entry_that_its_author_named_is_seen_at_its_name() {
    let document = only("a:\n  b:\n    c: 1\n  d: [1, 2]\n");
    for (path, line, column) in [
        ("a[b]", 2, 3),
        ("a.b", 3, 5),
        ("a[b].c", 3, 8),
        ("a.d[1]", 4, 10),
        ("a[x]", 2, 3),
    ] {
        let at = document.locate(path, None);
        assert_eq!((at.line, at.column), (line, column), "{path}");
    }
    let inside = document.locate("a[b].c", Some(Position { line: 1, column: 1 }));
    assert_eq!((inside.line, inside.column), (3, 8));
}

#[test]
fn what_is_no_yaml_has_a_place() {
    let error = Document::parse_stream("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
    assert!(error.position.line >= 2, "{error:?}");
    let error = Document::parse_stream("a: 1\nb: 2\na: 3\n").unwrap_err();
    assert_eq!((error.position.line, error.position.column), (3, 1));
    assert_eq!(error.message, "the key \"a\" appears twice in one mapping");
}

#[test]
fn plain_scalars_are_what_kubectl_takes_them_for() {
    let json =
        only("[1, 0x1F, 0777, 1_000, 1.5, 1e3, yes, off, ~, null, '1', abc, 1m, -2, .5, 1.2.3, +3, _0, '']")
            .root
            .to_json();
    assert_eq!(
        json,
        serde_json::json!([
            1, 31, 511, 1000, 1.5, 1000.0, true, false, null, null, "1", "abc", "1m", -2, 0.5, "1.2.3", 3,
            "_0", ""
        ])
    );
}

#[test]
fn aliases_and_merges_are_resolved() {
    let document = only("base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}\nsame: *b\n");
    assert_eq!(
        document.get("use").unwrap().to_json(),
        serde_json::json!({"y": 3, "x": 1})
    );
    assert_eq!(document.get("same.x").unwrap().text(), Some("1"));
}

#[test]
fn aliases_of_aliases_do_not_fill_the_memory() {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for index in 1..9 {
        let alias = vec![format!("*a{}", index - 1); 10].join(",");
        text = format!("{text}a{index}: &a{index} [{alias}]\n");
    }
    assert!(
        Document::parse_stream(&text)
            .unwrap_err()
            .message
            .contains("200000 values")
    );
}

#[test]
fn what_is_merged_later_wins_and_several_at_once_the_first() {
    let document = only(
        "a: &a {x: 1, y: 1, z: 1}\nb: &b {x: 2, y: 2}\nbefore: {x: 3, <<: *a}\nlist: {<<: [*b, *a], y: 3}\ntwice: {<<: *b, ? !!merge <<\n: *a}\n",
    );
    let json = document.root.to_json();
    assert_eq!(json["before"], serde_json::json!({"x": 1, "y": 1, "z": 1}));
    assert_eq!(json["list"], serde_json::json!({"x": 2, "y": 3, "z": 1}));
    assert_eq!(json["twice"], serde_json::json!({"x": 1, "y": 1, "z": 1}));
}

#[test]
fn structures_are_merged_field_by_field() {
    let text = "- &a {name: {matches: m, as: a}, maps: {x: {v: 1}}, list: [1]}\n- {<<: *a, name: {as: b}, maps: {y: {v: 2}}, list: [2]}\n\
                - {name: ~, <<: *a, name2: {}}\n- {<<: *a, name: ~}\n";
    let json = only(text).structured(&["maps"]).unwrap().root.to_json();
    assert_eq!(
        json[1],
        serde_json::json!({"name": {"matches": "m", "as": "b"}, "maps": {"x": {"v": 1}, "y": {"v": 2}}, "list": [2]})
    );
    assert_eq!(json[2]["name"], serde_json::json!({"matches": "m", "as": "a"}));
    assert_eq!(json[3]["name"], serde_json::Value::Null);
    let twice = only("- &a {maps: {x: {v: 1}}}\n- {<<: *a, maps: {x: {v: 2}}}\n").structured(&["maps"]);
    assert_eq!(twice.unwrap_err().position, Position { line: 2, column: 19 });
}

#[test]
fn merges_of_merges_do_not_take_for_ever() {
    let mut text = "- &a0 {m: {x: 1}}\n".to_owned();
    for index in 1..40 {
        let before = index - 1;
        text = format!("{text}- &a{index} {{<<: [*a{before}, *a{before}]}}\n");
    }
    assert!(
        only(&text)
            .structured(&[])
            .unwrap_err()
            .message
            .contains("more than")
    );
}

#[test]
fn what_yaml_v2_reads_is_read() {
    let cases = [
        ("a:\n  b: \"x(\n  y)\"\n  c: z\n", "x( y)", "z"),
        ("a:\n  b: 'x(\n y\n\n y)'\n  c: z\n", "x( y\ny)", "z"),
        ("a:\n  b: |# text\n    x\n  c: z\n", "x\n", "z"),
        ("a:\n  b: \"it\\'s \\\\' \\'\"\n  c: z\n", "it's \\' '", "z"),
        ("a:\n  b: !any null\n  c: z\n", "null", "z"),
    ];
    for (text, b, c) in cases {
        let document = only(text);
        assert_eq!(document.get("a.b").unwrap().text(), Some(b), "{text}");
        let node = document.get("a.c").unwrap();
        assert_eq!(node.text(), Some(c), "{text}");
        let line = u32::try_from(text.matches('\n').count()).unwrap();
        assert_eq!(document.start(node), Position { line, column: 6 }, "{text}");
    }
    for (text, want) in [
        ("!!bool \"false\"", "false"),
        ("!!str false", "\"false\""),
        ("!!null ''", "null"),
    ] {
        assert_eq!(
            only(&format!("a: {text}\n")).root.to_json()["a"].to_string(),
            want,
            "{text}"
        );
    }
    assert_aligned("a:\n  b: \"x(\n  y) \\' z\"\n", "a.b");
}

#[test]
fn what_yaml_v2_refuses_is_refused_in_its_place() {
    for (text, line, column) in [
        ("a: {b: ^(?:x)$}\n", 1, 10),
        ("a: [x?]\n", 1, 6),
        ("a: [x\n    y, x\n    y?]\n", 3, 6),
        ("%YAML 1.2\n---\na: b\n", 2, 1),
        ("a: {<<: b}\n", 1, 9),
        ("a: &a {}\nb: {<<: [*a, x]}\n", 2, 14),
    ] {
        let error = Document::parse_stream(text).unwrap_err();
        assert_eq!(error.position, Position { line, column }, "{text}: {error}");
    }
    assert_eq!(only("a: ^(?:x)$\n").get("a").unwrap().text(), Some("^(?:x)$"));
    assert_eq!(only("a: {b: 'x?'}\n").get("a.b").unwrap().text(), Some("x?"));
}

#[test]
fn a_block_that_the_file_ends_in_has_no_line_break_added() {
    for (text, want) in [
        ("a: |\n  x", "x"),
        ("a: |+\n  x", "x"),
        ("a: >\n  x\n  y", "x y"),
        ("a: |-\n  x", "x"),
        ("a: |\n  x\n", "x\n"),
        ("a: |\n  x\n  ", "x\n"),
        ("a: |\n  x\n# text", "x\n"),
        ("a: |\n  x\n # text", "x\n"),
    ] {
        assert_eq!(only(text).get("a").unwrap().text(), Some(want), "{text:?}");
    }
    let outer = only("data: |-\n  a: |\n    x\n");
    let inner = outer.parse_nested(outer.get("data").unwrap()).unwrap();
    assert_eq!(inner[0].get("a").unwrap().text(), Some("x"));
}
