//! Words that people read: the documents, help, `kubectl explain`, conditions and messages are in plain English.

mod phrases;
mod text;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use regex::Regex;

use self::phrases::{PHRASES, Phrase};
use self::text::{Kind, Text};
use crate::repository;

/// Folders and files whose every word is read.
const DOCUMENTS: [(&str, &str); 9] = [
    ("README.md", ""),
    ("SECURITY.md", ""),
    ("CONTRIBUTING.md", ""),
    ("docs", "md"),
    ("examples", "md"),
    ("examples", "yaml"),
    ("charts", "yaml"),
    ("charts", "txt"),
    ("crds", "yaml"),
];

/// Modules of `src` whose strings are messages for people.
const MESSAGES: [&str; 28] = [
    "answer",
    "api",
    "app",
    "backend",
    "catalog",
    "check",
    "cli",
    "compare",
    "controller",
    "document",
    "export",
    "import",
    "kubernetes",
    "logbook",
    "manifest",
    "metrics",
    "metrics_api",
    "outcome",
    "pki",
    "preview",
    "query",
    "reason",
    "relist",
    "resource",
    "rule",
    "sample",
    "server",
    "status",
];

/// Packages of `crates` whose strings are messages for people.
const PACKAGES: [&str; 2] = ["language/src", "promql/src"];

/// Modules of `src` whose doc comments people read: as help, as `kubectl explain`, in docs/reasons.md.
const EXPLAINED: [&str; 3] = ["api", "cli", "reason"];

/// Words that begin a riddle, and no noun.
const QUESTIONS: [&str; 11] = [
    "What", "Who", "Whose", "Whom", "When", "Where", "Which", "How", "Why", "Whether", "From",
];

#[test]
fn nothing_that_people_read_sounds_like_a_translation() -> Result<()> {
    let mut texts = Vec::new();
    for (folder, extension) in DOCUMENTS {
        for file in documents(folder, extension)? {
            let text = repository::read(&file)?;
            texts.push((
                file,
                Text {
                    line: 1,
                    kind: Kind::Document,
                    words: text,
                },
            ));
        }
    }
    ensure!(texts.len() > 30, "the documents are not read");
    let read = texts.len();
    for module in MESSAGES {
        let explained = EXPLAINED.contains(&module);
        for file in sources(Path::new("src"), module)? {
            let found = text::of(&repository::read(&file)?)?;
            let wanted = found
                .into_iter()
                .filter(|text| text.kind == Kind::Message || explained);
            texts.extend(wanted.map(|text| (file.clone(), text)));
        }
    }
    for package in PACKAGES {
        for file in sources(Path::new("crates"), package)? {
            let found = text::of(&repository::read(&file)?)?;
            let wanted = found.into_iter().filter(|text| text.kind == Kind::Message);
            texts.extend(wanted.map(|text| (file.clone(), text)));
        }
    }
    ensure!(texts.len() > read + 1000, "the sources are not read");
    let mut found = Vec::new();
    for (pattern, phrase) in compiled()? {
        for (file, text) in &texts {
            for (line, hit) in hits(&pattern, text) {
                found.push(format!("{}:{line}: {hit:?}: {}", file.display(), phrase.instead));
            }
        }
    }
    ensure!(found.is_empty(), "write it plainly:\n{}", found.join("\n"));
    Ok(())
}

#[test]
fn every_phrase_of_the_list_is_found() -> Result<()> {
    for (pattern, phrase) in compiled()? {
        for example in phrase.examples {
            let text = Text {
                line: 1,
                kind: Kind::Document,
                words: (*example).to_owned(),
            };
            ensure!(
                !hits(&pattern, &text).is_empty(),
                "{pattern} does not find {example:?}"
            );
            // A line break or an indentation inside of a phrase hides nothing.
            let text = Text {
                words: text.words.replace(' ', "\n    "),
                ..text
            };
            ensure!(
                !hits(&pattern, &text).is_empty(),
                "{pattern} does not find {text:?}"
            );
        }
        for example in phrase.allowed {
            let text = Text {
                line: 1,
                kind: Kind::Document,
                words: (*example).to_owned(),
            };
            ensure!(hits(&pattern, &text).is_empty(), "{pattern} finds {example:?}");
        }
    }
    Ok(())
}

#[test]
fn every_module_doc_begins_with_its_noun() -> Result<()> {
    let mut riddles = Vec::new();
    let mut read = 0;
    let crates = repository::files("crates", "rs")?;
    for file in repository::files("src", "rs")?.into_iter().chain(crates) {
        let text = repository::read(&file)?;
        let Some(first) = text.strip_prefix("//! ") else {
            continue;
        };
        read += 1;
        let word = first
            .split(|end: char| !end.is_alphabetic())
            .next()
            .unwrap_or_default();
        if QUESTIONS.contains(&word) {
            let line = first.lines().next().unwrap_or_default();
            riddles.push(format!("{}: {line}", file.display()));
        }
    }
    ensure!(read > 150, "only {read} modules have docs");
    ensure!(
        riddles.is_empty(),
        "begin with the noun (\"Caller identity: …\"):\n{}",
        riddles.join("\n")
    );
    Ok(())
}

/// The files of a folder, or the file itself.
fn documents(path: &str, extension: &str) -> Result<Vec<PathBuf>> {
    if extension.is_empty() {
        return Ok(vec![path.into()]);
    }
    repository::files(path, extension)
}

/// The files of a module below `root` that are not for tests.
fn sources(root: &Path, module: &str) -> Result<Vec<PathBuf>> {
    let file = root.join(format!("{module}.rs"));
    let folder = root.join(module);
    let mut files = Vec::new();
    if repository::root().join(&file).exists() {
        files.push(file);
    }
    if repository::root().join(&folder).exists() {
        files.extend(repository::files(folder, "rs")?);
    }
    ensure!(!files.is_empty(), "there is no module {module}");
    let of_tests = ["tests", "testing", "fake", "fixture"];
    files.retain(|file| {
        let mut parts = file.iter().filter_map(|part| part.to_str());
        !parts.any(|part| of_tests.contains(&part.trim_end_matches(".rs")))
    });
    Ok(files)
}

fn compiled() -> Result<Vec<(Regex, &'static Phrase)>> {
    let patterns = PHRASES.iter().map(|phrase| {
        let pattern = format!("(?i){}", phrase.pattern.replace(' ', r"\s+"));
        Ok::<_, anyhow::Error>((Regex::new(&pattern)?, phrase))
    });
    patterns.collect()
}

/// Where a phrase stands, by line. What a group of its pattern matches makes it right.
fn hits(pattern: &Regex, text: &Text) -> Vec<(usize, String)> {
    let all = pattern.captures_iter(&text.words);
    let bad = all.filter(|found| found.iter().skip(1).all(|group| group.is_none()));
    bad.filter_map(|found| found.get(0))
        .map(|found| {
            let before = &text.words[..found.start()];
            (
                text.line + before.matches('\n').count(),
                found.as_str().to_owned(),
            )
        })
        .collect()
}
