//! Texts of a source file: its string literals and its doc comments, without those that are for tests.

use std::str::FromStr as _;

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::source::{group, is_cfg_test, item_end};

/// A text, and the line that it begins on.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) line: usize,
    pub(super) kind: Kind,
    pub(super) words: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// A file of prose, or of YAML with prose in it.
    Document,
    /// A doc comment.
    Doc,
    /// A string literal with more than one word.
    Message,
}

/// The texts of a source file.
pub(super) fn of(source: &str) -> Result<Vec<Text>> {
    let tokens = TokenStream::from_str(source).map_err(|error| anyhow!("{error}"))?;
    let mut texts = Vec::new();
    walk(tokens, &mut texts);
    Ok(texts)
}

fn walk(tokens: TokenStream, texts: &mut Vec<Text>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if let Some((attribute, length)) = attribute(&tokens, at) {
            if is_cfg_test(&attribute) {
                at = item_end(&tokens, at);
                continue;
            }
            match doc(&attribute) {
                Some(text) => add_doc(token.span().start().line, &text, texts),
                None => walk(attribute, texts),
            }
            at += length;
            continue;
        }
        match token {
            TokenTree::Group(group) => walk(group.stream(), texts),
            TokenTree::Literal(literal) => {
                let text = string(&literal.to_string());
                if let Some(text) = text.filter(|text| text.trim().contains(' ')) {
                    texts.push(Text {
                        line: literal.span().start().line,
                        kind: Kind::Message,
                        words: text,
                    });
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
        at += 1;
    }
}

/// The attribute that begins here, `#[…]` or `#![…]`, and how many tokens it is.
fn attribute(tokens: &[TokenTree], at: usize) -> Option<(TokenStream, usize)> {
    let is = |at: usize, wanted: char| {
        let token = tokens.get(at);
        matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
    };
    let length = if is(at + 1, '!') { 3 } else { 2 };
    let group = group(tokens, at + length - 1, Delimiter::Bracket).filter(|_| is(at, '#'))?;
    Some((group, length))
}

/// Lines of one comment are one text, so that a phrase may go over their ends.
fn add_doc(line: usize, text: &str, texts: &mut Vec<Text>) {
    if let Some(last) = texts.last_mut().filter(|last| last.kind == Kind::Doc)
        && last.line + last.words.matches('\n').count() + 1 == line
    {
        last.words.push('\n');
        last.words.push_str(text);
        return;
    }
    texts.push(Text {
        line,
        kind: Kind::Doc,
        words: text.to_owned(),
    });
}

/// `doc = "…"`, as a comment is to the compiler.
fn doc(attribute: &TokenStream) -> Option<String> {
    let mut tokens = attribute.clone().into_iter();
    let is_doc = matches!(tokens.next()?, TokenTree::Ident(ident) if ident == "doc");
    match tokens.nth(1)? {
        TokenTree::Literal(literal) if is_doc => string(&literal.to_string()),
        _ => None,
    }
}

/// The value of a string literal, near enough to be read.
fn string(literal: &str) -> Option<String> {
    if let Some(raw) = literal.strip_prefix('r') {
        let text = raw.trim_matches('#');
        return Some(text.strip_prefix('"')?.strip_suffix('"')?.to_owned());
    }
    let text = literal.strip_prefix('"')?.strip_suffix('"')?;
    let mut value = String::new();
    for (index, part) in text.split("\\\n").enumerate() {
        value.push_str(if index == 0 { part } else { part.trim_start() });
    }
    Some(value.replace("\\n", "\n").replace("\\\"", "\""))
}

#[test]
fn strings_and_docs_are_read_and_tests_are_not() -> Result<()> {
    let source = r#"
        //! Module doc.

        /// One line,
        /// and the next.
        #[error("a message of an {attribute}")]
        struct A;
        // a comment
        fn b() {
            let _ = ("one", "two words", "a long \
                text", format!("in a {macro}"));
        }
        #[cfg(test)]
        mod tests {
            fn c() { d("of a test"); }
        }
        const E: &str = r"raw and more";
    "#;
    let texts = of(source)?;
    let texts: Vec<(usize, Kind, &str)> = texts
        .iter()
        .map(|text| (text.line, text.kind, text.words.trim()))
        .collect();
    assert_eq!(
        texts,
        [
            (2, Kind::Doc, "Module doc."),
            (4, Kind::Doc, "One line,\n and the next."),
            (6, Kind::Message, "a message of an {attribute}"),
            (10, Kind::Message, "two words"),
            (10, Kind::Message, "a long text"),
            (11, Kind::Message, "in a {macro}"),
            (17, Kind::Message, "raw and more"),
        ]
    );
    Ok(())
}
