//! Naming of a rule's metrics, by which it makes its claims: the series, the names of the metrics, the objects that they
//! describe.

use std::sync::Arc;

use promql::{
    MatchOp, SeriesSelector,
    matcher::NAME_LABEL,
    re2::{Expansion, Re2, Reference},
};

use crate::{
    api::rule_spec::{NameMapping, RuleSpec, SeriesFilter},
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
#[expect(
    clippy::large_enum_variant,
    reason = "a rule has one of them, and nearly every rule lists series"
)]
pub enum Source {
    /// Series that a backend is asked for.
    Series {
        /// The selector as written.
        selector: SeriesSelector,
        /// The names that its series can have.
        admitted: Admitted,
        /// The text that the backend is asked with; confined, if the rule is.
        listed: Arc<str>,
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

/// The one metric that a spec names word for word, and the series that it is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    /// As requests name it.
    pub metric: Arc<str>,
    /// Empty for a static rule.
    pub series: Arc<str>,
}

/// The names that a selector's series can have: what it says of `__name__`.
#[derive(Clone, Debug)]
pub struct Admitted {
    name: Option<String>,
    matchers: Vec<NameMatcher>,
}

#[derive(Clone, Debug)]
enum NameMatcher {
    Text { text: String, wanted: bool },
    Pattern { pattern: Re2, wanted: bool },
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
            Source::Series {
                admitted,
                filters,
                rename,
                ..
            } => {
                let filters: usize = filters.iter().map(|filter| filter.pattern.weight()).sum();
                filters
                    .saturating_add(rename.matches.weight())
                    .saturating_add(admitted.weight())
            }
            Source::Static { .. } => 0,
        };
        source.saturating_add(self.association.weight())
    }
}

// === impl Literal ===

impl Literal {
    /// Of `spec`, as far as it can be read: filters that cannot be are passed over, and without a name there is none.
    pub(super) fn of(spec: &RuleSpec, source: Option<&Source>) -> Option<Self> {
        match source {
            Some(Source::Static { metric }) => Some(Self::new(metric, "")),
            Some(Source::Series {
                admitted,
                filters,
                rename,
                ..
            }) => Self::through(admitted.only()?, filters, rename),
            None => Self::written(spec),
        }
    }

    /// What is kept of it where the rule answers nothing for want of room: the claim alone.
    pub(super) fn lean(&self) -> Self {
        Self::new(&self.metric, "")
    }

    fn written(spec: &RuleSpec) -> Option<Self> {
        let Some(text) = &spec.series_query else {
            let metric = spec.name.as_ref()?.r#as.as_deref()?;
            return (!metric.contains('$') && is_servable(metric)).then(|| Self::new(metric, ""));
        };
        let selector = SeriesSelector::parse(text).ok()?;
        let filters = spec.series_filters.iter().enumerate();
        let filters: Vec<Filter> = filters
            .filter_map(|(index, filter)| Filter::compile(index, filter).ok())
            .collect();
        Self::through(
            selector.name()?,
            &filters,
            &Rename::compile(spec.name.as_ref()).ok()?,
        )
    }

    fn through(series: &str, filters: &[Filter], rename: &Rename) -> Option<Self> {
        let kept = filters.iter().all(|filter| filter.keeps(series));
        let metric = rename.metric_name(series).ok()?;
        kept.then(|| Self::new(&metric, series))
    }

    fn new(metric: &str, series: &str) -> Self {
        Self {
            metric: metric.into(),
            series: series.into(),
        }
    }
}

// === impl Admitted ===

impl Admitted {
    /// What `selector` says of the name. A pattern that does not compile leaves every name in: the backend has the last word.
    pub fn of(selector: &SeriesSelector) -> Self {
        let matchers = selector.matchers().filter(|matcher| matcher.label == NAME_LABEL);
        let matchers = matchers.filter_map(|matcher| {
            let wanted = matches!(matcher.op, MatchOp::Equal | MatchOp::Regex);
            Some(match matcher.op {
                MatchOp::Equal | MatchOp::NotEqual => NameMatcher::Text {
                    text: matcher.value.clone(),
                    wanted,
                },
                MatchOp::Regex | MatchOp::NotRegex => NameMatcher::Pattern {
                    pattern: Re2::compile_anchored(&matcher.value).ok()?,
                    wanted,
                },
            })
        });
        Self {
            name: selector.name().map(ToOwned::to_owned),
            matchers: matchers.collect(),
        }
    }

    /// The one name, where it is given.
    pub fn only(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What its patterns take, in bytes.
    fn weight(&self) -> usize {
        let patterns = self.matchers.iter().map(|matcher| match matcher {
            NameMatcher::Text { text, .. } => text.len(),
            NameMatcher::Pattern { pattern, .. } => pattern.weight(),
        });
        patterns.sum()
    }

    /// Whether a series of that name can be among them.
    pub fn admits(&self, series: &str) -> bool {
        self.name.as_deref().is_none_or(|name| name == series)
            && self.matchers.iter().all(|matcher| match matcher {
                NameMatcher::Text { text, wanted } => (text == series) == *wanted,
                NameMatcher::Pattern { pattern, wanted } => pattern.is_match(series) == *wanted,
            })
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
                    "set exactly one of is and isNot",
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
                    "matches has {more} capture groups: set spec.name.as to combine them into one name"
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
            format!("name.matches has no capture group {group:?}, so it is replaced with nothing, as in Go");
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

    /// Whether some series could make a metric of that name, as far as the replacement's own text tells.
    pub fn could_make(&self, metric: &str) -> bool {
        self.expansion.could_make(metric)
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
        let message = "a rule without seriesQuery is static: it has no series name to match";
        return Err(Problem::new(Reason::InvalidSpec, "spec.name.matches", message));
    }
    let Some(metric) = name
        .and_then(|name| name.r#as.clone())
        .filter(|metric| !metric.is_empty())
    else {
        let message = "a rule without seriesQuery is static: set the name of its metric here";
        return Err(Problem::new(Reason::InvalidSpec, "spec.name.as", message));
    };
    if metric.contains('$') || !is_servable(&metric) {
        let message = format!(
            "{metric:?} is not a valid name of a metric: use 1 to {NAME_MAX} bytes without `$`, `/`, `%` and control \
             characters"
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
