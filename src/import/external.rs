//! External metric with its own query, as KEDA and kube-metrics-adapter have it: the rule that answers with it, and
//! the backend that it is sent to.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use promql::{Dialect, Expr, MatchOp, Matcher};

use super::{Import, Object, findings::Findings, offline, suffix};
use crate::{
    api::{
        ClusterMetricRule, MetricBackend, MetricRule,
        invariant::Violation,
        metric_backend::{MetricBackendSpec, PrometheusSpec},
        metric_rule::RuleResource,
        rule_spec::{BackendRef, MetricsApi, NameMapping, ResourceMapping, RuleSpec},
    },
    document::Node,
    reason::Reason,
    resource::Resources,
    rule::{CompiledRule, Problem, RuleObject},
};

/// The label of the series that a `MetricRule`'s queries are confined by, where a backend says nothing else.
const NAMESPACE_LABEL: &str = "namespace";
/// What a scraper renames a label `namespace` of the series itself to: then `NAMESPACE_LABEL` is the exporter's.
const EXPORTED_NAMESPACE_LABEL: &str = "exported_namespace";
/// The label that every namespace has its name in.
const NAME_OF_NAMESPACE: &str = "kubernetes.io/metadata.name";
/// Where kubectl puts an object that names no namespace, unless it is told otherwise.
const DEFAULT_NAMESPACE: &str = "default";
/// The longest name of an object.
const MAX_NAME: usize = 253;

/// One metric that a query gives.
pub(super) struct ExternalMetric<'a> {
    /// Of the HPA that uses it.
    pub(super) namespace: Option<&'a str>,
    /// The rule's name, as far as it can be had.
    pub(super) rule: &'a str,
    /// As the HPA names it.
    pub(super) metric: &'a str,
    /// Its text, verbatim.
    pub(super) query: &'a Node,
    /// The name of a `MetricBackend`; the default one without.
    pub(super) backend: Option<&'a str>,
    /// What the tool did with more than one row: `KEDA refuses`, …
    pub(super) several_rows: &'a str,
}

/// How the selectors of a query stand to a namespace.
enum Reach {
    /// Each holds `namespace="<it>"`.
    Own,
    /// Not all of them do; none speaks of another.
    Open,
    /// One speaks of others.
    Others,
}

impl ExternalMetric<'_> {
    /// Adds the rule.
    pub(super) fn add(&self, findings: &mut Findings<'_>) {
        let mut rule = self.rule(findings);
        let namespace = rule.metadata().namespace.clone();
        let others = || {
            let import = &findings.import;
            import.named(rule.kind(), namespace.as_deref(), rule.name())
        };
        if others().any(|other| *other != rule) {
            // Other names may come to the same one.
            let told_apart = suffix(&rule.json()["spec"].to_string());
            rule.set_name(name(&[rule.name(), &told_apart]));
        }
        let served = self.namespace.unwrap_or(DEFAULT_NAMESPACE);
        findings.import.add(rule, Some((served, self.metric)));
    }

    /// A `MetricRule` if its query can be confined to the namespace and does not speak of others, else a `ClusterMetricRule`
    /// for that namespace.
    fn rule(&self, findings: &mut Findings<'_>) -> Object {
        let text = self.query.text().unwrap_or_default();
        let namespace = self.namespace.unwrap_or(DEFAULT_NAMESPACE);
        let parsed = promql::parse_with(text, Dialect::SENT).ok();
        if parsed.as_ref().is_some_and(|query| !query.gives_one_row()) {
            let message = format!(
                "the query may return several rows: {}, and an HPA adds up the values of all rows; aggregate them in the query",
                self.several_rows
            );
            findings.warn(Reason::DuplicateRows, self.query, message);
        }
        let confined = MetricRule::new(&name(&[self.rule]), self.spec(text).into());
        let refused = refusal(&confined, Some(namespace));
        let reach = parsed.map_or(Reach::Open, |query| reach(&query, namespace));
        let why = match (&refused, reach) {
            (Some(problem), _) => format!(
                "the query cannot be confined to one namespace ({})",
                problem.message
            ),
            (None, Reach::Others) => "the query reads the series of other namespaces".to_owned(),
            (None, reach) => {
                if matches!(reach, Reach::Open) {
                    let message = format!(
                        "a MetricRule reads only the series of its own namespace: every selector of the query gets \
                         {NAMESPACE_LABEL}={namespace:?}. If the series belong to another namespace (an ingress \
                         controller, a broker), make it a ClusterMetricRule"
                    );
                    findings.warn(Reason::NotConfinable, self.query, message);
                }
                let mut rule = confined;
                rule.metadata.namespace = self.namespace.map(str::to_owned);
                return Object::MetricRule(Box::new(rule));
            }
        };
        self.cluster_rule(text, namespace, &why, findings)
    }

    fn cluster_rule(&self, text: &str, namespace: &str, why: &str, findings: &mut Findings<'_>) -> Object {
        let mut spec = self.spec(text);
        spec.resources = Some(ResourceMapping {
            namespaced: Some(false),
            ..ResourceMapping::default()
        });
        spec.namespace_selector = Some(LabelSelector {
            match_labels: Some(BTreeMap::from([(
                NAME_OF_NAMESPACE.to_owned(),
                namespace.to_owned(),
            )])),
            match_expressions: None,
        });
        let rule = ClusterMetricRule::new(&name(&[namespace, self.rule]), spec.into());
        let assumed = if self.namespace.is_some() {
            ""
        } else {
            ", which import assumed because none is named"
        };
        let message = format!(
            "{why}, so it became a ClusterMetricRule for the namespace {namespace:?}{assumed}; the platform team has to apply it"
        );
        findings.warn(Reason::NotConfinable, self.query, message);
        for problem in compiled(&rule, None).warnings {
            let at = problem
                .position
                .map(|position| findings.document.inside(self.query, position));
            findings.warn_at(problem.reason, at, self.query, problem.message);
        }
        Object::ClusterMetricRule(Box::new(rule))
    }

    fn spec(&self, text: &str) -> RuleSpec {
        RuleSpec {
            api: MetricsApi::External,
            backend_ref: self.backend.map(|name| BackendRef {
                name: name.to_owned(),
            }),
            name: Some(NameMapping {
                matches: None,
                r#as: Some(self.metric.to_owned()),
            }),
            metrics_query: escaped(text),
            ..RuleSpec::default()
        }
    }
}

/// The name of the backend of these settings, which joins the objects unless it is there already. Equal settings have equal
/// names, in whatever order and wherever they are met. `None` where no `MetricBackend` can have them.
pub(super) fn backend(
    prometheus: PrometheusSpec,
    address: &Node,
    findings: &mut Findings<'_>,
) -> Option<String> {
    let plain = prometheus == PrometheusSpec::new(&prometheus.url);
    let host = prometheus.url.strip_prefix("http://").unwrap_or(&prometheus.url);
    let mut name = name(&[host]);
    let spec = MetricBackendSpec::new(prometheus);
    let is_other = |object: &Object| matches!(object, Object::MetricBackend(backend) if backend.spec != spec);
    let taken = findings.import.named("MetricBackend", None, &name).any(is_other);
    if !plain || taken {
        let settings = serde_json::to_string(&spec).unwrap_or_default();
        name = format!("{name}-{}", suffix(&settings));
    }
    let backend = MetricBackend::new(&name, spec);
    let violations = backend.violations();
    for Violation { path, message } in &violations {
        let message = format!("a MetricBackend cannot express this: {path}: {message}");
        findings.unsupported(address, message);
    }
    if !violations.is_empty() {
        return None;
    }
    let object = Object::MetricBackend(Box::new(backend));
    findings.import.add(object, None);
    Some(name)
}

/// The metric's name, or another one where it is taken.
pub(super) fn free(
    metric: &str,
    namespace: Option<&str>,
    query: &Node,
    backend: Option<&str>,
    findings: &mut Findings<'_>,
) -> String {
    if !is_taken(metric, namespace, query, backend, findings.import) {
        return metric.to_owned();
    }
    let text = format!(
        "{}\n{}",
        backend.unwrap_or_default(),
        query.text().unwrap_or_default()
    );
    let other = format!("{metric}-{}", suffix(&text));
    let message =
        format!("another HPA in the namespace uses the metric {metric:?}, so this one is now {other:?}");
    findings.warn(Reason::NameTaken, query, message);
    other
}

/// Whether a rule for the namespace makes a metric of that name already, by another query or of another backend.
pub(super) fn is_taken(
    metric: &str,
    namespace: Option<&str>,
    query: &Node,
    backend: Option<&str>,
    import: &Import,
) -> bool {
    let mine = escaped(query.text().unwrap_or_default());
    let namespace = namespace.unwrap_or(DEFAULT_NAMESPACE);
    import.making(namespace, metric).any(|object| {
        let spec = match object {
            Object::MetricRule(rule) => rule.rule_spec(),
            Object::ClusterMetricRule(rule) => rule.rule_spec(),
            _ => return false,
        };
        let asked = spec.backend_ref.as_ref().map(|backend| backend.name.as_str());
        spec.metrics_query != mine || asked != backend
    })
}

/// What Go's `strconv.ParseBool` reads.
pub(super) fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// A query as a template that renders to it.
fn escaped(query: &str) -> String {
    // not the beginning of an action
    query.replace("<<", "<<\"<<\">>")
}

/// A name that Kubernetes takes (RFC 1123), of the parts, joined by `-`.
pub(super) fn name(parts: &[&str]) -> String {
    let joined = parts.join("-").to_ascii_lowercase();
    let mut name = String::with_capacity(joined.len());
    for c in joined.chars() {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            _ if name.ends_with('-') || name.is_empty() => {}
            _ => name.push('-'),
        }
    }
    name.truncate(MAX_NAME);
    let name = name.trim_end_matches('-');
    if name.is_empty() {
        "metric".to_owned()
    } else {
        name.to_owned()
    }
}

fn reach(query: &Expr, namespace: &str) -> Reach {
    let own = Matcher::equal(NAMESPACE_LABEL, namespace);
    let mut open = false;
    for selector in query.selectors() {
        let matchers: Vec<&Matcher> = selector.matchers.iter().map(|held| &held.matcher).collect();
        let speaks = |matcher: &Matcher| {
            matcher.label == EXPORTED_NAMESPACE_LABEL || matcher.label == NAMESPACE_LABEL && *matcher != own
        };
        // `namespace!=""` and the like pick nothing in particular
        let names = |matcher: &Matcher| matcher.op != MatchOp::NotEqual || !matcher.value.is_empty();
        if matchers.iter().any(|matcher| speaks(matcher) && names(matcher)) {
            return Reach::Others;
        }
        open |= !matchers.contains(&&own);
    }
    if open { Reach::Open } else { Reach::Own }
}

fn refusal<K: RuleResource>(rule: &K, namespace: Option<&str>) -> Option<Problem> {
    compiled(rule, namespace).refusals.into_iter().next()
}

/// The rule as the controller would compile it in that namespace, or as a cluster-wide one.
fn compiled<K: RuleResource>(rule: &K, namespace: Option<&str>) -> CompiledRule {
    let mut object = RuleObject::of(rule);
    object.key.namespace = namespace.map(str::to_owned);
    offline(object, &Resources::builtin())
}
