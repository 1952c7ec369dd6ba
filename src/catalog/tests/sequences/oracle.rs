//! Who may answer, worked out from the facts that are written down in [`super::specs`], and from nothing of the product.

use std::collections::BTreeMap;

use super::{
    cluster::Existing,
    specs::{Backends, METRICS, SERIES, Spec},
};
use crate::catalog::recorded::Record;

const RETAIN: i64 = 24 * 60;

/// What is so now.
pub(super) struct Facts<'a> {
    pub(super) rules: &'a [Option<Existing>; 3],
    pub(super) backends: Backends,
    /// By rule: the series of the leader's last listing, if that succeeded.
    pub(super) listed: [Option<[bool; 2]>; 3],
}

/// What should be recorded.
#[derive(Default)]
pub(super) struct Oracle(BTreeMap<String, Known>);

#[derive(Clone)]
struct Known {
    generation: i64,
    spec: Spec,
    /// By metric: the series (none: a static name), and since when it is gone, in minutes.
    claims: BTreeMap<&'static str, (Option<usize>, Option<i64>)>,
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
                            .filter_map(|series| Some((fact.makes[series]?, Some(series))))
                            .collect()
                    })
                };
            let Some(found) = found else {
                next.extend(former.map(|former| (rule.uid.clone(), former)));
                continue;
            };
            let mut claims: BTreeMap<_, _> = found
                .into_iter()
                .map(|(metric, series)| (metric, (series, None)))
                .collect();
            for (metric, (series, since)) in former.into_iter().flat_map(|former| former.claims) {
                let still = match series {
                    None => fact.is_static && fact.literal == Some(metric),
                    Some(series) => !fact.is_static && fact.makes[series] == Some(metric),
                };
                let since = since.unwrap_or(now);
                let lasts = !fact.forgets && now < since + RETAIN;
                if still && lasts {
                    claims.entry(metric).or_insert((series, Some(since)));
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
        let claimers = facts.rules.iter().enumerate().filter_map(|(number, rule)| {
            let rule = rule.as_ref()?;
            let known = self.0.get(&rule.uid);
            let priority = self.reach(number, rule, namespace)?;
            let fact = rule.spec.facts();
            let is_same = known.is_some_and(|known| Self::is_same_listing(known, rule, facts));
            // Of one listing the spec as it is now says what its series are called; one that is not accepted gives no name up.
            let renamed = is_same
                && known
                    .into_iter()
                    .flat_map(|known| known.claims.values())
                    .any(|(series, _)| series.is_some_and(|series| fact.makes[series] == Some(metric)));
            let given_up = is_same && !rule.spec.breaks(number);
            let recorded =
                renamed || !given_up && known.is_some_and(|known| known.claims.contains_key(metric));
            let says = rule.spec.literal() == Some(metric);
            let is_static = fact.is_static && rule.spec.names() && says;
            let claims = recorded || is_static || (says && !Self::is_recorded(known, rule, facts));
            claims.then_some((number, priority))
        });
        // A rule of the namespace, then the higher priority, then the lower name.
        claimers
            .min_by_key(|(number, priority)| (*number != 0, -priority, *number))
            .map(|(number, _)| number)
    }

    /// Whether an answer (which rule, and whether it gives a number) is right.
    pub(super) fn judge(
        &self,
        facts: &Facts<'_>,
        namespace: &str,
        metric: &'static str,
        answer: Option<&(usize, bool)>,
    ) -> Result<(), String> {
        let owner = self.owner(facts, namespace, metric);
        let Some((rule, answers)) = answer else {
            return match owner {
                Some(owner) => Err(format!("rule {owner} claims it, and is unknown")),
                None => Ok(()),
            };
        };
        if !answers {
            return Ok(());
        }
        if owner.is_some_and(|owner| owner != *rule) {
            return Err(format!("rule {owner:?} claims it, and another answers"));
        }
        let spec = facts.rules[*rule]
            .as_ref()
            .ok_or("a rule that is gone answers")?
            .spec;
        let has_backend = match facts.backends {
            Backends::One => true,
            Backends::NotForShop => namespace != "shop",
            Backends::None | Backends::TwoDefaults => false,
        };
        if spec.breaks(*rule) || !has_backend {
            return Err("a rule that is not in force answers".to_owned());
        }
        let makes = spec.facts().makes.contains(&Some(metric))
            || spec.facts().is_static && spec.facts().literal == Some(metric);
        if makes && METRICS.contains(&metric) {
            Ok(())
        } else {
            Err("a rule answers what its spec does not make".to_owned())
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
            || match facts.backends {
                Backends::One | Backends::NotForShop => true,
                Backends::None | Backends::TwoDefaults => false,
            };
        rule.spec.names() && has_backend && was.listed == is.listed
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
            super::Breakage::Undecodable => known?.priority,
            _ => rule.spec.priority,
        };
        (!spec.narrow || namespace == "shop").then_some(priority)
    }
}
