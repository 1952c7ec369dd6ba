//! Versions of the language: [`Dialect`].

/// The Prometheus whose grammar is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    /// Prometheus 3.5, the long-term release of 2025.
    V3_5,
    /// Prometheus 3.16.
    V3_16,
}

/// Which texts are accepted: a version of Prometheus and what is switched on there (`promql/parser.Options`).
///
/// The default is the newest version with experimental functions, duration expressions and `fill` modifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dialect {
    /// The version.
    pub version: Version,
    /// `--enable-feature=promql-experimental-functions`: functions and aggregations that are not yet stable.
    pub experimental_functions: bool,
    /// `--enable-feature=promql-duration-expr`: arithmetic between durations. Since 3.14 it is always on.
    pub duration_expressions: bool,
    /// `--enable-feature=promql-binop-fill-modifiers`: `fill`, `fill_left` and `fill_right`. 3.5 does not have them.
    pub fill_modifiers: bool,
    /// Whether the pattern of every `=~` and `!~` is compiled, and a text refused for one that is not valid RE2.
    pub patterns: Patterns,
}

/// What becomes of the patterns of `=~` and `!~`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Patterns {
    /// Each is compiled: one that is not valid RE2 is refused, and so is a selector whose patterns all match the empty value.
    Compiled,
    /// None is, which is many times faster, and they may be as large as the server takes them. A selector with a pattern counts as
    /// one that does not pick every series. See [`Expr::check_patterns`](crate::Expr::check_patterns).
    Unread,
}

// === impl Version ===

impl Version {
    /// The newest version that this crate was compared with.
    pub const NEWEST: Self = Self::V3_16;
}

// === impl Dialect ===

impl Dialect {
    /// The newest version with everything switched on, and with patterns left to the server: for a text that is sent to one.
    pub const SENT: Self = Self::of(Version::NEWEST).with_unread_patterns();

    /// A version with everything switched on.
    pub const fn of(version: Version) -> Self {
        Self {
            version,
            experimental_functions: true,
            duration_expressions: true,
            fill_modifiers: true,
            patterns: Patterns::Compiled,
        }
    }

    /// The same without what needs a feature flag.
    #[must_use]
    pub const fn stable(self) -> Self {
        Self {
            experimental_functions: false,
            duration_expressions: false,
            fill_modifiers: false,
            ..self
        }
    }

    /// The same with patterns left to the server.
    #[must_use]
    pub const fn with_unread_patterns(self) -> Self {
        Self {
            patterns: Patterns::Unread,
            ..self
        }
    }

    pub(crate) fn has_duration_expressions(self) -> bool {
        self.duration_expressions || self.version >= Version::V3_16
    }

    /// Whether the words `step`, `range`, `max_of`, `min_of`, `fill…`, `anchored` and `smoothed` and the operators `</` and `>/`
    /// are known.
    pub(crate) fn is_3_16(self) -> bool {
        self.version >= Version::V3_16
    }
}

impl Default for Dialect {
    fn default() -> Self {
        Self::of(Version::NEWEST)
    }
}
