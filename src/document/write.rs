//! YAML for people and for every reader: a text comes back as the very same text from a reader of YAML 1.1 (kubectl, `PyYAML`)
//! and from one of 1.2.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json};

use language::terminal::{has_command, is_active};

/// A block of YAML that ends with a newline. The keys of a mapping that `order` lists come first and in its order, the others
/// behind them, sorted.
pub fn to_yaml(value: &Json, order: &[&str]) -> String {
    let mut writer = Writer {
        out: String::new(),
        order,
    };
    match value {
        Json::Object(map) if !map.is_empty() => writer.mapping(map, 0),
        Json::Array(items) if !items.is_empty() => writer.sequence(items, 0),
        other => {
            writer.leaf(other, 2);
            writer.out.remove(0);
        }
    }
    writer.out
}

struct Writer<'a> {
    out: String,
    order: &'a [&'a str],
}

// === impl Writer ===

impl Writer<'_> {
    /// Begins on a line whose indentation is written.
    fn mapping(&mut self, map: &Map<String, Json>, depth: usize) {
        let mut keys: Vec<&String> = map.keys().collect();
        keys.sort_by_key(|key| {
            let rank = self.order.iter().position(|listed| listed == key);
            (rank.unwrap_or(usize::MAX), *key)
        });
        for (index, key) in keys.into_iter().enumerate() {
            if index > 0 {
                self.indent(depth);
            }
            self.out.push_str(&inline(key));
            self.out.push(':');
            match map.get(key).unwrap_or(&Json::Null) {
                Json::Object(inner) if !inner.is_empty() => {
                    self.out.push('\n');
                    self.indent(depth + 2);
                    self.mapping(inner, depth + 2);
                }
                // As kubectl writes it: the dashes stand below the key.
                Json::Array(items) if !items.is_empty() => {
                    self.out.push('\n');
                    self.indent(depth);
                    self.sequence(items, depth);
                }
                leaf => self.leaf(leaf, depth + 2),
            }
        }
    }

    /// Begins on a line whose indentation is written.
    fn sequence(&mut self, items: &[Json], depth: usize) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.indent(depth);
            }
            self.out.push('-');
            match item {
                Json::Object(map) if !map.is_empty() => {
                    self.out.push(' ');
                    self.mapping(map, depth + 2);
                }
                Json::Array(items) if !items.is_empty() => {
                    self.out.push(' ');
                    self.sequence(items, depth + 2);
                }
                leaf => self.leaf(leaf, depth + 2),
            }
        }
    }

    /// Behind `key:` or `-`; to the end of the line.
    fn leaf(&mut self, value: &Json, depth: usize) {
        self.out.push(' ');
        match value {
            Json::String(text) if is_block(text) => return self.block(text, depth),
            Json::String(text) => self.out.push_str(&inline(text)),
            Json::Object(_) => self.out.push_str("{}"),
            Json::Array(_) => self.out.push_str("[]"),
            Json::Null => self.out.push_str("null"),
            // Writing to a String cannot fail.
            other => drop(write!(self.out, "{other}")),
        }
        self.out.push('\n');
    }

    fn block(&mut self, text: &str, depth: usize) {
        self.out
            .push_str(if text.ends_with('\n') { "|\n" } else { "|-\n" });
        for line in text.lines() {
            if !line.is_empty() {
                self.indent(depth);
                self.out.push_str(line);
            }
            self.out.push('\n');
        }
    }

    fn indent(&mut self, depth: usize) {
        self.out.extend(std::iter::repeat_n(' ', depth));
    }
}

/// Whether a literal block gives the text back to every reader: its first line tells the indentation, no line holds blanks
/// alone, and at most one newline ends it.
fn is_block(text: &str) -> bool {
    text.trim_end_matches('\n').contains('\n')
        && !text.ends_with("\n\n")
        && !text.starts_with(['\n', ' '])
        && text.lines().all(|line| {
            !line.starts_with('\t') && (line.is_empty() || !line.trim_matches([' ', '\t']).is_empty())
        })
        && text.chars().all(|c| matches!(c, '\n' | '\t') || is_printable(c))
        && !has_command(text)
}

/// On one line.
fn inline(text: &str) -> String {
    if is_plain(text) {
        text.to_owned()
    } else if text.chars().all(is_printable)
        && !has_command(text)
        && (!text.contains('\'') || text.contains(['"', '\\']))
    {
        format!("'{}'", text.replace('\'', "''"))
    } else {
        double_quoted(text)
    }
}

/// Whether no reader takes the text for anything but text, unquoted.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 10] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan"];
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte))
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn double_quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            // Two of them may be a command to whoever keeps the log.
            '#' => quoted.push_str("\\x23"),
            c if is_printable(c) => quoted.push(c),
            // Writing to a String cannot fail.
            c if u32::from(c) <= 0xff => drop(write!(quoted, "\\x{:02x}", u32::from(c))),
            c if u32::from(c) <= 0xffff => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
            c => drop(write!(quoted, "\\U{:08x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

/// What all readers take unescaped, none for a line break (YAML 1.1 breaks lines at U+0085, U+2028 and U+2029), and a terminal
/// shows.
fn is_printable(c: char) -> bool {
    !is_active(c)
        && matches!(c, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}'
        | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::document::Document;

    fn back(text: &str) -> Json {
        let documents = Document::parse_stream(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        documents
            .first()
            .map_or(Json::Null, |document| document.root.to_json())
    }

    #[test]
    fn as_a_person_would_write_it() {
        let value = json!({
            "kind": "Rule",
            "apiVersion": "x/v1",
            "spec": {
                "matches": "^(.*)_total$",
                "as": "on",
                "list": [{"isNot": "^go_", "is": "a"}, "b", [], [["c"]], {}],
                "query": "sum(\n  rate(x[2m]) # why\n)\n",
                "number": "1e3",
                "quote": "it's",
                "count": 3,
                "yes": true,
                "none": {},
            },
        });
        let want = r#"apiVersion: x/v1
kind: Rule
spec:
  as: 'on'
  count: 3
  list:
  - is: a
    isNot: '^go_'
  - b
  - []
  - - - c
  - {}
  matches: '^(.*)_total$'
  none: {}
  number: '1e3'
  query: |
    sum(
      rate(x[2m]) # why
    )
  quote: "it's"
  'yes': true
"#;
        assert_eq!(to_yaml(&value, &["apiVersion", "kind"]), want);
        assert_eq!(back(want), value);
        assert_eq!(to_yaml(&json!("a b"), &[]), "'a b'\n");
    }

    #[test]
    fn text_stays_text() {
        let texts = [
            "",
            " ",
            "~",
            "null",
            "y",
            "N",
            "On",
            "off",
            "yes",
            "true",
            "1",
            "1e3",
            "0x1f",
            "0o17",
            "0777",
            "1_000",
            ".5",
            ".inf",
            "-.INF",
            ".nan",
            "NaN",
            "12:30:45",
            "2001-01-01",
            "=",
            "<<",
            "-",
            "- a",
            "? a",
            "a: b",
            "a #b",
            "#",
            "&a",
            "*a",
            "!a",
            "|",
            ">",
            "%a",
            "@a",
            "`a`",
            "{a}",
            "[a]",
            "a,b",
            "\"",
            "'",
            "\\",
            "\\n",
            "it's",
            "'\"",
            "a\n",
            "\n",
            "\n\n",
            "a\nb",
            "a\nb\n",
            "a\nb\n\n",
            " a\nb",
            "a\n b",
            "a\n \nb",
            "a \nb",
            "a\n\nb",
            "a\n\tb",
            "\ta\nb",
            "a\tb",
            "a\tb\nc",
            "a\r\nb",
            "a\rb",
            "a\n---\nb",
            "a\n...\n",
            "# a\nb",
            "ä\nö",
            "\u{85}",
            "a\u{2028}b\nc",
            "\u{feff}a",
            "\u{7f}",
            "\0",
            "😀",
            "😀\nb",
            "a\n::error::b",
            "x ##[group]y",
            "a\n##vso[x]'\n",
            "a\u{202e}\u{200b}b\nc",
            "---",
            "...",
            "--- a",
            "a ",
            " a",
            "a:",
            ":a",
            "\u{a0}",
            "a\u{a0}\nb",
            "x\n# y",
        ];
        for text in texts {
            for value in [json!(text), json!({ text: text }), json!([{ "a": [text] }, text])] {
                let yaml = to_yaml(&value, &[]);
                assert_eq!(back(&yaml), value, "{text:?}: {yaml}");
            }
        }
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let text = prop_oneof![
            any::<String>(),
            "[ \\n\\t\\ra#:'\"<>{}|~-]{0,12}",
            "[0-9xeE_+.:-]{1,6}",
            proptest::sample::select(vec!["y", "No", "null", "~", "on"]).prop_map(str::to_owned),
        ];
        let leaf = prop_oneof![
            4 => text.clone().prop_map(Json::String),
            1 => any::<i64>().prop_map(Json::from),
            1 => any::<bool>().prop_map(Json::from),
            1 => Just(Json::Null),
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
                prop::collection::btree_map(text.clone(), inner, 0..4)
                    .prop_map(|map| Json::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(value in any_json()) {
            let yaml = to_yaml(&value, &["b", "a"]);
            prop_assert_eq!(back(&yaml), value, "{}", yaml);
        }
    }
}
