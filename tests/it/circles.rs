//! Circles between files: none may use another that uses it, through however many others.
//!
//! A file uses another where it names something of it; a name that a module only passes on counts for the file that it comes
//! from. What a file uses of the modules that it is a part of does not count: a room and its parts belong together.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

use crate::source::{self, Source};

/// Uses that close a circle and are still there: who uses whom, and why. The list may only become shorter.
const KNOWN: [(&str, &str, &str); 8] = [
    (
        "api::metric_backend::invariants",
        "api::metric_backend::credentials",
        "a type names the rules of its schema, and their twins in Rust name the type",
    ),
    (
        "api::metric_backend::invariants",
        "api::metric_backend::prometheus",
        "a type names the rules of its schema, and their twins in Rust name the type",
    ),
    (
        "backend::error",
        "backend::redact",
        "an error strikes credentials out of its text, and whoever knows them fails with such errors",
    ),
    (
        "backend::prometheus::body",
        "backend::prometheus::reply",
        "a body that breaks off is told in the words of a reply",
    ),
    (
        "backend::prometheus::decode::meter",
        "backend::prometheus::decode::json",
        "the meter weighs what the decoder of JSON makes",
    ),
    (
        "catalog::possible",
        "catalog::recorded",
        "what a spec makes of a recorded series is asked with the claim as it is recorded",
    ),
    (
        "rule::compile",
        "rule::advice",
        "advice is given while a rule is compiled; it belongs after that",
    ),
    (
        "rule::metrics_query",
        "rule::advice",
        "how a duration is written stands with advice; it belongs to the language",
    ),
];

/// Modules that are passed through at most before the file is found that a name comes from.
const DEEP: usize = 8;

type Module = Vec<String>;
/// Who uses whom, by module.
type Uses = BTreeMap<Module, BTreeSet<Module>>;

/// The files outside tests, by module.
struct Files<'a>(BTreeMap<&'a [String], &'a Source>);

// === impl Files ===

impl<'a> Files<'a> {
    fn of(sources: &'a [Source]) -> Self {
        let files = sources.iter().filter(|source| !source.test);
        Self(files.map(|source| (source.module.as_slice(), source)).collect())
    }

    /// The file that a path leads to; `None` where it leads out of the package.
    fn home(&self, path: &[String], deep: usize) -> Option<&'a Source> {
        let (first, path) = path.split_first()?;
        if first != "crate" {
            return None;
        }
        let (length, source) = (0..=path.len())
            .rev()
            .find_map(|length| Some((length, *self.0.get(&path[..length])?)))?;
        let Some(name) = path.get(length).filter(|_| deep < DEEP) else {
            return Some(source);
        };
        let mut passed_on = source.names.iter().filter_map(|known| {
            let segments = match known.segments.split_last()? {
                (last, rest) if last == "self" => rest,
                _ => &known.segments,
            };
            let is_meant = segments.last() == Some(name) && segments.get(1..) != Some(path);
            is_meant.then(|| self.home(segments, deep + 1))?
        });
        passed_on
            .find(|home| home.module != source.module)
            .or(Some(source))
    }

    fn uses(&self) -> Uses {
        let uses = self.0.values().map(|source| {
            let homes = source
                .names
                .iter()
                .filter_map(|name| self.home(&name.segments, 0));
            let others = homes.filter(|home| !source.module.starts_with(&home.module));
            (
                source.module.clone(),
                others.map(|home| home.module.clone()).collect(),
            )
        });
        uses.collect()
    }
}

/// What `from` uses, through others as well.
fn reached<'a>(uses: &'a Uses, from: &'a Module) -> BTreeSet<&'a Module> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&Module> = uses.get(from).into_iter().flatten().collect();
    while let Some(module) = open.pop() {
        if seen.insert(module) {
            open.extend(uses.get(module).into_iter().flatten());
        }
    }
    seen
}

/// The uses that are part of a circle, one line for each.
fn circles(uses: &Uses) -> Vec<String> {
    let reached: BTreeMap<&Module, BTreeSet<&Module>> = uses
        .keys()
        .map(|module| (module, reached(uses, module)))
        .collect();
    let is_back = |from: &Module, to: &Module| reached.get(to).is_some_and(|reached| reached.contains(from));
    let found = uses.iter().flat_map(|(from, all)| {
        let back = all.iter().filter(|to| is_back(from, to));
        back.map(|to| format!("{} uses {}", from.join("::"), to.join("::")))
    });
    found.collect()
}

fn module(path: &str) -> Module {
    path.split("::").map(str::to_owned).collect()
}

#[test]
fn no_file_uses_one_that_uses_it() -> Result<()> {
    let sources = source::all()?;
    let mut uses = Files::of(&sources).uses();
    for (from, to, _) in KNOWN {
        let (from, to) = (module(from), module(to));
        let is_circle =
            uses.get(&from).is_some_and(|all| all.contains(&to)) && reached(&uses, &to).contains(&from);
        ensure!(
            is_circle,
            "{from:?} and {to:?} are no circle any more: take them off the list"
        );
    }
    for (from, to, _) in KNOWN {
        if let Some(all) = uses.get_mut(&module(from)) {
            all.remove(&module(to));
        }
    }
    let found = circles(&uses);
    ensure!(found.is_empty(), "files in circles:\n{}", found.join("\n"));
    Ok(())
}

#[test]
fn a_planted_circle_is_found() -> Result<()> {
    let source =
        |path: &str, text: &str| Source::parse(format!("src/{path}.rs").into(), &module(path), false, text);
    let sources = [
        // A room that passes a name of one part on, and uses another.
        source(
            "room",
            "mod one; mod two;\npub use self::one::One;\nuse two::Two;\npub struct Own;",
        )?,
        source("room::one", "use super::Own;\npub struct One;")?,
        source(
            "room::two",
            "use super::{One, Own};\nfn f() { crate::far::away(); }\npub struct Two;",
        )?,
        source("far", "use crate::{room::one::One, near::Near};")?,
        source(
            "near",
            "use std::fmt;\n#[cfg(test)]\nmod tests { use crate::far; }\npub struct Near;",
        )?,
    ];
    let mut uses = Files::of(&sources).uses();
    let of = |uses: &Uses, path: &str| -> Vec<String> {
        uses[&module(path)]
            .iter()
            .map(|module| module.join("::"))
            .collect()
    };
    assert_eq!(
        of(&uses, "room::one"),
        Vec::<String>::new(),
        "the room itself does not count"
    );
    assert_eq!(of(&uses, "room::two"), ["far", "room::one"]);
    assert_eq!(circles(&uses), Vec::<String>::new());
    uses.entry(module("near"))
        .or_default()
        .insert(module("room::two"));
    assert_eq!(
        circles(&uses),
        ["far uses near", "near uses room::two", "room::two uses far"]
    );
    Ok(())
}
