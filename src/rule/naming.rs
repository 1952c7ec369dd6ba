//! The part of a rule that claims: which series it is about, what its metrics are called, whom they describe.

use crate::{
    api::rule_spec::{NameMapping, RuleSpec, SeriesFilter},
    language::{
        promql::SeriesSelector,
        re2::{Expansion, Re2, Reference},
    },
    reason::Reason,
};

use super::{Association, Problem, locate};

/// Longest metric name that is served, in bytes.
const NAME_MAX: usize = 512;

/// The compiled naming part; never depends on `metricsQuery`.
#[derive(Clone, Debug)]
pub struct Naming {
    /// Where the rule's metrics come from.
    pub source: Source,
    /// Which label names which kind.
    pub association: Association,
}

/// Where a rule's metric names come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Series that a backend is asked for.
    Series {
        /// The selector as written.
        selector: SeriesSelector,
        /// The text that the backend is asked with; confined, if the rule is.
        listed: std::sync::Arc<str>,
        /// All must hold.
        filters: Vec<Filter>,
        /// From series name to metric name.
        rename: Rename,
    },
    /// A static rule: one metric of this name.
    Static {
        /// `name.as`.
        metric: String,
    },
}

/// One of `seriesFilters`.
#[derive(Clone, Debug)]
pub struct Filter {
    pattern: Re2,
    wanted: bool,
}

/// `spec.name`: Go's `Regexp.Expand` over the leftmost match.
#[derive(Clone, Debug)]
pub struct Rename {
    matches: Re2,
    expansion: Expansion,
}

// === impl Naming ===

impl Naming {
    /// What its patterns take, in bytes.
    pub(super) fn weight(&self) -> usize {
        let source = match &self.source {
            Source::Series { filters, rename, .. } => {
                let filters: usize = filters.iter().map(|filter| filter.pattern.weight()).sum();
                filters.saturating_add(rename.matches.weight())
            }
            Source::Static { .. } => 0,
        };
        source.saturating_add(self.association.weight())
    }
}

// === impl Filter ===

impl Filter {
    pub(super) fn compile(index: usize, filter: &SeriesFilter) -> Result<Self, Problem> {
        let (field, pattern, wanted) = match (&filter.is, &filter.is_not) {
            (Some(pattern), None) => ("is", pattern, true),
            (None, Some(pattern)) => ("isNot", pattern, false),
            _ => {
                let path = format!("spec.seriesFilters[{index}]");
                return Err(Problem::new(
                    Reason::InvalidSpec,
                    path,
                    "exactly one of is and isNot must be set",
                ));
            }
        };
        let pattern = compile_pattern(&format!("spec.seriesFilters[{index}].{field}"), pattern)?;
        Ok(Self { pattern, wanted })
    }

    /// Whether a series of that name stays.
    pub fn keeps(&self, series: &str) -> bool {
        self.pattern.is_match(series) == self.wanted
    }
}

// === impl Rename ===

impl Rename {
    /// `''` equals absent; `as` defaults to `$0` without a capture group and `$1` with one.
    pub(super) fn compile(name: Option<&NameMapping>) -> Result<Self, Problem> {
        let text = |field: Option<&String>| field.filter(|text| !text.is_empty()).cloned();
        let matches = text(name.and_then(|name| name.matches.as_ref())).unwrap_or_else(|| ".*".to_owned());
        let matches = compile_pattern("spec.name.matches", &matches)?;
        let expansion = match (
            text(name.and_then(|name| name.r#as.as_ref())),
            matches.group_count(),
        ) {
            (Some(text), _) => text,
            (None, 0) => "$0".to_owned(),
            (None, 1) => "$1".to_owned(),
            (None, more) => {
                let message = format!(
                    "matches has {more} capture groups; say in spec.name.as how to make one name of them"
                );
                return Err(Problem::new(Reason::InvalidPattern, "spec.name.matches", message));
            }
        };
        Ok(Self {
            matches,
            expansion: Expansion::parse(&expansion),
        })
    }

    /// Advice on an expansion that refers to a group that `matches` does not have: Go puts nothing there, and `$1_x` means the
    /// group `1_x`.
    pub(super) fn lint(&self, name: Option<&NameMapping>) -> Option<Problem> {
        let missing = self.expansion.references();
        let group = match missing.into_iter().find(|group| !self.matches.has_group(group))? {
            Reference::Number(number) => number.to_string(),
            Reference::Name(name) => name.clone(),
        };
        let message =
            format!("name.matches has no capture group {group:?}, so nothing is put there, as Go does it");
        let problem = Problem::new(Reason::Ineffective, "spec.name.as", message);
        let text = name?.r#as.as_deref()?;
        let at = [format!("${{{group}}}"), format!("${group}")]
            .iter()
            .find_map(|written| text.find(written.as_str()));
        let problem = match at.and_then(|at| text.get(..at)) {
            Some(before) => problem.at(locate::behind(before)),
            None => problem,
        };
        let digits = group.len() - group.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        Some(match group.split_at_checked(digits) {
            Some((number, rest)) if !number.is_empty() && !rest.is_empty() => {
                problem.suggest(format!("write `${{{number}}}{rest}`"))
            }
            _ => problem,
        })
    }

    /// The metric's name for a series' name.
    ///
    /// # Errors
    ///
    /// `NameNotMatched` where `matches` does not find it, `InvalidName` where the result cannot be served.
    pub fn metric_name(&self, series: &str) -> Result<String, Reason> {
        let name = self
            .matches
            .expand_match(&self.expansion, series)
            .ok_or(Reason::NameNotMatched)?;
        if is_servable(&name) {
            Ok(name)
        } else {
            Err(Reason::InvalidName)
        }
    }
}

/// Whether a metric of that name can stand in a path of the metrics APIs.
pub fn is_servable(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_MAX
        && !name.contains(['/', '%'])
        && !name.contains(char::is_control)
}

/// The name of a static rule.
pub(super) fn static_name(spec: &RuleSpec) -> Result<String, Problem> {
    let name = spec.name.as_ref();
    if name
        .and_then(|name| name.matches.as_deref())
        .is_some_and(|matches| !matches.is_empty())
    {
        let message = "a rule without seriesQuery is static: there is no series whose name could match";
        return Err(Problem::new(Reason::InvalidSpec, "spec.name.matches", message));
    }
    let Some(metric) = name
        .and_then(|name| name.r#as.clone())
        .filter(|metric| !metric.is_empty())
    else {
        let message = "a rule without seriesQuery is static: name its metric here";
        return Err(Problem::new(Reason::InvalidSpec, "spec.name.as", message));
    };
    if metric.contains('$') || !is_servable(&metric) {
        let message = format!(
            "{metric:?} cannot be a metric's name: it is not empty, has at most {NAME_MAX} bytes and no `$`, `/`, `%` \
             or control character"
        );
        return Err(Problem::new(Reason::InvalidName, "spec.name.as", message));
    }
    Ok(metric)
}

fn compile_pattern(path: &str, pattern: &str) -> Result<Re2, Problem> {
    Re2::compile(pattern).map_err(|error| {
        let before: String = pattern.chars().take(error.offset).collect();
        Problem::new(Reason::InvalidPattern, path, error.message).at(locate::behind(&before))
    })
}
