//! Association of labels with kinds of objects, in both directions.

use std::collections::BTreeMap;

use language::template::resource::ResourceTemplate;
use promql::{
    matcher::is_label_name,
    re2::{Expansion, Re2},
};

use super::Problem;
use crate::{
    api::rule_spec::{ResourceMapping, Semantics},
    reason::Reason,
    resource::{GroupResource, ResourceInfo, Resources, Scope},
};

/// The compiled `spec.resources`, resolved against one snapshot of the REST mapping.
#[derive(Clone, Debug, Default)]
pub struct Association {
    overrides: BTreeMap<String, ResourceInfo>,
    labels: BTreeMap<GroupResource, String>,
    /// Labels whose kind does not exist now; they must not fall through to the template.
    unresolved: BTreeMap<String, Problem>,
    template: Option<ResourceTemplate>,
    /// Set where labels are read as prometheus-adapter reads them.
    adapter: Option<AdapterReading>,
    /// Labels of a kind that another label names already; none in standard semantics, which refuse them.
    doubled: Vec<Problem>,
}

/// The template read backwards by one expression (`GroupResourceForLabel`, `pkg/naming/lbl_res.go`).
#[derive(Clone, Debug, Default)]
struct AdapterReading {
    pattern: Option<Re2>,
    uses_group: bool,
}

// === impl Association ===

impl Association {
    /// What its pattern takes, in bytes.
    pub(super) fn weight(&self) -> usize {
        let pattern = self.adapter.as_ref().and_then(|reading| reading.pattern.as_ref());
        pattern.map_or(0, Re2::weight)
    }

    /// Resolves every override and parses the template.
    ///
    /// # Errors
    ///
    /// `DuplicateResource` for two labels of one kind (in prometheus-adapter's semantics a warning, see [`Self::doubled`]),
    /// `InvalidTemplate` with the position in `spec.resources.template`, `InvalidSpec` for a label that is none. A kind that
    /// does not exist is no error: see [`Self::unresolved`].
    pub fn compile(
        mapping: Option<&ResourceMapping>,
        semantics: Semantics,
        resources: &Resources,
    ) -> Result<Self, Problem> {
        let mut association = Self {
            adapter: (semantics == Semantics::PrometheusAdapter).then(AdapterReading::default),
            ..Self::default()
        };
        let Some(mapping) = mapping else {
            return Ok(association);
        };
        for (label, named) in &mapping.overrides {
            let path = format!("spec.resources.overrides[{label}]");
            if !is_label_name(label) {
                let message = format!("{label:?} is not a valid label name ([a-zA-Z_][a-zA-Z0-9_]*)");
                return Err(Problem::new(Reason::InvalidSpec, path, message));
            }
            let Some(info) = resources.find(named.group.as_deref(), &named.resource) else {
                let group = named
                    .group
                    .as_deref()
                    .map(|group| format!(" of group {group:?}"))
                    .unwrap_or_default();
                let problem = Problem::new(
                    Reason::UnknownResource,
                    format!("{path}.resource"),
                    format!(
                        "the cluster has no resource {:?}{group}, so the operator ignores the label until the \
                         resource appears (`kubectl api-resources` lists all resources)",
                        named.resource
                    ),
                );
                association.unresolved.insert(label.clone(), problem);
                continue;
            };
            let kind = &info.group_resource;
            if let Some(first) = association.labels.get(kind) {
                if association.adapter.is_none() {
                    let message = format!("{first} and {label} both name {kind}; keep one of them");
                    return Err(Problem::new(Reason::DuplicateResource, path, message));
                }
                // There the choice between them is random, from start to start.
                let message = format!(
                    "{first} and {label} both name {kind}; either finds series, but queries use {first}, the first \
                     in label order"
                );
                let problem = Problem::new(Reason::DuplicateResource, path, message);
                association.doubled.push(problem);
            } else {
                association.labels.insert(kind.clone(), label.clone());
            }
            association.overrides.insert(label.clone(), info.clone());
        }
        if let Some(text) = mapping.template.as_deref().filter(|text| !text.is_empty()) {
            let template = ResourceTemplate::parse(text).map_err(|error| {
                Problem::new(Reason::InvalidTemplate, "spec.resources.template", error.message)
                    .at(error.position)
            })?;
            if let Some(reading) = &mut association.adapter {
                reading.pattern = template.adapter_pattern();
                reading.uses_group = template.uses_group();
            }
            association.template = Some(template);
        }
        Ok(association)
    }

    /// Whether `other`, compiled from the same spec against another snapshot, says the same.
    pub fn resolves_as(&self, other: &Self) -> bool {
        self.overrides == other.overrides
            && self.labels == other.labels
            && self.unresolved == other.unresolved
    }

    /// Labels that name a kind which another label names already.
    pub fn doubled(&self) -> &[Problem] {
        &self.doubled
    }

    /// Overrides whose kind the cluster does not have.
    pub fn unresolved(&self) -> impl Iterator<Item = &Problem> {
        self.unresolved.values()
    }

    /// The kinds of the overrides, in order.
    pub fn overridden(&self) -> impl Iterator<Item = &ResourceInfo> + Clone {
        self.overrides.values()
    }

    /// Whether labels can name kinds that no override lists.
    pub fn has_template(&self) -> bool {
        self.template.is_some()
    }

    /// The kind whose objects the label `label` names.
    pub fn resource_of<'a>(&'a self, label: &str, resources: &'a Resources) -> Option<&'a ResourceInfo> {
        if let Some(info) = self.overrides.get(label) {
            return Some(info);
        }
        if self.unresolved.contains_key(label) {
            return None;
        }
        if let Some(reading) = &self.adapter {
            return reading.resource_of(label, resources);
        }
        // Several readings are possible where group and resource meet (`kube_networking_k8s_io_ingress`); the first that the
        // cluster has is meant. `.Resource` is the singular name; a group stands there with `.` and `-` as `_`.
        let info = self
            .template
            .as_ref()?
            .readings(label)
            .into_iter()
            .find_map(|reading| {
                resources.iter().find(|info| {
                    info.singular == reading.resource
                        && reading
                            .group
                            .as_deref()
                            .is_none_or(|group| template_group(info) == group)
                })
            })?;
        // An override wins in both directions: a kind that it names is never found under another label.
        (!self.labels.contains_key(&info.group_resource)).then_some(info)
    }

    /// The label that names objects of `info`.
    pub fn label_for(&self, info: &ResourceInfo) -> Option<String> {
        if let Some(label) = self.labels.get(&info.group_resource) {
            return Some(label.clone());
        }
        let label = self
            .template
            .as_ref()?
            .label_for(&template_group(info), &info.singular)
            .ok()?;
        // prometheus-adapter does not look whether the label has another meaning.
        let free = self.adapter.is_some()
            || !self.overrides.contains_key(&label) && !self.unresolved.contains_key(&label);
        (free && is_label_name(&label)).then_some(label)
    }

    /// The label that names the namespace, where the rule maps one.
    pub fn namespace_label(&self, resources: &Resources) -> Option<String> {
        let namespaces = GroupResource::namespaces();
        if let Some(label) = self.labels.get(&namespaces) {
            return Some(label.clone());
        }
        // The mapping may not have been read yet; the kind `namespaces` is always there.
        let fallback = ResourceInfo {
            group_resource: namespaces.clone(),
            version: "v1".to_owned(),
            kind: "Namespace".to_owned(),
            singular: "namespace".to_owned(),
            scope: Scope::Cluster,
        };
        self.label_for(resources.resolve(&namespaces).unwrap_or(&fallback))
    }
}

// === impl AdapterReading ===

impl AdapterReading {
    /// One reading, the one with the shortest group; plural and singular alike, in any case. Where the template leaves the
    /// group out the first kind of that name is meant.
    fn resource_of<'a>(&self, label: &str, resources: &'a Resources) -> Option<&'a ResourceInfo> {
        let pattern = self.pattern.as_ref()?;
        let part = |name: &str| pattern.expand_match(&Expansion::parse(name), label);
        let resource = part("${resource}")?;
        let group = if self.uses_group { part("${group}") } else { None };
        resources.find(group.as_deref().filter(|group| !group.is_empty()), &resource)
    }
}

fn template_group(info: &ResourceInfo) -> String {
    info.group_resource.group.replace(['.', '-'], "_")
}
