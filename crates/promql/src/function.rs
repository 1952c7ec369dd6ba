//! Functions: the one table of what each takes, gives and does.

mod table;

use crate::dialect::{Dialect, Version};
use crate::value::ValueType;

/// A function of the language.
///
/// ```
/// use promql::{Function, ValueType};
///
/// let rate = Function::find("rate").unwrap();
/// assert_eq!(rate.argument(0), Some(ValueType::Matrix));
/// assert!(rate.needs_two_samples && rate.is_confinable);
/// assert_eq!(Function::find("sum"), None); // an aggregation
/// ```
#[derive(Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// The types of its arguments; see [`Arity`] for how many of them a call has.
    pub arguments: &'static [ValueType],
    /// How many arguments a call may have.
    pub arity: Arity,
    /// The type of its result.
    pub result: ValueType,
    /// The release that it came with; `None` where it is older than this crate looks back.
    pub since: Option<Release>,
    /// Whether it needs the feature flag for experimental functions.
    pub stability: Stability,
    /// What becomes of the labels of its argument.
    pub labels: Labels,
    /// What of the values of its argument reaches its result.
    pub outcome: Outcome,
    /// How many rows its result has.
    pub rows: Rows,
    /// Whether it gives nothing, or always the same, for a range with a single sample.
    pub needs_two_samples: bool,
    /// Whether it reads nothing but its arguments, so that a query with it can be confined. `info` reads other series.
    pub is_confinable: bool,
    /// What its string arguments mean, by index; see [`role`](Self::role).
    roles: &'static [Role],
}

/// How many arguments a call has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// As many as there are types.
    Exact,
    /// One fewer than there are types, and up to this many more.
    Optional(usize),
    /// One fewer than there are types, or any number more; the last type is that of all further ones.
    Variadic,
}

/// A release of Prometheus, such as 3.16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(pub u8, pub u8);

/// Whether a function is behind a feature flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    /// It is not.
    Stable,
    /// It was, until this release.
    StableSince(Release),
    /// It is.
    Experimental,
}

/// What becomes of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// The rows keep those of the vector that is an argument, but the name.
    Kept,
    /// They do, and the second argument names one more.
    KeptAndMade,
    /// The row has the labels that the argument, a plain selector, compares by `=`.
    Equalities,
    /// The result has none.
    Lost,
}

/// How many rows a result has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// As many as the vector that is an argument; one where there is none.
    OfArgument,
    /// One for each of the argument's rows that differ in more than `le`: those of one histogram make one.
    OfHistograms,
    /// One at most, whatever its arguments have.
    One,
    /// Several for each row of the argument.
    Several,
}

/// What becomes of the values of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answer is made of the values themselves: as they are, added up, the highest within a range.
    Values,
    /// Of the speed at which they grow.
    Rate,
    /// Of their number, their presence, how often they change; or of the difference of two of them.
    Other,
}

/// What a string that is an argument means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Itself.
    Value,
    /// The name of a label.
    Label,
    /// An RE2 pattern that has to match a whole value.
    Pattern,
    /// A replacement in which `$1` stands for a group.
    Replacement,
}

// === impl Function ===

impl Function {
    const fn new(name: &'static str, arguments: &'static [ValueType], result: ValueType) -> Self {
        Self {
            name,
            arguments,
            arity: Arity::Exact,
            result,
            since: None,
            stability: Stability::Stable,
            labels: match result {
                ValueType::Vector => Labels::Kept,
                _ => Labels::Lost,
            },
            outcome: Outcome::Values,
            rows: Rows::OfArgument,
            needs_two_samples: false,
            is_confinable: true,
            roles: &[],
        }
    }

    const fn optional(self, more: usize) -> Self {
        let arity = Arity::Optional(more);
        Self { arity, ..self }
    }

    const fn variadic(self) -> Self {
        let arity = Arity::Variadic;
        Self { arity, ..self }
    }

    const fn since(self, major: u8, minor: u8) -> Self {
        let since = Some(Release(major, minor));
        Self { since, ..self }
    }

    const fn experimental(self) -> Self {
        let stability = Stability::Experimental;
        Self { stability, ..self }
    }

    const fn stable_since(self, major: u8, minor: u8) -> Self {
        let stability = Stability::StableSince(Release(major, minor));
        Self { stability, ..self }
    }

    const fn labels(self, labels: Labels) -> Self {
        Self { labels, ..self }
    }

    const fn outcome(self, outcome: Outcome) -> Self {
        Self { outcome, ..self }
    }

    const fn rows(self, rows: Rows) -> Self {
        Self { rows, ..self }
    }

    const fn two_samples(self) -> Self {
        Self {
            needs_two_samples: true,
            ..self
        }
    }

    const fn reads_more(self) -> Self {
        Self {
            is_confinable: false,
            ..self
        }
    }

    const fn roles(self, roles: &'static [Role]) -> Self {
        Self { roles, ..self }
    }

    /// All functions of all versions, sorted by name.
    pub fn all() -> &'static [Self] {
        &table::FUNCTIONS
    }

    /// The function of this name; names are in lower case.
    pub fn find(name: &str) -> Option<&'static Self> {
        let index = table::FUNCTIONS.binary_search_by(|function| function.name.cmp(name));
        table::FUNCTIONS.get(index.ok()?)
    }

    /// Whether a version has it, behind a flag or not.
    pub fn is_of(&self, version: Version) -> bool {
        self.since.is_none_or(|since| since <= Release::of(version))
    }

    /// Whether a version has it only behind the flag for experimental functions.
    pub fn is_experimental_in(&self, version: Version) -> bool {
        match self.stability {
            Stability::Stable => false,
            Stability::StableSince(release) => Release::of(version) < release,
            Stability::Experimental => true,
        }
    }

    /// Whether a dialect accepts calls of it.
    pub fn is_in(&self, dialect: Dialect) -> bool {
        self.is_of(dialect.version)
            && (dialect.experimental_functions || !self.is_experimental_in(dialect.version))
    }

    /// The least and the greatest number of arguments; `None` where there is no greatest.
    pub fn argument_counts(&self) -> (usize, Option<usize>) {
        let types = self.arguments.len();
        match self.arity {
            Arity::Exact => (types, Some(types)),
            Arity::Optional(more) => (types.saturating_sub(1), Some(types.saturating_sub(1) + more)),
            Arity::Variadic => (types.saturating_sub(1), None),
        }
    }

    /// The type of the argument `index`, from 0; `None` beyond the last one.
    pub fn argument(&self, index: usize) -> Option<ValueType> {
        match self.arity {
            Arity::Exact => self.arguments.get(index).copied(),
            Arity::Optional(_) | Arity::Variadic => {
                let argument = self.arguments.get(index);
                argument.or_else(|| self.arguments.last()).copied()
            }
        }
    }

    /// What a string means as the argument `index`, from 0.
    pub fn role(&self, index: usize) -> Role {
        let last = self.roles.last().filter(|_| self.arity == Arity::Variadic);
        self.roles.get(index).or(last).copied().unwrap_or(Role::Value)
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Function {}

// === impl Release ===

impl Release {
    const fn of(version: Version) -> Self {
        match version {
            Version::V3_5 => Self(3, 5),
            Version::V3_16 => Self(3, 16),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(name: &str) -> &'static Function {
        Function::find(name).unwrap_or_else(|| panic!("{name}"))
    }

    #[test]
    fn the_table_is_sorted_and_every_name_is_found() {
        assert!(Function::all().is_sorted_by(|a, b| a.name < b.name));
        for function in Function::all() {
            assert!(std::ptr::eq(find(function.name), function));
        }
        assert_eq!(Function::find("sum"), None);
    }

    #[test]
    fn versions_and_flags() {
        let (old, new) = (Dialect::of(Version::V3_5), Dialect::default());
        assert!(!find("first_over_time").is_in(old) && find("first_over_time").is_in(new.stable()));
        assert!(find("info").is_in(old) && !find("info").is_in(old.stable()));
        assert!(find("rate").is_in(old.stable()));
        assert!(find("integral").is_in(new) && !find("integral").is_in(new.stable()));
    }

    #[test]
    fn arguments() {
        assert_eq!(find("rate").argument_counts(), (1, Some(1)));
        assert_eq!(find("round").argument_counts(), (1, Some(2)));
        assert_eq!(find("label_join").argument_counts().1, None);
        assert_eq!(find("label_join").argument(9), Some(ValueType::String));
        assert_eq!(find("abs").argument(1), None);
        assert_eq!(find("label_replace").role(4), Role::Pattern);
        assert_eq!(find("label_join").role(9), Role::Label);
        assert_eq!(find("rate").role(0), Role::Value);
    }

    /// A function that is added must be looked at before it may stand in a confined query.
    #[test]
    fn every_function_is_known_to_read_its_arguments_alone_or_not() {
        let named = |is_confinable| {
            let functions = Function::all().iter();
            let functions = functions.filter(|function| function.is_confinable == is_confinable);
            functions
                .map(|function| function.name)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(named(false), "info");
        assert_eq!(named(true), CONFINABLE);
    }

    const CONFINABLE: &str = "abs absent absent_over_time acos acosh asin asinh atan atanh avg_over_time ceil changes clamp clamp_max \
        clamp_min cos cosh count_over_time day_of_month day_of_week day_of_year days_in_month deg delta deriv \
        double_exponential_smoothing end exp first_over_time floor histogram_avg histogram_count histogram_fraction \
        histogram_quantile histogram_quantiles histogram_stddev histogram_stdvar histogram_sum hour idelta increase \
        integral irate label_join label_replace last_over_time ln log10 log2 mad_over_time max_of max_over_time min_of \
        min_over_time minute month pi predict_linear present_over_time quantile_over_time rad range rate resets round \
        scalar sgn sin sinh sort sort_by_label sort_by_label_desc sort_desc sqrt start start_timestamp \
        stddev_over_time stdvar_over_time step sum_over_time tan tanh time timestamp ts_of_first_over_time \
        ts_of_last_over_time ts_of_max_over_time ts_of_min_over_time vector year";
}
