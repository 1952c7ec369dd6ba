//! The Go program that asks Prometheus' own parser (`tests/oracles/promqltree`).

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use promql::Version;
use serde::Deserialize;
use serde_json::Value;

pub(crate) struct Oracle {
    program: PathBuf,
    stable: bool,
}

/// What the program says of one text.
#[derive(Deserialize)]
pub(crate) struct Verdict {
    /// The tree, if the text is accepted.
    pub(crate) tree: Option<Value>,
    pub(crate) error: Option<String>,
    /// Some string of the tree is not UTF-8.
    #[serde(default)]
    pub(crate) bytes: bool,
}

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/oracles/promqltree"
    ))
}

/// A command of Go for this version.
pub(crate) fn go(version: Version, command: &str) -> Command {
    let mut go = Command::new("go");
    go.current_dir(folder()).arg(command);
    if version == Version::V3_5 {
        go.arg("-modfile=go35.mod");
    }
    go
}

impl Oracle {
    /// Builds it.
    pub(crate) fn build(version: Version) -> Self {
        static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _turn = TURN.lock();
        let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("promqltree-{version:?}"));
        let mut command = go(version, "build");
        if version == Version::V3_5 {
            command.args(["-tags", "prometheus35"]);
        }
        let built = command.arg("-o").arg(&program).arg(".").output();
        assert!(
            built.is_ok(),
            "these tests need Go, for Prometheus' own parser is the judge: {built:?}"
        );
        let built = built.unwrap();
        let errors = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{errors}");
        Self {
            program,
            stable: false,
        }
    }

    /// The same with nothing experimental switched on.
    pub(crate) fn stable(&self) -> Self {
        Self {
            program: self.program.clone(),
            stable: true,
        }
    }

    /// A verdict for each text.
    pub(crate) fn ask(&self, texts: &[String]) -> Vec<Verdict> {
        static RUN: AtomicUsize = AtomicUsize::new(0);
        let run = RUN.fetch_add(1, Ordering::Relaxed);
        let input = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("texts-{}-{run}.json", std::process::id()));
        let mut file = BufWriter::new(File::create(&input).unwrap());
        for text in texts {
            writeln!(file, "{}", serde_json::to_string(text).unwrap()).unwrap();
        }
        file.flush().unwrap();
        let output = Command::new(&self.program)
            .args(self.stable.then_some("stable"))
            .stdin(File::open(&input).unwrap())
            .stderr(Stdio::null())
            .output()
            .unwrap();
        std::fs::remove_file(&input).unwrap();
        assert!(output.status.success(), "the oracle failed");
        let lines = output
            .stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        let verdicts: Vec<Verdict> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
        assert_eq!(verdicts.len(), texts.len());
        verdicts
    }
}
