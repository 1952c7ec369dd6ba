//! Random sequences of edits, breakage, deletions, backends and series that come and go, listings that fail, replicas that start
//! and leaders that change: whoever answers is the rule that the claims of all specs give, or nobody answers.
//!
//! `METRICRULE_CLAIM_SEQUENCES` sets how many sequences are played, `METRICRULE_CLAIM_SEED` the first of them.

mod cluster;
mod oracle;
mod replica;
mod specs;

use self::{
    cluster::{Build, Cluster},
    specs::{Backends, Breakage, RULES, SERIES, Spec, VARIANTS},
};

/// Events of one sequence.
const EVENTS: usize = 30;

/// A linear congruential generator: the same sequence for the same seed, everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % u64::try_from(limit).unwrap()).unwrap()
    }

    fn one_in(&mut self, number: usize) -> bool {
        self.below(number) == 0
    }

    fn spec(&mut self, rule: usize, breaks: bool) -> Spec {
        let breakage = if breaks && self.one_in(2) {
            Breakage::ALL[self.below(Breakage::ALL.len())]
        } else {
            Breakage::None
        };
        Spec {
            variant: self.below(VARIANTS.len()),
            breakage,
            priority: i32::try_from(self.below(2)).unwrap(),
            narrow: rule != 0 && self.one_in(4),
        }
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Plays one sequence; the first thing that was wrong.
fn play(seed: u64, build: Build) -> Result<(), String> {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    dice.below(7);
    let mut cluster = Cluster::new(build);
    let mut log = Vec::new();
    for rule in 0..RULES.len() {
        let spec = dice.spec(rule, false);
        cluster.apply(rule, spec, true);
        log.push(format!("create {rule} {spec:?}"));
    }
    for event in 0..EVENTS {
        log.push(step(&mut dice, &mut cluster));
        cluster.pass(0);
        cluster
            .check()
            .map_err(|error| format!("seed {seed}, event {event}: {error}\n{}", log.join("\n")))?;
    }
    cluster
        .repair()
        .map_err(|error| format!("seed {seed}, repaired: {error}\n{}", log.join("\n")))
}

fn step(dice: &mut Dice, cluster: &mut Cluster) -> String {
    let (rule, replica) = (dice.below(RULES.len()), dice.below(2));
    match dice.below(20) {
        0..=2 => {
            let spec = dice.spec(rule, true);
            cluster.apply(rule, spec, false);
            format!("edit {rule} {spec:?}")
        }
        // What breaks, or mends, one field of the spec as it is.
        3 | 4 => {
            if let Some(spec) = cluster.spec(rule) {
                let breakage = Breakage::ALL[dice.below(Breakage::ALL.len())];
                let spec = Spec { breakage, ..spec };
                cluster.apply(rule, spec, false);
                format!("break {rule} {breakage:?}")
            } else {
                let spec = dice.spec(rule, false);
                cluster.apply(rule, spec, true);
                format!("create {rule} {spec:?}")
            }
        }
        5 => {
            cluster.delete(rule);
            if dice.one_in(2) {
                let spec = dice.spec(rule, true);
                cluster.apply(rule, spec, true);
                return format!("recreate {rule} {spec:?}");
            }
            format!("delete {rule}")
        }
        6 => {
            let backends = Backends::ALL[dice.below(Backends::ALL.len())];
            cluster.backends = backends;
            format!("backends {backends:?}")
        }
        7 | 8 => {
            let series = dice.below(SERIES.len());
            cluster.present[series] = !cluster.present[series];
            format!("{} present: {}", SERIES[series], cluster.present[series])
        }
        9..=12 => {
            let fails = dice.one_in(3);
            cluster.list(replica, Some(rule), fails);
            format!("replica {replica} lists {rule}, fails: {fails}")
        }
        13 => {
            cluster.list(replica, None, false);
            format!("replica {replica} lists all")
        }
        14 => {
            cluster.restart(replica);
            format!("replica {replica} starts anew")
        }
        15 => {
            cluster.leader = replica;
            format!("replica {replica} leads")
        }
        16 => {
            let minutes = [1, 90, 25 * 60][dice.below(3)];
            cluster.pass(minutes);
            format!("{minutes} minutes pass")
        }
        _ => {
            cluster.write();
            "the leader writes".to_owned()
        }
    }
}

#[test]
fn whatever_happens_a_request_is_answered_by_the_rule_that_all_claims_give_or_by_none() {
    let (first, count) = (
        number("METRICRULE_CLAIM_SEED", 0),
        number("METRICRULE_CLAIM_SEQUENCES", 250),
    );
    let wrong = (first..first + count).find_map(|seed| play(seed, Build::Real).err());
    assert!(wrong.is_none(), "{}", wrong.unwrap_or_default());
}

#[test]
fn a_catalog_that_hands_a_claim_over_is_caught() {
    for build in [
        Build::LocalOnly,
        Build::ForgetsRefused,
        Build::BelievesItself,
        Build::KeepsRefused,
    ] {
        let caught = (0..500).any(|seed| play(seed, build).is_err());
        assert!(caught, "{build:?} passes");
    }
}
