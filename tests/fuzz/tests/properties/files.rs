//! Seeds and dictionaries of the fuzzer.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz")
        .join(name)
}

/// What is in a folder of `fuzz/`, without the extension, sorted.
pub(crate) fn names(name: &str, extension: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder(name)).with_context(|| format!("fuzz/{name}"))? {
        let path = entry?.path();
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .context("a name")?;
        ensure!(
            path.extension().unwrap_or_default() == extension,
            "fuzz/{name} holds {}",
            path.display()
        );
        names.push(stem.to_owned());
    }
    names.sort();
    Ok(names)
}

/// The seeds of a target, in the order of their names.
pub(crate) fn seeds(target: &str) -> Result<Vec<Vec<u8>>> {
    let folder = folder("seeds").join(target);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .with_context(|| folder.display().to_string())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    paths.sort();
    paths.iter().map(|path| Ok(fs::read(path)?)).collect()
}

/// The words of a target's dictionary, as libFuzzer reads it: one a line in quotes, with `\\`, `\"` and `\xAB`.
pub(crate) fn dictionary(target: &str) -> Result<Vec<Vec<u8>>> {
    let path = folder("dictionaries").join(format!("{target}.dict"));
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    text.lines()
        .map(|line| {
            let inner = line.strip_prefix('"').and_then(|line| line.strip_suffix('"'));
            word(inner.with_context(|| line.to_owned())?).with_context(|| line.to_owned())
        })
        .collect()
}

fn word(mut text: &str) -> Result<Vec<u8>> {
    let mut word = Vec::new();
    while let Some((before, after)) = text.split_once('\\') {
        word.extend(before.bytes());
        text = if let Some(hex) = after.strip_prefix('x') {
            let (digits, rest) = hex.split_at_checked(2).context("two digits")?;
            word.push(u8::from_str_radix(digits, 16)?);
            rest
        } else {
            let (letter, rest) = after.split_at_checked(1).context("a letter")?;
            word.extend(letter.bytes());
            rest
        };
    }
    word.extend(text.bytes());
    Ok(word)
}
