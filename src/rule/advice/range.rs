//! Ranges that hold too few samples.

use super::{Assumptions, Specimen, duration};
use crate::{reason::Reason, rule::Problem};

pub(super) fn lint(specimen: &Specimen<'_>, assumptions: Assumptions, found: &mut Vec<Problem>) {
    let interval = assumptions.scrape_interval;
    for usage in specimen.expr.usages() {
        let (Some((range, at)), Some((function, _))) = (usage.range, usage.function) else {
            continue;
        };
        let pairs = function.needs_two_samples;
        let least = if pairs {
            interval.saturating_mul(2)
        } else {
            interval
        };
        if range >= least {
            continue;
        }
        let message = format!(
            "{}() over {} {} if targets are scraped every {}",
            function.name,
            duration(range),
            if pairs {
                "finds fewer than two samples"
            } else {
                "sometimes finds no sample"
            },
            duration(interval),
        );
        let better = duration(interval.saturating_mul(if pairs { 4 } else { 2 }));
        found.push(
            specimen
                .problem(Reason::ShortRange, at, message)
                .suggest(format!("write `[{better}]`")),
        );
    }
}
