//! The share of each namespace in a list of bounded length.

use std::collections::BTreeMap;

/// Of `entries`, in their order: those without an owner, which are the platform team's, and the first ones of each owner, as
/// many of each as there is room for. What one owner has beyond that takes no place from another.
pub(super) fn share<T>(entries: Vec<(T, Vec<&str>)>, max: usize, max_of_owner: usize) -> Vec<T> {
    // The larger the limit, the more are listed.
    let (mut low, mut high) = (1, max_of_owner);
    while low < high {
        let limit = low + (high - low).div_ceil(2);
        if listed(&entries, limit)
            .into_iter()
            .filter(|listed| *listed)
            .count()
            <= max
        {
            low = limit;
        } else {
            high = limit - 1;
        }
    }
    let listed = listed(&entries, low);
    let kept = entries.into_iter().zip(listed).filter(|(_, listed)| *listed);
    kept.map(|((entry, _), _)| entry).take(max).collect()
}

/// Which entries are listed where each owner has `limit` of them.
fn listed<T>(entries: &[(T, Vec<&str>)], limit: usize) -> Vec<bool> {
    let mut counts = BTreeMap::new();
    let mut is_listed = |owners: &[&str]| {
        let mut listed = owners.is_empty();
        for owner in owners {
            let count = counts.entry((*owner).to_owned()).or_insert(0_usize);
            *count += 1;
            listed |= *count <= limit;
        }
        listed
    };
    entries.iter().map(|(_, owners)| is_listed(owners)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries<'a>(given: &[(usize, &[&'a str])]) -> Vec<(String, Vec<&'a str>)> {
        let all = given.iter().enumerate().flat_map(|(group, (count, owners))| {
            (0..*count).map(move |number| (format!("{group}-{number:05}"), owners.to_vec()))
        });
        all.collect()
    }

    fn counts(listed: &[String]) -> Vec<usize> {
        let groups = listed.iter().map(|name| name.split('-').next().unwrap());
        let mut counts = BTreeMap::new();
        for group in groups {
            *counts.entry(group).or_insert(0) += 1;
        }
        counts.into_values().collect()
    }

    #[test]
    fn one_namespace_does_not_fill_discovery() {
        let few = entries(&[(90, &[]), (10, &["shop"])]);
        assert_eq!(share(few, 100, 20).len(), 100, "all of them, where there is room");
        let greedy = entries(&[(100, &["aaa"]), (10, &["shop"]), (5, &[])]);
        assert_eq!(counts(&share(greedy, 1000, 20)), [20, 10, 5]);
        let crowded = entries(&[(100, &["aaa"]), (10, &["shop"]), (3, &["web"]), (5, &[])]);
        assert_eq!(
            counts(&share(crowded, 28, 20)),
            [10, 10, 3, 5],
            "the largest give way first"
        );
        let taken = entries(&[(50, &["aaa", "shop"]), (10, &["aaa"]), (10, &["shop"])]);
        assert_eq!(
            counts(&share(taken, 1000, 55)),
            [50, 5, 5],
            "a name of both is listed for both"
        );
        let shadowed = entries(&[(50, &["aaa"]), (10, &["aaa", "shop"])]);
        assert_eq!(
            counts(&share(shadowed, 1000, 20)),
            [20, 10],
            "aaa hides no name of shop"
        );
        let names: Vec<String> = (0..50).map(|number| format!("ns{number:02}")).collect();
        let many = names
            .iter()
            .map(|name| (name.clone(), vec![name.as_str()]))
            .collect();
        assert_eq!(share(many, 10, 20).len(), 10);
        assert_eq!(share(entries(&[(50, &[])]), 10, 20).len(), 10);
    }
}
