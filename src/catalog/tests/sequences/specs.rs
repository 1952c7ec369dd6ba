//! Specs that are played, each with what it says, written down by hand: the oracle reads these facts and no code.

/// The rules: a `MetricRule`, and two for all namespaces in the order of their names.
pub(super) const RULES: [&str; 3] = ["shop/own", "high", "low"];
/// The metrics that are asked for.
pub(super) const METRICS: [&str; 2] = ["m", "n"];
/// The series that come and go.
pub(super) const SERIES: [&str; 2] = ["m_total", "n_total"];

/// What one spec says.
pub(super) struct Variant {
    /// YAML, one field a line, without `name` and `metricsQuery`.
    pub(super) text: &'static str,
    pub(super) name: &'static str,
    /// What each of [`SERIES`] is called; it makes that, where it has the label.
    pub(super) makes: [Option<&'static str>; 2],
    /// The label that names pods. Both series have `pod`, the first alone `alias`.
    pub(super) label: &'static str,
    /// Whether it names the backend `second`, which is always there.
    pub(super) second: bool,
    /// What it claims by its words.
    pub(super) literal: Option<&'static str>,
    pub(super) is_static: bool,
    /// Specs with the same number list the same series.
    pub(super) listed: usize,
    /// Whether what is gone ends at once.
    pub(super) forgets: bool,
}

pub(super) const VARIANTS: [Variant; 12] = [
    Variant {
        text: "seriesQuery: m_total{pod!=\"\"}",
        name: "{as: m}",
        makes: [Some("m"), None],
        label: "pod",
        second: false,
        literal: Some("m"),
        is_static: false,
        listed: 0,
        forgets: false,
    },
    Variant {
        text: "seriesQuery: '{__name__=~\".+_total\",pod!=\"\"}'",
        name: "{matches: \"^(.*)_total$\", as: \"$1\"}",
        makes: [Some("m"), Some("n")],
        label: "pod",
        second: false,
        literal: None,
        is_static: false,
        listed: 1,
        forgets: false,
    },
    Variant {
        text: "seriesQuery: n_total{pod!=\"\"}",
        name: "{as: n}",
        makes: [None, Some("n")],
        label: "pod",
        second: false,
        literal: Some("n"),
        is_static: false,
        listed: 2,
        forgets: false,
    },
    Variant {
        text: "",
        name: "{as: m}",
        makes: [None, None],
        label: "pod",
        second: false,
        literal: Some("m"),
        is_static: true,
        listed: 3,
        forgets: false,
    },
    // The same series as the second, fewer of them taken.
    Variant {
        text: "seriesQuery: '{__name__=~\".+_total\",pod!=\"\"}'\nseriesFilters: [{isNot: \"^n\"}]",
        name: "{matches: \"^(.*)_total$\", as: \"$1\"}",
        makes: [Some("m"), None],
        label: "pod",
        second: false,
        literal: None,
        is_static: false,
        listed: 1,
        forgets: false,
    },
    // The same claims as the second, by another selector.
    Variant {
        text: "seriesQuery: '{__name__=~\"(m|n)_total\",pod!=\"\"}'",
        name: "{matches: \"^(.*)_total$\", as: \"$1\"}",
        makes: [Some("m"), Some("n")],
        label: "pod",
        second: false,
        literal: None,
        is_static: false,
        listed: 4,
        forgets: false,
    },
    // The name of one metric, made from the series of the other.
    Variant {
        text: "seriesQuery: n_total{pod!=\"\"}\nretainAfterIdle: 0s",
        name: "{as: m}",
        makes: [None, Some("m")],
        label: "pod",
        second: false,
        literal: Some("m"),
        is_static: false,
        listed: 2,
        forgets: true,
    },
    Variant {
        text: "seriesQuery: '{__name__=~\".+_total\",pod!=\"\"}'\nretainAfterIdle: 0s",
        name: "{matches: \"^(.*)_total$\", as: \"$1\"}",
        makes: [Some("m"), Some("n")],
        label: "pod",
        second: false,
        literal: None,
        is_static: false,
        listed: 1,
        forgets: true,
    },
    // The same series as the second, of which the second has not the label.
    Variant {
        text: "seriesQuery: '{__name__=~\".+_total\",pod!=\"\"}'",
        name: "{matches: \"^(.*)_total$\", as: \"$1\"}",
        makes: [Some("m"), Some("n")],
        label: "alias",
        second: false,
        literal: None,
        is_static: false,
        listed: 1,
        forgets: false,
    },
    // The same as the first, of another backend.
    Variant {
        text: "seriesQuery: m_total{pod!=\"\"}\nbackendRef: {name: second}",
        name: "{as: m}",
        makes: [Some("m"), None],
        label: "pod",
        second: true,
        literal: Some("m"),
        is_static: false,
        listed: 5,
        forgets: false,
    },
    // The same as the second, as prometheus-adapter has it.
    Variant {
        text: "seriesQuery: '{__name__=~\".+_total\",pod!=\"\"}'\nsemantics: PrometheusAdapter",
        name: "{matches: \"^(.*)_total$\", as: \"$1\"}",
        makes: [Some("m"), Some("n")],
        label: "pod",
        second: false,
        literal: None,
        is_static: false,
        listed: 1,
        forgets: true,
    },
    // Two series of one name.
    Variant {
        text: "seriesQuery: '{__name__=~\".+_total\",pod!=\"\"}'",
        name: "{as: m}",
        makes: [Some("m"), Some("m")],
        label: "pod",
        second: false,
        literal: None,
        is_static: false,
        listed: 1,
        forgets: false,
    },
];

/// What is wrong with a spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Breakage {
    None,
    MetricsQuery,
    SeriesQuery,
    SeriesFilters,
    Name,
    Resources,
    Refresh,
    /// The `namespaceSelector`, of a rule that has one.
    Scope,
    Undecodable,
    Retain,
    /// There is no room for it; of a `MetricRule` alone.
    Quota,
}

/// The backends that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Backends {
    One,
    None,
    TwoDefaults,
    /// It answers for the other namespace alone.
    NotForShop,
}

/// A spec that a rule may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Spec {
    pub(super) variant: usize,
    pub(super) breakage: Breakage,
    pub(super) priority: i32,
    /// For the namespace `shop` alone.
    pub(super) narrow: bool,
}

// === impl Breakage ===

impl Breakage {
    pub(super) const ALL: [Self; 11] = [
        Self::None,
        Self::MetricsQuery,
        Self::SeriesQuery,
        Self::SeriesFilters,
        Self::Name,
        Self::Resources,
        Self::Refresh,
        Self::Scope,
        Self::Undecodable,
        Self::Retain,
        Self::Quota,
    ];
}

// === impl Backends ===

impl Backends {
    pub(super) const ALL: [Self; 5] = [
        Self::One,
        Self::One,
        Self::None,
        Self::TwoDefaults,
        Self::NotForShop,
    ];
}

// === impl Spec ===

impl Spec {
    pub(super) fn facts(self) -> &'static Variant {
        &VARIANTS[self.variant]
    }

    /// Whether it is about the spec of `rule` at all: a `MetricRule` has no selector of namespaces.
    pub(super) fn breaks(self, rule: usize) -> bool {
        match self.breakage {
            Breakage::None => false,
            Breakage::Scope => rule != 0,
            Breakage::Quota => rule == 0,
            _ => true,
        }
    }

    /// Whether what it claims can be worked out from series.
    pub(super) fn names(self) -> bool {
        // A static rule may have no filters: that is refused, and its name is read all the same.
        let filters = self.breakage == Breakage::SeriesFilters && self.facts().is_static;
        filters
            || !matches!(
                self.breakage,
                Breakage::SeriesQuery
                    | Breakage::SeriesFilters
                    | Breakage::Name
                    | Breakage::Resources
                    | Breakage::Undecodable
                    | Breakage::Quota
            )
    }

    /// What a series makes that is there: for pods, by the label that it has.
    pub(super) fn made(self, series: usize) -> Option<&'static str> {
        let facts = self.facts();
        facts.makes[series].filter(|_| facts.label == "pod" || series == 0)
    }

    /// Whether its priority and its namespaces can be read.
    pub(super) fn reaches(self, rule: usize) -> bool {
        self.breakage != Breakage::Undecodable && (rule == 0 || self.breakage != Breakage::Scope)
    }

    /// What it claims by its words, as far as they can be read.
    pub(super) fn literal(self) -> Option<&'static str> {
        let facts = self.facts();
        match self.breakage {
            Breakage::Undecodable | Breakage::SeriesQuery => None,
            Breakage::Name if !facts.is_static => None,
            _ => facts.literal,
        }
    }

    pub(super) fn text(self, rule: usize) -> String {
        let facts = self.facts();
        let mut lines: Vec<String> = facts.text.lines().map(ToOwned::to_owned).collect();
        let (mut name, mut query) = (
            facts.name.to_owned(),
            "sum by (<<.GroupBy>>) (up{<<.LabelMatchers>>})".to_owned(),
        );
        let mut resources =
            "resources: {overrides: {namespace: {resource: namespaces}, pod: {resource: pods}}}"
                .replace("pod:", &format!("{}:", facts.label));
        let mut selector = if self.narrow {
            "{matchLabels: {team: shop}}"
        } else {
            "{}"
        };
        match self.breakage {
            Breakage::None | Breakage::Undecodable | Breakage::Quota => {}
            Breakage::Retain => {
                lines.retain(|line| !line.starts_with("retainAfterIdle"));
                lines.push("retainAfterIdle: soon".to_owned());
            }
            Breakage::MetricsQuery => query.push_str("<<.Nope>>"),
            Breakage::SeriesQuery => {
                lines.retain(|line| !line.starts_with("seriesQuery"));
                lines.push("seriesQuery: 'm_total{pod!=\"}'".to_owned());
            }
            Breakage::SeriesFilters => {
                lines.retain(|line| !line.starts_with("seriesFilters"));
                lines.push("seriesFilters: [{isNot: \"(\"}]".to_owned());
            }
            Breakage::Name => {
                name = name
                    .replace('{', "{matches: \"(\", ")
                    .replace("matches: \"^(.*)_total$\", ", "");
            }
            Breakage::Resources => {
                resources = resources.replace("{overrides", "{template: \"<<.Nope\", overrides");
            }
            Breakage::Refresh => lines.push("refresh: soon".to_owned()),
            Breakage::Scope => selector = "{matchExpressions: [{key: team, operator: Near, values: [shop]}]}",
        }
        lines.push(resources);
        lines.push(format!("name: {name}"));
        lines.push(format!("metricsQuery: {query}"));
        lines.push(format!("priority: {}", self.priority));
        if rule != 0 {
            lines.push(format!("namespaceSelector: {selector}"));
        }
        lines.join("\n")
    }
}
