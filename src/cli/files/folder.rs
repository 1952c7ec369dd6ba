//! Folder that nothing leads out of.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Component, Path, PathBuf},
};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat},
};

/// How deep folders may stand in each other.
const MAX_DEPTH: usize = 32;

/// A folder, held open, so that a later change of its path does not matter.
pub(super) struct Folder {
    root: OwnedFd,
    /// Without links.
    path: PathBuf,
}

/// A file of a folder by its path below it: the path to open, or why it is not read.
pub(super) type Listed = (PathBuf, Result<PathBuf, String>);

/// What is found on the way.
struct Walk {
    listed: Vec<Listed>,
    /// Those of `listed` that are links.
    links: Vec<usize>,
    most: usize,
}

// === impl Folder ===

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        let root = folder(CWD, path.as_os_str())?;
        Ok(Self { root, path })
    }

    /// The `.yaml`, `.yml` and `.json` files below it, at most `most`, sorted by name, so that the same folder gives the same
    /// everywhere. Hidden files are ignored, because nobody means `.git`, and so are links to folders, which could lead back up. A
    /// link to a file is followed if the file is in the folder and is not read anyway.
    pub(super) fn list(&self, most: usize) -> Vec<Listed> {
        let mut walk = Walk {
            listed: Vec::new(),
            links: Vec::new(),
            most,
        };
        walk.folder(&self.root, Path::new(""), MAX_DEPTH);
        let Walk {
            mut listed, links, ..
        } = walk;
        let mut read: BTreeSet<PathBuf> = listed
            .iter()
            .filter_map(|(_, outcome)| outcome.as_ref().ok().cloned())
            .collect();
        for index in &links {
            if let Some((path, _)) = listed.get(*index) {
                read.remove(path);
            }
        }
        let mut passed = BTreeSet::new();
        for index in links {
            let Some((path, outcome)) = listed.get_mut(index) else {
                continue;
            };
            match self.target(path) {
                Ok(Some(target)) if read.insert(target.clone()) => *outcome = Ok(target),
                Ok(_) => {
                    passed.insert(index);
                }
                Err(why) => *outcome = Err(why),
            }
        }
        let mut index = 0;
        listed.retain(|_| {
            index += 1;
            !passed.contains(&(index - 1))
        });
        listed
    }

    /// Where a link in the folder leads, below it; `None` for another folder.
    fn target(&self, link: &Path) -> Result<Option<PathBuf>, String> {
        let target = fs::canonicalize(self.path.join(link)).map_err(|error| error.to_string())?;
        let Ok(target) = target.strip_prefix(&self.path) else {
            return Err("this link leads out of the folder".to_owned());
        };
        // A mounted ConfigMap's files are links into `..data`.
        let hidden = |part: Component<'_>| {
            let name = part.as_os_str().as_bytes();
            name.starts_with(b".") && !name.starts_with(b"..")
        };
        if target.components().any(hidden) {
            return Err("this link leads to a hidden file".to_owned());
        }
        let found = fs::symlink_metadata(self.path.join(target)).map_err(|error| error.to_string())?;
        Ok((!found.is_dir()).then(|| target.to_path_buf()))
    }

    /// Opens a regular file below it, by steps none of which is a link.
    pub(super) fn file(&self, path: &Path) -> io::Result<File> {
        let mut parts: Vec<&OsStr> = Vec::new();
        for part in path.components() {
            match part {
                Component::Normal(name) => parts.push(name),
                _ => return Err(io::Error::other("this path leads out of the folder")),
            }
        }
        let Some((name, above)) = parts.split_last() else {
            return Err(io::Error::other("this is the folder itself"));
        };
        let mut at: Option<OwnedFd> = None;
        for part in above {
            at = Some(match &at {
                None => folder(&self.root, part)?,
                Some(at) => folder(at, part)?,
            });
        }
        let at = at.as_ref().unwrap_or(&self.root);
        super::regular(kind(at, name)?)?;
        super::open(at, Path::new(name))
    }
}

// === impl Walk ===

impl Walk {
    fn folder(&mut self, at: &OwnedFd, path: &Path, depth: usize) {
        let names = match names(at) {
            Ok(names) => names,
            Err(error) => return self.listed.push((path.to_path_buf(), Err(error.to_string()))),
        };
        for name in names {
            if self.listed.len() >= self.most {
                return;
            }
            let path = path.join(&name);
            let wanted = path.extension().is_some_and(|extension| {
                ["yaml", "yml", "json"]
                    .iter()
                    .any(|wanted| extension.eq_ignore_ascii_case(wanted))
            });
            match kind(at, &name) {
                Ok(FileType::Directory) => {
                    if depth > 0 {
                        match folder(at, &name) {
                            Ok(below) => self.folder(&below, &path, depth - 1),
                            Err(error) => self.listed.push((path, Err(error.to_string()))),
                        }
                    }
                }
                _ if !wanted => {}
                Ok(FileType::Symlink) => {
                    self.links.push(self.listed.len());
                    self.listed.push((path.clone(), Ok(path)));
                }
                Ok(kind) => {
                    let outcome = super::regular(kind).map_err(|error| error.to_string());
                    self.listed.push((path.clone(), outcome.map(|()| path)));
                }
                Err(error) => self.listed.push((path, Err(error.to_string()))),
            }
        }
    }
}

/// The names in a folder that are not hidden, sorted.
fn names(at: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(at)? {
        let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
        if !name.as_bytes().starts_with(b".") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn kind(at: &OwnedFd, name: &OsStr) -> io::Result<FileType> {
    let found = statat(at, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(found.st_mode))
}

fn folder(at: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(at, name, flags, Mode::empty())?)
}
