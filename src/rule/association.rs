//! Which label names which kind of object, in both directions.

use std::collections::BTreeMap;

use super::Problem;
use crate::{
    api::rule_spec::ResourceMapping,
    language::{promql::matcher::is_label_name, template::resource::ResourceTemplate},
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
}

// === impl Association ===

impl Association {
    /// Resolves every override and parses the template.
    ///
    /// # Errors
    ///
    /// `DuplicateResource` for two labels of one kind, `InvalidTemplate` with the position in `spec.resources.template`,
    /// `InvalidSpec` for a label that is none. A kind that does not exist is no error: see [`Self::unresolved`].
    pub fn compile(mapping: Option<&ResourceMapping>, resources: &Resources) -> Result<Self, Problem> {
        let Some(mapping) = mapping else {
            return Ok(Self::default());
        };
        let mut association = Self::default();
        for (label, named) in &mapping.overrides {
            let path = format!("spec.resources.overrides[{label}]");
            if !is_label_name(label) {
                let message = format!("{label:?} is not a label name ([a-zA-Z_][a-zA-Z0-9_]*)");
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
                    path,
                    format!(
                        "the cluster has no resource {:?}{group}; the label is not used until it appears \
                         (`kubectl api-resources` lists them)",
                        named.resource
                    ),
                );
                association.unresolved.insert(label.clone(), problem);
                continue;
            };
            if let Some(first) = association
                .labels
                .insert(info.group_resource.clone(), label.clone())
            {
                let message = format!(
                    "{first} and {label} both name {}; keep one of them",
                    info.group_resource
                );
                return Err(Problem::new(
                    Reason::DuplicateResource,
                    "spec.resources.overrides",
                    message,
                ));
            }
            association.overrides.insert(label.clone(), info.clone());
        }
        if let Some(text) = mapping.template.as_deref().filter(|text| !text.is_empty()) {
            let template = ResourceTemplate::parse(text).map_err(|error| {
                Problem::new(Reason::InvalidTemplate, "spec.resources.template", error.message)
                    .at(error.position)
            })?;
            association.template = Some(template);
        }
        Ok(association)
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
        let free = !self.overrides.contains_key(&label) && !self.unresolved.contains_key(&label);
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

fn template_group(info: &ResourceInfo) -> String {
    info.group_resource.group.replace(['.', '-'], "_")
}
