//! Figures of bad days: what a replica costs and how late an HPA is while a backend, a neighbour or a file does its worst.
//!
//! Each scene stands alone and says its figures with their goals. `make bench-faults` runs them against a release binary; with
//! another tree's binary the same scenes say what was before.

pub mod files;
pub mod hang;
pub mod memory;
pub mod neighbour;
pub mod round;
pub mod scene;
pub mod start;
pub mod values;

use std::fmt;
use std::path::PathBuf;

use anyhow::Result;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;

use self::scene::Scene;

/// One figure, with the bound that it is to keep.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// How much it was.
    pub seen: f64,
    /// Of what: `s`, `MiB`, `times`, `replicas`.
    pub unit: &'static str,
    /// What it is to be.
    pub goal: Goal,
}

/// The bound of a figure.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// As much or less.
    AtMost(f64),
    /// As much or more.
    AtLeast(f64),
    /// It stands there to compare with.
    None,
}

/// Which scenes, and beside what.
#[derive(Clone, Debug)]
pub struct Options {
    /// Parts of the names of the scenes; empty: all.
    pub only: Vec<String>,
    /// A prometheus-adapter binary to run the round beside.
    pub peer: Option<PathBuf>,
}

/// The names of the scenes, in the order in which they run.
pub const SCENES: [&str; 9] = [
    "files",
    "answers",
    "listings",
    "neighbour",
    "values",
    "hang",
    "fat",
    "start",
    "round",
];

/// Runs the scenes; each figure is told as soon as it is known.
///
/// # Errors
/// A scene could not be set up. A goal that is missed is no error: the table says `short`.
pub async fn run(options: &Options, tell: fn(&str)) -> Result<()> {
    tell(&format!("{:<72} {:>12}  {:<14} ", "figure", "seen", "goal"));
    let wanted =
        |name: &str| options.only.is_empty() || options.only.iter().any(|only| name.contains(only.as_str()));
    let tell_all = |figures: Vec<Figure>| figures.iter().for_each(|figure| tell(&figure.to_string()));
    if wanted("files") {
        tell_all(files::run().await?);
    }
    if !SCENES.iter().skip(1).any(|name| wanted(name)) {
        return Ok(());
    }
    let scene = Box::pin(Scene::start()).await?;
    for name in SCENES.iter().skip(1).filter(|name| wanted(name)) {
        let figures: LocalBoxFuture<'_, Result<Vec<Figure>>> = match *name {
            "answers" => memory::answers(&scene).boxed_local(),
            "listings" => memory::listings(&scene).boxed_local(),
            "neighbour" => neighbour::run(&scene).boxed_local(),
            "values" => values::run(&scene).boxed_local(),
            "hang" => hang::run(&scene).boxed_local(),
            "fat" => memory::fat_rules(&scene).boxed_local(),
            "start" => start::run(&scene).boxed_local(),
            _ => round::run(&scene, options.peer.as_deref()).boxed_local(),
        };
        match figures.await {
            Ok(figures) => tell_all(figures),
            // the other scenes are worth seeing all the same
            Err(error) => tell(&format!("{name}: not measured: {error:#}")),
        }
    }
    Ok(())
}

// === impl Figure ===

impl Figure {
    /// A figure with its goal.
    pub fn new(what: impl Into<String>, seen: f64, unit: &'static str, goal: Goal) -> Self {
        Self {
            what: what.into(),
            seen,
            unit,
            goal,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (goal, verdict) = match self.goal {
            Goal::AtMost(most) => (
                format!("≤ {most} {}", self.unit),
                if self.seen <= most { "ok" } else { "short" },
            ),
            Goal::AtLeast(least) => (
                format!("≥ {least} {}", self.unit),
                if self.seen >= least { "ok" } else { "short" },
            ),
            Goal::None => (String::new(), ""),
        };
        let seen = format!("{:.2} {}", self.seen, self.unit);
        write!(f, "{:<72} {seen:>12}  {goal:<14} {verdict}", self.what)
    }
}
