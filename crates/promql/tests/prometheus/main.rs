//! Judgement by Prometheus's own parser: what it makes of many texts, beside what this crate makes of them.
//!
//! The texts are the expressions of Prometheus' own tests, read from its Go module, and generated and mutated ones, as many of
//! each as `PROMQL_TEXTS` says. `PROMQL_SEED` makes others. Without Go nothing is compared.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a panic is the verdict here, and it names the line; how many texts were compared is told"
)]

mod compare;
mod confinement;
mod corpus;
mod exception;
mod generate;
mod mutate;
mod oracle;
mod random;
mod tree;

use promql::{Dialect, Function, Version};

use self::compare::Tally;
use self::oracle::Oracle;
use self::random::Random;

const TEXTS: usize = 3000;

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |value| value.parse().unwrap())
}

#[test]
fn prometheus_3_16_reads_the_same() {
    all(Version::V3_16);
}

#[test]
fn prometheus_3_5_reads_the_same() {
    all(Version::V3_5);
}

fn all(version: Version) {
    let oracle = Oracle::build(version);
    let count = number("PROMQL_TEXTS", TEXTS);
    let mut random = Random::new(number("PROMQL_SEED", 1) as u64);
    let own = corpus::texts(version);
    assert!(
        own.len() > 500,
        "the tests of Prometheus have {} texts",
        own.len()
    );
    let generated: Vec<String> = (0..count).map(|_| generate::text(&mut random, version)).collect();
    let seeds: Vec<String> = own.iter().chain(&generated).cloned().collect();
    let mutated: Vec<String> = (0..count).map(|_| mutate::text(&mut random, &seeds)).collect();
    for (name, texts) in [("own", own), ("generated", generated), ("mutated", mutated)] {
        let tally = compare::compare(&oracle, &texts, Dialect::of(version));
        report(&format!("{version:?} {name}"), &tally);
        let seen = confinement::look(&oracle, &texts, version);
        eprintln!(
            "{version:?} {name}: {} confined, with {} selectors",
            seen.queries, seen.selectors
        );
        fail(&format!("{version:?} {name}, confined"), &seen.wrong);
        assert!(seen.queries > texts.len() / 20, "few are confined");
        if name == "own" {
            let tally = compare::compare(&oracle.stable(), &texts, Dialect::of(version).stable());
            report(&format!("{version:?} {name}, nothing experimental"), &tally);
        }
    }
}

fn report(name: &str, tally: &Tally) {
    eprintln!("{name}: {tally}");
    fail(name, &tally.wrong);
}

fn fail(name: &str, wrong: &[String]) {
    let shown: Vec<&str> = wrong.iter().take(20).map(String::as_str).collect();
    assert!(
        wrong.is_empty(),
        "{name}: {} texts are read otherwise:\n{}",
        wrong.len(),
        shown.join("\n")
    );
}

/// Every name that this crate has is a function there, and no other is: each is called without arguments and with many, and
/// what the refusal says about their number is the table's own.
#[test]
fn functions_are_the_same() {
    for version in [Version::V3_5, Version::V3_16] {
        let oracle = Oracle::build(version);
        let texts: Vec<String> = Function::all()
            .iter()
            .map(|f| format!("{}(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)", f.name))
            .collect();
        for (function, verdict) in Function::all().iter().zip(oracle.ask(&texts)) {
            let unknown = verdict.error.as_deref().is_some_and(|error| {
                error.contains("unknown function") || error.contains("unexpected \"(\"")
            });
            assert_eq!(
                !unknown,
                function.is_of(version),
                "{}: {:?}",
                function.name,
                verdict.error
            );
        }
    }
}
