//! The texts of Prometheus' own tests: of its engine (`promqltest/testdata`) and of its parser (`parse_test.go`). They are read
//! from the module in Go's cache, and never kept.

use std::fs;
use std::path::{Path, PathBuf};

use promql::Version;

use crate::oracle::go;

/// All of them, each once.
pub(crate) fn texts(version: Version) -> Vec<String> {
    let module = module(version);
    let mut texts = Vec::new();
    let mut scripts: Vec<PathBuf> = fs::read_dir(module.join("promql/promqltest/testdata"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    scripts.sort();
    for script in scripts {
        texts.extend(fs::read_to_string(script).unwrap().lines().filter_map(evaluated));
    }
    for name in ["parse_test.go", "printer_test.go", "prettier_test.go"] {
        let source = fs::read_to_string(module.join("promql/parser").join(name)).unwrap();
        texts.extend(literals(&source));
    }
    texts.sort();
    texts.dedup();
    texts
}

fn module(version: Version) -> PathBuf {
    let name = "github.com/prometheus/prometheus";
    let listed = go(version, "list")
        .args(["-m", "-f", "{{.Dir}}", name])
        .output()
        .unwrap();
    let folder = String::from_utf8(listed.stdout).unwrap();
    let folder = Path::new(folder.trim());
    assert!(folder.is_dir(), "{}", String::from_utf8_lossy(&listed.stderr));
    folder.to_owned()
}

/// The expression of `eval instant at 5m …` and `eval range from 0 to 10m step 1m …`.
fn evaluated(line: &str) -> Option<String> {
    let rest = line.trim_start().strip_prefix("eval")?;
    let (_, rest) = rest.split_once(' ')?;
    let mut words = rest.trim_start();
    let mut word = || {
        let (first, rest) = words.split_once(char::is_whitespace)?;
        words = rest.trim_start();
        Some(first)
    };
    let skipped = match word()? {
        "instant" => 2,
        "range" => 6,
        _ => return None,
    };
    for _ in 0..skipped {
        word()?;
    }
    Some(words.to_owned())
}

/// The strings behind `input:`, `in:`, `expr:` and `out:` in Go's source.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices(':') {
        let key = source[..at]
            .rsplit(|c: char| !c.is_ascii_alphabetic())
            .next()
            .unwrap();
        if !["input", "in", "expr", "out"].contains(&key) {
            continue;
        }
        let rest = source[at + 1..].trim_start();
        if let Some(raw) = rest.strip_prefix('`') {
            found.extend(raw.split_once('`').map(|(text, _)| text.to_owned()));
        } else if rest.starts_with('"') {
            // Go's escapes that JSON does not have are few; a string with one is left out.
            let mut strings = serde_json::Deserializer::from_str(rest).into_iter::<String>();
            found.extend(strings.next().and_then(Result::ok));
        }
    }
    found
}
