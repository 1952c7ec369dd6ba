//! `spec.metricsQuery`: a template whose every rendering is placed, and for a `MetricRule` confined, before it is sent.

mod error;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use language::{
    escaping,
    span::{Origin, Span},
    template::{Data, Fields, Position, QueryData, Template},
};
use promql::{ConfineError, Dialect, Expr, Matcher, ParseError, ParseErrorKind, matcher::is_label_name};

pub use self::error::RenderError;
use super::{
    Problem,
    advice::duration,
    locate::{locate, opening},
};
use crate::{api::rule_spec::Semantics, reason::Reason};

const PATH: &str = "spec.metricsQuery";
/// Stands for a series while a rule is checked; a legal name that no one has.
pub(super) const SENTINEL_SERIES: &str = "metricrule_series";
/// Stands for the label of an object that only a template of `spec.resources` can name.
pub(super) const SENTINEL_LABEL: &str = "metricrule_object";
/// Stands for a value.
pub(super) const SENTINEL_VALUE: &str = "metricrule";

/// A checked query template.
#[derive(Clone, Debug)]
pub struct MetricsQuery {
    template: Template,
    /// What every vector selector of every rendering gets.
    confinement: Option<Matcher>,
    /// Keys that the template reads whatever the request sends.
    required: BTreeSet<String>,
    /// How far back a rendering may read.
    max_range: Option<Duration>,
    window: Option<Duration>,
    /// Whether we can read it, as it was with the values that it was checked with.
    readable: bool,
    semantics: Semantics,
}

/// What a rule gives its query; decides which renderings are tried when the rule is checked.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// Whether there is a series to name.
    pub has_series: bool,
    /// The label of one of the kinds that the rule describes; `None` for an External rule.
    pub object_label: Option<&'a str>,
    /// The label that holds the namespace, where requests get its matcher.
    pub namespace_label: Option<&'a str>,
    /// For a `MetricRule`: what confines it.
    pub confinement: Option<&'a Matcher>,
    /// For a `MetricRule`: how far back its queries may read.
    pub max_range: Option<Duration>,
    /// How values come into the text.
    pub semantics: Semantics,
}

/// The data of one rendering.
#[derive(Clone, Debug, Default)]
pub struct Ingredients {
    /// `.Series`; empty for a static rule.
    pub series: String,
    /// `.LabelMatchers`, in the order in which they are to stand.
    pub matchers: Vec<Matcher>,
    /// `.LabelValuesByName`.
    pub values: BTreeMap<String, Vec<String>>,
    /// `.GroupBy`.
    pub group_by: Vec<String>,
}

// === impl MetricsQuery ===

impl MetricsQuery {
    /// Parses the template and tries it with made-up data: once with every key that it reads, once with only those
    /// that it cannot do without, once for several objects.
    ///
    /// The second part of the result are warnings.
    ///
    /// # Errors
    ///
    /// `InvalidTemplate` with the position, and for a confined rule `InvalidQuery` and `NotConfinable`.
    pub fn compile(text: &str, setting: Setting<'_>) -> Result<(Self, Vec<Problem>), Problem> {
        let template = Template::parse(text, Fields::Query)
            .map_err(|error| Problem::new(Reason::InvalidTemplate, PATH, error.message).at(error.position))?;
        let references = template.references();
        if let Some(position) = references.field("Series").filter(|_| !setting.has_series) {
            let message = "a rule without seriesQuery is static: it has no value for .Series";
            return Err(Problem::new(Reason::InvalidTemplate, PATH, message).at(position));
        }
        let provided = [setting.object_label, setting.namespace_label];
        let required = references.required_keys().map(|reference| reference.key.clone());
        // To prometheus-adapter a missing key is the empty string.
        let like_adapter = setting.semantics == Semantics::PrometheusAdapter;
        let required: BTreeSet<String> = required
            .filter(|key| !like_adapter && !provided.contains(&Some(key.as_str())))
            .collect();
        let mut query = Self {
            template,
            confinement: setting.confinement.cloned(),
            required,
            max_range: setting.max_range,
            window: None,
            readable: false,
            semantics: setting.semantics,
        };
        let optional = query.keys();

        let mut warnings = Vec::new();
        let full = query.try_rendering(text, &sentinels(setting, &optional, 1), &mut warnings)?;
        query.window = full.as_ref().and_then(Expr::widest_range);
        if let Some(message) = query.too_long(query.window) {
            return Err(Problem::new(Reason::RangeTooLong, PATH, message));
        }
        query.readable = full.is_some();
        if optional.len() > query.required.len() {
            query.try_rendering(text, &sentinels(setting, &query.required, 1), &mut warnings)?;
        }
        if setting.object_label.is_some() {
            let ingredients = sentinels(setting, &optional, 2);
            if let Err(error) = query.render(&ingredients) {
                let message = format!(
                    "requests for several objects at once, which an HPA sends for pods, will fail: {}",
                    error.message
                );
                warnings.push(error.problem(message));
            }
        }
        warnings.dedup();
        Ok((query, warnings))
    }

    /// The query to send.
    ///
    /// # Errors
    ///
    /// `SelectorRequired` names a key that the request must send; `BadRequest` says that the values of this request cannot
    /// stand where the template puts one (the rule was checked with one of each); `LimitExceeded` that they are too many;
    /// `InvalidTemplate` that the template fails on this data; `NotConfinable` that the outcome cannot be held to the rule's
    /// namespace.
    pub fn render(&self, ingredients: &Ingredients) -> Result<String, RenderError> {
        if let Some(key) = self
            .required
            .iter()
            .find(|key| !ingredients.values.contains_key(*key))
        {
            return Err(RenderError {
                reason: Reason::SelectorRequired,
                position: None,
                message: format!(
                    "the rule's query needs a value for {key:?}: add {key}=… to the metric's selector"
                ),
            });
        }
        let (_, text) = self.place(ingredients).map_err(|error| match error.reason {
            Reason::LimitExceeded => RenderError::beyond(&error.message),
            _ => error,
        })?;
        if text.is_empty() {
            return Err(RenderError {
                reason: Reason::BadRequest,
                position: None,
                message: "with these values the query is empty".to_owned(),
            });
        }
        match &self.confinement {
            Some(matcher) => {
                let confined = promql::confine(&text, matcher)?;
                // A branch of the template may read further than the one that was checked.
                match self.too_long(confined.expr().widest_range()) {
                    Some(message) => Err(RenderError {
                        reason: Reason::RangeTooLong,
                        position: None,
                        message,
                    }),
                    None => Ok(confined.into_text()),
                }
            }
            // As prometheus-adapter would send it, the backend is the judge.
            None if self.semantics == Semantics::Standard && self.readable => match read(&text) {
                // Alternatives are the template's doing, and some backends know them.
                Err(error) if error.kind != ParseErrorKind::Alternatives => Err(error.into()),
                _ => Ok(text),
            },
            None => Ok(text),
        }
    }

    fn too_long(&self, range: Option<Duration>) -> Option<String> {
        let most = self.max_range?;
        let range = range.filter(|range| *range > most)?;
        Some(format!(
            "the query reads {} back, but limits.perRule.maxRange of the MetricBackend allows a MetricRule only {}",
            duration(range),
            duration(most)
        ))
    }

    /// The widest range of the expression, where it has one.
    pub fn window(&self) -> Option<Duration> {
        self.window
    }

    /// What made-up data makes of the template: the spans of the text and the text.
    pub(super) fn specimen(&self, ingredients: &Ingredients) -> Option<(Vec<(Span, Position)>, String)> {
        self.place(ingredients).ok()
    }

    /// The keys that the template reads.
    pub(super) fn keys(&self) -> BTreeSet<String> {
        let references = self.template.references();
        references
            .keys
            .iter()
            .map(|reference| reference.key.clone())
            .collect()
    }

    fn place(&self, ingredients: &Ingredients) -> Result<(Vec<(Span, Position)>, String), RenderError> {
        let like_adapter = self.semantics == Semantics::PrometheusAdapter;
        let text = |matcher: &Matcher| {
            if like_adapter {
                escaping::adapter_text(matcher)
            } else {
                matcher.to_string()
            }
        };
        let matchers: Vec<String> = ingredients.matchers.iter().map(text).collect();
        let data = Data::Query(QueryData {
            series: ingredients.series.clone(),
            label_matchers: matchers.join(","),
            label_values_by_name: ingredients.values.clone(),
            group_by: ingredients.group_by.clone(),
        });
        let located = self.template.render_located(&data).map_err(|error| RenderError {
            reason: if error.is_bound {
                Reason::LimitExceeded
            } else {
                Reason::InvalidTemplate
            },
            position: Some(error.position),
            message: error.message,
        })?;
        let spans: Vec<Span> = located.iter().map(|(span, _)| span.clone()).collect();
        let placed = if like_adapter {
            let spans = if ingredients.has_plain_names() {
                spans.into_iter().map(as_text).collect()
            } else {
                spans
            };
            escaping::substitute(&spans, self.readable)
        } else {
            escaping::escape(&spans)
        };
        match placed {
            Ok(text) => Ok((located, text)),
            Err(error) => {
                let span = located.get(error.span);
                let of_request = span.is_some_and(|(span, _)| span.origin == Origin::Values);
                let position = span.map(|(_, position)| *position);
                Err(RenderError {
                    reason: if of_request {
                        Reason::BadRequest
                    } else {
                        Reason::InvalidTemplate
                    },
                    position,
                    message: error.message,
                })
            }
        }
    }

    /// Renders with made-up data; the tree where it is PromQL.
    fn try_rendering(
        &self,
        written: &str,
        ingredients: &Ingredients,
        warnings: &mut Vec<Problem>,
    ) -> Result<Option<Expr>, Problem> {
        let (spans, text) = self.place(ingredients).map_err(|error| {
            let message = error.message.clone();
            let problem = error.problem(message);
            // With made-up data it is the template that is too large.
            match problem.reason {
                Reason::LimitExceeded => Problem {
                    reason: Reason::InvalidTemplate,
                    ..problem
                },
                _ => problem,
            }
        })?;
        let located = |reason, at: Option<promql::Span>, message: &str| {
            let message = message.replace(SENTINEL_SERIES, "<<.Series>>");
            let mut problem = Problem::new(reason, PATH, message);
            // The parser speaks of the rendered text; the author wrote the template.
            problem.position = at
                .and_then(|at| locate(&spans, at.start))
                .map(|position| opening(written, position));
            problem
        };
        let invalid = |error: &ParseError| {
            let message = format!("not valid PromQL: {error}");
            let reason = match error.kind {
                // VictoriaMetrics would take it; what is missing is a way to confine it.
                ParseErrorKind::Alternatives if self.confinement.is_some() => Reason::NotConfinable,
                _ => Reason::InvalidQuery,
            };
            located(reason, Some(error.span), &message)
        };
        let parsed = read(&text);
        let judged = parsed
            .as_ref()
            .map_err(Clone::clone)
            .and_then(Expr::check_patterns);
        let Some(matcher) = &self.confinement else {
            if let Err(error) = judged {
                let mut problem = invalid(&error);
                problem.message += "; the operator sends it unchanged, and the backend decides";
                warnings.push(problem);
            }
            return Ok(parsed.ok());
        };
        let expr = parsed.and_then(|expr| judged.map(|()| expr));
        let expr = expr.map_err(|error| invalid(&error))?;
        let refused = |error: ConfineError| located(Reason::NotConfinable, error.span(), &error.to_string());
        promql::confine(&text, matcher).map_err(refused)?;
        Ok(Some(expr))
    }
}

/// Reads a query whose patterns the backend judges.
fn read(text: &str) -> Result<Expr, ParseError> {
    promql::parse_with(text, Dialect::SENT)
}

// === impl Ingredients ===

impl Ingredients {
    /// Whether no series or label has a name that could be more than a word, whatever the template makes of it.
    fn has_plain_names(&self) -> bool {
        let plain = |name: &str| {
            name.chars()
                .all(|c| c.is_ascii_alphanumeric() || "_:.-".contains(c))
        };
        plain(&self.series)
            && self.group_by.iter().all(|name| plain(name))
            && self.values.keys().all(|name| plain(name))
    }
}

/// A name as the author's own text.
fn as_text(span: Span) -> Span {
    match span.origin {
        Origin::Name => Span {
            origin: Origin::Text,
            ..span
        },
        _ => span,
    }
}

// === impl RenderError ===

impl RenderError {
    /// What it says of the rule, when the data was made up.
    fn problem(self, message: String) -> Problem {
        let reason = match self.reason {
            Reason::BadRequest => Reason::InvalidTemplate,
            reason => reason,
        };
        Problem {
            position: self.position,
            ..Problem::new(reason, PATH, message)
        }
    }
}

/// The data of a rendering for `objects` objects with a value for each of `keys`, all of it made up.
pub(super) fn sentinels(setting: Setting<'_>, keys: &BTreeSet<String>, objects: usize) -> Ingredients {
    // One word, since values may stand outside of strings where they are put in as they are.
    let joint = match setting.semantics {
        Semantics::Standard => '-',
        Semantics::PrometheusAdapter => '_',
    };
    let value = |index: usize| format!("{SENTINEL_VALUE}{joint}{index}");
    let mut ingredients = Ingredients::default();
    if setting.has_series {
        SENTINEL_SERIES.clone_into(&mut ingredients.series);
    }
    for key in keys {
        ingredients.values.insert(key.clone(), vec![value(0)]);
        if is_label_name(key) {
            ingredients.matchers.push(Matcher::one_of(key, &[value(0)]));
        }
    }
    if let Some(label) = setting.namespace_label {
        ingredients.values.insert(label.to_owned(), vec![value(0)]);
        ingredients.matchers.push(Matcher::one_of(label, &[value(0)]));
    }
    if let Some(label) = setting.object_label {
        let label = if label.is_empty() { SENTINEL_LABEL } else { label };
        let names: Vec<String> = (0..objects).map(value).collect();
        ingredients.matchers.push(Matcher::one_of(label, &names));
        ingredients.values.insert(label.to_owned(), names);
        ingredients.group_by = vec![label.to_owned()];
    }
    ingredients
}
