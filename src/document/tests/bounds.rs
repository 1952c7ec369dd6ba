//! Texts that were small and cost much.

use super::*;

fn refused(text: &str) -> String {
    Document::parse_stream(text).unwrap_err().message
}

#[test]
fn aliases_of_a_long_text_are_bounded_by_their_bytes() {
    let long = "x".repeat(200_000);
    let many = "- *a\n".repeat(20_000);
    let message = refused(&format!("- &a {long}\n{many}"));
    assert!(message.contains("add more than 8 MiB of text"), "{message}");
    // A few are nobody's harm, and the text is there once.
    let document = only(&format!("- &a {long}\n- *a\n- *a\n"));
    let text = |index: usize| match &document.root.items()[index].value {
        Value::Scalar(scalar) => scalar.text.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(text(1).as_ptr(), text(2).as_ptr());
}

#[test]
fn nested_anchors_share_what_they_hold() {
    let depth = 100;
    let opened: String = (0..depth)
        .map(|index| format!("&a{index} ["))
        .collect::<Vec<_>>()
        .concat();
    let text = format!("{opened}{}{}", "1,".repeat(20_000), "]".repeat(depth));
    let document = only(&text);
    let mut node = &document.root;
    for _ in 1..depth {
        node = &node.items()[0];
    }
    assert_eq!(node.items().len(), 20_000);
    let outer = only("a: &a [x]\nb: *a\n");
    let items = |path: &str| match &outer.get(path).unwrap().value {
        Value::Sequence(items) => items.clone(),
        other => panic!("{other:?}"),
    };
    assert!(Arc::ptr_eq(&items("a"), &items("b")), "an alias is no copy");
}

#[test]
fn merges_inside_merges_are_counted_although_no_alias_is_there() {
    let keys: String = (0..6000)
        .map(|index| format!("k{index}: 1, "))
        .collect::<Vec<_>>()
        .concat();
    let text = format!("{}{{{keys}}}{}", "{<<: ".repeat(60), "}".repeat(60));
    assert!(refused(&text).contains("merge keys up to here add more than 200000 values"));
}

#[test]
fn what_is_written_is_not_counted_against_what_aliases_add() {
    let item = "- {a: [1, 2, 3, 4], b: {c: d}}\n";
    let documents = Document::parse_stream(&format!("{}---\nb: 1\n", item.repeat(30_000))).unwrap();
    assert_eq!(documents[0].root.items().len(), 30_000, "270,001 values");
    // In each document, and in a list as many times as there are items.
    let stream = "a: &a [1, 2, 3]\nb: *a\n---\n".repeat(3000);
    assert_eq!(Document::parse_stream(&stream).unwrap().len(), 3000);
    let list = format!(
        "base: &b {{x: 1, y: 2, z: 3}}\nitems:\n{}",
        "- {<<: *b, n: 1, m: 2}\n".repeat(30_000)
    );
    assert_eq!(only(&list).get("items").unwrap().items().len(), 30_000);
}

#[test]
fn documents_are_handed_out_one_by_one_and_none_twice() {
    // The second is read again for its quote.
    let text = "a: 1\n---\na:\n  b: \"x(\n  y)\"\n---\na: 3\n";
    let mut seen = Vec::new();
    Document::parse_each(text, |document| seen.push(document.root.to_json().to_string())).unwrap();
    assert_eq!(seen, [r#"{"a":1}"#, r#"{"a":{"b":"x( y)"}}"#, r#"{"a":3}"#]);
    let mut count = 0;
    assert!(Document::parse_each("a: 1\n---\na: [\n", |_| count += 1).is_err());
    assert_eq!(count, 1);
}

#[test]
fn a_place_in_a_long_block_is_found_from_a_mark_near_it() {
    let rule = "    - query: sum(x)\n\n      name: ä\n";
    let text = format!("data:\n  config.yaml: |\n{}", rule.repeat(2000));
    let outer = only(&text);
    let node = outer.get("data[config.yaml]").unwrap();
    let Value::Scalar(scalar) = &node.value else {
        panic!("a scalar")
    };
    let raw = outer.source.raw(node);
    let aligned = Aligned::new(raw, scalar);
    assert!(
        aligned.widest() <= 1028,
        "{} bytes are walked for a place",
        aligned.widest()
    );
    let inner = outer.parse_nested(node).unwrap();
    for index in [0, 7, 1999] {
        let at = inner[0].locate(&format!("[{index}].name"), None);
        let line = 2 + 3 * (index + 1);
        assert_eq!((at.line, at.column), (line, 13), "{index}");
    }
}

#[test]
fn a_key_of_a_large_mapping_is_the_one_that_a_scan_finds() {
    let text: String = (0..100)
        .map(|index| format!("k{index}: {index}\n? [x]\n: y\n"))
        .collect::<Vec<_>>()
        .concat();
    let document = only(&text.replacen("? [x]\n: y\n", "", 99));
    for index in [0, 31, 99] {
        let key = format!("k{index}");
        assert_eq!(document.root.get(&key).and_then(Node::text), Some(&key[1..]));
    }
    assert!(document.root.get("k100").is_none());
    let renamed = document.with_key("k7", "other");
    assert_eq!(renamed.root.get("other").and_then(Node::text), Some("7"));
    assert!(renamed.root.get("k7").is_none() && document.root.get("k7").is_some());
}

#[test]
fn marks_change_no_place() {
    for text in [
        "a: |\n  x\n\n    y \n  z\n",
        "a: >\n  x\n  y\n\n   z\n   \n  u\n",
        "a: \"x \\u00e4\\n\\\n   y\n\n   z\"\n",
        "a: 'x''y\n\n\n  z'\n",
        "a: x\r\n  y\r\n\r\n\r\n  z\r\n",
    ] {
        // Long enough for several marks, in the same style.
        let unit = text.trim_start_matches("a: ").trim_end();
        for text in [
            text.to_owned(),
            text.replace('x', &"x ä ".repeat(700)),
            format!("a: {unit}\n"),
        ] {
            let document = only(&text);
            let node = document.get("a").unwrap();
            let Value::Scalar(scalar) = &node.value else {
                panic!("a scalar")
            };
            let raw = document.source.raw(node);
            let aligned = Aligned::new(raw, scalar);
            for (offset, _) in scalar
                .text
                .char_indices()
                .step_by(13)
                .chain([(scalar.text.len(), ' ')])
            {
                let want = align::offset(raw, scalar, offset);
                assert_eq!(aligned.offset(raw, scalar, offset), want, "{offset} of {text:?}");
            }
        }
    }
}
