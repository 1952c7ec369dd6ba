//! Room in the record: each namespace has its share, and what exceeds it costs nobody else a claim.

use std::{collections::BTreeMap, sync::Arc};

use super::{ClaimKey, Record, RecordedClaim, RecordedRule};

/// What a rule takes besides its texts and its claims, in bytes.
const RULE: usize = 160;
/// What a claim takes besides its texts.
const CLAIM: usize = 32;

/// A record that has found room.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shared {
    /// What has room.
    pub record: Record,
    /// How many claims were left out, by namespace (`None`: of `ClusterMetricRule`s).
    pub left_out: BTreeMap<Option<String>, usize>,
}

/// Rules of one namespace, with their UIDs.
type Rules<'a> = Vec<(&'a Arc<str>, &'a Arc<RecordedRule>)>;

/// Leaves out what exceeds `budget` bytes: first claims of the namespace that has most, there of the rule that has most, and of
/// a rule those whose series are gone; the rule stays and says so. Where a namespace has so many rules that they alone take more
/// than half of its share the rest of the rules is left out, and the namespace is said to be crowded.
pub fn share(record: &Record, budget: usize) -> Shared {
    let mut namespaces: BTreeMap<Option<&str>, Rules<'_>> = BTreeMap::new();
    for (uid, rule) in &record.rules {
        let of = namespaces.entry(rule.key.namespace.as_deref()).or_default();
        of.push((uid, rule));
    }
    let needs = namespaces
        .iter()
        .map(|(namespace, rules)| (*namespace, rules.iter().map(|(_, rule)| size(rule)).sum()));
    let grants = granted(needs.collect(), budget);
    let mut shared = Shared::default();
    for (namespace, rules) in namespaces {
        let grant = grants.get(&namespace).copied().unwrap_or_default();
        let (rules, beyond) = roomy(rules, grant);
        if !beyond.is_empty() {
            let namespace = namespace.map(ToOwned::to_owned);
            let lost: usize = beyond.iter().map(|(_, rule)| rule.claims.len()).sum();
            *shared.left_out.entry(namespace.clone()).or_default() += lost;
            shared.record.crowded.insert(namespace);
        }
        let needs = rules.iter().map(|(uid, rule)| (*uid, size(rule))).collect();
        let grants = granted(needs, grant);
        for (uid, rule) in rules {
            let kept = cut(rule, grants.get(uid).copied().unwrap_or_default());
            let lost = rule.claims.len() - kept.claims.len();
            if lost > 0 {
                let namespace = namespace.map(ToOwned::to_owned);
                *shared.left_out.entry(namespace).or_default() += lost;
            }
            shared.record.rules.insert(uid.clone(), kept);
        }
    }
    shared
}

/// The rules that there is room for beside their claims, and the others; all of them where all that they have fits.
fn roomy(mut rules: Rules<'_>, grant: usize) -> (Rules<'_>, Rules<'_>) {
    if rules.iter().map(|(_, rule)| size(rule)).sum::<usize>() <= grant {
        return (rules, Vec::new());
    }
    let mut left = grant / 2;
    let kept = rules.iter().take_while(|(_, rule)| {
        let fits = own_size(rule) <= left;
        left = left.saturating_sub(own_size(rule));
        fits
    });
    let kept = kept.count();
    let beyond = rules.split_off(kept);
    (rules, beyond)
}

/// Who needs less than an equal share gets it all, and what that leaves is shared among the rest.
fn granted<K: Ord + Clone>(mut needs: Vec<(K, usize)>, budget: usize) -> BTreeMap<K, usize> {
    needs.sort_by(|(a, left), (b, right)| left.cmp(right).then_with(|| a.cmp(b)));
    let (mut left, mut waiting) = (budget, needs.len());
    let mut grants = BTreeMap::new();
    for (key, need) in needs {
        let grant = need.min(left / waiting.max(1));
        left -= grant;
        waiting -= 1;
        grants.insert(key, grant);
    }
    grants
}

fn size(rule: &RecordedRule) -> usize {
    own_size(rule) + rule.claims.iter().map(claim_size).sum::<usize>()
}

/// What a rule takes without its claims.
fn own_size(rule: &RecordedRule) -> usize {
    let selector = rule.selector.as_ref().map_or(0, |selector| {
        // Written out it is about as long as its text; a few dozen bytes more or less do not matter.
        let labels = selector.match_labels.iter().flatten();
        let labels: usize = labels.map(|(key, value)| key.len() + value.len() + 8).sum();
        let expressions = selector.match_expressions.iter().flatten().map(|expression| {
            let values = expression.values.iter().flatten().map(|value| value.len() + 4);
            expression.key.len() + expression.operator.len() + 40 + values.sum::<usize>()
        });
        labels + expressions.sum::<usize>()
    });
    let namespace = rule.key.namespace.as_ref().map_or(0, String::len);
    RULE + selector + namespace + rule.key.name.len()
}

fn claim_size((key, claim): (&ClaimKey, &RecordedClaim)) -> usize {
    let kind = key
        .resource
        .as_ref()
        .map_or(4, |kind| kind.group.len() + kind.resource.len() + 1);
    CLAIM + kind + written(&key.name) + written(&claim.series) + written(&claim.label)
}

/// The bytes of a text between its quotes: names of series may hold anything.
fn written(text: &str) -> usize {
    let escaped = text.bytes().map(|byte| match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    });
    escaped.sum()
}

fn cut(rule: &Arc<RecordedRule>, budget: usize) -> Arc<RecordedRule> {
    if size(rule) <= budget {
        return rule.clone();
    }
    let mut left = budget.saturating_sub(own_size(rule));
    let mut order: Vec<(&ClaimKey, &RecordedClaim)> = rule.claims.iter().collect();
    order.sort_by_key(|(_, claim)| claim.idle_since.is_some());
    let mut claims = BTreeMap::new();
    for (key, claim) in order {
        let size = claim_size((key, claim));
        if size > left {
            break;
        }
        left -= size;
        claims.insert(key.clone(), claim.clone());
    }
    Arc::new(RecordedRule {
        cut: true,
        claims,
        ..(**rule).clone()
    })
}
