//! Differences between two answers to one request. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::answer::{Answer, Item, Values};

/// What two roundings of one number can differ by, in thousandths: one server rounds, another one cuts off.
const ROUNDING: u64 = 1;
/// Differences of one question that are told.
const TOLD: usize = 20;

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// In what.
    pub aspect: Aspect,
    /// The object or labels, or the field.
    pub of: String,
    /// As the peer has it.
    pub peer: String,
    /// As we have it.
    pub ours: String,
    /// For values: the difference as a part of the larger one, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative: Option<f64>,
}

/// In what two answers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Aspect {
    /// The HTTP status, or whether there was an answer at all.
    Status,
    /// Which objects or series have a value.
    Items,
    /// A value, beyond the tolerance.
    Value,
    /// A value, by rounding alone; but a thousandth is more than an HPA passes over, so coarse is the number.
    Coarse,
    /// Something that an HPA does not look at: the window, the selector, the words of names.
    Shape,
}

/// How values are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// As a part of the larger value: 0.01 is one percent.
    pub relative: f64,
}

/// How the values of one question are compared.
#[derive(Clone, Copy)]
struct Measure {
    tolerance: Tolerance,
    /// What rounding may differ by, in thousandths.
    slack: u64,
}

/// The differences of two answers to one question; none where both refuse with the same status. `slack` is what the HPAs that ask
/// it pass over, in thousandths ([`targets`](super::targets)).
pub fn differences(peer: &Answer, ours: &Answer, tolerance: Tolerance, slack: u64) -> Vec<Difference> {
    match (peer, ours) {
        (Answer::Values(peer), Answer::Values(ours)) => {
            let added_up = if peer.external { peer.items.len().max(1) } else { 1 };
            let slack = slack / u64::try_from(added_up).unwrap_or(u64::MAX);
            of_values(peer, ours, Measure { tolerance, slack })
        }
        (Answer::Refused { code: peer, .. }, Answer::Refused { code: ours, .. }) if peer == ours => {
            Vec::new()
        }
        _ => vec![Difference::new(
            Aspect::Status,
            "the answer",
            peer.summary(),
            ours.summary(),
        )],
    }
}

fn of_values(peer: &Values, ours: &Values, measure: Measure) -> Vec<Difference> {
    let mut found = Vec::new();
    if peer.list != ours.list {
        found.push(Difference::new(
            Aspect::Shape,
            "the list",
            peer.list.clone(),
            ours.list.clone(),
        ));
    }
    let (theirs, mine) = (by_object(peer), by_object(ours));
    for (of, items) in &theirs {
        let counterparts = mine.get(of).map(Vec::as_slice).unwrap_or_default();
        found.extend(pairs(of, items, counterparts, measure));
    }
    let alone = mine.iter().filter(|(of, _)| !theirs.contains_key(*of));
    for (of, items) in alone {
        found.extend(pairs(of, &[], items, measure));
    }
    found.sort_by_key(|difference| difference.aspect);
    let untold = found.len().saturating_sub(TOLD);
    if untold > 0 {
        found.truncate(TOLD);
        found.push(Difference::new(
            found.last().map_or(Aspect::Shape, |last| last.aspect),
            "and",
            format!("{untold} more"),
            String::new(),
        ));
    }
    found
}

/// Items that are of the same object, in the order of their values: the order of an answer means nothing.
fn by_object(values: &Values) -> BTreeMap<&str, Vec<&Item>> {
    let mut found: BTreeMap<&str, Vec<&Item>> = BTreeMap::new();
    for item in &values.items {
        found.entry(item.of.as_str()).or_default().push(item);
    }
    for items in found.values_mut() {
        items.sort_by_key(|item| item.milli);
    }
    found
}

fn pairs(of: &str, peer: &[&Item], ours: &[&Item], measure: Measure) -> Vec<Difference> {
    if peer.len() != ours.len() {
        let text = |items: &[&Item]| match items {
            [] => "no value".to_owned(),
            [one] => one.text.clone(),
            items => format!("{} values", items.len()),
        };
        return vec![Difference::new(Aspect::Items, of, text(peer), text(ours))];
    }
    peer.iter()
        .zip(ours)
        .flat_map(|(peer, ours)| of_items(of, peer, ours, measure))
        .collect()
}

fn of_items(of: &str, peer: &Item, ours: &Item, measure: Measure) -> Vec<Difference> {
    let mut found = Vec::new();
    if let Some((aspect, relative)) = measure.apart(peer, ours) {
        let mut difference = Difference::new(aspect, of, peer.text.clone(), ours.text.clone());
        difference.relative = relative;
        found.push(difference);
    }
    let mut fields: Vec<&'static str> = peer.rest.keys().chain(ours.rest.keys()).copied().collect();
    fields.sort_unstable();
    fields.dedup();
    for field in fields {
        let text = |item: &Item| item.rest.get(field).cloned().unwrap_or_else(|| "none".to_owned());
        if peer.rest.get(field) != ours.rest.get(field) {
            let of = format!("{field} of {of}");
            found.push(Difference::new(Aspect::Shape, &of, text(peer), text(ours)));
        }
    }
    found
}

// === impl Measure ===

impl Measure {
    /// Whether two values are too far apart, and by which part of the larger one.
    fn apart(self, peer: &Item, ours: &Item) -> Option<(Aspect, Option<f64>)> {
        if peer.is_beyond() || ours.is_beyond() {
            // In thousandths all of these are one number.
            return (peer.canonical != ours.canonical).then_some((Aspect::Value, None));
        }
        let apart = peer.milli.abs_diff(ours.milli);
        if apart == 0 {
            return None;
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "a ratio of two numbers; its last digits mean nothing"
        )]
        let relative = apart as f64 / peer.milli.unsigned_abs().max(ours.milli.unsigned_abs()) as f64;
        if relative <= self.tolerance.relative {
            return None;
        }
        if apart > ROUNDING {
            return Some((Aspect::Value, Some(relative)));
        }
        (apart > self.slack).then_some((Aspect::Coarse, Some(relative)))
    }
}

// === impl Difference ===

impl Difference {
    fn new(aspect: Aspect, of: &str, peer: String, ours: String) -> Self {
        Self {
            aspect,
            of: of.to_owned(),
            peer,
            ours,
            relative: None,
        }
    }

    /// Whether an HPA could scale otherwise by it, and not by rounding alone.
    pub fn matters(&self) -> bool {
        !matches!(self.aspect, Aspect::Shape | Aspect::Coarse)
    }
}

// === impl Aspect ===

impl Aspect {
    /// In one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Items => "items",
            Self::Value => "value",
            Self::Coarse => "coarse",
            Self::Shape => "shape",
        }
    }
}

#[cfg(test)]
mod tests;
