//! Files and folders as a user names them.

use std::{
    fs,
    io::{self, IsTerminal as _, Read as _, Write as _},
    path::{Path, PathBuf},
};

use crate::document::SourceFile;

/// A configuration is at most as large as a `ConfigMap`; a dump of a cluster may be much larger.
const MOST: u64 = 64 << 20;
/// How many files one command takes.
const MAX_FILES: usize = 10_000;
/// How deep folders may stand in each other.
const MAX_DEPTH: usize = 32;

/// The files at `paths`, and a sentence for each that cannot be read.
pub(super) fn read(paths: &[PathBuf]) -> (Vec<SourceFile>, Vec<String>) {
    let (mut files, mut unread) = (Vec::new(), Vec::new());
    for path in paths {
        add(path, &mut files, &mut unread);
    }
    (files, unread)
}

fn add(path: &Path, files: &mut Vec<SourceFile>, unread: &mut Vec<String>) {
    if path == Path::new("-") {
        if io::stdin().is_terminal() {
            let _ = writeln!(
                io::stderr(),
                "metricrule: reading from standard input; end with Ctrl-D"
            );
        }
        return one("standard input", io::stdin().lock(), files, unread);
    }
    if path.is_dir() {
        folder(path, MAX_DEPTH, files, unread);
    } else {
        file(path, files, unread);
    }
}

fn file(path: &Path, files: &mut Vec<SourceFile>, unread: &mut Vec<String>) {
    let name = path.display().to_string();
    match fs::File::open(path) {
        Ok(file) => one(&name, file, files, unread),
        Err(error) => unread.push(format!("{name}: {error}")),
    }
}

fn one(name: &str, from: impl io::Read, files: &mut Vec<SourceFile>, unread: &mut Vec<String>) {
    let mut text = String::new();
    match from.take(MOST + 1).read_to_string(&mut text) {
        Ok(_) if text.len() as u64 > MOST => unread.push(format!("{name}: larger than 64 MiB")),
        Ok(_) if files.len() >= MAX_FILES => unread.push(format!("{name}: more than {MAX_FILES} files")),
        Ok(_) => files.push(SourceFile {
            name: name.to_owned(),
            text,
        }),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            unread.push(format!("{name}: no UTF-8 text"));
        }
        Err(error) => unread.push(format!("{name}: {error}")),
    }
}

/// In the order of names, so that the same folder gives the same resources everywhere.
fn folder(path: &Path, depth: usize, files: &mut Vec<SourceFile>, unread: &mut Vec<String>) {
    let entries = match fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) => entries,
        Err(error) => return unread.push(format!("{}: {error}", path.display())),
    };
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        // .git holds nothing that was meant.
        if hidden {
            continue;
        }
        let wanted = path.extension().is_some_and(|extension| {
            ["yaml", "yml", "json"]
                .iter()
                .any(|wanted| extension.eq_ignore_ascii_case(wanted))
        });
        if path.is_dir() {
            // A link could lead back up.
            if depth > 0 && !path.is_symlink() {
                folder(&path, depth - 1, files, unread);
            }
        } else if wanted {
            file(&path, files, unread);
        }
    }
}
