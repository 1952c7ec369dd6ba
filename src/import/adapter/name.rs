//! Names of imported rules: after their metric, and the same in every import.

use std::collections::BTreeSet;

use promql::{
    SeriesSelector,
    matcher::{MatchOp, NAME_LABEL},
    re2::{Expansion, Re2},
};

use super::config::RawRule;
use crate::import::suffix;

/// Longest name before a suffix; with one it is still a label of DNS-1123.
const LONGEST: usize = 50;

/// The names that are taken.
#[derive(Default)]
pub(super) struct Names {
    taken: BTreeSet<String>,
}

// === impl Names ===

impl Names {
    /// A name that no rule before it has. The first of several rules for one metric has the plain one; the others differ by
    /// what they select, so that a rule put beside them renames none.
    pub(super) fn of(&mut self, raw: &RawRule) -> String {
        let plain = plain(raw);
        let base = plain.clone().unwrap_or_else(|| "metrics".to_owned());
        let selected = format!(
            "{:?}\n{}\n{:?}\n{}\n{:?}\n{}\n{}",
            raw.api, raw.series_query, raw.filters, raw.template, raw.overrides, raw.matches, raw.r#as
        );
        let all = format!("{selected}\n{}", raw.metrics_query);
        let suffixed = |text: String| format!("{base}-{}", suffix(&text));
        let candidates = plain
            .into_iter()
            .chain([suffixed(selected), suffixed(all.clone())]);
        let more = (2..).map(|copy: u32| format!("{}-{copy}", suffixed(all.clone())));
        let mut free = candidates.chain(more).filter(|name| !self.taken.contains(name));
        let name = free.next().unwrap_or_default();
        self.taken.insert(name.clone());
        name
    }
}

/// After the metric where the series is known by name, else after what its patterns say of the name.
fn plain(raw: &RawRule) -> Option<String> {
    let selector = SeriesSelector::parse(&raw.series_query).ok();
    if let Some(series) = selector.as_ref().and_then(SeriesSelector::name) {
        let metric = renamed(raw, series);
        return metric.as_deref().and_then(slug).or_else(|| slug(series));
    }
    let expansion = Expansion::parse(&raw.r#as);
    if expansion.references().next().is_none()
        && let Some(name) = slug(&raw.r#as)
    {
        return Some(name);
    }
    let pattern = selector.as_ref().and_then(|selector| {
        let mut names = selector.matchers().filter(|matcher| matcher.label == NAME_LABEL);
        names.find(|matcher| matcher.op == MatchOp::Regex)
    });
    let named = pattern_slug(&raw.matches).or_else(|| pattern_slug(&pattern?.value));
    let ending = pattern_slug(&raw.r#as);
    let words = match (named, ending) {
        (Some(named), Some(ending)) if !named.ends_with(&ending) => format!("{named}-{ending}"),
        (Some(words), _) | (None, Some(words)) => words,
        (None, None) => return None,
    };
    // The words of a rule that finds everything are an ending: `total` alone would name a metric that there is not.
    let all = selector.is_some_and(|selector| !selector.is_selective());
    slug(&if all { format!("all-{words}") } else { words })
}

/// The metric that a series makes.
fn renamed(raw: &RawRule, series: &str) -> Option<String> {
    let matches = if raw.matches.is_empty() {
        ".*"
    } else {
        &raw.matches
    };
    let pattern = Re2::compile(matches).ok()?;
    let expansion = match (raw.r#as.as_str(), pattern.group_count()) {
        ("", 0) => "$0",
        ("", _) => "$1",
        (text, _) => text,
    };
    pattern.expand_match(&Expansion::parse(expansion), series)
}

/// What is left of a pattern or a replacement when everything but its words is taken out.
fn pattern_slug(pattern: &str) -> Option<String> {
    let mut words = String::new();
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            // An escape such as \d, a group such as $1.
            '\\' => drop(characters.next()),
            '$' => {
                let braced = characters.next_if_eq(&'{').is_some();
                while characters
                    .next_if(|c| c.is_ascii_alphanumeric() || (braced && *c == '_'))
                    .is_some()
                {}
                words.push(' ');
            }
            '[' => while characters.next().is_some_and(|c| c != ']') {},
            '{' => while characters.next().is_some_and(|c| c != '}') {},
            c => words.push(c),
        }
    }
    slug(&words).filter(|slug| slug.len() > 1)
}

/// A label of DNS-1123; `None` where nothing is left.
fn slug(text: &str) -> Option<String> {
    let mut slug = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(LONGEST);
    let slug = slug.trim_matches('-');
    (!slug.is_empty()).then(|| slug.to_owned())
}
