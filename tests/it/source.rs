//! The sources of the package, read as tokens: every path that code outside tests names, and what files there are.
//!
//! Tokens and not text, so that comments, strings and line breaks do not matter, and not a syntax tree, so that paths inside
//! macro calls are seen as well.

use std::{collections::BTreeSet, path::PathBuf, str::FromStr as _};

use anyhow::{Context, Result, anyhow, ensure};
use proc_macro2::{Delimiter, Ident, Spacing, TokenStream, TokenTree};

use crate::repository;

/// One source file.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// From the root of the work tree.
    pub(crate) file: PathBuf,
    /// Where it stands: `["rule", "index"]`; empty for `lib.rs`, `["main"]` for the binary.
    pub(crate) module: Vec<String>,
    /// Compiled for tests only.
    pub(crate) test: bool,
    /// Paths in code that is not for tests only.
    pub(crate) names: Vec<Name>,
    /// Lines with the keyword `unsafe`.
    pub(crate) unsafe_lines: Vec<usize>,
    /// Lines with an `allow` attribute.
    pub(crate) allow_lines: Vec<usize>,
    /// `mod name;`: the module's path, and whether it is for tests only.
    submodules: Vec<(Vec<String>, bool)>,
}

/// A path of two segments or more, or an imported name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Name {
    pub(crate) line: usize,
    /// Of this package when the first is `crate` (`self` and `super` are resolved to it).
    pub(crate) segments: Vec<String>,
}

/// All sources that are reachable from `src/lib.rs` and `src/main.rs`.
pub(crate) fn all() -> Result<Vec<Source>> {
    let library = (PathBuf::from("src/lib.rs"), Vec::new(), false);
    let binary = (PathBuf::from("src/main.rs"), vec!["main".to_owned()], false);
    reachable("src", vec![library, binary])
}

/// All sources of the packages in `crates` that are reachable from their `src/lib.rs`.
pub(crate) fn of_crates() -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for library in repository::files("crates", "rs")? {
        if let Some(folder) = library.to_str().and_then(|path| path.strip_suffix("/src/lib.rs")) {
            sources.extend(reachable(
                &format!("{folder}/src"),
                vec![(library.clone(), Vec::new(), false)],
            )?);
        }
    }
    Ok(sources)
}

fn reachable(folder: &str, mut open: Vec<(PathBuf, Vec<String>, bool)>) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    while let Some((file, module, test)) = open.pop() {
        let text = repository::read(&file)?;
        let source = Source::parse(file, &module, test, &text)?;
        for (module, test) in &source.submodules {
            let file = PathBuf::from(format!("{folder}/{}.rs", module.join("/")));
            open.push((file, module.clone(), source.test || *test));
        }
        sources.push(source);
    }
    sources.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(sources)
}

/// The modules at the top, the binary's own one included.
pub(crate) fn modules(sources: &[Source]) -> BTreeSet<&str> {
    sources.iter().filter_map(Source::top).collect()
}

// === impl Source ===

impl Source {
    /// Reads the text of a file.
    pub(crate) fn parse(file: PathBuf, module: &[String], test_only: bool, text: &str) -> Result<Self> {
        let tokens = TokenStream::from_str(text).map_err(|error| anyhow!("{error}"));
        let tokens = tokens.with_context(|| format!("reading {}", file.display()))?;
        let mut source = Self {
            file,
            module: module.to_vec(),
            test: test_only,
            ..Self::default()
        };
        source.walk(tokens, module, test_only);
        Ok(source)
    }

    /// The first part of the module's path.
    pub(crate) fn top(&self) -> Option<&str> {
        self.module.first().map(String::as_str)
    }

    fn walk(&mut self, tokens: TokenStream, module: &[String], test: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == '#' => {
                    if let Some(attribute) = group(&tokens, at + 1, Delimiter::Bracket) {
                        self.attribute(&attribute, token);
                        if is_cfg_test(&attribute) && !test {
                            let end = item_end(&tokens, at);
                            self.walk(tokens[at + 2..end].iter().cloned().collect(), module, true);
                            at = end;
                            continue;
                        }
                        at += 1;
                    } else if let Some(attribute) = group(&tokens, at + 2, Delimiter::Bracket) {
                        self.attribute(&attribute, token);
                        at += 2;
                    }
                }
                TokenTree::Group(group) => self.walk(group.stream(), module, test),
                TokenTree::Ident(ident) if ident == "mod" => {
                    if let Some(TokenTree::Ident(name)) = tokens.get(at + 1) {
                        let inner: Vec<String> = module.iter().cloned().chain([name.to_string()]).collect();
                        if let Some(body) = group(&tokens, at + 2, Delimiter::Brace) {
                            self.walk(body, &inner, test);
                            at += 2;
                        } else {
                            self.submodules.push((inner, test));
                        }
                    }
                }
                TokenTree::Ident(ident) => {
                    let line = ident.span().start().line;
                    if ident == "unsafe" {
                        self.unsafe_lines.push(line);
                    }
                    let imported = at > 0 && is_word(&tokens[at - 1], "use");
                    let starts = !continues(&tokens, at) && (imported || is_path_separator(&tokens, at + 1));
                    if starts && !is_keyword(ident) {
                        let mut paths = Vec::new();
                        let length = expand(&tokens[at..], &[], &mut paths);
                        if !test {
                            self.names.extend(paths.into_iter().map(|path| Name {
                                line,
                                segments: resolve(path, module),
                            }));
                        }
                        at += length;
                        continue;
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn attribute(&mut self, attribute: &TokenStream, at: &TokenTree) {
        let line = at.span().start().line;
        let mut tokens = attribute.clone().into_iter();
        match tokens.next() {
            Some(word) if is_word(&word, "allow") => self.allow_lines.push(line),
            // cfg_attr(condition, allow(…))
            Some(word) if is_word(&word, "cfg_attr") => {
                let words: Vec<String> = flat(attribute.clone());
                if words.iter().any(|word| word == "allow") {
                    self.allow_lines.push(line);
                }
            }
            _ => {}
        }
    }
}

/// Expands `a::{b, c::d}` into its paths. Stops at the first token that is no part of the path, and says where that is.
fn expand(tokens: &[TokenTree], prefix: &[String], paths: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    let mut at = 0;
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(ident)) => path.push(ident.to_string()),
            Some(TokenTree::Punct(punct)) if punct.as_char() == '*' => path.push("*".to_owned()),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let is_comma =
                    |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
                for element in inner.split(is_comma).filter(|element| !element.is_empty()) {
                    expand(element, &path, paths);
                }
                return at + 1;
            }
            // behind `a::` stands `<T>`
            _ => break,
        }
        at += 1;
        if !is_path_separator(tokens, at) {
            break;
        }
        at += 2;
    }
    paths.push(path);
    at
}

/// Turns `self::…` and `super::…` into `crate::…`. In the binary, the library's own name stands for it.
fn resolve(path: Vec<String>, module: &[String]) -> Vec<String> {
    let rest = path
        .iter()
        .position(|part| part != "super" && part != "self")
        .unwrap_or(path.len());
    let (up, rest) = path.split_at(rest);
    let supers = up.iter().filter(|part| *part == "super").count();
    let crate_root = || std::iter::once("crate".to_owned());
    if !up.is_empty() {
        let base = &module[..module.len().saturating_sub(supers)];
        return crate_root()
            .chain(base.iter().cloned())
            .chain(rest.iter().cloned())
            .collect();
    }
    if rest.first().is_some_and(|first| first == "metricrule") {
        return crate_root().chain(rest[1..].iter().cloned()).collect();
    }
    path
}

/// Where the item after an attribute ends: behind its `;` or its braces; a field or an arm ends behind its comma.
pub(crate) fn item_end(tokens: &[TokenTree], attribute: usize) -> usize {
    const ITEMS: [&str; 15] = [
        "pub",
        "fn",
        "impl",
        "mod",
        "struct",
        "enum",
        "const",
        "static",
        "type",
        "trait",
        "async",
        "unsafe",
        "use",
        "let",
        "macro_rules",
    ];
    let mut at = attribute;
    while matches!(&tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == '#') {
        at += 2;
    }
    let is_item = tokens
        .get(at)
        .is_some_and(|token| ITEMS.iter().any(|word| is_word(token, word)));
    let mut is_use = false;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            TokenTree::Ident(ident) if ident == "use" || ident == "let" => is_use = true,
            TokenTree::Punct(punct) if punct.as_char() == ';' => break,
            TokenTree::Punct(punct) if punct.as_char() == ',' && !is_item => break,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace && is_item && !is_use => break,
            _ => {}
        }
    }
    at
}

pub(crate) fn is_cfg_test(attribute: &TokenStream) -> bool {
    let words = flat(attribute.clone());
    let has = |word: &str| words.iter().any(|found| found == word);
    words.first().is_some_and(|first| first == "cfg") && has("test") && !has("not")
}

/// The words of a stream and of all groups in it.
fn flat(tokens: TokenStream) -> Vec<String> {
    let words = tokens.into_iter().flat_map(|token| match token {
        TokenTree::Group(group) => flat(group.stream()),
        TokenTree::Ident(ident) => vec![ident.to_string()],
        _ => Vec::new(),
    });
    words.collect()
}

pub(crate) fn group(tokens: &[TokenTree], at: usize, delimiter: Delimiter) -> Option<TokenStream> {
    match tokens.get(at) {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group.stream()),
        _ => None,
    }
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == word)
}

/// Words that may stand before `::name`, and are no part of it.
fn is_keyword(ident: &Ident) -> bool {
    [
        "use", "as", "in", "dyn", "impl", "return", "break", "else", "match", "if", "while", "where", "mut",
        "const", "for",
    ]
    .iter()
    .any(|word| ident == word)
}

fn is_path_separator(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |token: Option<&TokenTree>, spacing: Option<Spacing>| {
        matches!(token, Some(TokenTree::Punct(punct))
            if punct.as_char() == ':' && spacing.is_none_or(|spacing| punct.spacing() == spacing))
    };
    colon(tokens.get(at), Some(Spacing::Joint)) && colon(tokens.get(at + 1), None)
}

/// Whether a name goes on with a path that began before it: `x::name`, `<T>::name`, but not `::name`.
fn continues(tokens: &[TokenTree], at: usize) -> bool {
    if at < 2 || !is_path_separator(tokens, at - 2) {
        return false;
    }
    match at.checked_sub(3).and_then(|before| tokens.get(before)) {
        Some(TokenTree::Ident(ident)) => !is_keyword(ident),
        Some(TokenTree::Punct(punct)) => punct.as_char() == '>',
        _ => false,
    }
}

#[test]
fn paths_are_found_wherever_they_stand() -> Result<()> {
    let text = r#"
        //! crate::comment::Is::none
        use crate::{a::{B, c::*}, d as e};
        use super::f::G;
        use std::{env, time::{Duration, SystemTime}};
        #[cfg(test)]
        use crate::{only, tests};
        pub(crate) fn h(x: crate::i::J<self::k::L>) -> <crate::m::N as ::tokio::O>::P {
            println!("crate::string::Is::none {}", crate::p::q());
            #[cfg(test)]
            let _ = crate::none::at_all();
            u32::from(x)
        }
        mod inner {
            use super::super::r;
        }
        #[cfg(not(test))]
        use crate::s;
        #[cfg(test)]
        mod tests {
            use crate::none;
            mod deeper;
        }
        #[cfg(test)]
        mod fake;
        mod real;
    "#;
    let source = Source::parse("x.rs".into(), &["one".into(), "two".into()], false, text)?;
    let names: BTreeSet<String> = source.names.iter().map(|name| name.segments.join("::")).collect();
    let expected = [
        "crate::a::B",
        "crate::a::c::*",
        "crate::d",
        "crate::one::f::G",
        "std::env",
        "std::time::Duration",
        "std::time::SystemTime",
        "crate::i::J",
        "crate::one::two::k::L",
        "crate::m::N",
        "tokio::O",
        "crate::p::q",
        "u32::from",
        "crate::one::r",
        "crate::s",
    ];
    assert_eq!(names, expected.into_iter().map(str::to_owned).collect());
    let submodules: Vec<(String, bool)> = source
        .submodules
        .iter()
        .map(|(module, test)| (module.join("::"), *test))
        .collect();
    assert_eq!(
        submodules,
        [
            ("one::two::tests::deeper".to_owned(), true),
            ("one::two::fake".to_owned(), true),
            ("one::two::real".to_owned(), false)
        ]
    );
    Ok(())
}

#[test]
fn unsafe_and_allow_are_found() -> Result<()> {
    let text = "#![allow(a)]\n#[cfg_attr(b, allow(c))]\nfn d() { unsafe { e() } }\n// unsafe #[allow(f)]\n#[expect(g)]\nfn h() {}\n";
    let source = Source::parse("x.rs".into(), &["x".into()], false, text)?;
    ensure!(source.allow_lines == [1, 2], "{:?}", source.allow_lines);
    ensure!(source.unsafe_lines == [3], "{:?}", source.unsafe_lines);
    Ok(())
}
