//! Ranges that hold too few samples.

use super::{Assumptions, Specimen, duration};
use crate::{reason::Reason, rule::Problem};

/// Functions that give nothing for a range with one sample.
const PAIRS: [&str; 9] = [
    "rate",
    "irate",
    "increase",
    "delta",
    "idelta",
    "deriv",
    "predict_linear",
    "changes",
    "resets",
];

pub(super) fn lint(specimen: &Specimen<'_>, assumptions: Assumptions, found: &mut Vec<Problem>) {
    let interval = assumptions.scrape_interval;
    for usage in specimen.tree.usages() {
        let (Some((range, at)), Some((function, _))) = (&usage.range, &usage.function) else {
            continue;
        };
        let pairs = PAIRS.contains(&function.as_str());
        let least = if pairs {
            interval.saturating_mul(2)
        } else {
            interval
        };
        if *range >= least {
            continue;
        }
        let message = format!(
            "{function}() over {} finds {} if targets are scraped every {}",
            duration(*range),
            if pairs {
                "fewer than two samples"
            } else {
                "sometimes no sample"
            },
            duration(interval),
        );
        let better = duration(interval.saturating_mul(if pairs { 4 } else { 2 }));
        found.push(
            specimen
                .problem(Reason::ShortRange, at.as_ref().or(usage.at.as_ref()), message)
                .suggest(format!("write `[{better}]`")),
        );
    }
}
