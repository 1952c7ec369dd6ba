//! Every target of the fuzzer, without the fuzzer: on its seeds, on bytes, on words of its dictionary, on seeds that were cut,
//! spliced and mended, and on sentences of a grammar where there is one.

mod properties {
    pub(crate) mod files;
    pub(crate) mod grammar;
}

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Context as _, Result, anyhow, ensure};
use fuzz_targets::{TARGETS, Target};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, TestRunner},
};

use self::properties::{
    files::{dictionary, names, seeds},
    grammar,
};

/// Of each kind of input; the whole takes a few seconds.
const CASES: u32 = 192;

/// Runs a target on what a strategy makes; the smallest input that fails is in the message.
fn holds(target: Target, inputs: impl Strategy<Value = Vec<u8>>) -> Result<()> {
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&inputs, |input| {
            (target.run)(&input);
            Ok(())
        })
        .map_err(|error| anyhow!("{}: {error}", target.name))
}

fn words(target: Target) -> Result<impl Strategy<Value = Vec<u8>>> {
    let word = prop_oneof![
        6 => select(dictionary(target.name)?),
        1 => "[a-z0-9]{0,4}".prop_map(String::into_bytes),
        1 => "\\PC{0,3}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..3),
    ];
    Ok(vec(word, 0..24).prop_map(|words| words.concat()))
}

/// What is done to a seed.
#[derive(Clone, Debug)]
enum Edit {
    Cut(Index, Index),
    Insert(Index, Vec<u8>),
    Replace(Index, u8),
    Splice(Index, Index, Vec<u8>),
}

impl Edit {
    fn apply(&self, data: &mut Vec<u8>) {
        let end = data.len() + 1;
        match self {
            Self::Cut(from, to) => {
                let (from, to) = (from.index(end), to.index(end));
                data.drain(from.min(to)..from.max(to));
            }
            Self::Insert(at, word) => {
                let at = at.index(end);
                data.splice(at..at, word.iter().copied());
            }
            Self::Replace(at, byte) if !data.is_empty() => {
                let at = at.index(data.len());
                data[at] = *byte;
            }
            Self::Replace(..) => {}
            Self::Splice(at, from, other) => {
                data.truncate(at.index(end));
                data.extend(&other[from.index(other.len() + 1)..]);
            }
        }
    }
}

fn edited(target: Target) -> Result<impl Strategy<Value = Vec<u8>>> {
    let (seeds, words) = (seeds(target.name)?, dictionary(target.name)?);
    let edit = prop_oneof![
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Edit::Cut(from, to)),
        4 => (any::<Index>(), select(words)).prop_map(|(at, word)| Edit::Insert(at, word)),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Replace(at, byte)),
        1 => (any::<Index>(), any::<Index>(), select(seeds.clone()))
            .prop_map(|(at, from, other)| Edit::Splice(at, from, other)),
    ];
    Ok((select(seeds), vec(edit, 1..5)).prop_map(|(mut seed, edits)| {
        for edit in &edits {
            edit.apply(&mut seed);
        }
        seed
    }))
}

#[cfg(feature = "operator")]
#[test]
fn every_target_has_seeds_a_dictionary_and_a_program() -> Result<()> {
    let targets: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    ensure!(targets.is_sorted());
    for (folder, extension) in [("seeds", ""), ("dictionaries", "dict"), ("targets", "rs")] {
        ensure!(
            names(folder, extension)? == targets,
            "{folder}: {:?}",
            names(folder, extension)?
        );
    }
    for target in TARGETS {
        ensure!(seeds(target.name)?.len() >= 8, "{}: few seeds", target.name);
    }
    Ok(())
}

/// All kinds of input for one target.
fn check(name: &str) -> Result<()> {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = *target.with_context(|| format!("no target {name}"))?;
    for (file, seed) in names(&format!("seeds/{name}"), "")?.iter().zip(seeds(name)?) {
        catch_unwind(AssertUnwindSafe(|| (target.run)(&seed)))
            .map_err(|_| anyhow!("fuzz/seeds/{name}/{file}: the reason stands above"))?;
    }
    holds(target, vec(any::<u8>(), 0..256))?;
    holds(target, words(target)?)?;
    holds(target, edited(target)?)?;
    match grammar::of(name) {
        Some(sentences) => holds(target, sentences.prop_map(String::into_bytes)),
        None => Ok(()),
    }
}

/// One test for each target.
macro_rules! targets {
    ($all:ident $($name:ident)*) => {
        $(
            #[test]
            fn $name() -> Result<()> {
                check(stringify!($name))
            }
        )*

        const $all: &[&str] = &[$(stringify!($name)),*];
    };
}

targets! { LANGUAGES promql quantity re2 selector template }
#[cfg(feature = "operator")]
targets! { OPERATOR config_map document pem reviews route }
#[cfg(not(feature = "operator"))]
const OPERATOR: &[&str] = &[];

#[test]
fn every_target_is_tested() {
    let mut tested = [LANGUAGES, OPERATOR].concat();
    tested.sort_unstable();
    let targets: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(targets, tested);
}
