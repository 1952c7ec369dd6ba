//! Compiler of rules: from a spec to a [`CompiledRule`].

use std::{sync::Arc, time::Duration};

use promql::{Matcher, ParseErrorKind, SeriesSelector};

use super::{
    Association, BackendRecord, MetricsQuery, NamespaceScope, Naming, Problem, RuleObject,
    advice::{self, Assumptions},
    locate,
    metrics_query::Setting,
    naming::{self, Admitted, Filter, Literal, Rename, Source},
};
use crate::{
    api::{
        duration::parse_duration,
        metric_rule::RuleKey,
        rule_spec::{
            DEFAULT_REFRESH, MetricsApi, MissingRows, NegativePolicy, RuleLimits, RuleSpec, Semantics,
        },
    },
    reason::Reason,
    resource::{GroupResource, Resources, Scope},
};

/// A rule that can be asked, or that knows why it cannot.
#[derive(Clone, Debug)]
pub struct CompiledRule {
    /// What it was compiled from.
    pub object: RuleObject,
    /// The API that it serves.
    pub api: MetricsApi,
    /// Among claims: higher first.
    pub priority: i32,
    /// The requests that it is for.
    pub scope: NamespaceScope,
    /// Where values come from.
    pub backend: Result<Arc<BackendRecord>, Problem>,
    /// What it claims; `None` where that part is broken, and then it claims nothing.
    pub naming: Option<Naming>,
    /// What its spec names word for word, whatever else is wrong with it.
    pub literal: Option<Literal>,
    /// The label that holds a namespace in its series; `None`: its requests get no namespace matcher.
    pub namespace_label: Option<String>,
    /// How values are asked for; `None` where that part is broken.
    pub query: Option<MetricsQuery>,
    /// What `windowSeconds` says.
    pub window: Option<Duration>,
    /// What a negative value becomes.
    pub negative: NegativePolicy,
    /// What an External answer is that lacks rows.
    pub missing_rows: MissingRows,
    /// What its queries and answers look like. A `MetricRule` is confined and checked either way.
    pub semantics: Semantics,
    /// How old an answer may be that is served; zero: every request asks anew.
    pub refresh: Duration,
    /// For how long a metric stays claimed once its series are gone; `None` where that cannot be read, and then no claim ends.
    pub retain: Option<Duration>,
    /// Whether `priority` and `scope` are what the spec says: not where the spec or its `namespaceSelector` cannot be read.
    pub reach_is_known: bool,
    /// Bounds on what it brings in.
    pub limits: RuleLimits,
    /// Why it is not Accepted; empty where it is.
    pub refusals: Vec<Problem>,
    /// What does not keep it from answering.
    pub warnings: Vec<Problem>,
}

/// Compiles one rule against the backend that it names and a snapshot of the REST mapping. Never fails: what is wrong is
/// kept in the rule, where it hurts no other.
pub fn compile(
    object: RuleObject,
    backend: Result<Arc<BackendRecord>, Problem>,
    resources: &Resources,
) -> CompiledRule {
    compile_assuming(object, backend, resources, Assumptions::default())
}

/// [`compile()`] with what its advice is to assume.
pub fn compile_assuming(
    object: RuleObject,
    backend: Result<Arc<BackendRecord>, Problem>,
    resources: &Resources,
    assumptions: Assumptions,
) -> CompiledRule {
    let spec = match &object.spec {
        Ok(spec) => spec.clone(),
        Err(message) => {
            let problem = Problem::new(Reason::Undecodable, "", message.clone());
            return CompiledRule::refused(object, backend, problem);
        }
    };
    let mut rule = CompiledRule::empty(object, backend, &spec);
    rule.check_schema();
    rule.compile_scope(&spec);
    rule.compile_naming(&spec, resources);
    rule.compile_literal(&spec);
    rule.compile_query(&spec, resources, assumptions);
    rule.check_durations(&spec);
    rule.apply_ceilings(&spec);
    rule
}

// === impl CompiledRule ===

impl CompiledRule {
    /// Namespace and name.
    pub fn key(&self) -> &RuleKey {
        &self.object.key
    }

    /// Whether it is a `MetricRule`, whose every query is confined.
    pub fn is_namespaced(&self) -> bool {
        self.object.key.namespace.is_some()
    }

    /// Whether it is to send and answer what prometheus-adapter would.
    pub fn like_adapter(&self) -> bool {
        self.semantics == Semantics::PrometheusAdapter
    }

    /// Why it does not answer, whoever asks.
    pub fn refusal(&self) -> Option<&Problem> {
        self.refusals.first().or_else(|| self.backend.as_ref().err())
    }

    /// The text that its backend's series are listed with; `None` for a static rule and for one that lists nothing.
    pub fn listed(&self) -> Option<&Arc<str>> {
        match &self.naming.as_ref()?.source {
            Source::Series { listed, .. } => Some(listed),
            Source::Static { .. } => None,
        }
    }

    fn empty(object: RuleObject, backend: Result<Arc<BackendRecord>, Problem>, spec: &RuleSpec) -> Self {
        let scope = match &object.key.namespace {
            Some(namespace) => NamespaceScope::Only(namespace.as_str().into()),
            None => NamespaceScope::All,
        };
        Self {
            object,
            api: spec.api,
            priority: spec.priority.unwrap_or(0),
            scope,
            backend,
            naming: None,
            literal: None,
            namespace_label: None,
            query: None,
            window: None,
            negative: spec.effective_negative(),
            missing_rows: spec.effective_missing_rows(),
            semantics: spec.effective_semantics(),
            refresh: DEFAULT_REFRESH,
            retain: Some(spec.derived_retain()),
            reach_is_known: true,
            limits: spec.effective_limits(),
            refusals: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// A rule that is not compiled, for that reason.
    pub(super) fn refused(
        object: RuleObject,
        backend: Result<Arc<BackendRecord>, Problem>,
        problem: Problem,
    ) -> Self {
        let spec = object
            .spec
            .as_ref()
            .map(|spec| (**spec).clone())
            .unwrap_or_default();
        let mut rule = Self::empty(object, backend, &spec);
        rule.refusals.push(problem);
        rule.reach_is_known = false;
        rule
    }

    /// The schema states these rules too, but an object may have been written under an older one.
    fn check_schema(&mut self) {
        for violation in self.object.violations.clone() {
            self.refuse(&violation.path, violation.message);
        }
    }

    fn compile_scope(&mut self, spec: &RuleSpec) {
        if self.is_namespaced() {
            return;
        }
        match NamespaceScope::from_label_selector("spec.namespaceSelector", spec.namespace_selector.as_ref())
        {
            Ok(scope) => self.scope = scope,
            Err(problem) => {
                // A scope that cannot be read must not become "all".
                self.scope = NamespaceScope::Only("".into());
                self.reach_is_known = false;
                self.refusals.push(problem);
            }
        }
    }

    fn compile_naming(&mut self, spec: &RuleSpec, resources: &Resources) {
        let association = match Association::compile(spec.resources.as_ref(), self.semantics, resources) {
            Ok(association) => association,
            Err(problem) => return self.refusals.push(problem),
        };
        self.warnings.extend_from_slice(association.doubled());
        self.namespace_label = self.choose_namespace_label(spec, &association, resources);
        self.check_kinds(&association);
        match self.source(spec) {
            Ok(source) => self.naming = Some(Naming { source, association }),
            Err(problem) => self.refusals.push(problem),
        }
    }

    fn compile_literal(&mut self, spec: &RuleSpec) {
        let source = self.naming.as_ref().map(|naming| &naming.source);
        self.literal = Literal::of(spec, source);
    }

    fn choose_namespace_label(
        &mut self,
        spec: &RuleSpec,
        association: &Association,
        resources: &Resources,
    ) -> Option<String> {
        let lifted = spec.resources.as_ref().and_then(|mapping| mapping.namespaced) == Some(false);
        if lifted && spec.api == MetricsApi::External && !self.is_namespaced() {
            return None;
        }
        let mapped = association.namespace_label(resources);
        let Ok(backend) = &self.backend else { return mapped };
        let trusted = &backend.namespace_labels;
        match mapped {
            Some(label) if self.is_namespaced() && !trusted.contains(&label) => {
                let message = format!(
                    "{label:?} is mapped to namespaces, but the MetricBackend {:?} trusts only {}; map one of those, \
                     or remove the mapping",
                    backend.name,
                    trusted.join(", ")
                );
                let overrides = spec.resources.as_ref().map(|mapping| &mapping.overrides);
                let path = match overrides.filter(|overrides| overrides.contains_key(&label)) {
                    Some(_) => format!("spec.resources.overrides[{label}]"),
                    None => "spec.resources.template".to_owned(),
                };
                self.refusals
                    .push(Problem::new(Reason::NotConfinable, path, message));
                None
            }
            // Custom rules of the platform team say themselves whether their series have a namespace at all.
            None if self.is_namespaced() || spec.api == MetricsApi::External => {
                Some(backend.first_namespace_label().to_owned())
            }
            mapped => mapped,
        }
    }

    fn check_kinds(&mut self, association: &Association) {
        if !self.is_namespaced() {
            return;
        }
        let namespaces = GroupResource::namespaces();
        let cluster_scoped = association
            .overridden()
            .find(|info| info.scope == Scope::Cluster && info.group_resource != namespaces);
        if let Some(info) = cluster_scoped {
            let message = format!(
                "{} are cluster-scoped; only a ClusterMetricRule may map them",
                info.group_resource
            );
            let path = match association.label_for(info) {
                Some(label) => format!("spec.resources.overrides[{label}].resource"),
                None => "spec.resources.overrides".to_owned(),
            };
            self.refusals
                .push(Problem::new(Reason::NotConfinable, path, message));
        }
    }

    fn source(&mut self, spec: &RuleSpec) -> Result<Source, Problem> {
        let Some(text) = &spec.series_query else {
            return Ok(Source::Static {
                metric: naming::static_name(spec)?,
            });
        };
        let path = "spec.seriesQuery";
        let allowed = self.limits.allow_match_all && !self.is_namespaced();
        let selector = SeriesSelector::parse(text).map_err(|error| {
            if error.kind == ParseErrorKind::MatchAll && !allowed {
                return match_all(self.is_namespaced());
            }
            let position = locate::position_of(text, error.span.start);
            let message = match error.kind {
                ParseErrorKind::Alternatives => {
                    "a series selector with `or` is not supported: write one rule for each alternative"
                        .to_owned()
                }
                _ => error.message,
            };
            Problem::new(Reason::InvalidQuery, path, message).at(position)
        })?;
        let filters = spec
            .series_filters
            .iter()
            .enumerate()
            .map(|(index, filter)| Filter::compile(index, filter));
        let filters = filters.collect::<Result<Vec<_>, _>>()?;
        let rename = Rename::compile(spec.name.as_ref())?;
        self.warnings.extend(rename.lint(spec.name.as_ref()));
        if !allowed && !selector.is_selective() {
            self.refusals.push(match_all(self.is_namespaced()));
        }
        let listed = match self.confinement() {
            Some(matcher) => selector.to_string_with(&matcher),
            // `pkg/custom-provider/provider.go` sends what the author wrote.
            None if self.like_adapter() => text.clone(),
            None => selector.to_string(),
        };
        Ok(Source::Series {
            admitted: Admitted::of(&selector),
            selector,
            listed: listed.into(),
            filters,
            rename,
        })
    }

    /// What every selector of a `MetricRule`'s queries gets.
    fn confinement(&self) -> Option<Matcher> {
        let namespace = self.object.key.namespace.as_ref()?;
        let label = self.namespace_label.as_deref().or_else(|| {
            self.backend
                .as_ref()
                .ok()
                .map(|backend| backend.first_namespace_label())
        })?;
        Some(Matcher::equal(label, namespace))
    }

    fn compile_query(&mut self, spec: &RuleSpec, resources: &Resources, assumptions: Assumptions) {
        let confinement = self.confinement();
        if self.is_namespaced() && confinement.is_none() {
            // Without a backend it is not known which label confines; the rule answers nothing until there is one.
            return;
        }
        let association = self.naming.as_ref().map(|naming| &naming.association);
        let object_label = (spec.api == MetricsApi::Custom).then(|| {
            // Any kind will do, but the namespace's label may be that of the namespace matcher as well.
            let namespaces = GroupResource::namespaces();
            let mut kinds = association.into_iter().flat_map(Association::overridden);
            let first = kinds
                .clone()
                .find(|info| info.group_resource != namespaces)
                .or_else(|| kinds.next());
            first
                .and_then(|info| association?.label_for(info))
                .unwrap_or_default()
        });
        let setting = Setting {
            has_series: spec.series_query.is_some(),
            object_label: object_label.as_deref(),
            namespace_label: self.namespace_label.as_deref(),
            confinement: confinement.as_ref(),
            max_range: self.max_range(),
            semantics: self.semantics,
        };
        match MetricsQuery::compile(&spec.metrics_query, setting) {
            Ok((query, warnings)) => {
                let advice = advice::lint(self, spec, setting, &query, resources, assumptions);
                // prometheus-adapter never says one (`metricFor`, `pkg/custom-provider/provider.go`).
                self.window = query.window().filter(|_| !self.like_adapter());
                self.query = Some(query);
                self.warnings.extend(warnings);
                self.warnings.extend(advice);
            }
            Err(problem) => self.refusals.push(problem),
        }
    }

    fn check_durations(&mut self, spec: &RuleSpec) {
        if let Some(window) = self.duration("spec.window", spec.window.as_deref()) {
            self.window = Some(window);
        }
        // The derived zero is for those whose written zero would be taken.
        let derived = if self.like_adapter() && !self.is_namespaced() {
            Duration::ZERO
        } else {
            DEFAULT_REFRESH
        };
        self.refresh = self
            .duration("spec.refresh", spec.refresh.as_deref())
            .unwrap_or(derived);
        if spec.retain_after_idle.is_some() {
            self.retain = self.duration("spec.retainAfterIdle", spec.retain_after_idle.as_deref());
        }
    }

    fn duration(&mut self, path: &str, text: Option<&str>) -> Option<Duration> {
        match parse_duration(text?) {
            Ok(duration) => Some(duration),
            Err(error) => {
                self.refuse(path, error.to_string());
                None
            }
        }
    }

    fn refuse(&mut self, path: &str, message: impl Into<String>) {
        self.refusals
            .push(Problem::new(Reason::InvalidSpec, path, message));
    }
}

fn match_all(is_namespaced: bool) -> Problem {
    let hint = if is_namespaced {
        ""
    } else {
        ", or set limits.allowMatchAll"
    };
    let message = format!(
        "no matcher narrows the series: add a name, a label with a value, or a pattern that does not match everything{hint}"
    );
    Problem::new(Reason::MatchAll, "spec.seriesQuery", message)
}
