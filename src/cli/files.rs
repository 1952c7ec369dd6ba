//! Files and folders that a user names.
//!
//! A folder may come from a stranger, such as the author of a pull request, with links and pipes in it. So only regular files are
//! read, and no link leads out of a folder.

mod folder;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, IsTerminal as _, Read as _, Write as _},
    path::{Path, PathBuf},
    rc::Rc,
};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};

use self::folder::Folder;
use crate::document::SourceFile;

/// A configuration is at most as large as a `ConfigMap`; a dump of a cluster may be much larger.
const MOST: u64 = 64 << 20;
/// What one command reads in all.
const MOST_TOGETHER: u64 = 256 << 20;
/// How many files one command takes.
const MAX_FILES: usize = 10_000;

/// A file that could not be read, and why.
pub(super) struct Unread {
    /// As the user named it.
    pub(super) name: String,
    pub(super) why: String,
}

/// The files at the paths that a user named, one after the other: none stays in memory when the next is read.
pub(super) struct Files {
    waiting: VecDeque<Source>,
    unread: Vec<Unread>,
    /// How many bytes were read until now.
    read: u64,
}

/// The source of a text.
enum Source {
    Standard,
    /// A path that leads to a file without a link as its last step, and what to call it.
    Named(PathBuf, String),
    /// A path inside of a folder.
    Below(Rc<Folder>, PathBuf, String),
}

/// The files at `paths`, and a sentence for each that cannot be read.
pub(super) fn read(paths: &[PathBuf]) -> (Vec<SourceFile>, Vec<String>) {
    let mut files = Files::new(paths);
    let read = files.by_ref().collect();
    let unread = files.unread().iter().map(ToString::to_string).collect();
    (read, unread)
}

// === impl Files ===

impl Files {
    /// Looks through the folders among `paths`; the files are read when they are asked for.
    pub(super) fn new(paths: &[PathBuf]) -> Self {
        let mut files = Self {
            waiting: VecDeque::new(),
            unread: Vec::new(),
            read: 0,
        };
        for path in paths {
            let name = path.display().to_string();
            if path == Path::new("-") {
                files.add(Source::Standard, "standard input");
            } else if let Err(why) = files.find(path) {
                files.unread.push(Unread { name, why });
            }
        }
        files
    }

    /// What could not be read, once all others were.
    pub(super) fn unread(&self) -> &[Unread] {
        &self.unread
    }

    fn add(&mut self, source: Source, name: &str) {
        if self.waiting.len() < MAX_FILES {
            return self.waiting.push_back(source);
        }
        // Once: a folder may hold millions.
        let why = format!("more than {MAX_FILES} files: this file and those after it are not read");
        if self.unread.last().is_none_or(|last| last.why != why) {
            let name = name.to_owned();
            self.unread.push(Unread { name, why });
        }
    }

    fn find(&mut self, path: &Path) -> Result<(), String> {
        let name = path.display().to_string();
        let said = |error: io::Error| error.to_string();
        let mut found = path.to_path_buf();
        let mut metadata = fs::symlink_metadata(path).map_err(said)?;
        if metadata.is_symlink() {
            let own = path.parent().filter(|own| !own.as_os_str().is_empty());
            let own = fs::canonicalize(own.unwrap_or_else(|| Path::new("."))).map_err(said)?;
            found = fs::canonicalize(path).map_err(said)?;
            if !found.starts_with(own) {
                return Err(
                    "this link leads out of its folder: name its target instead, or - for standard input"
                        .to_owned(),
                );
            }
            metadata = fs::symlink_metadata(&found).map_err(said)?;
        }
        if metadata.is_dir() {
            return self.folder(&found, path).map_err(said);
        }
        let kind = FileType::from_raw_mode(std::os::unix::fs::MetadataExt::mode(&metadata));
        regular(kind).map_err(said)?;
        self.add(Source::Named(found, name.clone()), &name);
        Ok(())
    }

    fn folder(&mut self, path: &Path, shown: &Path) -> io::Result<()> {
        let folder = Rc::new(Folder::open(path)?);
        let listed = folder.list(MAX_FILES.saturating_add(1));
        for (relative, outcome) in listed {
            let name = shown.join(&relative).display().to_string();
            match outcome {
                Ok(target) => self.add(Source::Below(folder.clone(), target, name.clone()), &name),
                Err(why) => self.unread.push(Unread { name, why }),
            }
        }
        Ok(())
    }

    fn open(&mut self, source: Source) -> Result<SourceFile, Unread> {
        let (name, outcome) = match source {
            Source::Standard => {
                if io::stdin().is_terminal() {
                    let _ = writeln!(
                        io::stderr(),
                        "metricrule: reading from standard input; press Ctrl-D to end"
                    );
                }
                ("standard input".to_owned(), self.text(io::stdin().lock()))
            }
            Source::Named(path, name) => {
                let file = open(CWD, &path);
                (
                    name,
                    file.map_err(|error| error.to_string())
                        .and_then(|file| self.text(file)),
                )
            }
            Source::Below(folder, path, name) => {
                let file = folder.file(&path);
                (
                    name,
                    file.map_err(|error| error.to_string())
                        .and_then(|file| self.text(file)),
                )
            }
        };
        match outcome {
            Ok(text) => Ok(SourceFile { name, text }),
            Err(why) => Err(Unread { name, why }),
        }
    }

    fn text(&mut self, from: impl io::Read) -> Result<String, String> {
        let left = MOST_TOGETHER.saturating_sub(self.read);
        let most = MOST.min(left);
        let mut text = String::new();
        let outcome = from.take(most.saturating_add(1)).read_to_string(&mut text);
        let read = u64::try_from(text.len()).unwrap_or(u64::MAX);
        match outcome {
            Ok(_) if read > MOST => Err(format!("larger than {} MiB", MOST >> 20)),
            Ok(_) if read > most => Err(format!(
                "with this file, all files together exceed {} MiB: name fewer at once",
                MOST_TOGETHER >> 20
            )),
            Ok(_) => {
                self.read = self.read.saturating_add(read);
                Ok(text)
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err("not valid UTF-8 text".to_owned())
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Iterator for Files {
    type Item = SourceFile;

    fn next(&mut self) -> Option<SourceFile> {
        loop {
            let source = self.waiting.pop_front()?;
            match self.open(source) {
                Ok(file) => return Some(file),
                Err(unread) => self.unread.push(unread),
            }
        }
    }
}

// === impl Unread ===

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name, self.why)
    }
}

/// Opens a regular file and nothing else, even if the path has changed since it was examined: it follows no link as the last step,
/// does not wait for a pipe, and examines the opened file again.
fn open(folder: impl rustix::fd::AsFd, path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat(folder, path, flags, Mode::empty())?;
    regular(FileType::from_raw_mode(fstat(&file)?.st_mode))?;
    Ok(file.into())
}

fn regular(kind: FileType) -> io::Result<()> {
    let what = match kind {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "a folder",
        FileType::Symlink => "a link",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "something else",
    };
    let message =
        format!("{what}, not a regular file: to read the output of a program, name - and pipe it in");
    Err(io::Error::other(message))
}
