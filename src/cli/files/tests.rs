use std::{os::unix::fs::symlink, sync::mpsc, time::Duration};

use super::*;

/// A folder of its own, with `outside/secret.yaml` and the folder `rules` in it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("metricrule-files-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        let place = Self(
            fs::canonicalize(path.parent().unwrap())
                .unwrap()
                .join(path.file_name().unwrap()),
        );
        place.write("outside/secret.yaml", "bad: [secretvalue");
        place.write("rules/a.yaml", "a: 1\n");
        place
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn link(&self, to: impl AsRef<Path>, path: &str) {
        symlink(to, self.0.join(path)).unwrap();
    }

    fn pipe(&self, path: &str) {
        rustix::fs::mknodat(
            CWD,
            self.0.join(path),
            FileType::Fifo,
            Mode::from_bits_truncate(0o600),
            0,
        )
        .unwrap();
    }

    /// The names below `rules` that are read, and what is said of the others; never waits.
    fn read(&self, path: &str) -> (Vec<String>, Vec<String>) {
        let (send, receive) = mpsc::channel();
        let root = self.0.join(path);
        std::thread::spawn(move || {
            let _ = send.send(read(&[root]));
        });
        let (files, unread) = receive.recv_timeout(Duration::from_secs(20)).expect("it waits");
        let short = |text: &str| text.replace(&format!("{}/", self.0.display()), "");
        let names = files.iter().map(|file| short(&file.name)).collect();
        (names, unread.iter().map(|said| short(said)).collect())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_link_out_of_the_folder_is_not_followed() {
    let place = Place::new("out");
    place.link("/proc/self/environ", "rules/e.yaml");
    place.link("../outside/secret.yaml", "rules/s.yaml");
    place.link("/dev/stdin", "rules/i.yaml");
    place.link("../outside", "rules/folder");
    place.link("../outside", "rules/folder.yaml");
    place.link("gone", "rules/gone.yaml");
    let (read, unread) = place.read("rules");
    assert_eq!(read, ["rules/a.yaml"]);
    let begins: Vec<&str> = unread
        .iter()
        .map(|said| said.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        begins,
        [
            "rules/e.yaml",
            "rules/folder.yaml",
            "rules/gone.yaml",
            "rules/i.yaml",
            "rules/s.yaml"
        ]
    );
    assert!(
        unread[0].ends_with("this link leads out of the folder"),
        "{unread:?}"
    );
}

#[test]
fn a_link_that_is_named_is_not_followed_out_of_its_folder_either() {
    let place = Place::new("named");
    place.link("/proc/self/environ", "rules/e.yaml");
    place.link("../outside", "rules/folder");
    place.link("a.yaml", "rules/b.yaml");
    for path in ["rules/e.yaml", "rules/folder"] {
        let (read, unread) = place.read(path);
        assert!(
            read.is_empty() && unread[0].contains("leads out of its folder"),
            "{path}: {unread:?}"
        );
    }
    assert_eq!(place.read("rules/b.yaml").0, ["rules/b.yaml"]);
}

#[test]
fn a_link_inside_the_folder_is_followed_once() {
    let place = Place::new("inside");
    // A mounted ConfigMap.
    place.write("rules/..2026/c.yaml", "c: 1\n");
    place.link("..2026", "rules/..data");
    place.link("..data/c.yaml", "rules/c.yaml");
    place.link("a.yaml", "rules/again.yaml");
    place.link("..data/c.yaml", "rules/d.yaml");
    place.write("rules/.git/config", "token: x\n");
    place.link(".git/config", "rules/token.yaml");
    let (read, unread) = place.read("rules");
    assert_eq!(read, ["rules/a.yaml", "rules/c.yaml"]);
    assert_eq!(unread, ["rules/token.yaml: this link leads to a hidden file"]);
}

#[test]
fn a_pipe_is_not_waited_for() {
    let place = Place::new("pipe");
    place.pipe("rules/p.yaml");
    for path in ["rules", "rules/p.yaml"] {
        let (_, unread) = place.read(path);
        assert!(
            unread.len() == 1 && unread[0].starts_with("rules/p.yaml: a named pipe, not a regular file"),
            "{unread:?}"
        );
    }
    let (_, unread) = read(&["/dev/zero".into()]);
    assert!(unread[0].starts_with("/dev/zero: a device"), "{unread:?}");
}

#[test]
fn what_became_something_else_since_it_was_found_is_not_read() {
    let place = Place::new("race");
    place.write("rules/below/b.yaml", "b: 1\n");
    place.write("outside/b.yaml", "secret: 1\n");
    let mut files = Files::new(&[place.0.join("rules")]);
    fs::remove_file(place.0.join("rules/a.yaml")).unwrap();
    place.pipe("rules/a.yaml");
    fs::rename(place.0.join("rules/below"), place.0.join("rules/other")).unwrap();
    place.link("../outside", "rules/below");
    assert_eq!(files.by_ref().count(), 0);
    assert_eq!(files.unread().len(), 2);
}

#[test]
fn one_file_is_in_memory_at_a_time_and_all_of_them_have_a_bound() {
    let place = Place::new("sum");
    place.write("rules/b.yaml", &"# b\n".repeat(10));
    let mut files = Files::new(&[place.0.join("rules")]);
    files.read = MOST_TOGETHER - 20;
    assert_eq!(
        files.by_ref().count(),
        1,
        "a.yaml has 5 bytes, and b.yaml does not fit any more"
    );
    let unread = files.unread();
    assert!(
        unread.len() == 1 && unread[0].why.contains("all files together exceed 256 MiB"),
        "{}",
        unread[0]
    );
}
