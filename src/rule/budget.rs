//! Budget of memory that all rules share: a namespace's `MetricRule`s beyond its share are refused, the youngest first.
//!
//! The decision depends on specs, ages and names alone, so that every replica comes to the same one. The rules of the platform
//! team (`ClusterMetricRule`) are not counted.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::api::metric_rule::RuleKey;

/// What the rules of one namespace may weigh, in bytes.
pub const SHARE: usize = 24 << 20;
/// What the rules of all namespaces may weigh together. Beyond it the largest namespaces get less than [`SHARE`].
pub const TOTAL: usize = 96 << 20;

/// The weights of all rules.
#[derive(Debug, Default)]
pub struct Budget {
    namespaces: BTreeMap<String, Tenant>,
    total: usize,
}

/// The weights of one namespace's rules.
#[derive(Debug, Default)]
struct Tenant {
    /// In the order in which they are kept: the oldest first, then the lower name.
    rules: BTreeMap<(bool, Option<Timestamp>, String), usize>,
    ranks: BTreeMap<String, (bool, Option<Timestamp>)>,
    sum: usize,
}

// === impl Budget ===

impl Budget {
    /// Takes up the weight of a rule, whether it is kept or not.
    pub fn set(&mut self, key: &RuleKey, created: Option<Timestamp>, weight: usize) {
        let Some(namespace) = &key.namespace else { return };
        self.remove(key);
        let tenant = self.namespaces.entry(namespace.clone()).or_default();
        tenant
            .rules
            .insert((created.is_none(), created, key.name.clone()), weight);
        tenant
            .ranks
            .insert(key.name.clone(), (created.is_none(), created));
        tenant.sum = tenant.sum.saturating_add(weight);
        self.total = self.total.saturating_add(weight);
    }

    /// A rule is gone.
    pub fn remove(&mut self, key: &RuleKey) {
        let Some(namespace) = &key.namespace else { return };
        let Some(tenant) = self.namespaces.get_mut(namespace) else {
            return;
        };
        if let Some((unknown, created)) = tenant.ranks.remove(&key.name) {
            let weight = tenant.rules.remove(&(unknown, created, key.name.clone()));
            let weight = weight.unwrap_or_default();
            tenant.sum = tenant.sum.saturating_sub(weight);
            self.total = self.total.saturating_sub(weight);
        }
        if tenant.rules.is_empty() {
            self.namespaces.remove(namespace);
        }
    }

    /// The rules that there is no room for.
    pub fn beyond(&self) -> BTreeSet<RuleKey> {
        let share = self.share();
        let mut beyond = BTreeSet::new();
        for (namespace, tenant) in self.namespaces.iter().filter(|(_, tenant)| tenant.sum > share) {
            let mut room = share;
            for ((.., name), weight) in &tenant.rules {
                match room.checked_sub(*weight) {
                    Some(rest) => room = rest,
                    None => {
                        beyond.insert(RuleKey::namespaced(namespace, name));
                    }
                }
            }
        }
        beyond
    }

    /// What each namespace may have now: [`SHARE`], or the level at which all of them together come to [`TOTAL`].
    pub fn share(&self) -> usize {
        let capped: usize = if self.total <= TOTAL {
            self.total
        } else {
            self.namespaces.values().map(|tenant| tenant.sum.min(SHARE)).sum()
        };
        if capped <= TOTAL {
            return SHARE;
        }
        let mut sums: Vec<usize> = self.namespaces.values().map(|tenant| tenant.sum).collect();
        sums.sort_unstable();
        let (mut left, mut tenants) = (TOTAL, sums.len());
        for sum in sums {
            let level = left.checked_div(tenants).unwrap_or(SHARE);
            if sum >= level {
                return level.min(SHARE);
            }
            left = left.saturating_sub(sum);
            tenants = tenants.saturating_sub(1);
        }
        SHARE
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: usize = 1 << 20;

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    fn names(budget: &Budget) -> Vec<String> {
        budget
            .beyond()
            .iter()
            .map(|key| format!("{}/{}", key.namespace.as_deref().unwrap_or_default(), key.name))
            .collect()
    }

    #[test]
    fn the_youngest_rules_beyond_a_namespaces_share_are_refused() {
        let mut budget = Budget::default();
        for (name, second) in [("d", 4), ("b", 2), ("c", 2), ("a", 3)] {
            budget.set(&RuleKey::namespaced("fat", name), at(second), 9 * MIB);
        }
        budget.set(&RuleKey::namespaced("lean", "x"), at(9), MIB);
        budget.set(&RuleKey::cluster("platform"), at(9), 500 * MIB);
        assert_eq!(names(&budget), ["fat/a", "fat/d"]);
        budget.remove(&RuleKey::namespaced("fat", "b"));
        assert_eq!(names(&budget), ["fat/d"]);
        budget.set(&RuleKey::namespaced("fat", "d"), at(4), MIB);
        assert!(names(&budget).is_empty());
    }

    #[test]
    fn one_rule_that_is_too_fat_takes_no_room_from_the_younger_ones() {
        let mut budget = Budget::default();
        budget.set(&RuleKey::namespaced("shop", "fat"), at(1), SHARE + 1);
        budget.set(&RuleKey::namespaced("shop", "lean"), at(2), MIB);
        assert_eq!(names(&budget), ["shop/fat"]);
    }

    #[test]
    fn many_fat_namespaces_share_what_there_is_and_lean_ones_lose_nothing() {
        let mut budget = Budget::default();
        for namespace in 0..24 {
            for rule in 0..8 {
                let key = RuleKey::namespaced(format!("fat-{namespace}"), format!("r{rule}"));
                budget.set(&key, at(rule), 2 * MIB);
            }
        }
        for namespace in 0..100 {
            budget.set(
                &RuleKey::namespaced(format!("lean-{namespace}"), "r"),
                at(1),
                MIB / 10,
            );
        }
        let beyond = budget.beyond();
        assert!(
            beyond
                .iter()
                .all(|key| key.namespace.as_deref().unwrap().starts_with("fat"))
        );
        let kept = 24 * 8 - beyond.len();
        assert!(kept * 2 * MIB + 10 * MIB <= TOTAL, "{kept} of 2 MiB are kept");
        assert!(kept >= 24, "each namespace has some");
    }

    proptest! {
        #[test]
        fn the_order_of_events_does_not_matter_and_the_budget_holds(
            rules in prop::collection::vec((0..6_u8, 0..20_u8, 0..5_i64, 0..12 * MIB), 0..80),
            order in any::<u64>(),
        ) {
            let rules: BTreeMap<RuleKey, (i64, usize)> = rules
                .into_iter()
                .map(|(space, name, created, weight)| {
                    (RuleKey::namespaced(format!("n{space}"), format!("r{name}")), (created, weight))
                })
                .collect();
            let mut one = Budget::default();
            for (key, (created, weight)) in &rules {
                one.set(key, at(*created), *weight);
            }
            let mut other = Budget::default();
            let mut shuffled: Vec<_> = rules.iter().collect();
            let by = usize::try_from(order % 97).unwrap_or(0);
            shuffled.rotate_left(by % rules.len().max(1));
            for (key, (created, weight)) in shuffled.iter().rev() {
                other.set(key, at(*created + 1), weight + 1);
                other.set(key, at(*created), *weight);
            }
            prop_assert_eq!(one.beyond(), other.beyond());
            let beyond = one.beyond();
            let kept: usize = rules.iter().filter(|(key, _)| !beyond.contains(*key)).map(|(_, rule)| rule.1).sum();
            prop_assert!(kept <= TOTAL);
            for key in rules.keys() {
                other.remove(key);
            }
            prop_assert!(other.namespaces.is_empty() && other.total == 0);
        }
    }
}
