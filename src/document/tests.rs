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
fn what_is_no_yaml_has_a_place() {
    let error = Document::parse_stream("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
    assert!(error.position.line >= 2, "{error:?}");
    let error = Document::parse_stream("a: 1\nb: 2\na: 3\n").unwrap_err();
    assert_eq!((error.position.line, error.position.column), (3, 1));
    assert_eq!(error.message, "the key \"a\" stands twice in one mapping");
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
