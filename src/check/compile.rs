//! Compilation of every object, as the controller would do it.

use std::sync::Arc;

use kube::Resource;
use serde::de::DeserializeOwned;

use super::{
    Options, Report, metadata,
    object::{Form, Found, Kind},
    place, schema,
};
use crate::{
    api::{ClusterMetricRule, MetricBackend, MetricRule, metric_rule::RuleResource},
    document::Node,
    manifest,
    reason::Reason,
    resource::{GroupResource, ResourceInfo, Resources, Scope},
    rule::{
        BackendRecord, CompiledRule, Namespaces, Problem, RuleObject, RuleTable, Severity,
        backend::{self, Backends},
        compile_assuming,
    },
};

/// A name is compared with so many others that may have been meant.
const COMPARED: usize = 500;

/// What the files say about the cluster that the rules are for.
struct Cluster {
    table: RuleTable,
    /// Whether a backend of the files is all that there is to say about backends: then one that is not there is missed.
    has_backends: bool,
}

/// Judges every object of our kinds.
pub(super) fn judge(found: &[Found<'_>], options: &Options, report: &mut Report) {
    let mut judge = Judge { options, report };
    let forms: Vec<Form> = found.iter().map(|object| judge.form(object)).collect();
    let formed = found.iter().zip(&forms);
    let found: Vec<Found<'_>> = formed.map(|(object, form)| object.in_form(form)).collect();
    let cluster = judge.cluster(&found);
    for object in &found {
        match object.kind {
            Kind::MetricRule => judge.rule::<MetricRule>(object, &cluster),
            Kind::ClusterMetricRule => judge.rule::<ClusterMetricRule>(object, &cluster),
            _ => {}
        }
    }
}

struct Judge<'a> {
    options: &'a Options,
    report: &'a mut Report,
}

// === impl Judge ===

impl Judge<'_> {
    fn say(&mut self, object: &Found<'_>, severity: Severity, problem: Problem) {
        // What the schema has refused is no finding a second time.
        if !object.is_refused(&problem) {
            let said = object.diagnose(severity, problem, self.options);
            self.report.add(said);
        }
    }

    fn cluster(&mut self, found: &[Found<'_>]) -> Cluster {
        let mut backends = Backends::new();
        for object in found.iter().filter(|object| object.kind == Kind::MetricBackend) {
            let Some(decoded) = self.decode::<MetricBackend>(object) else {
                let problem = Problem::new(Reason::Undecodable, "", "it cannot be decoded");
                backends.insert(object.name().into(), Err(problem));
                continue;
            };
            let violations = decoded.violations();
            for violation in &violations {
                let problem = Problem::new(
                    Reason::InvalidSpec,
                    violation.path.clone(),
                    violation.message.clone(),
                );
                self.say(object, Severity::Error, problem);
            }
            let is_default = decoded.is_default();
            let record = BackendRecord::new(
                object.name(),
                String::new(),
                1,
                is_default,
                Arc::new(decoded.spec),
            );
            if let Err(problem) = &record
                && violations.is_empty()
            {
                self.say(object, Severity::Error, problem.clone());
            }
            backends.insert(object.name().into(), record.map(Arc::new));
        }
        let namespaces = found
            .iter()
            .filter(|object| object.kind == Kind::Namespace)
            .map(|object| {
                let labels = object
                    .get("metadata.labels")
                    .map(Node::entries)
                    .unwrap_or_default();
                let text = |node: &Node| node.text().unwrap_or_default().to_owned();
                let labels = labels.iter().map(|(key, value)| (text(key), text(value)));
                (object.name().to_owned(), labels.collect())
            });
        let namespaces: Namespaces = namespaces.collect();
        let crds = found
            .iter()
            .filter(|object| object.kind == Kind::CustomResourceDefinition);
        let builtin = Resources::builtin();
        let rows = builtin
            .iter()
            .cloned()
            .chain(crds.filter_map(described))
            .collect();
        Cluster {
            has_backends: !backends.is_empty(),
            table: RuleTable {
                synced: true,
                backends: Arc::new(backends),
                namespaces: Arc::new(namespaces),
                resources: Arc::new(Resources::new(rows)),
                ..RuleTable::default()
            },
        }
    }

    /// Checks an object against its schema.
    fn form(&mut self, object: &Found<'_>) -> Form {
        let Some(schema) = schema::of_kind(object.kind.as_str()) else {
            return Form::default();
        };
        let outcome = schema::check(&object.document, object.node(), schema);
        let mut form = Form::default();
        for (problem, place) in outcome.found {
            form.unreadable |= problem.reason == Reason::Undecodable;
            form.refused.push(problem.path.clone());
            let said = object.diagnose_at(Severity::Error, problem, place, self.options);
            self.report.add(said);
        }
        for (path, meant) in outcome.misspelt {
            let document = form.document.as_ref().unwrap_or(&object.document);
            form.document = Some(document.with_key(&path, &meant));
        }
        let formed = object.in_form(&form);
        for (problem, place) in metadata::check(&formed) {
            let said = formed.diagnose_at(Severity::Error, problem, place, self.options);
            self.report.add(said);
        }
        form
    }

    /// Reads an object where its schema lets it.
    fn decode<K>(&mut self, object: &Found<'_>) -> Option<K>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        if object.form.is_some_and(|form| form.unreadable) {
            return None;
        }
        match manifest::decode(object.node()) {
            Ok(decoded) => Some(decoded),
            Err(error) => {
                // The schema has said which field it is.
                if object.form.is_none_or(|form| form.refused.is_empty()) {
                    let problem = Problem::new(Reason::Undecodable, "", error.to_string());
                    self.say(object, Severity::Error, problem);
                }
                None
            }
        }
    }

    fn rule<K: RuleResource + DeserializeOwned>(&mut self, object: &Found<'_>, cluster: &Cluster) {
        let Some(decoded) = self.decode::<K>(object) else {
            return;
        };
        let mut rule = RuleObject::of(&decoded);
        // An API server takes no notice of a namespace of a ClusterMetricRule.
        rule.key.namespace =
            (object.kind == Kind::MetricRule).then(|| object.namespace(self.options).to_owned());
        let named = decoded.rule_spec().backend_ref.as_ref();
        let named = named.map(|named| named.name.clone());
        let backend = match backend::resolve(&cluster.table.backends, named.as_deref()) {
            Err(problem) if problem.reason == Reason::BackendNotFound => {
                // One that cannot be read may be the default.
                let unread = named.is_none() && cluster.table.backends.values().any(Result::is_err);
                if cluster.has_backends && !unread {
                    self.backend_not_found(object, named.as_deref(), cluster);
                }
                Ok(assumed(named.as_deref()))
            }
            // What is wrong with a backend is said of the backend.
            Err(problem) if problem.reason != Reason::AmbiguousDefault => Ok(assumed(named.as_deref())),
            resolved => resolved,
        };
        let rule = compile_assuming(rule, backend, &cluster.table.resources, self.options.assumptions);
        let refusals = &rule.refusals;
        for (index, problem) in refusals.iter().enumerate() {
            let whole = |known: &Problem| known.path == problem.path && known.position.is_none();
            if !refusals.iter().take(index).any(whole) {
                self.say(object, Severity::Error, problem.clone());
            }
        }
        for problem in &rule.warnings {
            self.say(object, Severity::Warning, problem.clone());
        }
        self.references(object, &rule, cluster);
    }

    fn backend_not_found(&mut self, object: &Found<'_>, named: Option<&str>, cluster: &Cluster) {
        let problem = match named {
            Some(name) => {
                let message = format!("none of the MetricBackends in these files has the name {name:?}");
                let known = cluster.table.backends.keys().map(AsRef::as_ref).take(COMPARED);
                let problem = Problem::new(Reason::BackendNotFound, "spec.backendRef.name", message);
                match place::closest(name, known) {
                    Some(near) => problem.suggest(format!("write `{near}`")),
                    None => problem,
                }
            }
            None => Problem::new(
                Reason::BackendNotFound,
                "spec.backendRef",
                "none of the MetricBackends in these files is the default one",
            )
            .suggest(
                "name one in `spec.backendRef`, or annotate one with `metricrule.dev/is-default: \"true\"`",
            ),
        };
        // The cluster may have others.
        self.say(object, Severity::Warning, problem);
    }

    /// What the rule names and the files, or every cluster, have not.
    fn references(&mut self, object: &Found<'_>, rule: &CompiledRule, cluster: &Cluster) {
        let namespace = rule.key().namespace.as_deref();
        let judgeable =
            namespace.is_none_or(|namespace| cluster.table.namespaces.labels(namespace).is_some());
        match cluster.table.unresolved_backend(rule) {
            Some(problem) if problem.reason != Reason::BackendNotAllowed || judgeable => {
                self.say(object, Severity::Error, problem);
            }
            _ => {}
        }
        let association = rule.naming.as_ref().map(|naming| &naming.association);
        let unresolved: Vec<String> = association
            .into_iter()
            .flat_map(|association| association.unresolved().map(|problem| problem.path.clone()))
            .collect();
        for path in unresolved {
            self.unknown_resource(object, &path, &cluster.table.resources);
        }
    }

    fn unknown_resource(&mut self, object: &Found<'_>, path: &str, resources: &Resources) {
        let named = object.text(path).unwrap_or_default();
        let mapping = path.strip_suffix(".resource").unwrap_or(path);
        let group = object.text(&format!("{mapping}.group"));
        let near = place::closest(
            named,
            resources
                .iter()
                .take(COMPARED)
                .flat_map(|info| [info.group_resource.resource.as_str(), info.singular.as_str()]),
        );
        let known_group =
            group.filter(|group| resources.iter().any(|info| info.group_resource.group == **group));
        let problem = match known_group {
            Some(group) => Problem::new(
                Reason::UnknownResource,
                path,
                format!("the group {group:?} has no resource {named:?}"),
            ),
            None => Problem::new(
                Reason::UnknownResource,
                path,
                format!(
                    "{named:?} is not a built-in resource of Kubernetes, and no CRD in these files defines it"
                ),
            ),
        };
        let severity = match (known_group, near) {
            (Some(_), _) => Severity::Error,
            (None, Some(_)) if group.is_none() => Severity::Warning,
            _ => Severity::Note,
        };
        let problem = match near.filter(|_| severity > Severity::Note) {
            Some(near) => problem.suggest(format!("write `{near}`")),
            None => problem.suggest("check that the cluster has its CRD: `kubectl api-resources`"),
        };
        self.say(object, severity, problem);
    }
}

/// What a rule is judged against whose own backend cannot be had.
fn assumed(named: Option<&str>) -> Arc<BackendRecord> {
    Arc::new(BackendRecord::assumed(named.unwrap_or("default")))
}

/// The resource that a `CustomResourceDefinition` adds.
fn described(crd: &Found<'_>) -> Option<ResourceInfo> {
    let kind = crd.text("spec.names.kind")?.to_owned();
    let singular = crd
        .text("spec.names.singular")
        .map_or_else(|| kind.to_lowercase(), str::to_owned);
    Some(ResourceInfo {
        group_resource: GroupResource::new(crd.text("spec.group")?, crd.text("spec.names.plural")?),
        version: crd.text("spec.versions[0].name").unwrap_or("v1").to_owned(),
        singular,
        kind,
        scope: match crd.text("spec.scope") {
            Some("Cluster") => Scope::Cluster,
            _ => Scope::Namespaced,
        },
    })
}
