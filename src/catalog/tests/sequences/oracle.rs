//! Oracle of who may answer, derived from the facts in [`super::specs`], and from nothing of the product.

use std::collections::BTreeMap;

use super::{
    cluster::Existing,
    specs::{Backends, Breakage, METRICS, SERIES, Spec},
};
use crate::catalog::recorded::Record;

const RETAIN: i64 = 24 * 60;

/// What is so now.
pub(super) struct Facts<'a> {
    pub(super) rules: &'a [Option<Existing>; 3],
    pub(super) backends: Backends,
    /// By rule: the series of the leader's last listing, if that succeeded.
    pub(super) listed: [Listed; 3],
}

/// The rule that has a metric, whether it gives a number, and by which of its specs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) rule: usize,
    pub(super) answers: bool,
    pub(super) generation: i64,
}

/// Which of [`SERIES`] a listing has found.
pub(super) type Listed = Option<[bool; 2]>;

/// What should be recorded.
#[derive(Default)]
pub(super) struct Oracle(BTreeMap<String, Known>);

#[derive(Clone)]
struct Known {
    generation: i64,
    spec: Spec,
    claims: BTreeMap<&'static str, Claimed>,
}

#[derive(Clone)]
struct Claimed {
    /// None: a static name.
    series: Option<usize>,
    label: &'static str,
    /// Since when the series is gone, in minutes.
    since: Option<i64>,
}

// === impl Oracle ===

impl Oracle {
    pub(super) fn write(&mut self, facts: &Facts<'_>, now: i64) {
        let mut next = BTreeMap::new();
        for (number, rule) in facts.rules.iter().enumerate() {
            let Some(rule) = rule else { continue };
            let former = self.0.get(&rule.uid).cloned();
            let fact = rule.spec.facts();
            let found: Option<Vec<(&'static str, Option<usize>)>> =
                if !rule.spec.names() || !rule.spec.reaches(number) {
                    None
                } else if fact.is_static {
                    Some(fact.literal.map(|metric| (metric, None)).into_iter().collect())
                } else {
                    facts.listed[number].map(|present| {
                        let there = (0..SERIES.len()).filter(|series| present[*series]);
                        there
                            .filter_map(|series| Some((rule.spec.made(series)?, Some(series))))
                            .collect()
                    })
                };
            let Some(found) = found else {
                next.extend(former.map(|former| (rule.uid.clone(), former)));
                continue;
            };
            let label = fact.label;
            let mut claims: BTreeMap<&'static str, Claimed> = BTreeMap::new();
            for (metric, series) in &found {
                let (series, since) = (*series, None);
                claims.entry(metric).or_insert(Claimed { series, label, since });
            }
            for (metric, claimed) in former.into_iter().flat_map(|former| former.claims) {
                // What is listed has the label of the spec or has it not; of what is gone that is not known.
                let is_there = claimed
                    .series
                    .is_some_and(|series| facts.listed[number].is_some_and(|present| present[series]));
                let still = match claimed.series {
                    None => fact.is_static && fact.literal == Some(metric),
                    Some(series) => {
                        fact.makes[series] == Some(metric) && (claimed.label == label || !is_there)
                    }
                };
                let since = claimed.since.unwrap_or(now);
                let keeps = rule.spec.breakage == Breakage::Retain;
                // A name that the spec has given up stays until the spec is accepted, and then goes at once.
                let lasts = if still {
                    keeps || !fact.forgets && now < since + RETAIN
                } else {
                    rule.spec.breaks(number)
                };
                if lasts {
                    let label = if still { label } else { claimed.label };
                    claims.entry(metric).or_insert(Claimed {
                        label,
                        since: Some(since),
                        ..claimed
                    });
                }
            }
            let known = Known {
                generation: rule.generation,
                spec: rule.spec,
                claims,
            };
            next.insert(rule.uid.clone(), known);
        }
        self.0 = next;
    }

    /// The record says the same.
    pub(super) fn compare(&self, record: &Record) -> Result<(), String> {
        let should: Vec<_> = self
            .0
            .iter()
            .map(|(uid, known)| (uid.as_str(), known.claims.keys().copied().collect::<Vec<_>>()))
            .collect();
        let is: Vec<(&str, Vec<&str>)> = record
            .rules
            .iter()
            .map(|(uid, rule)| {
                let pods = rule
                    .claims
                    .keys()
                    .filter(|key| key.resource.as_ref().is_some_and(|kind| kind.resource == "pods"));
                (&**uid, pods.map(|key| &*key.name).collect())
            })
            .collect();
        if should == is {
            return Ok(());
        }
        Err(format!("the record holds {is:?}, and should {should:?}"))
    }

    /// The rule that the claims of all specs give.
    pub(super) fn owner(&self, facts: &Facts<'_>, namespace: &str, metric: &'static str) -> Option<usize> {
        let claimers = (0..facts.rules.len())
            .filter(|number| self.claims(facts, *number, namespace, metric) == Some(true));
        claimers.min_by_key(|number| self.rank(facts, *number, namespace))
    }

    /// Whether a rule, if it exists and is for requests of `namespace`, claims a metric.
    fn claims(
        &self,
        facts: &Facts<'_>,
        number: usize,
        namespace: &str,
        metric: &'static str,
    ) -> Option<bool> {
        let rule = facts.rules[number].as_ref()?;
        self.reach(number, rule, namespace)?;
        let known = self.0.get(&rule.uid);
        let fact = rule.spec.facts();
        let is_same = known.is_some_and(|known| Self::is_same_listing(known, rule, facts));
        // Of one listing the spec as it is now says what its series are called; one that is not accepted gives no name up.
        // Whether a series has another label than the one that it was recorded for is not known before it is listed.
        let renamed = is_same
            && known
                .into_iter()
                .flat_map(|known| known.claims.values())
                .filter_map(|claimed| claimed.series)
                .any(|series| fact.makes[series] == Some(metric));
        let given_up = is_same && !rule.spec.breaks(number);
        let recorded = renamed || !given_up && known.is_some_and(|known| known.claims.contains_key(metric));
        let says = rule.spec.literal() == Some(metric);
        let is_static = fact.is_static && rule.spec.names() && says;
        Some(recorded || is_static || (says && !Self::is_recorded(known, rule, facts)))
    }

    /// Whether the answer is right of a replica that has `seen` those series, and on which those `former` specs go on.
    pub(super) fn judge(
        &self,
        facts: &Facts<'_>,
        namespace: &str,
        metric: &'static str,
        answer: Option<Answer>,
        (seen, former): ([Listed; 3], [Option<Spec>; 3]),
    ) -> Result<(), String> {
        let owner = self.owner(facts, namespace, metric);
        let Some(Answer {
            rule,
            answers,
            generation,
        }) = answer
        else {
            return match owner {
                Some(owner) => Err(format!("rule {owner} claims it, and is unknown")),
                None => Ok(()),
            };
        };
        if let Some(owner) = owner.filter(|owner| *owner != rule) {
            let says = if answers { "answers" } else { "says why not" };
            // A rule before it may have found more than is recorded; then it says so, and gives no number.
            if answers || self.rank(facts, rule, namespace) > self.rank(facts, owner, namespace) {
                return Err(format!("rule {owner} claims it, and another {says}"));
            }
        }
        let existing = facts.rules[rule].as_ref();
        let existing = existing.ok_or("a rule that is gone claims it")?;
        let spec = existing.spec;
        let found = |spec: Spec, present: [bool; 2]| {
            (0..SERIES.len()).any(|series| present[series] && spec.made(series) == Some(metric))
        };
        let finds = seen[rule].is_some_and(|present| found(spec, present))
            || former[rule].is_some_and(|former| {
                let fact = former.facts();
                fact.is_static && fact.literal == Some(metric) || found(former, [true; 2])
            });
        if self.claims(facts, rule, namespace, metric) != Some(true) && !finds {
            return Err(format!("rule {rule} claims what it has given up, or never had"));
        }
        let in_force = !spec.breaks(rule) && Self::has_backend(spec, facts, namespace);
        if !answers {
            // Of the listing that is recorded, or without one.
            let known = self.0.get(&existing.uid);
            let known = known.filter(|known| Self::is_same_listing(known, existing, facts));
            let can = spec.facts().is_static && spec.facts().literal == Some(metric)
                || known.is_some_and(|known| {
                    let mut claims = known.claims.values();
                    claims.any(|claimed| {
                        let makes = claimed.series.and_then(|series| spec.facts().makes[series]);
                        makes == Some(metric) && claimed.label == spec.facts().label
                    })
                });
            return if in_force && can {
                Err(format!("rule {rule} could answer, and does not"))
            } else {
                Ok(())
            };
        }
        if !in_force {
            return Err("a rule that is not in force answers".to_owned());
        }
        let by = match former[rule] {
            Some(former) if generation != existing.generation => former,
            _ => spec,
        };
        let makes = by.facts().makes.contains(&Some(metric))
            || by.facts().is_static && by.facts().literal == Some(metric);
        if makes && METRICS.contains(&metric) {
            Ok(())
        } else {
            Err("a rule answers what its spec does not make".to_owned())
        }
    }

    fn has_backend(spec: Spec, facts: &Facts<'_>, namespace: &str) -> bool {
        match facts.backends {
            _ if spec.facts().second => true,
            Backends::One => true,
            Backends::NotForShop => namespace != "shop",
            Backends::None | Backends::TwoDefaults => false,
        }
    }

    /// Whether a listing of what the spec says now is recorded.
    fn is_recorded(known: Option<&Known>, rule: &Existing, facts: &Facts<'_>) -> bool {
        known.is_some_and(|known| {
            known.generation == rule.generation || Self::is_same_listing(known, rule, facts)
        })
    }

    /// Whether the backend would be asked what it was asked when the record was written.
    fn is_same_listing(known: &Known, rule: &Existing, facts: &Facts<'_>) -> bool {
        let (was, is) = (known.spec.facts(), rule.spec.facts());
        let has_backend = is.is_static
            || is.second
            || match facts.backends {
                Backends::One | Backends::NotForShop => true,
                Backends::None | Backends::TwoDefaults => false,
            };
        rule.spec.names() && has_backend && was.listed == is.listed
    }

    /// Whether it comes before others: a rule of the namespace, then the higher priority, then the lower name.
    fn rank(&self, facts: &Facts<'_>, number: usize, namespace: &str) -> Option<(bool, i32, usize)> {
        let rule = facts.rules[number].as_ref()?;
        let priority = self.reach(number, rule, namespace)?;
        Some((number != 0, -priority, number))
    }

    /// The priority of a rule, where it is for requests of `namespace`.
    fn reach(&self, number: usize, rule: &Existing, namespace: &str) -> Option<i32> {
        let known = self.0.get(&rule.uid).map(|known| known.spec);
        if number == 0 {
            // Nothing else of its rank.
            return (namespace == "shop").then_some(0);
        }
        let spec = if rule.spec.reaches(number) {
            rule.spec
        } else {
            known?
        };
        let priority = match rule.spec.breakage {
            Breakage::Undecodable => known?.priority,
            _ => rule.spec.priority,
        };
        (!spec.narrow || namespace == "shop").then_some(priority)
    }
}
